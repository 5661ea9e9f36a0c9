"""A volume elsewhere, through a channel to its agent (`volume.agent`): the same promises as of a folder here.

What only reads, or is silent when done twice, is asked again over a new connection when one breaks. What is being staged is
not: the pull is run again, finds what was finished, and goes on. The agent's locks know this client by its *run*: a new
connection takes over from a broken one at once.
"""

import functools
import getpass
import hashlib
import io
import queue
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError

import lading
from lading.errors import ChannelClosed, LadingError, VersionSkew, VolumeError
from lading.volume import wire
from lading.volume.wire import Frame, Kind
from lading.weights import layout, names
from lading.weights.inventory import Adoption, Unmanaged, Usage
from lading.weights.layout import Leftover
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry, Manifest

if TYPE_CHECKING:
    from lading.ports import Channel, Staging

P = ParamSpec("P")
T = TypeVar("T")
Document = TypeVar("Document", bound=BaseModel)
Progress = Callable[[int], None]

HELLO_S = 60.0
"""How long an agent may take to say its first word."""
ALIVE_S = 15.0
"""How often the agent hears that we live; it gives us up after a minute of silence."""
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
        self._link: _Link | None = None
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
        return _text_or_none(self._linked().ask("current", model=model).get("version"))

    @_again
    def currents(self, models: Sequence[str]) -> Mapping[str, str | None]:
        """The current version of each of *models*."""
        found = self._linked().ask("currents", models=list(models)).get("versions")
        known = found if isinstance(found, dict) else {}
        return {model: _text_or_none(known.get(model)) for model in models}

    def open_file(self, manifest: Manifest, path: str) -> BufferedReader:
        """A file of a published version; OSError when it is none, or cannot be read."""
        return self.open_plain(manifest.file_path(names.check(path)))

    @_again
    def open_plain(self, path: str) -> BufferedReader:
        """A plain file anywhere on the volume but in ``.lading``, by its path from the root."""
        size_bytes = _count(self._linked().ask("size", path=path), "size_bytes")
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
        return _count(found, "size_bytes"), str(found.get("sha256"))

    @_again
    def extra_files(self, manifest: Manifest) -> tuple[str, ...]:
        """Paths in the version's directory that its manifest does not have."""
        found = self._linked().ask("extra_files", manifest=_plain(manifest))
        return tuple(map(str, found.get("paths") or ()))

    @_again
    def free_bytes(self) -> int:
        """Bytes an ordinary user may still write."""
        return _count(self._linked().ask("free"), "bytes")

    @_again
    def require_free(self, size_bytes: int) -> None:
        """Return when *size_bytes* more fit."""
        self._linked().ask("require_free", size_bytes=size_bytes)

    @_again
    def prunable(self, model: str | None, keep: int) -> tuple[Manifest, ...]:
        """Versions older than the newest *keep* of each model, never a current one."""
        return tuple(self._linked().manifests("prunable", model=model, keep=keep))

    @_again
    def leftovers(self) -> tuple[Leftover, ...]:
        """What `sweep` would remove."""
        return tuple(map(_leftover, self._linked().ask("leftovers").get("leftovers") or ()))

    @_again
    def unmanaged(self, known: Sequence[Manifest] | None = None) -> tuple[Unmanaged, ...]:
        """Folders that look like a model and have no manifest, by path."""
        del known  # reading them there is quicker than sending them
        folders = self._linked().ask("unmanaged").get("folders") or ()
        return tuple(_document(Unmanaged, folder) for folder in folders)

    @_again
    def usage(self) -> Usage:
        """What all that lies there takes."""
        return _document(Usage, self._linked().ask("usage"))

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
    def sweep(self) -> tuple[Path, ...]:
        """Remove what killed runs left."""
        return tuple(Path(str(path)) for path in self._linked().ask("sweep").get("paths") or ())

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
    def stage(self, model: str, version: str, transfer: str) -> Iterator["RemoteStaging"]:
        """The staging of *transfer*, under the model's lock, which the agent holds as long as this lasts."""
        link, stream = self._staged(model, version, transfer)
        try:
            yield RemoteStaging(link, stream.number, model, version)
        except BaseException:
            with suppress(LadingError):  # what happened inside counts more
                self._leave(stream)
            raise
        self._leave(stream)

    @_again
    def _staged(self, model: str, version: str, transfer: str) -> "tuple[_Link, _Stream]":
        link = self._linked()
        stream = link.call("stage", model=model, version=version, transfer=transfer)
        stream.next(Kind.EVENT)
        return link, stream

    def _leave(self, stream: "_Stream") -> None:
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

    def _linked(self) -> "_Link":
        """The connection, made when there is none that works."""
        with self._lock:
            if self.closed:
                raise ChannelClosed(f"the connection to {self._shown} is closed")
            if self._link is None or self._link.is_broken():
                if self._link is not None:
                    self._link.close()
                self._link = None
                self._link = _Link(self._connect(), self._hello, self._shown)
            return self._link


