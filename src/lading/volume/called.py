"""One call to the agent while it works: what its client says to it, and what it tells on the way (`volume.agent`)."""

import queue
import threading
import time
from collections.abc import Iterable
from typing import Any

from lading.errors import Cancelled, ChannelClosed, VolumeError
from lading.volume import wire
from lading.volume.wire import Frame, Kind
from lading.weights.manifest import Manifest

_EVENT_S = 0.2


class Called:
    """One call under way, with what the client says to it."""

    def __init__(self, number: int, writer: wire.Writer) -> None:
        self.number = number
        self.writer = writer
        self.ended = threading.Event()
        self._frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._count = threading.Lock()
        self._next_event_s = 0.0
        self._untold_bytes = 0

    def give(self, frame: Frame) -> None:
        """Hand on what the client said; called by the one thread that reads.

        Raises:
            VolumeError: The client is further ahead than it may be.
        """
        with self._count:
            self._waiting_bytes += len(frame.payload) if frame.kind == Kind.DATA else 0
            if self._waiting_bytes > wire.WINDOW_BYTES:
                raise VolumeError("the client sends more than its window")
        if frame.kind == Kind.CANCEL:
            self.ended.set()
        self._frames.put(frame)

    def end(self) -> None:
        """The client is gone."""
        self.ended.set()
        self._frames.put(None)

    def take(self) -> Frame:
        """What the client says next.

        Raises:
            ChannelClosed: It is gone.
        """
        frame = self._frames.get()
        if frame is None:
            raise ChannelClosed("the client is gone")
        return frame

    def credit(self, frame: Frame) -> None:
        """Tell the client that the bytes of *frame* were taken."""
        with self._count:
            self._waiting_bytes -= len(frame.payload)
        self.writer.control(Kind.CREDIT, self.number, {"bytes": len(frame.payload)})

    def event(self, document: dict[str, Any]) -> None:
        """Tell the client something on the way."""
        self.writer.control(Kind.EVENT, self.number, document)

    def progress(self, count: int) -> None:
        """Tell, a few times a second, that *count* more bytes are done.

        Raises:
            Cancelled: Nobody waits for it any more.
        """
        if self.ended.is_set():
            raise Cancelled("the client gave it up")
        with self._count:
            self._untold_bytes += count
            now_s = time.monotonic()
            if now_s < self._next_event_s:
                return
            self._next_event_s = now_s + _EVENT_S
            untold, self._untold_bytes = self._untold_bytes, 0
        self.event({"bytes": untold})

    def flush(self) -> None:
        """Tell what `progress` kept back."""
        with self._count:
            untold, self._untold_bytes = self._untold_bytes, 0
        if untold:
            self.event({"bytes": untold})

    def manifests(self, found: Iterable[Manifest]) -> None:
        """Send manifests, one in a frame."""
        for manifest in found:
            self.writer.text(Kind.EVENT, self.number, manifest.model_dump_json(exclude_none=True).encode())
