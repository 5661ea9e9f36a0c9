"""How the client itself did, and when its result must not be taken for the server's.

A client in trouble lies in TTFT first (`benchmarks/README.md`), so its lag is judged against the TTFT it reports. The
limits are part of the documentation of `ClientHealth`.
"""

import asyncio
import math
from collections.abc import Sequence
from statistics import fmean, median
from time import monotonic, process_time
from typing import Protocol

from lading.measure.records import ClientHealth, RequestRecord

#: More of one core than this, and answers wait in the client's own queue.
MOST_CPU_SHARE = 0.8
#: A p99 of schedule or loop lag is a limit above this, and above this share of the median TTFT.
MOST_LAG_S = 0.025
MOST_LAG_SHARE = 0.25
#: Gaps whose median is below this share of their mean came in bursts: many chunks per read. Between
#: busy reads that is the client's doing; gaps this short in the mean are beyond what reads can tell apart.
BURST_SHARE = 0.1
BURST_CPU_SHARE = 0.5
SHORTEST_GAP_S = 0.001
TICK_S = 0.020


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

    def health(self, lates_s: Sequence[float], *, reconnects: int) -> ClientHealth:
        """What was seen until now; the verdict comes with `judged`."""
        wall_s = monotonic() - self._began_s
        return ClientHealth(
            cpu_share=(process_time() - self._began_cpu_s) / wall_s if wall_s > 0 else 0.0,
            schedule_lag_p99_s=p99(lates_s),
            loop_lag_p99_s=p99(self._lags_s),
            foreign_cpus=self._foreign.cpus() if self._foreign is not None else None,
            reconnects=reconnects,
        )


def judged(health: ClientHealth, records: Sequence[RequestRecord], *, capped_at: int | None) -> ClientHealth:
    """*health* with its verdict over *records*; *capped_at* requests in flight was the cap that was hit, if it was."""
    limits = [
        _too_busy(health),
        _too_late("requests were sent", health.schedule_lag_p99_s, records),
        _too_late("the event loop ran", health.loop_lag_p99_s, records),
        _bursts(health, records),
        f"{capped_at:,} requests were in flight, the most this process may have" if capped_at else None,
    ]
    return health.model_copy(update={"limited_by": tuple(limit for limit in limits if limit)})


def p99(values: Sequence[float]) -> float:
    """The nearest-rank 99th percentile; 0 without values."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1] if values else 0.0


def _too_busy(health: ClientHealth) -> str | None:
    if health.cpu_share <= MOST_CPU_SHARE:
        return None
    return f"the client used {health.cpu_share:.0%} of a core (limit {MOST_CPU_SHARE:.0%})"


def _too_late(what: str, lag_s: float, records: Sequence[RequestRecord]) -> str | None:
    ttfts = [record.ttft_s for record in records if record.ttft_s is not None]
    limit_s = max(MOST_LAG_S, MOST_LAG_SHARE * median(ttfts)) if ttfts else MOST_LAG_S
    if lag_s <= limit_s:
        return None
    return f"{what} up to {lag_s * 1000:.3g} ms late (p99; limit {limit_s * 1000:.3g} ms)"


def _bursts(health: ClientHealth, records: Sequence[RequestRecord]) -> str | None:
    gaps_s = [gap for record in records if record.ok for gap in record.itl_s]
    if not gaps_s or health.cpu_share < BURST_CPU_SHARE:
        return None
    middle_s, mean_s = median(gaps_s), fmean(gaps_s)
    if mean_s < SHORTEST_GAP_S or middle_s >= BURST_SHARE * mean_s:
        return None
    return f"the median gap between chunks is {middle_s * 1000:.2g} ms, the mean {mean_s * 1000:.3g} ms: many per read"
