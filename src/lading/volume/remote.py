"""A volume elsewhere, through a channel to its agent (`volume.agent`): the same promises as of a folder here.

What only reads, or is silent when done twice, is asked again over a new connection when one breaks. What is being staged is
not: the pull is run again, finds what was finished, and goes on. The agent's locks know this client by its *run*: a new
connection takes over from a broken one at once.
"""

import functools
import getpass
import io
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from pydantic import BaseModel

import lading
from lading.errors import ChannelClosed, LadingError, VolumeError
from lading.volume import link as links
from lading.volume import wire
from lading.volume.link import Link, Stream
from lading.volume.remote_staging import RemoteStaging
from lading.volume.wire import Kind
from lading.weights import layout, names
from lading.weights.inventory import Adoption, Seen, Unmanaged, Usage
from lading.weights.layout import Leftover
from lading.weights.manifest import Manifest

if TYPE_CHECKING:
    from lading.ports.volume import Channel, Staging

P = ParamSpec("P")
T = TypeVar("T")
Progress = Callable[[int], None]

_PAUSES_S = (0.2, 1.0, 3.0)


def _again(method: Callable[Concatenate["RemoteVolume", P], T]) -> Callable[Concatenate["RemoteVolume", P], T]:
    """*method*, done once more over a new connection each time that one breaks, a few times."""

    def repeated(self: "RemoteVolume", *arguments: P.args, **options: P.kwargs) -> T:
        for pause_s in _PAUSES_S:
            try:
                return method(self, *arguments, **options)
            except ChannelClosed:
                if self.closed:
                    raise
                time.sleep(pause_s)
        return method(self, *arguments, **options)

    return functools.update_wrapper(repeated, method)  # type: ignore[return-value]  # which is what it was given


