"""How the client itself did, and when its result must not be taken for the server's.

A client in trouble lies in TTFT first (`benchmarks/README.md`), so its lag is judged against the TTFT it reports. The
limits are part of the documentation of `ClientHealth`.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from time import monotonic, process_time
from typing import Protocol

from lading.measure.records import ClientHealth, RequestRecord

#: More of one core than this, and answers wait in the client's own queue.
MOST_CPU_SHARE = 0.8
#: Often late: the p90 of schedule or loop lag is above this, and above this share of the median TTFT.
OFTEN_LAG_S = 0.025
OFTEN_LAG_SHARE = 0.25
#: Badly late: the p99 is above this, and above so many median TTFTs. One stall of a busy machine is no verdict.
BADLY_LAG_S = 0.250
BADLY_LAG_SHARE = 2.0
#: Gaps whose median is below this share of their mean came in bursts: many chunks per read. While this process was that
#: busy it is its own doing; gaps this short in the mean are beyond what reads can tell apart.
BURST_SHARE = 0.1
BURST_CPU_SHARE = 0.5
SHORTEST_GAP_S = 0.001
TICK_S = 0.020


@dataclass(frozen=True, slots=True)
class Lag:
    """How late something was, over one level."""

    p90_s: float
    p99_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of this client while one level ran."""

    cpu_share: float
    schedule: Lag
    loop: Lag
    foreign_cpus: float | None = None
    reconnects: int = 0


class ForeignLoad(Protocol):
    """Tells how many cores are used by processes that are neither this one nor the server."""

    def cpus(self) -> float | None:
        """Cores in use since the last call, on average; None where it cannot be told."""


class Watch:
    """Watches this process's event loop and CPU while a level runs."""

    def __init__(self, foreign: ForeignLoad | None = None) -> None:
        self._foreign = foreign
        self._lags_s: list[float] = []
        self._began_s = monotonic()
        self._began_cpu_s = process_time()
        if foreign is not None:
            foreign.cpus()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def stop(self) -> None:
        """Stop watching; idempotent."""
        self._ticking.cancel()
        await asyncio.wait([self._ticking])

    async def _tick(self) -> None:
        while True:
            asleep_s = monotonic()
            await asyncio.sleep(TICK_S)
            self._lags_s.append(max(0.0, monotonic() - asleep_s - TICK_S))

    def seen(self, lates_s: Sequence[float], *, reconnects: int) -> Seen:
        """What was seen until now; *lates_s* is how late each request was sent."""
        wall_s = monotonic() - self._began_s
        return Seen(
            cpu_share=(process_time() - self._began_cpu_s) / wall_s if wall_s > 0 else 0.0,
            schedule=lag(lates_s),
            loop=lag(self._lags_s),
            foreign_cpus=self._foreign.cpus() if self._foreign is not None else None,
            reconnects=reconnects,
        )


def judged(seen: Seen, records: Sequence[RequestRecord], *, capped_at: int | None = None) -> ClientHealth:
    """The client's health with its verdict over *records*; *capped_at*: the cap of requests in flight that was hit."""
    limits = [
        _too_busy(seen),
        _too_late("requests were sent", seen.schedule, records),
        _too_late("the event loop ran", seen.loop, records),
        _bursts(seen, records),
        f"{capped_at:,} requests were in flight, the most this process may have" if capped_at else None,
    ]
    return ClientHealth(
        cpu_share=seen.cpu_share,
        schedule_lag_p99_s=seen.schedule.p99_s,
        loop_lag_p99_s=seen.loop.p99_s,
        foreign_cpus=seen.foreign_cpus,
        reconnects=seen.reconnects,
        limited_by=tuple(limit for limit in limits if limit),
    )


def lag(lates_s: Sequence[float]) -> Lag:
    """Nearest-rank percentiles of *lates_s*; 0 without any."""
    ordered = sorted(lates_s) or [0.0]
    p90_s, p99_s = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.90, 0.99))
    return Lag(p90_s, p99_s)


def _too_busy(seen: Seen) -> str | None:
    if seen.cpu_share <= MOST_CPU_SHARE:
        return None
    return f"the client used {seen.cpu_share:.0%} of a core (limit {MOST_CPU_SHARE:.0%})"


def _too_late(what: str, lag: Lag, records: Sequence[RequestRecord]) -> str | None:
    ttfts_s = [record.ttft_s for record in records if record.ttft_s is not None]
    usual_s = median(ttfts_s) if ttfts_s else 0.0
    often_s, badly_s = max(OFTEN_LAG_S, OFTEN_LAG_SHARE * usual_s), max(BADLY_LAG_S, BADLY_LAG_SHARE * usual_s)
    if lag.p90_s > often_s:
        return f"{what} {lag.p90_s * 1000:.3g} ms late (p90; limit {often_s * 1000:.3g} ms)"
    if lag.p99_s > badly_s:
        return f"{what} {lag.p99_s * 1000:.3g} ms late (p99; limit {badly_s * 1000:.3g} ms)"
    return None


def _bursts(seen: Seen, records: Sequence[RequestRecord]) -> str | None:
    gaps_s = [gap for record in records if record.ok for gap in record.itl_s]
    if not gaps_s or seen.cpu_share < BURST_CPU_SHARE:
        return None
    middle_s, mean_s = median(gaps_s), fmean(gaps_s)
    if mean_s < SHORTEST_GAP_S or middle_s >= BURST_SHARE * mean_s:
        return None
    return f"the median gap between chunks is {middle_s * 1000:.2g} ms, the mean {mean_s * 1000:.3g} ms: many per read"