class RemoteStaging:
    """A transfer's staging there (`Staging`)."""

    def __init__(self, link: "_Link", number: int, model: str, version: str) -> None:
        self._link = link
        self._number = number
        self.model = model
        self.version = version

    @property
    def finished(self) -> Mapping[str, FileEntry]:
        """Files an earlier attempt completed and journalled, by path."""
        found = [_document(FileEntry, file) for file in self.ask("finished").get("files") or ()]
        return {file.path: file for file in found}

    def open(self, entry: Entry) -> "RemoteStagedFile":
        """A new file for *entry*. Thread-safe. What stands against a small one is said by `write` or `finish`."""
        stream = self._link.call(
            "write", staging=self._number, path=names.check(entry.path), size_bytes=entry.size_bytes, etag=entry.etag
        )
        if wire.answered(entry.size_bytes):
            stream.next(Kind.EVENT)
        return RemoteStagedFile(stream, entry)

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Up to *size_bytes* of a finished file from *offset* on."""
        parts: list[bytes] = []
        while size_bytes > 0:
            part = self._link.data(
                "read_staged", staging=self._number, path=path, offset=offset, size_bytes=min(size_bytes, wire.DATA_BYTES)
            )  # fmt: skip
            if not part:
                break
            parts.append(part)
            offset, size_bytes = offset + len(part), size_bytes - len(part)
        return b"".join(parts)

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """What the agent answers of this staging."""
        return self._link.ask(op, staging=self._number, **arguments)


class RemoteStagedFile:
    """One file on its way, from one thread (`StagedFile`)."""

    def __init__(self, stream: "_Stream", entry: Entry) -> None:
        self._stream = stream
        self._entry = entry
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._ahead_bytes = 0
        self._open = True

    def write(self, data: memoryview) -> None:
        """Append *data*; waits where the other side does not keep up."""
        for start in range(0, len(data), wire.DATA_BYTES):
            piece = data[start : start + wire.DATA_BYTES]
            while self._ahead_bytes + len(piece) > wire.WINDOW_BYTES:
                self._ahead_bytes -= _count(self._stream.next(Kind.CREDIT).document(), "bytes")
            self._stream.write(piece)
            self._hash.update(piece)
            self._ahead_bytes += len(piece)
            self._size_bytes += len(piece)
            while (frame := self._stream.peek(Kind.CREDIT)) is not None:
                self._ahead_bytes -= _count(frame.document(), "bytes")

    def finish(self) -> FileEntry:
        """Have it made durable and journalled there, when what arrived is what was sent."""
        self._stream.say(Kind.END, {"size_bytes": self._size_bytes, "sha256": self._hash.hexdigest()})
        entry = _document(FileEntry, self._stream.next(Kind.RESULT, skipping=Kind.CREDIT).document())
        self._open = False
        if (entry.path, entry.size_bytes, entry.sha256) != (
            self._entry.path, self._size_bytes, self._hash.hexdigest(),
        ):  # fmt: skip
            raise VolumeError(f"the agent finished another file than {self._entry.path}", hint="run it again")
        return entry

    def abandon(self) -> None:
        """Forget what was written."""
        if not self._open:
            return
        self._open = False
        with suppress(LadingError, OSError):
            self._stream.say(Kind.CANCEL)
            self._stream.next(Kind.RESULT, skipping=Kind.CREDIT)


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


# -------------------------------------------------------------------------------------------------------- connection


class _Stream:
    """One call under way; its frames are taken by the thread that made it."""

    def __init__(self, link: "_Link", number: int) -> None:
        self.number = number
        self._link = link
        self._frames: queue.SimpleQueue[Frame | ChannelClosed] = queue.SimpleQueue()
        self._kept: Frame | None = None
        self._error: LadingError | OSError | None = None

    def give(self, frame: Frame | ChannelClosed) -> None:
        """Hand on what the agent said; called by the thread that reads."""
        self._frames.put(frame)

    def take(self) -> Frame:
        """What the agent says next.

        Raises:
            ChannelClosed: The connection broke.
            LadingError, OSError: The agent's own error; the same each time from then on.
        """
        if self._error is not None:
            raise self._error
        frame, self._kept = self._kept or self._frames.get(), None
        if isinstance(frame, ChannelClosed):
            self._error = frame
            raise frame
        if frame.kind == Kind.ERROR:
            self._link.forget(self.number)
            self._error = self._link.heard(frame)
            raise self._error
        if frame.kind == Kind.RESULT:
            self._link.forget(self.number)
        return frame

    def next(self, kind: Kind, *, skipping: Kind | None = None) -> Frame:
        """The next frame, which is of *kind*."""
        frame = self.take()
        while frame.kind == skipping:
            frame = self.take()
        if frame.kind != kind:
            raise VolumeError(f"the agent said {frame.kind.name} instead of {kind.name}")
        return frame

    def peek(self, kind: Kind) -> Frame | None:
        """The next frame, if it is there already and of *kind*; errors are raised."""
        if self._kept is None and self._frames.empty():
            return None
        frame = self.take()
        if frame.kind == kind:
            return frame
        self._kept = frame
        return None

    def say(self, kind: Kind, document: Mapping[str, Any] | None = None) -> None:
        """Say something of this call."""
        self._link.writer.control(kind, self.number, document)

    def write(self, data: memoryview) -> None:
        """Send bytes of a file."""
        self._link.writer.data(self.number, data)


class _Link:
    """One connection to one agent, with a thread that hands each frame to its stream."""

    def __init__(self, channel: "Channel", hello: Mapping[str, Any], shown: str) -> None:
        self.writer = wire.Writer(_saying(channel))
        self._channel = channel
        self._shown = shown
        self._streams: dict[int, _Stream] = {}
        self._numbers = 0
        self._lock = threading.Lock()
        self._broken: ChannelClosed | None = None
        self._done = threading.Event()
        self._reader = wire.Reader(channel.receive, "the agent")
        try:
            self.writer.control(Kind.HELLO, 0, hello)
            agent = self._greeted()
        except BaseException:
            channel.close()
            raise
        self.root = Path(str(agent.get("root")))
        self.cores = max(1, _count(agent, "cores"))
        self._names = re.compile(rf"(?<![\w./-]){re.escape(str(self.root))}(?![\w.-])")
        for work, name in ((self._read, "reader"), (self._live, "alive")):
            threading.Thread(target=work, name=f"lading-volume-{name}", daemon=True).start()

    def is_broken(self) -> bool:
        """Whether nothing can be asked through it any more."""
        return self._broken is not None

    def close(self) -> None:
        """End the connection; idempotent."""
        self._done.set()
        self._channel.close()

    def call(self, op: str, **arguments: Any) -> _Stream:
        """Begin a call."""
        with self._lock:
            if self._broken is not None:
                raise ChannelClosed(self._broken.message, hint=self._broken.hint)
            self._numbers += 1
            stream = self._streams[self._numbers] = _Stream(self, self._numbers)
        stream.say(Kind.CALL, {"op": op, **arguments})
        return stream

    def ask(self, op: str, *, tell: Progress | None = None, **arguments: Any) -> dict[str, Any]:
        """The answer of a call; *tell* is told the bytes done on the way, and gives it up when it raises."""
        stream = self.call(op, **arguments)
        return self._answer(stream, tell, []).document()

    def manifests(self, op: str, *, tell: Progress | None = None, **arguments: Any) -> list[Manifest]:
        """The manifests that a call gives."""
        stream = self.call(op, **arguments)
        found: list[Manifest] = []
        self._answer(stream, tell, found)
        return found

    def data(self, op: str, **arguments: Any) -> bytes:
        """The bytes that a call gives."""
        stream = self.call(op, **arguments)
        data = stream.next(Kind.DATA).payload
        stream.next(Kind.RESULT)
        return data

    def heard(self, frame: Frame) -> LadingError | OSError:
        """The error in *frame*; the volume is named as a person names it."""
        error = wire.heard(frame.document())
        if isinstance(error, LadingError):
            error.message = self.named(error.message)
            error.args = (error.message,)
            error.hint = None if error.hint is None else self.named(error.hint)
        return error

    def named(self, text: str) -> str:
        """*text* with the volume's path there as its name here."""
        return self._names.sub(lambda _: self._shown, text)

    def forget(self, number: int) -> None:
        """A stream has ended."""
        with self._lock:
            self._streams.pop(number, None)

    def _answer(self, stream: _Stream, tell: Progress | None, found: list[Manifest]) -> Frame:
        while (frame := stream.take()).kind == Kind.EVENT:
            if not frame.payload.startswith(b'{"bytes"'):
                found.append(_parsed(frame.payload))
            elif tell is not None:
                try:
                    tell(_count(frame.document(), "bytes"))
                except BaseException:
                    _give_up(stream)
                    raise
        if frame.kind != Kind.RESULT:
            raise VolumeError(f"the agent said {frame.kind.name} instead of an answer")
        return frame

    def _greeted(self) -> dict[str, Any]:
        """The agent's first word, which must come in time and be of our version."""
        late = threading.Timer(HELLO_S, self._channel.close)
        late.daemon = True
        late.start()
        try:
            frame = self._reader.next()
        finally:
            late.cancel()
        if frame is None:
            raise ChannelClosed(f"the agent of {self._shown} ended before its first word")
        if frame.kind != Kind.HELLO:
            raise VolumeError(f"the agent of {self._shown} said {frame.kind.name} before HELLO")
        said = frame.document()
        _check_version(said)
        return said

    def _read(self) -> None:
        try:
            while (frame := self._reader.next()) is not None:
                with self._lock:
                    stream = self._streams.get(frame.stream)
                if stream is not None:  # else it was given up, which the agent did not know yet
                    stream.give(frame)
            end = ChannelClosed(f"the agent of {self._shown} ended", hint="run it again: finished files are kept")
        except ChannelClosed as error:
            end = error
        except LadingError as error:
            end = ChannelClosed(error.message, hint=error.hint)
        self._break(end)

    def _break(self, end: ChannelClosed) -> None:
        with self._lock:
            self._broken = end
            streams = list(self._streams.values())
        self._done.set()
        for stream in streams:
            stream.give(ChannelClosed(end.message, hint=end.hint))
        self._channel.close()

    def _live(self) -> None:
        while not self._done.wait(ALIVE_S):
            with suppress(ChannelClosed):
                self.writer.control(Kind.ALIVE, 0)