class RemoteVolume:
    """A volume whose agent *connect* reaches (`Volume`).

    Args:
        connect: A new channel to a new agent; may raise `ChannelClosed` or any other `LadingError`.
        shown: The volume as a person names it, such as ``pvc://models``; messages name it so.
        claim, namespace: The PersistentVolumeClaim it is, kept in the volume's own document when it is made.
    """

    def __init__(
        self, connect: "Callable[[], Channel]", *, shown: str, claim: str | None = None, namespace: str | None = None
    ) -> None:
        self._connect = connect
        self._shown = shown
        self._hello = {"wire": wire.VERSION, "version": lading.__version__, "claim": claim, "namespace": namespace,
                       "run": secrets.token_hex(16), "user": _user()}  # fmt: skip
        self._lock = threading.Lock()
        self._link: Link | None = None
        self.closed = False

    def close(self) -> None:
        """End the connection; idempotent."""
        self.closed = True
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.close()

    # ------------------------------------------------------------------------------------------------------ reading

    @property
    @_again
    def root(self) -> Path:
        """The directory that is the volume, there."""
        return self._linked().root

    @property
    def shown(self) -> str:
        """The volume as a person names it."""
        return self._shown

    @property
    @_again
    def cores(self) -> int:
        """How many files are worth hashing at once, there."""
        return self._linked().cores

    @property
    @_again
    def id(self) -> str:
        """The volume's own id."""
        return str(self._linked().ask("id").get("id", ""))

    @_again
    def manifests(self) -> Iterator[Manifest]:
        """All published versions, by model, then by time of publication."""
        return iter(self._linked().manifests("manifests"))

    @_again
    def manifest(self, model: str, version: str | None = None) -> Manifest:
        """One version's manifest; None: the current one."""
        [found] = self._linked().manifests("manifest", model=model, version=version)
        return found

    def directory(self, manifest: Manifest) -> Path:
        """Where the files of a published version lie, there."""
        return self.root if manifest.path == "." else self.root / names.check(manifest.path)

    def place(self, manifest: Manifest) -> str:
        """Where a version lies, as a person names it; a claim's is its storageUri, which knows no namespace."""
        return layout.place(f"pvc://{self._hello['claim']}" if self._hello["claim"] else self._shown, manifest.path)

    @_again
    def current(self, model: str) -> str | None:
        """The version `current` names, None without one."""
        return links.text_or_none(self._linked().ask("current", model=model).get("version"))

    @_again
    def currents(self, models: Sequence[str]) -> Mapping[str, str | None]:
        """The current version of each of *models*."""
        found = self._linked().ask("currents", models=list(models)).get("versions")
        known = found if isinstance(found, dict) else {}
        return {model: links.text_or_none(known.get(model)) for model in models}

    def open_file(self, manifest: Manifest, path: str) -> BufferedReader:
        """A file of a published version; OSError when it is none, or cannot be read."""
        return self.open_plain(manifest.file_path(names.check(path)))

    @_again
    def open_plain(self, path: str) -> BufferedReader:
        """A plain file anywhere on the volume but in ``.lading``, by its path from the root."""
        size_bytes = links.count(self._linked().ask("size", path=path), "size_bytes")
        return BufferedReader(_RemoteFile(self, path, size_bytes), wire.DATA_BYTES)

    @_again
    def read_plain(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Up to *size_bytes* of a plain file, and at most `wire.DATA_BYTES`, from *offset* on."""
        return self._linked().data("read", path=path, offset=offset, size_bytes=size_bytes)

    @_again
    def hash_plain(self, path: str, size_bytes: int, progress: Progress) -> tuple[int, str]:
        """Size and SHA-256 of a plain file, hashed there; the hash is empty where its size is not *size_bytes*."""
        told = _Told(progress)
        try:
            found = self._linked().ask("hash", tell=told, path=path, size_bytes=size_bytes)
        except ChannelClosed:
            told.take_back()
            raise
        return links.count(found, "size_bytes"), str(found.get("sha256"))

    @_again
    def look(self, manifest: Manifest) -> tuple[Seen, ...]:
        """Each file of a version as it lies there: opened, not read."""
        found = self._linked().ask("look", manifest=_plain(manifest)).get("files") or ()
        return tuple(links.document(Seen, file) for file in found)

    @_again
    def extra_files(self, manifest: Manifest) -> tuple[str, ...]:
        """Paths in the version's directory that its manifest does not have."""
        found = self._linked().ask("extra_files", manifest=_plain(manifest))
        return tuple(map(str, found.get("paths") or ()))

    @_again
    def free_bytes(self) -> int:
        """Bytes an ordinary user may still write."""
        return links.count(self._linked().ask("free"), "bytes")

    @_again
    def require_free(self, size_bytes: int) -> None:
        """Return when *size_bytes* more fit."""
        self._linked().ask("require_free", size_bytes=size_bytes)

    @_again
    def leftovers(self) -> tuple[Leftover, ...]:
        """What `sweep` would remove."""
        return tuple(map(_leftover, self._linked().ask("leftovers").get("leftovers") or ()))

    @_again
    def unmanaged(self, known: Sequence[Manifest] | None = None) -> tuple[Unmanaged, ...]:
        """Folders that look like a model and have no manifest, by path."""
        del known  # reading them there is quicker than sending them
        folders = self._linked().ask("unmanaged").get("folders") or ()
        return tuple(links.document(Unmanaged, folder) for folder in folders)

    @_again
    def usage(self) -> Usage:
        """What all that lies there takes."""
        return links.document(Usage, self._linked().ask("usage"))

    # ---------------------------------------------------------------------------------------------- using, removing

    @_again
    def use(self, model: str, version: str) -> None:
        """Switch `current`; silent when it is so already."""
        self._linked().ask("use", model=model, version=version)

    @_again
    def remove(self, model: str, version: str) -> None:
        """Remove a version, its manifest first."""
        self._linked().ask("remove", model=model, version=version)

    @_again
    def sweep(self, *, idle_s: float = 0.0) -> tuple[Path, ...]:
        """Remove what killed runs left, stagings only where nothing changed for *idle_s*."""
        return tuple(Path(str(path)) for path in self._linked().ask("sweep", idle_s=idle_s).get("paths") or ())

    @_again
    def adopt(self, adoption: Adoption, *, progress: Progress) -> Manifest:
        """Hash a folder where it lies, and list it as a version."""
        told = _Told(progress)
        try:
            [manifest] = self._linked().manifests("adopt", tell=told, adoption=_plain(adoption))
        except ChannelClosed:
            told.take_back()
            raise
        return manifest

    # --------------------------------------------------------------------------------------------------- publishing

    @contextmanager
    def stage(self, model: str, version: str, transfer: str) -> Iterator[RemoteStaging]:
        """The staging of *transfer*, under the model's lock, which the agent holds as long as this lasts."""
        with self._holding("stage", model=model, version=version, transfer=transfer) as (link, number):
            yield RemoteStaging(link, number, model, version)

    @contextmanager
    def mend(self, manifest: Manifest, transfer: str) -> Iterator[RemoteStaging]:
        """A staging for broken files of a published version, under its model's lock."""
        with self._holding("mend", manifest=_plain(manifest), transfer=transfer) as (link, number):
            yield RemoteStaging(link, number, manifest.model, manifest.version)

    def replace(self, staging: "Staging", manifest: Manifest, paths: Sequence[str]) -> None:
        """Put staged files in the place of a version's broken ones."""
        assert isinstance(staging, RemoteStaging), "a staging of another volume"
        staging.ask("replace", manifest=_plain(manifest), paths=list(paths))

    @_again
    def discard(self, manifest: Manifest, paths: Sequence[str]) -> None:
        """Remove files that lie in a version's directory and are not in its manifest."""
        self._linked().ask("discard", manifest=_plain(manifest), paths=list(paths))

    @contextmanager
    def _holding(self, op: str, **arguments: Any) -> Iterator[tuple[Link, int]]:
        """A staging that the agent holds as long as this lasts."""
        link, stream = self._staged(op, arguments)
        try:
            yield link, stream.number
        except BaseException:
            with suppress(LadingError):  # what happened inside counts more
                self._leave(stream)
            raise
        self._leave(stream)

    @_again
    def _staged(self, op: str, arguments: Mapping[str, Any]) -> tuple[Link, Stream]:
        link = self._linked()
        stream = link.call(op, **arguments)
        stream.next(Kind.EVENT)
        return link, stream

    def _leave(self, stream: Stream) -> None:
        try:
            stream.say(Kind.END)
            stream.next(Kind.RESULT)
        except ChannelClosed:
            pass  # the agent lets go of the lock when its client is gone

    def publish(self, staging: "Staging", manifest: Manifest, *, use: bool = True) -> Path:
        """Make the staged files the version of *manifest*; where the answer is lost, it is looked up."""
        assert isinstance(staging, RemoteStaging), "a staging of another volume"
        assert (staging.model, staging.version) == (manifest.model, manifest.version), "a manifest of another staging"
        try:
            found = staging.ask("publish", manifest=_plain(manifest), use=use)
        except ChannelClosed:
            if not self._has(manifest):
                raise
            if use:
                self.use(manifest.model, manifest.version)
            return self.directory(manifest)
        return Path(str(found.get("path")))

    def _has(self, manifest: Manifest) -> bool:
        return any(
            (found.model, found.version) == (manifest.model, manifest.version) and found.same_content(manifest)
            for found in self.manifests()
        )

    # --------------------------------------------------------------------------------------------------- connecting

    def _linked(self) -> Link:
        """The connection, made when there is none that works."""
        with self._lock:
            if self.closed:
                raise ChannelClosed(f"the connection to {self._shown} is closed")
            if self._link is None or self._link.is_broken():
                if self._link is not None:
                    self._link.close()
                self._link = None
                self._link = Link(self._connect(), self._hello, self._shown)
            return self._link


class _RemoteFile(io.RawIOBase):
    """A plain file there, read from here in pieces."""

    def __init__(self, volume: RemoteVolume, path: str, size_bytes: int) -> None:
        super().__init__()
        self._volume = volume
        self._path = path
        self._size_bytes = size_bytes
        self._offset = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size_bytes}[whence]
        self._offset = max(0, base + offset)
        return self._offset

    def tell(self) -> int:
        return self._offset

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._volume.read_plain(self._path, self._offset, min(len(view), wire.DATA_BYTES))
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)


class _Told:
    """Tells progress, and takes it back where the work begins again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._told = 0

    def __call__(self, count: int) -> None:
        self._told += count
        self._progress(count)

    def take_back(self) -> None:
        """None of it counts."""
        self._progress(-self._told)
        self._told = 0


def _user() -> str:
    """Who takes locks there, for whoever finds them taken."""
    try:
        return f"{getpass.getuser()} on {socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()  # an arbitrary uid has no name


def _plain(document: BaseModel) -> dict[str, Any]:
    return document.model_dump(mode="json", exclude_none=True)


def _leftover(found: Any) -> Leftover:
    match found:
        case {"kind": "staging" | "removal" as kind, "path": str(path), "size_bytes": int(size_bytes)}:
            model, version = links.text_or_none(found.get("model")), links.text_or_none(found.get("version"))
            idle_s = found.get("idle_s")
            return Leftover(
                kind=kind, path=Path(path), size_bytes=size_bytes, model=model, version=version,
                idle_s=float(idle_s) if isinstance(idle_s, int | float) else 0.0,
            )  # fmt: skip
        case _:
            raise VolumeError("the agent sent a damaged leftover")
