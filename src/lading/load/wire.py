"""One HTTP/1.1 connection that stamps what comes and looks at as little of it as it can.

The hot loop only needs to know when an answer is over; what it says is read after the run (`lading.load.decode`).
Requests are never pipelined: a connection has at most one `Exchange` at a time.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Literal, cast

from lading.measure.records import ErrorKind

#: An answer that grows beyond this is a fault, not an answer.
LONGEST_ANSWER_BYTES = 256 * 1024 * 1024
LONGEST_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of an answer says.

    Attributes:
        body_at: Where its body begins, in the bytes received.
        framing: How its end is told: the last chunk, a length, or the end of the connection.
        keeps: Whether the connection may be used again.
    """

    status: int
    body_at: int
    framing: Literal["chunked", "length", "close"]
    length: int
    keeps: bool


class BadAnswer(ValueError):
    """What came is no HTTP/1.1 answer."""


class Exchange:
    """One request and the raw bytes of its answer, each read stamped.

    Attributes:
        payload: The whole request as bytes.
        sent_s: When its first byte was handed to the kernel; monotonic, like all times here.
        raw: Everything received.
        marks: (time, length of *raw* after the read), one per read.
        failure: What went wrong on the wire, None for nothing; what the answer says is not looked at.
        connect_s: How long the connection took that it had to wait for.
    """

    __slots__ = (
        "_ended",
        "_scanned",
        "connect_s",
        "ended_s",
        "failure",
        "failure_message",
        "head",
        "marks",
        "payload",
        "raw",
        "reconnects",
        "sent_s",
        "whole",
    )

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.sent_s: float | None = None
        self.ended_s: float | None = None
        self.connect_s = 0.0
        self.reconnects = 0
        self.raw = bytearray()
        self.marks: list[tuple[float, int]] = []
        self.head: Head | None = None
        self.whole = False
        self.failure: ErrorKind | None = None
        self.failure_message = ""
        self._scanned = 0
        self._ended: Callable[[], None] | None = None

    def begin(self, ended: Callable[[], None]) -> None:
        """It is being sent; *ended* is called once, when the answer is over in whatever way."""
        self._ended = ended
        self.sent_s = monotonic()

    def receive(self, data: bytes) -> None:
        """Bytes that arrived just now."""
        now = monotonic()
        self.raw += data
        self.marks.append((now, len(self.raw)))
        try:
            over = self._over()
        except BadAnswer as error:
            self.fail("stream", str(error))
            return
        if over:
            self.whole = True
            self.end()

    def fail(self, kind: ErrorKind, message: str) -> None:
        """It ended badly."""
        if self.ended_s is None:
            self.failure, self.failure_message = kind, message
            self.end()

    def end(self) -> None:
        """It is over; later ends are silent."""
        if self.ended_s is not None:
            return
        self.ended_s = monotonic()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    def forget(self) -> None:
        """Let go of the bytes: they were read."""
        self.payload, self.raw, self.marks = b"", bytearray(), []

    def _over(self) -> bool:
        if self.head is None:
            self.head = parse_head(self.raw)
            if self.head is None:
                return False
            self._scanned = self.head.body_at
        if len(self.raw) > LONGEST_ANSWER_BYTES:
            raise BadAnswer(f"the answer is longer than {LONGEST_ANSWER_BYTES:,} bytes")
        if self.head.framing == "length":
            return len(self.raw) >= self.head.body_at + self.head.length
        if self.head.framing == "chunked" and self.raw.endswith(b"\r\n\r\n"):
            self._scanned, over = skip_chunks(self.raw, self._scanned)
            return over
        return False


