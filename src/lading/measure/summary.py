"""Statistics with units over the records of one level. Levels are never averaged together.

Percentiles are over all issued requests with failures as +∞ (`over: issued`), beside those over successes alone.
A percentile needs at least ten samples beyond it, else it says how many samples there were (`not_resolved`). The
method is the nearest rank, see `percentile`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from lading.measure.records import ClientHealth, Level, RecordHeader, RequestRecord
from lading.spec.base import Stored

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0)
MIN_BEYOND = 10


class Resolved(Stored):
    """A percentile with a value, in the unit of its metric."""

    value: float


class FailedPercentile(Stored):
    """A percentile that falls among failed requests: worse than any number."""

    failed: Literal[True] = True


class NotResolved(Stored):
    """Too few samples for this percentile."""

    not_resolved: int
    """How many samples there were."""


#: `FailedPercentile` last: it has no key it needs, so it would take every document.
Percentile = Annotated[Resolved | NotResolved | FailedPercentile, Field(union_mode="left_to_right")]


class Distribution(Stored):
    """One metric over one level; keys of the percentiles are like ``p95`` and ``p99.9``."""

    count: int
    """Successful samples."""
    mean: float | None = None
    """Over successes; None without any."""
    minimum: float | None = None
    maximum: float | None = None
    issued: dict[str, Percentile] = {}
    """Over all issued requests, failures as +∞."""
    successes: dict[str, Percentile] = {}


class Summary(Stored):
    """One level, folded from its records."""

    level: Level
    requests: int
    """Issued, warm-up left out."""
    completed: int
    errors: dict[str, int] = {}
    """Failed requests by kind of error."""
    duration_s: float
    ttft_s: Distribution
    tpot_s: Distribution
    itl_s: Distribution
    """Pooled gaps of all requests; here a failure is one sample of +∞."""
    e2e_s: Distribution
    e2e_scheduled_s: Distribution | None = None
    """Open loop only: from the time the request was due."""
    requests_per_s: float
    """Completed / duration."""
    output_tokens_per_s: float
    input_tokens_per_s: float
    total_tokens_per_s: float
    prompt_tokens_mean: float | None = None
    output_tokens_mean: float | None = None
    good: int | None = None
    """Requests that met every limit of the SLO; None without an SLO."""
    goodput_rps: float | None = None
    """Good / duration."""
    health: ClientHealth
    ended: Literal["complete", "duration", "errors", "cancelled"] = "complete"

    @property
    def error_share(self) -> float:
        """Failed / issued."""
        return (self.requests - self.completed) / self.requests if self.requests else 1.0


def summarize(header: RecordHeader, records: Iterable[RequestRecord]) -> Summary:
    """The statistics of one level: a function of the set of its records, whatever their order.

    The duration is the header's: from the first measured send to the last end. Answers of failed requests are in no
    throughput. An answer of one token has no TPOT and no gap: it is in neither distribution.
    """
    issued = [record for record in records if not record.warmup]
    done = [record for record in issued if record.ok]
    failed = len(issued) - len(done)
    rate = _Rate(header.duration_s)
    prompt_tokens = sum(record.prompt_tokens or 0 for record in done)
    output_tokens = sum(record.output_tokens for record in done)
    good = sum(meets(record, header.slo) for record in done) if header.slo else None
    open_loop = header.level.kind == "rate"
    return Summary(
        level=header.level,
        requests=len(issued),
        completed=len(done),
        errors=dict(sorted(Counter(record.error for record in issued if record.error).items())),
        duration_s=header.duration_s,
        ttft_s=distribution((record.ttft_s for record in done), failed),
        tpot_s=distribution((record.tpot_s for record in done), failed),
        itl_s=distribution((gap for record in done for gap in record.itl_s), failed),
        e2e_s=distribution((record.e2e_s for record in done), failed),
        e2e_scheduled_s=distribution((record.e2e_scheduled_s for record in done), failed) if open_loop else None,
        requests_per_s=rate.of(len(done)),
        output_tokens_per_s=rate.of(output_tokens),
        input_tokens_per_s=rate.of(prompt_tokens),
        total_tokens_per_s=rate.of(prompt_tokens + output_tokens),
        prompt_tokens_mean=prompt_tokens / len(done) if done else None,
        output_tokens_mean=output_tokens / len(done) if done else None,
        good=good,
        goodput_rps=rate.of(good) if good is not None else None,
        health=header.health,
        ended=header.ended,
    )


def distribution(values: Iterable[float | None], failed: int) -> Distribution:
    """One metric: *values* of the successes (None: the metric does not apply), and *failed* samples of +∞."""
    samples = sorted(value for value in values if value is not None)
    return Distribution(
        count=len(samples),
        mean=math.fsum(samples) / len(samples) if samples else None,
        minimum=samples[0] if samples else None,
        maximum=samples[-1] if samples else None,
        issued={name(p): percentile(samples, p, failed=failed) for p in PERCENTILES},
        successes={name(p): percentile(samples, p) for p in PERCENTILES},
    )


def percentile(samples: Sequence[float], p: float, *, failed: int = 0) -> Percentile:
    """The nearest-rank percentile of sorted *samples* followed by *failed* samples of +∞.

    Of n samples it is the one of rank ⌈p·n/100⌉, counted from 1: always a value that was measured, never one between
    two. n − rank samples lie beyond it; with fewer than `MIN_BEYOND` it is not resolved.
    """
    count = len(samples) + failed
    rank = max(1, math.ceil(Fraction(str(p)) * count / 100))  # exact: 0.999 · 1000 is no whole number in floats
    if count - rank < MIN_BEYOND:
        return NotResolved(not_resolved=count)
    return Resolved(value=samples[rank - 1]) if rank <= len(samples) else FailedPercentile()


def name(p: float) -> str:
    """The key of a percentile: ``p95``, ``p99.9``."""
    return f"p{p:g}"


def meets(record: RequestRecord, slo: Mapping[str, float]) -> bool:
    """Whether a request was answered within every limit of *slo*; a metric it does not have breaks none."""
    if not record.ok:
        return False
    measured = {
        "ttft_s": record.ttft_s,
        "tpot_s": record.tpot_s,
        "itl_s": max(record.itl_s, default=None),
        "e2e_s": record.e2e_s,
    }
    return all((value := measured.get(metric)) is None or value <= limit for metric, limit in slo.items())


@dataclass(frozen=True, slots=True)
class _Rate:
    """Something per second over one level; 0 where the level took no time."""

    duration_s: float

    def of(self, amount: float) -> float:
        return amount / self.duration_s if self.duration_s > 0 else 0.0
