"""Offers the requests of one level: closed loop (so many in flight) or open loop (each at its due time)."""

import asyncio
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from lading.errors import MeasurementError
from lading.load.decode import Answer, decode
from lading.load.pool import Pool
from lading.load.wire import Exchange
from lading.measure import arrivals

#: More requests in flight than this are never sent: they wait, and the level is `client_limited`.
MOST_IN_FLIGHT = 4096
#: File descriptors left to everything else in this process.
SPARE_DESCRIPTORS = 64
#: Answers are kept as they came until the level ended. Beyond this they are read as they end, which costs CPU then.
MOST_HELD_BYTES = 1024 * 1024 * 1024
#: A level may end early for its errors only after so many ended.
ERRORS_COUNT_FROM = 10


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the schedule, ready to be written."""

    index: int
    due_s: float | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """One request that was issued.

    Attributes:
        due_s: When it was due, or its stream became free; monotonic.
        answer: What was read of its answer, None where that is still to come.
    """

    index: int
    due_s: float
    exchange: Exchange
    answer: Answer | None = None

    def read(self) -> Answer:
        """What its answer said."""
        return self.answer or decode(self.exchange)

    @property
    def late_s(self) -> float:
        """How late this client was, the time for a new connection left out."""
        if self.exchange.sent_s is None or self.exchange.reconnects:
            return 0.0
        return max(0.0, self.exchange.sent_s - self.due_s - self.exchange.connect_s)


@dataclass(slots=True, kw_only=True)
class Drive:
    """One level being driven.

    Attributes:
        duration_s: No request is issued after this long; those in flight are waited for.
        max_error_share: No request is issued once more than this share failed on the wire.
        sent: What was issued, in the order it ended.
        capped: Whether requests had to wait because too many were in flight.
    """

    pool: Pool
    requests: Sequence[Request]
    timeout_s: float
    duration_s: float | None = None
    max_error_share: float = 1.0
    sent: list[Sent] = field(default_factory=list)
    failed: int = 0
    ended: Literal["complete", "duration", "errors"] = "complete"
    capped: bool = False
    held_bytes: int = 0
    began_s: float = field(default_factory=monotonic)

    async def closed_loop(self, streams: int) -> None:
        """Keep *streams* requests in flight until all are done; starts are staggered.

        Raises:
            MeasurementError: This process may not have so many connections.
        """
        if streams > in_flight_cap():
            raise MeasurementError(
                f"{streams:,} requests in flight need as many connections, this process may have {in_flight_cap():,}",
                hint="raise the limit with `ulimit -n`",
            )
        left = iter(self.requests)
        self.began_s = monotonic()
        async with asyncio.TaskGroup() as group:
            for start_s in arrivals.stagger(min(streams, len(self.requests))):
                group.create_task(self._stream(left, start_s))

    async def open_loop(self) -> None:
        """Send each request at its due time, however many are in flight (up to `in_flight_cap`)."""
        room = asyncio.Semaphore(in_flight_cap())
        self.began_s = monotonic()
        async with asyncio.TaskGroup() as group:
            for request in self.requests:
                due_s = self.began_s + (request.due_s or 0.0)
                if (wait_s := due_s - monotonic()) > 0:
                    await asyncio.sleep(wait_s)
                if room.locked():
                    self.capped = True
                await room.acquire()
                if self._stops():
                    break
                task = group.create_task(self._one(request, due_s))
                task.add_done_callback(lambda _: room.release())

    async def _stream(self, left: Iterator[Request], start_s: float) -> None:
        await asyncio.sleep(start_s)
        while not self._stops():
            request = next(left, None)
            if request is None:
                return
            await self._one(request, monotonic())

    async def _one(self, request: Request, due_s: float) -> None:
        exchange = await self.pool.send(request.payload, timeout_s=self.timeout_s)
        self.failed += looks_failed(exchange)
        self.held_bytes += len(exchange.raw)
        answer = None
        if self.held_bytes > MOST_HELD_BYTES:
            answer = decode(exchange)
            self.held_bytes -= len(exchange.raw)
            exchange.forget()
        self.sent.append(Sent(request.index, due_s, exchange, answer))

    def _stops(self) -> bool:
        if self.ended == "complete":
            if self.duration_s is not None and monotonic() - self.began_s >= self.duration_s:
                self.ended = "duration"
            elif len(self.sent) >= ERRORS_COUNT_FROM and self.failed > self.max_error_share * len(self.sent):
                self.ended = "errors"
        return self.ended != "complete"


def looks_failed(exchange: Exchange) -> bool:
    """Whether an ended exchange failed, as far as can be told without reading it; `decode` has the last word."""
    if exchange.failure is not None or exchange.head is None or not 200 <= exchange.head.status < 300:
        return True
    return b"[DONE]" not in exchange.raw[-64:] and not exchange.whole


def in_flight_cap() -> int:
    """How many requests may be in flight: bounded by this process's file descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(MOST_IN_FLIGHT, soft - SPARE_DESCRIPTORS if soft > 0 else MOST_IN_FLIGHT))