class Connection(asyncio.Protocol):
    """A connection that carries one exchange after the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._gone: asyncio.Event | None = None
        self.used = False

    @property
    def open(self) -> bool:
        """Whether it can be written to, as far as is known here."""
        return self._transport is not None and not self._transport.is_closing()

    def carry(self, exchange: Exchange, ended: Callable[[], None]) -> None:
        """Send *exchange*; *ended* is called when its answer is over."""
        assert self._transport is not None
        assert self._exchange is None
        self._exchange = exchange
        exchange.begin(ended)
        self._transport.write(exchange.payload)

    def release(self) -> bool:
        """Let go of the ended exchange; whether the connection may carry another."""
        exchange, self._exchange = self._exchange, None
        self.used = True
        head = exchange.head if exchange else None
        return bool(exchange and exchange.whole and head and head.keeps and self.open)

    def close(self) -> None:
        """Close at once, without waiting for the other side; idempotent."""
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Wait until the connection is gone."""
        if self._gone is not None:
            await self._gone.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._gone = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Called by the loop with every read: the only thing that is hot."""
        exchange = self._exchange
        if exchange is None or exchange.ended_s is not None:
            self.close()  # bytes that nobody asked for
        else:
            exchange.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        exchange = self._exchange
        if exchange is not None and exchange.ended_s is None:
            _end_of_connection(exchange, exc)
        if self._gone is not None:
            self._gone.set()


def _end_of_connection(exchange: Exchange, error: Exception | None) -> None:
    """The connection ended while the answer was awaited: that is its end, or a fault that `decode` judges."""
    if exchange.raw and error is None:
        exchange.end()
    else:
        when = "in the middle of the answer" if exchange.raw else "before any answer"
        exchange.fail("early_close", f"the connection ended {when}" + (f": {error}" if error else ""))


def parse_head(raw: bytearray) -> Head | None:
    """The head of the answer in *raw*, interim (1xx) ones skipped; None while it is incomplete.

    Raises:
        BadAnswer: It is not HTTP/1.1.
    """
    start = 0
    while True:
        end = raw.find(b"\r\n\r\n", start)
        if end < 0:
            if len(raw) - start > LONGEST_HEAD_BYTES or not b"HTTP/1.".startswith(raw[start : start + 7]):
                raise BadAnswer(f"the answer is not HTTP/1.1: {bytes(raw[start : start + 40])!r}")
            return None
        head = _head(bytes(raw[start:end]), end + 4)
        if head.status >= 200:
            return head
        start = end + 4


def skip_chunks(raw: bytearray, start: int) -> tuple[int, bool]:
    """Where the first incomplete chunk from *start* on begins, and whether the last chunk has been there.

    Raises:
        BadAnswer: A chunk's size is no hexadecimal number.
    """
    while True:
        line_end = raw.find(b"\r\n", start)
        if line_end < 0:
            return start, False
        size = chunk_size(raw[start:line_end])
        if size == 0:
            return start, raw.startswith(b"\r\n", line_end + 2) or raw.find(b"\r\n\r\n", line_end + 2) >= 0
        after = line_end + 2 + size + 2
        if after > len(raw):
            return start, False
        start = after


def chunk_size(line: bytes | bytearray) -> int:
    """The size in a chunk's first line, extensions ignored.

    Raises:
        BadAnswer: It is no hexadecimal number.
    """
    digits = bytes(line.split(b";", 1)[0]).strip()
    if not digits or len(digits) > 15 or digits.strip(b"0123456789abcdefABCDEF"):
        raise BadAnswer(f"{digits[:40]!r} is not the size of a chunk")
    return int(digits, 16)


def _head(text: bytes, body_at: int) -> Head:
    lines = text.split(b"\r\n")
    parts = lines[0].split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not (parts[1].isdigit() and len(parts[1]) == 3):
        raise BadAnswer(f"the answer is not HTTP/1.1: {bytes(lines[0][:40])!r}")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    status = int(parts[1])
    closes = b"close" in fields.get(b"connection", b"").lower() or parts[0] == b"HTTP/1.0"
    if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
        return Head(status, body_at, "chunked", 0, not closes)
    length = fields.get(b"content-length")
    if length is None:
        return Head(status, body_at, "length" if status in {204, 304} else "close", 0, keeps=False)
    if not length.isdigit() or len(length) > 15:
        raise BadAnswer(f"{length[:40]!r} is not a content length")
    return Head(status, body_at, "length", int(length), not closes)
