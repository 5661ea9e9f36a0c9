"""The other end of `volume.remote`: a `LocalVolume` served on two byte streams, for a client elsewhere (`volume.wire`).

It runs in a pod beside the claim (``lading agent``). A thread serves each call; what the client began ends with it: when its
stream ends, every staged file is dropped where it is and every lock is let go at once, so that nobody waits for a dead client.
"""

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

import lading
from lading.errors import ChannelClosed, LadingError, VolumeError, VolumeNotWritable
from lading.spec import ref
from lading.volume import find, wire
from lading.volume.called import Called
from lading.volume.local import LocalVolume
from lading.volume.lock import Process
from lading.volume.staging import LocalStagedFile, LocalStaging
from lading.volume.wire import Frame, Kind
from lading.weights import layout
from lading.weights.inventory import Adoption
from lading.weights.layout import Leftover
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry, Manifest

Model = TypeVar("Model", bound=BaseModel)

_LEAVE_S = 10.0


def serve(
    root: Path, receive: Callable[[], bytes], send: Callable[[bytes | memoryview], None], *, read_only: bool = False
) -> None:
    """Serve the volume at *root* until *receive* gives no more bytes; *read_only* refuses whatever changes it.

    Raises:
        VolumeError, ChannelClosed: What came is not what a client of ours says.
    """
    _Agent(root, receive, send, read_only=read_only).run()