def _give_up(stream: _Stream) -> None:
    """Have the agent stop a call, and wait until it has: then its locks are free."""
    with suppress(LadingError, OSError):
        stream.say(Kind.CANCEL)
        while stream.take().kind != Kind.RESULT:
            pass


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


def _check_version(said: Mapping[str, Any]) -> None:
    """That both sides speak the same.

    Raises:
        VersionSkew: They do not.
    """
    theirs = (said.get("wire"), said.get("layout"))
    if theirs == (wire.VERSION, layout.LAYOUT):
        return
    version = str(said.get("version"))[:40]
    raise VersionSkew(
        f"the pod's image holds Lading {ascii(version)[1:-1]}, which speaks wire {theirs[0]!r} and layout {theirs[1]!r}; "
        f"this is Lading {lading.__version__}, which speaks wire {wire.VERSION} and layout {layout.LAYOUT}",
        hint="give the --image of this version: `lading images` names it",
    )


def _saying(channel: "Channel") -> Callable[[bytes | memoryview], None]:
    """The channel's `send`; whatever way it breaks, it is `ChannelClosed`."""

    def send(data: bytes | memoryview) -> None:
        try:
            channel.send(data)
        except OSError as error:
            raise ChannelClosed(f"the connection broke: {error}") from error

    return send


