"""Metrics as people read them: a name, a unit, three significant digits.

Seconds become milliseconds where a whole axis or column stays below one second, so that no number begins with 0.0.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lading.measure.summary import Distribution, FailedPercentile, NotResolved, Percentile, Resolved, Summary
from lading.spec import units

NAMES = {
    "output_tokens_per_s": "output tokens/s",
    "total_tokens_per_s": "tokens/s, prompt and answer",
    "requests_per_s": "requests/s",
    "goodput_rps": "good requests/s",
    "ttft_s": "time to first token",
    "tpot_s": "time per output token",
    "itl_s": "gap between tokens",
    "e2e_s": "whole answer",
    "error_share": "failed requests",
}
UNITS = {
    "output_tokens_per_s": "tok/s",
    "total_tokens_per_s": "tok/s",
    "requests_per_s": "req/s",
    "goodput_rps": "req/s",
    "ttft_s": "s",
    "tpot_s": "s",
    "itl_s": "s",
    "e2e_s": "s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """How one axis or column shows its numbers: *name*, and what a stored value is multiplied by."""

    name: str
    factor: float = 1.0

    def show(self, value: float) -> str:
        """The number alone: ``412``."""
        return units.show_number(value * self.factor)

    def text(self, value: float) -> str:
        """The number with its unit: ``412 ms``."""
        return f"{self.show(value)} {self.name}".rstrip()


def metric_of(text: str) -> str:
    """The metric in ``p95 ttft_s`` or ``ttft_s``."""
    return text.rpartition(" ")[2]


def label(text: str) -> str:
    """``p95 ttft_s`` → ``p95 time to first token``."""
    before, _, metric = text.rpartition(" ")
    return f"{before} {NAMES.get(metric, metric)}".strip()


def title(text: str, shown: Unit) -> str:
    """An axis's title: the metric with its unit, which rates have in their name."""
    return f"{label(text)}, {shown.name}" if shown.name in {"s", "ms"} else label(text)


def unit(text: str, values: Iterable[float] = ()) -> Unit:
    """The unit for *values* of a metric."""
    name = UNITS.get(metric_of(text), "")
    if name == "s" and (biggest := max(values, default=0.0)) and biggest < 1:
        return Unit(name="ms", factor=1000.0)
    return Unit(name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A percentile to be drawn or written.

    Attributes:
        value: In the metric's own unit; None where there is none.
        stands_for: What *value* is when the percentile asked for is not resolved: ``p90`` or ``mean``; empty if exact.
        failed: The percentile falls among failed requests: worse than any number.
    """

    value: float | None = None
    stands_for: str = ""
    failed: bool = False


def reading(summary: Summary, metric: str, percentile: float) -> Reading:
    """*percentile* of *metric* over all issued requests, else the highest below it that is resolved, else the mean."""
    distribution: Distribution | None = getattr(summary, metric)
    if distribution is None:
        return Reading()
    found = distribution.issued.get(f"p{percentile:g}")
    if isinstance(found, Resolved):
        return Reading(value=found.value)
    if isinstance(found, FailedPercentile):
        return Reading(failed=True)
    lower = [
        (float(key[1:]), key, at.value)
        for key, at in distribution.issued.items()
        if isinstance(at, Resolved) and float(key[1:]) < percentile
    ]
    if lower:
        _, key, value = max(lower)
        return Reading(value=value, stands_for=key)
    return Reading(value=distribution.mean, stands_for="mean")


def percentile_text(found: Percentile | None, shown: Unit) -> str:
    """A percentile as a cell: ``412 ms``, ``failed``, ``not resolved (24)``."""
    match found:
        case Resolved(value=value):
            return shown.text(value)
        case FailedPercentile():
            return "failed"
        case NotResolved(not_resolved=count):
            return f"not resolved (n = {count})"
        case _:
            return "–"


def value_text(value: Any) -> str:
    """A parameter's value: ``on``, ``off``, ``8,192`` stays ``8192``: it is what is typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)
