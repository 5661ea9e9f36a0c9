"""Numbered streams of bytes over one WebSocket, as the API server speaks them to pods: exec and port-forward.

The first byte of each message is its stream. There is no acknowledgement in it and no order between streams; what is
sent is written to the other side before the next message is read there, so a slow reader slows its writer down.
"""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import WSMsgType

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.errors import ChannelClosed, ClusterError

V5 = "v5.channel.k8s.io"
#: Servers before Kubernetes 1.30 and OpenShift 4.17; it cannot end one direction alone.
V4 = "v4.channel.k8s.io"
#: Payload of one message: the other side holds one in memory and passes it on in pieces of 32 KiB.
MESSAGE_BYTES = 128 << 10
PING_EVERY_S = 10.0
#: Without any sign of life for so long the peer is dead. It is longer than a volume may stall while it takes our bytes:
#: a server that waits for it reads nothing, and so answers no ping. (A program that ends while MiBs are under way to it
#: looks the same: Kubernetes may keep its exit status behind them.)
SILENCE_S = 60.0
_CLOSE = 255
_CLOSE_WITHIN_S = 3.0
_LOST = (aiohttp.ClientError, ConnectionError, RuntimeError)


async def connect(
    cluster: Cluster,
    pod: str,
    sub: str,
    *,
    query: Mapping[str, str | Sequence[str] | None],
    namespace: str | None = None,
    protocols: Sequence[str] = (V5, V4),
) -> "Streams":
    """The streams of *pod*'s subresource *sub*, in the first of *protocols* that the server speaks.

    Raises:
        ObjectMissing, ClusterDenied, ClusterUnreachable, ClusterError: As named; nothing was started.
    """
    carrier = await cluster.websocket(kinds.POD, pod, sub, query=query, protocols=protocols, namespace=namespace)
    if carrier.protocol is None:
        await carrier.close()
        raise ClusterError(f"the API server speaks none of {', '.join(protocols)} to pods")
    return Streams(carrier)


class Streams:
    """An open WebSocket; an async context manager. One task may send while another receives."""

    def __init__(self, carrier: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = carrier
        self._pulse = asyncio.get_running_loop().create_task(self._ask())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def halves(self) -> bool:
        """Whether one direction can be ended alone."""
        return self._socket.protocol == V5

    async def send(self, stream: int, data: bytes | memoryview) -> None:
        """Hand *data* to *stream*; waits where the other side does not keep up.

        Raises:
            ChannelClosed: The connection is gone.
        """
        number, view = bytes([stream]), memoryview(data)
        for start in range(0, len(view), MESSAGE_BYTES):
            await self._put(b"".join((number, view[start : start + MESSAGE_BYTES])))

    async def end(self, stream: int) -> None:
        """Say that nothing more is sent to *stream*.

        Raises:
            ClusterError: The server's protocol cannot say that.
            ChannelClosed: The connection is gone.
        """
        if not self.halves:
            raise ClusterError(f"this API server speaks {self._socket.protocol}, which cannot end one stream alone")
        await self._put(bytes([_CLOSE, stream]))

    async def receive(self) -> tuple[int, bytes] | None:
        """The next stream and its bytes; None when the server closed the connection in order.

        Raises:
            ChannelClosed: It broke, or the peer gave no sign of life for too long.
        """
        while True:
            try:
                message = await self._socket.receive(SILENCE_S)
            except TimeoutError:
                self._cut()
                raise ChannelClosed(f"the API server gave no sign of life for {SILENCE_S:g} s") from None
            match message.type:
                case WSMsgType.BINARY if message.data:
                    return message.data[0], message.data[1:]
                case WSMsgType.PING:
                    await self._socket.pong(message.data)
                case WSMsgType.ERROR:
                    raise self._broken() from self._socket.exception()
                case WSMsgType.CLOSE if message.data == aiohttp.WSCloseCode.OK:
                    return None
                case WSMsgType.CLOSE | WSMsgType.CLOSING | WSMsgType.CLOSED:
                    raise self._broken()
                case _:
                    pass  # pongs; what else there is, is not ours

    async def close(self) -> None:
        """Close the connection, also where the peer does not answer any more; idempotent."""
        self._pulse.cancel()
        with suppress(*_LOST, TimeoutError):
            await asyncio.wait_for(self._socket.close(), _CLOSE_WITHIN_S)
        self._cut()

    async def _put(self, message: bytes) -> None:
        try:
            await self._socket.send_bytes(message)
        except _LOST as error:
            raise self._broken() from error

    async def _ask(self) -> None:
        """Ask for signs of life."""
        with suppress(*_LOST):
            while True:
                await asyncio.sleep(PING_EVERY_S)
                await self._socket.ping()

    def _cut(self) -> None:
        """Cut the connection below all of its buffers, so that whoever waits to send wakes."""
        carrier = self._socket.get_extra_info("socket")
        if carrier is None or carrier.fileno() < 0:
            return
        with socket.socket(fileno=os.dup(carrier.fileno())) as raw, suppress(OSError):
            raw.shutdown(socket.SHUT_RDWR)

    def _broken(self) -> ChannelClosed:
        return ChannelClosed(f"the stream to the API server broke (WebSocket code {self._socket.close_code})")
