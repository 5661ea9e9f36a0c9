"""Trials with the numbers a test needs, and nothing else said."""

from lading.measure.records import ClientHealth, Level
from lading.measure.summary import Distribution, FailedPercentile, NotResolved, Resolved, Summary
from lading.tuning.trial import Completed, Trial


def percentile(value):
    """A number, "failed", or ("few", samples)."""
    if value == "failed":
        return FailedPercentile()
    return NotResolved(not_resolved=value[1]) if isinstance(value, tuple) else Resolved(value=value)


def level(at, rate=100.0, ttft=None, *, limited=(), ended="complete", failed=0, kind="concurrency", **more):
    """One measured level; *ttft* is its p50 and p95, or a mapping of percentiles."""
    ttft = ttft if isinstance(ttft, dict) else {} if ttft is None else {"p50": ttft, "p95": ttft}
    empty = Distribution(count=0)
    return Summary(
        level=Level(kind=kind, value=at), requests=200, completed=200 - failed, duration_s=10.0,
        ttft_s=Distribution(count=200, issued={key: percentile(value) for key, value in ttft.items()}),
        tpot_s=empty, itl_s=empty, e2e_s=empty, requests_per_s=rate / 10, output_tokens_per_s=rate,
        input_tokens_per_s=rate, total_tokens_per_s=2 * rate, ended=ended,
        health=ClientHealth(cpu_share=0.1, schedule_lag_p99_s=0, loop_lag_p99_s=0, limited_by=limited), **more,
    )  # fmt: skip


def trial(number, *levels, **more):
    """A completed trial."""
    return Trial(**{"number": number, "params": {"n": number}, "levels": levels, "outcome": Completed(), **more})
