"""The connection to a volume's agent: one thread that hands each frame to its call, and the words of an answer, checked."""

import queue
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

import lading
from lading.errors import ChannelClosed, LadingError, VersionSkew, VolumeError
from lading.volume import wire
from lading.volume.wire import Frame, Kind
from lading.weights import layout
from lading.weights.manifest import Manifest

if TYPE_CHECKING:
    from lading.ports.volume import Channel

Document = TypeVar("Document", bound=BaseModel)
Progress = Callable[[int], None]

HELLO_S = 60.0
"""How long an agent may take to say its first word."""
ALIVE_S = 15.0
"""How often the agent hears that we live; it gives us up after a minute of silence."""


class Stream:
    """One call under way; its frames are taken by the thread that made it."""

    def __init__(self, link: "Link", number: int) -> None:
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


class Link:
    """One connection to one agent, with a thread that hands each frame to its stream."""

    def __init__(self, channel: "Channel", hello: Mapping[str, Any], shown: str) -> None:
        self.writer = wire.Writer(_saying(channel))
        self._channel = channel
        self._shown = shown
        self._streams: dict[int, Stream] = {}
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
        self.cores = max(1, count(agent, "cores"))
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

    def call(self, op: str, **arguments: Any) -> Stream:
        """Begin a call."""
        with self._lock:
            if self._broken is not None:
                raise ChannelClosed(self._broken.message, hint=self._broken.hint)
            self._numbers += 1
            stream = self._streams[self._numbers] = Stream(self, self._numbers)
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

    def _answer(self, stream: Stream, tell: Progress | None, found: list[Manifest]) -> Frame:
        while (frame := stream.take()).kind == Kind.EVENT:
            if not frame.payload.startswith(b'{"bytes"'):
                found.append(_parsed(frame.payload))
            elif tell is not None:
                try:
                    tell(count(frame.document(), "bytes"))
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


def _give_up(stream: Stream) -> None:
    """Have the agent stop a call, and wait until it has: then its locks are free."""
    with suppress(LadingError, OSError):
        stream.say(Kind.CANCEL)
        while stream.take().kind != Kind.RESULT:
            pass


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


def _parsed(payload: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(payload)
    except ValidationError as error:
        raise VolumeError(f"the agent sent a damaged manifest: {_problem(error)}") from error


def document(kind: type[Document], found: object) -> Document:
    """*found*, which must be a document of *kind*."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise VolumeError(f"the agent sent a damaged {kind.__name__}: {_problem(error)}") from error


def _problem(error: ValidationError) -> str:
    return str(error.errors(include_url=False)[0]["msg"])


def count(found: Mapping[str, Any], key: str) -> int:
    """The number, 0 or more, that *found* must have at *key*."""
    value = found.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise VolumeError(f"the agent sent no number {key!r}")
    return value


def text_or_none(value: object) -> str | None:
    """*value* where it is text."""
    return value if isinstance(value, str) else None
