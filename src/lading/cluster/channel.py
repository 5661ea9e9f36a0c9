"""A program in a pod as a blocking `Channel`, for threads: a loop elsewhere carries its bytes.

A window each way keeps both sides busy: `send` returns while its bytes are still under way, `receive` takes what has
come meanwhile, and neither lets more than its window pile up.
"""

import asyncio
import threading
from collections.abc import Sequence

from lading.cluster import execute
from lading.cluster.client import Cluster
from lading.cluster.execute import Execution
from lading.errors import ChannelClosed, LadingError

WINDOW_BYTES = 4 << 20


def connect(
    cluster: Cluster, loop: asyncio.AbstractEventLoop, pod: str, argv: Sequence[str], *, container: str | None = None
) -> "PodChannel":
    """*argv*, started in *pod*, its stdin and stdout as a channel. *cluster* lives on *loop*; call from another thread.

    Raises:
        ObjectMissing, ClusterDenied, ClusterUnreachable, ClusterError: As named; nothing was started.
    """
    channel = PodChannel(loop, pod)
    channel.start(cluster, argv, container)
    return channel


class PodChannel:
    """A `lading.ports.volume.Channel` into a pod; made by `connect`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pod: str) -> None:
        self._loop = loop
        self._pod = pod
        self._changed = threading.Condition()
        self._received: list[bytes] = []
        self._received_bytes = 0
        self._sending_bytes = 0
        self._opened = self._closed = self._ended = False
        self._failure: LadingError | None = ChannelClosed(f"the channel into pod {pod} was closed")
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, cluster: Cluster, argv: Sequence[str], container: str | None) -> None:
        """Start the program, and wait for it to be started."""

        def begin() -> None:
            self._task = self._loop.create_task(self._carry(cluster, argv, container))

        self._loop.call_soon_threadsafe(begin)
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._opened or self._ended)
        except KeyboardInterrupt:
            self.close()
            raise
        if not self._opened and self._failure is not None:
            raise self._failure

    def send(self, data: bytes | memoryview) -> None:
        """See `Channel`."""
        kept = bytes(data)
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._sending_bytes < WINDOW_BYTES)
            if self._ended:
                raise self._failure or ChannelClosed(f"the program in pod {self._pod} has ended")
            self._sending_bytes += len(kept)
        self._loop.call_soon_threadsafe(self._outbox.put_nowait, kept)

    def receive(self) -> bytes:
        """See `Channel`. A program that ends with another status than 0 broke its stream: its last words are told."""
        with self._changed:
            self._changed.wait_for(lambda: self._received or self._ended)
            if not self._received:
                if self._failure is not None and not self._closed:
                    raise self._failure
                return b""
            data = b"".join(self._received)
            self._received.clear()
            self._received_bytes = 0
        self._loop.call_soon_threadsafe(self._room.set)
        return data

    def close(self) -> None:
        """See `Channel`."""
        with self._changed:
            self._closed = self._ended = True
            self._changed.notify_all()
        self._loop.call_soon_threadsafe(self._stop)

    # -------------------------------------------------------------------------------------------------- on the loop

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _carry(self, cluster: Cluster, argv: Sequence[str], container: str | None) -> None:
        failure = self._failure
        try:
            async with execute.started(cluster, self._pod, argv, container=container) as execution:
                with self._changed:
                    self._opened = True
                    self._changed.notify_all()
                failure = await self._exchange(execution)
        except LadingError as error:
            failure = error
        finally:
            with self._changed:
                self._ended, self._failure = True, failure
                self._changed.notify_all()

    async def _exchange(self, execution: Execution) -> ChannelClosed | None:
        """Carry both ways until the program has ended; what was wrong with its end."""
        sending = self._loop.create_task(self._send_all(execution))
        try:
            while data := await execution.receive():
                await self._take(data)
        finally:
            sending.cancel()
        return _meaning(execution)

    async def _take(self, data: bytes) -> None:
        """Lay *data* out for `receive`; wait while its window is full."""
        with self._changed:
            self._received.append(data)
            self._received_bytes += len(data)
            self._room.clear()
            full = self._received_bytes >= WINDOW_BYTES
            self._changed.notify_all()
        if full:
            await self._room.wait()

    async def _send_all(self, execution: Execution) -> None:
        while True:
            data = await self._outbox.get()
            try:
                await execution.send(data)
            except ChannelClosed:
                return  # `receive` tells it, with the reason
            with self._changed:
                self._sending_bytes -= len(data)
                self._changed.notify_all()


def _meaning(execution: Execution) -> ChannelClosed | None:
    if execution.code == 0:
        return None
    said = f": {execution.complaint}" if execution.complaint else ""
    return ChannelClosed(f"the program in pod {execution.pod} ended with status {execution.code}{said}")
