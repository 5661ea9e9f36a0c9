"""Statistics with units over the records of one level. Levels are never averaged together.

Percentiles are over all issued requests with failures as +∞ (`over: issued`), beside those over successes alone.
A percentile needs at least ten samples beyond it, else it says how many samples there were (`not_resolved`).
"""

from typing import Annotated, Literal

from pydantic import Field

from lading.measure.records import ClientHealth, Level
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


Percentile = Annotated[Resolved | FailedPercentile | NotResolved, Field(union_mode="left_to_right")]


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
        return 1 - self.completed / self.requests if self.requests else 1.0