def _user() -> str:
    """Who takes locks there, for whoever finds them taken."""
    try:
        return f"{getpass.getuser()} on {socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()  # an arbitrary uid has no name


def _plain(document: BaseModel) -> dict[str, Any]:
    return document.model_dump(mode="json", exclude_none=True)


def _parsed(payload: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(payload)
    except ValidationError as error:
        raise VolumeError(f"the agent sent a damaged manifest: {_problem(error)}") from error


def _document(kind: type[Document], found: object) -> Document:
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise VolumeError(f"the agent sent a damaged {kind.__name__}: {_problem(error)}") from error


def _problem(error: ValidationError) -> str:
    return str(error.errors(include_url=False)[0]["msg"])


def _leftover(found: Any) -> Leftover:
    match found:
        case {"kind": "staging" | "removal" as kind, "path": str(path), "size_bytes": int(size_bytes)}:
            model, version = _text_or_none(found.get("model")), _text_or_none(found.get("version"))
            return Leftover(kind=kind, path=Path(path), size_bytes=size_bytes, model=model, version=version)
        case _:
            raise VolumeError("the agent sent a damaged leftover")


def _count(found: Mapping[str, Any], key: str) -> int:
    value = found.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise VolumeError(f"the agent sent no number {key!r}")
    return value


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
