"""Connections to one endpoint: kept as long as the server keeps them, and never trusted to be alive.

llama.cpp announces keep-alive and closes after every streamed answer; proxies drop idle connections at any time. A
request on a pooled connection that died before any byte of the answer is sent once more on a new one: its clock
starts again with that send, and it is counted as a reconnect.
"""

import asyncio
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from lading.errors import InvalidInput
from lading.load.wire import Connection, Exchange

#: So many connections that died in the pool, and none that lived, say that this server keeps none.
_DEATHS_THAT_TELL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an endpoint listens; *prefix* is the path of its base URL."""

    host: str
    port: int
    tls: bool
    prefix: str = ""

    @property
    def authority(self) -> str:
        """As in the ``Host`` header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


def target(base_url: str) -> Target:
    """The target of a base URL.

    Raises:
        InvalidInput: It is no ``http://`` or ``https://`` URL of a host.
    """
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"{base_url!r} is not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise InvalidInput(f"{base_url!r} is not the URL of a server", hint="write http://HOST:PORT")
    tls = parts.scheme == "https"
    return Target(host=parts.hostname, port=port or (443 if tls else 80), tls=tls, prefix=parts.path.rstrip("/"))


class Pool:
    """Connections to *target*. Belongs to one event loop; closing it closes them all."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._tls = ssl.create_default_context() if target.tls else None
        self._addresses: Sequence[tuple[str, int]] = ()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._lived = self._died = 0

    async def send(self, payload: bytes, *, timeout_s: float) -> Exchange:
        """One request and its answer, complete or failed; what is wrong with it is in the exchange, never raised."""
        exchange = Exchange(payload)
        connection = self._pooled() or await self._connect(exchange, timeout_s)
        if connection is None:
            return exchange
        reused = connection.used
        await self._carry(connection, exchange, timeout_s)
        died = exchange.failure == "early_close" and not exchange.raw
        if not reused or not died:
            self._lived += reused
            return exchange
        self._died += 1
        again = Exchange(payload)
        again.reconnects = 1
        connection = await self._connect(again, timeout_s)
        if connection is not None:
            await self._carry(connection, again, timeout_s)
        return again

    async def close(self) -> None:
        """Close every connection and wait until they are gone; idempotent."""
        connections, self._all = self._all, set()
        self._idle.clear()
        for connection in connections:
            connection.close()
        for connection in connections:
            await connection.closed()

    @property
    def _keeps(self) -> bool:
        """Whether it is worth keeping connections: not when the first that were used again had all died."""
        return self._lived > 0 or self._died < _DEATHS_THAT_TELL

    def _pooled(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
            self._all.discard(connection)
        return None

    async def _carry(self, connection: Connection, exchange: Exchange, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        left_s = max(0.0, timeout_s - exchange.connect_s)
        timer = loop.call_later(left_s, exchange.fail, "timeout", f"no complete answer within {timeout_s:g} s")
        connection.carry(exchange, lambda: None if over.done() else over.set_result(None))
        try:
            await over
        finally:
            timer.cancel()
            exchange.fail("cancelled", "cancelled while its answer was awaited")  # silent when it has ended
            if connection.release() and self._keeps:
                self._idle.append(connection)
            else:
                connection.close()
                self._all.discard(connection)

    async def _connect(self, exchange: Exchange, timeout_s: float) -> Connection | None:
        """A new connection; None, and the exchange failed, where there is none."""
        began_s = monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._open()
        except TimeoutError:
            exchange.fail("connect", f"no connection to {self.target.authority} within {timeout_s:g} s")
            return None
        except OSError as error:
            exchange.fail("connect", f"no connection to {self.target.authority}: {_cause(error)}")
            return None
        exchange.connect_s = monotonic() - began_s
        self._all.add(connection)
        return connection

    async def _open(self) -> Connection:
        """A connection to the first address that takes one; it is looked up once, never again in the hot loop."""
        loop = asyncio.get_running_loop()
        if not self._addresses:
            found = await loop.getaddrinfo(self.target.host, self.target.port, type=1)
            self._addresses = [(address[4][0], address[4][1]) for address in found]  # type: ignore[misc]  # host and port come first
        options: dict[str, Any] = {"ssl": self._tls, "server_hostname": self.target.host} if self._tls else {}
        for host, port in self._addresses[:-1]:
            try:
                _, connection = await loop.create_connection(Connection, host, port, **options)
            except OSError:
                continue
            self._addresses = [(host, port)]
            return connection
        host, port = self._addresses[-1]
        _, connection = await loop.create_connection(Connection, host, port, **options)
        return connection


def _cause(error: OSError) -> str:
    """Why there was no connection, in the system's words, or those of TLS."""
    return os.strerror(error.errno).lower() if error.errno and not isinstance(error, ssl.SSLError) else str(error)