class _Agent:
    def __init__(
        self,
        root: Path,
        receive: Callable[[], bytes],
        send: Callable[[bytes | memoryview], None],
        *,
        read_only: bool,
    ) -> None:
        self.root = root
        self.read_only = read_only
        self._writer = wire.Writer(_closing(send))
        self._reader = wire.Reader(receive, "the client")
        self._streams: dict[int, Called] = {}
        self._threads: list[threading.Thread] = []
        self._stagings: dict[int, LocalStaging] = {}
        self._me = Process.this()
        self._claim: str | None = None
        self._namespace: str | None = None

    def run(self) -> None:
        self._writer.control(
            Kind.HELLO,
            0,
            {
                "program": "lading", "version": lading.__version__, "wire": wire.VERSION, "layout": layout.LAYOUT,
                "root": str(self.root), "cores": os.cpu_count() or 1, "read_only": self.read_only,
            },
        )  # fmt: skip
        try:
            while (frame := self._reader.next()) is not None:
                self._heed(frame)
        finally:
            self._leave()

    def _heed(self, frame: Frame) -> None:
        match frame.kind:
            case Kind.HELLO:
                self._greet(frame.document())
            case Kind.CALL:
                self._begin(frame)
            case Kind.DATA | Kind.END | Kind.CANCEL:
                stream = self._streams.get(frame.stream)
                if stream is not None:  # else it ended by itself, which the client did not know yet
                    stream.give(frame)
            case Kind.ALIVE:
                pass
            case _:
                raise VolumeError(f"the client said {frame.kind.name}, which is the agent's word")

    def _greet(self, said: dict[str, Any]) -> None:
        """Locks that are taken name the person at the other end, and fall to the same run's next agent."""
        self._me = replace(self._me, run=_text_or_none(said, "run"), user=_text_or_none(said, "user"))
        self._claim, self._namespace = _text_or_none(said, "claim"), _text_or_none(said, "namespace")

    def _begin(self, frame: Frame) -> None:
        if frame.stream in self._streams or len(self._streams) >= wire.STREAMS:
            raise VolumeError("the client opens a stream twice, or too many")
        stream = self._streams[frame.stream] = Called(frame.stream, self._writer)
        thread = threading.Thread(target=self._answer, args=(stream, frame), name=f"lading-agent-{frame.stream}")
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.daemon = True  # a mount that hangs must not keep the process
        thread.start()

    def _answer(self, stream: Called, frame: Frame) -> None:
        """Serve one call in its own thread; the client being gone ends it silently, and its locks fall on the way out."""
        with contextlib.suppress(ChannelClosed):
            try:
                result = self._do(stream, frame.document())
                answer, document = Kind.RESULT, result
            except ChannelClosed:
                raise
            except (LadingError, OSError) as error:
                answer, document = Kind.ERROR, wire.told(error)
            self._streams.pop(stream.number, None)
            self._writer.control(answer, stream.number, document)
        self._streams.pop(stream.number, None)

    def _leave(self) -> None:
        for stream in list(self._streams.values()):
            stream.end()
        deadline = time.monotonic() + _LEAVE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    # ---------------------------------------------------------------------------------------------------- operations

    def _do(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        name = _text(call, "op")
        operation = _READS.get(name)
        if operation is None:
            operation = _CHANGES.get(name)
            if operation is None:
                raise VolumeError(f"the agent knows no {name!r}")
            if self.read_only:
                raise VolumeNotWritable("the volume is open for reading only")
        return operation(self, stream, call) or {}

    def volume(self, *, make: bool = False) -> LocalVolume:
        """The volume; where there is none yet it is read as an empty one, and made when *make*."""
        if make and not self.read_only:
            return find.create_volume(self.root, claim=self._claim, namespace=self._namespace, me=self._me)
        return find.open_or_empty(self.root, me=self._me)

    def staging(self, call: dict[str, Any]) -> LocalStaging:
        """The staging that the call names."""
        found = self._stagings.get(_number(call, "staging"))
        if found is None:
            raise VolumeError("the staging is closed")
        return found

    def id(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream, call
        return {"id": self.volume(make=True).id}

    def manifests(self, stream: Called, call: dict[str, Any]) -> None:
        del call
        stream.manifests(self.volume().manifests())

    def manifest(self, stream: Called, call: dict[str, Any]) -> None:
        stream.manifests([self.volume().manifest(_model(call), _version_or_none(call))])

    def current(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream
        return {"version": self.volume().current(_model(call))}

    def currents(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        """Of all models at once: `ls` asks it of thousands."""
        del stream
        volume = self.volume()
        return {"versions": {model: volume.current(ref.check_model(model)) for model in call.get("models") or ()}}

    def extra_files(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream
        manifest = _document(Manifest, call, "manifest")
        return {"paths": self.volume().extra_files(manifest)}

    def look(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream
        seen = self.volume().look(_document(Manifest, call, "manifest"))
        return {"files": [file.model_dump(mode="json", exclude_none=True) for file in seen]}

    def size(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream
        with self.volume().open_plain(_text(call, "path")) as file:
            return {"size_bytes": os.fstat(file.fileno()).st_size}

    def read(self, stream: Called, call: dict[str, Any]) -> None:
        with self.volume().open_plain(_text(call, "path")) as file:
            file.seek(_number(call, "offset"))
            stream.writer.data(stream.number, file.read(min(_number(call, "size_bytes"), wire.DATA_BYTES)))

    def hash(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        path, size_bytes = _text(call, "path"), _number(call, "size_bytes")
        found_bytes, sha256 = self.volume().hash_plain(path, size_bytes, stream.progress)
        stream.flush()
        return {"size_bytes": found_bytes, "sha256": sha256}

    def free(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream, call
        return {"bytes": self.volume().free_bytes()}

    def require_free(self, stream: Called, call: dict[str, Any]) -> None:
        del stream
        self.volume().require_free(_number(call, "size_bytes"))

    def leftovers(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream, call
        return {"leftovers": [_leftover(left) for left in self.volume().leftovers()]}

    def unmanaged(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream, call
        return {"folders": [folder.model_dump(mode="json") for folder in self.volume().unmanaged()]}

    def usage(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream, call
        return self.volume().usage().model_dump(mode="json")

    def use(self, stream: Called, call: dict[str, Any]) -> None:
        del stream
        self.volume().use(_model(call), _text(call, "version"))

    def remove(self, stream: Called, call: dict[str, Any]) -> None:
        del stream
        self.volume().remove(_model(call), _text(call, "version"))

    def sweep(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream
        return {"paths": [str(path) for path in self.volume().sweep(idle_s=_seconds(call, "idle_s"))]}

    def adopt(self, stream: Called, call: dict[str, Any]) -> None:
        wanted = _document(Adoption, call, "adoption")
        manifest = self.volume(make=True).adopt(wanted, progress=stream.progress)
        stream.flush()
        stream.manifests([manifest])

    def stage(self, stream: Called, call: dict[str, Any]) -> None:
        """Hold a staging until the client ends the stream, or is gone."""
        arguments = (_model(call), _text(call, "version"), _text(call, "transfer"))
        with self.volume(make=True).stage(*arguments) as staging:
            self._hold(stream, staging)

    def mend(self, stream: Called, call: dict[str, Any]) -> None:
        """As `stage`, for broken files of a published version."""
        with self.volume().mend(_document(Manifest, call, "manifest"), _text(call, "transfer")) as staging:
            self._hold(stream, staging)

    def _hold(self, stream: Called, staging: LocalStaging) -> None:
        with self._listed(stream.number, staging):
            stream.event({"staged": True})
            while stream.take().kind != Kind.END:
                pass

    @contextlib.contextmanager
    def _listed(self, number: int, staging: LocalStaging) -> Iterator[None]:
        self._stagings[number] = staging
        try:
            yield
        finally:
            del self._stagings[number]

    def finished(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream
        found = self.staging(call).finished.values()
        return {"files": [file.model_dump(mode="json", exclude_none=True) for file in found]}

    def take(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        manifest, file = _document(Manifest, call, "manifest"), _document(FileEntry, call, "file")
        taken = self.staging(call).take(manifest, file, progress=stream.progress)
        stream.flush()
        return {"taken": taken}

    def read_staged(self, stream: Called, call: dict[str, Any]) -> None:
        size_bytes = min(_number(call, "size_bytes"), wire.DATA_BYTES)
        data = self.staging(call).read(_text(call, "path"), _number(call, "offset"), size_bytes)
        stream.writer.data(stream.number, data)

    def write(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        """Take one file; a client that is gone leaves it as it is, for the next attempt to begin again."""
        entry = Entry(
            path=_text(call, "path"), size_bytes=call.get("size_bytes"), etag=_text_or_none(call, "etag")
        )  # fmt: skip
        staged = self.staging(call).open(entry)
        try:
            if wire.answered(entry.size_bytes):
                stream.event({"open": True})
            return _taken(stream, staged)
        except ChannelClosed:
            staged.leave()
            raise
        finally:
            staged.abandon()

    def replace(self, stream: Called, call: dict[str, Any]) -> None:
        del stream
        self.volume().replace(self.staging(call), _document(Manifest, call, "manifest"), _texts(call, "paths"))

    def discard(self, stream: Called, call: dict[str, Any]) -> None:
        del stream
        self.volume().discard(_document(Manifest, call, "manifest"), _texts(call, "paths"))

    def publish(self, stream: Called, call: dict[str, Any]) -> dict[str, Any]:
        del stream
        manifest = _document(Manifest, call, "manifest")
        path = self.volume(make=True).publish(self.staging(call), manifest, use=bool(call.get("use")))
        return {"path": str(path)}


def _taken(stream: Called, staged: LocalStagedFile) -> dict[str, Any]:
    """The file entry of what the client sent, when it is what it says it sent; empty when it gave it up."""
    found, size_bytes = hashlib.sha256(), 0
    while True:
        frame = stream.take()
        match frame.kind:
            case Kind.DATA:
                staged.write(memoryview(frame.payload), size_bytes)
                found.update(frame.payload)
                size_bytes += len(frame.payload)
                stream.credit(frame)
            case Kind.CANCEL:
                return {}
            case _:
                said = frame.document()
                if (said.get("size_bytes"), said.get("sha256")) != (size_bytes, found.hexdigest()):
                    raise VolumeError(
                        "the bytes that arrived are not those that were sent",
                        hint="run it again; should it happen again, something on the way changes them",
                    )
                return staged.finish(size_bytes, found.hexdigest()).model_dump(mode="json", exclude_none=True)


Operation = Callable[[_Agent, Called, dict[str, Any]], dict[str, Any] | None]

_READS: dict[str, Operation] = {
    "manifests": _Agent.manifests, "manifest": _Agent.manifest, "current": _Agent.current, "currents": _Agent.currents,
    "extra_files": _Agent.extra_files, "look": _Agent.look, "size": _Agent.size, "read": _Agent.read, "hash": _Agent.hash,
    "free": _Agent.free, "require_free": _Agent.require_free,
    "leftovers": _Agent.leftovers, "unmanaged": _Agent.unmanaged, "usage": _Agent.usage, "id": _Agent.id,
}  # fmt: skip
_CHANGES: dict[str, Operation] = {
    "use": _Agent.use, "remove": _Agent.remove, "sweep": _Agent.sweep, "adopt": _Agent.adopt, "stage": _Agent.stage,
    "finished": _Agent.finished, "take": _Agent.take, "read_staged": _Agent.read_staged, "write": _Agent.write, "publish": _Agent.publish,
    "mend": _Agent.mend, "replace": _Agent.replace, "discard": _Agent.discard,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------- small parts


def _closing(send: Callable[[bytes | memoryview], None]) -> Callable[[bytes | memoryview], None]:
    """*send* that says `ChannelClosed` where the client is gone."""

    def sending(data: bytes | memoryview) -> None:
        try:
            send(data)
        except OSError as error:
            raise ChannelClosed(f"the client is gone: {error}") from error

    return sending


def _leftover(left: Leftover) -> dict[str, Any]:
    return {
        "kind": left.kind, "path": str(left.path), "size_bytes": left.size_bytes, "model": left.model,
        "version": left.version, "idle_s": left.idle_s,
    }  # fmt: skip


def _document(kind: type[Model], call: dict[str, Any], key: str) -> Model:
    try:
        return kind.model_validate(call.get(key))
    except ValidationError as error:
        raise VolumeError(f"the client's call has no {key}: {error.errors(include_url=False)[0]['msg']}") from error


def _text(call: dict[str, Any], key: str) -> str:
    found = call.get(key)
    if not isinstance(found, str):
        raise VolumeError(f"the client's call has no text {key!r}")
    return found


def _text_or_none(call: dict[str, Any], key: str) -> str | None:
    return None if call.get(key) is None else _text(call, key)


def _texts(call: dict[str, Any], key: str) -> list[str]:
    found = call.get(key)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise VolumeError(f"the client's call has no list of texts {key!r}")
    return found


def _number(call: dict[str, Any], key: str) -> int:
    found = call.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise VolumeError(f"the client's call has no number {key!r}")
    return found


def _seconds(call: dict[str, Any], key: str) -> float:
    """A time, 0 where none is said."""
    found = call.get(key, 0.0)
    if not isinstance(found, int | float) or isinstance(found, bool) or not found >= 0:
        raise VolumeError(f"the client's call has no seconds {key!r}")
    return float(found)


def _model(call: dict[str, Any]) -> str:
    return ref.check_model(_text(call, "model"))


def _version_or_none(call: dict[str, Any]) -> str | None:
    return None if call.get("version") is None else ref.check_version(_text(call, "version"))
