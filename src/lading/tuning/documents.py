"""The documents a study's answer is made of (`lading schema study-result`)."""

from typing import Any, Literal

from lading.measure.records import Level
from lading.spec.base import Stored


class StatedGain(Stored):
    """How much better than the defaults, over pairs of interleaved server lives. Percentages: 31.0 is +31 %.

    For a minimized metric a gain is a reduction: 31.0 is 31 % less.
    """

    percent: float
    low_percent: float
    high_percent: float
    """The 95 % interval."""
    pairs: int
    significant: bool
    """Whether the whole interval is above zero."""


class Candidate(Stored):
    """One set of parameters that has a score."""

    number: int
    """The trial that found it; 0: the defaults."""
    params: dict[str, Any]
    """As asked for, the study's fixed parameters included."""
    changed: dict[str, Any] = {}
    """What of them the search chose: empty for the defaults."""
    level: Level
    """Where it is best among the levels at which every constraint holds."""
    value: float
    """The objective there, in its own unit: the geometric mean over the confirmations where there are any."""
    beside: dict[str, float] = {}
    """What else to know at that level, by label: ``p95 ttft_s``, from the trial that found it."""
    confirmations: tuple[int, ...] = ()
    """Trials that measured it again."""
    gain: StatedGain | None = None
    """None for the defaults, and where no interval can be stated."""
    no_gain: str = ""
    """Why no interval can be stated; empty where one is."""


class ParetoPoint(Stored):
    """One level of one trial that no other beats in both throughput and latency."""

    number: int
    level: Level
    throughput: float
    """Output tokens per second."""
    latency_s: float
    """TTFT, 95th percentile (the highest that is resolved, else the mean)."""


class FailureCount(Stored):
    """How many trials ended in one class of failure."""

    name: str
    kind: Literal["configuration", "infrastructure", "unknown", "infeasible"]
    count: int
    numbers: tuple[int, ...]


class StudyResult(Stored):
    """A study's answer so far."""

    result_format: Literal[1] = 1
    name: str
    metric: str
    """The objective's metric: ``output_tokens_per_s``, or ``p95 ttft_s``."""
    unit: str
    direction: Literal["maximize", "minimize"]
    verdict: str
    """One sentence that answers, for the first line of everything."""
    winner: Candidate | None = None
    """What to run: the best candidate when it beats the defaults (significantly, where an interval can be stated), else the
    defaults; None: nothing has a score."""
    default: Candidate | None = None
    """None: the defaults have no score (they failed, or no level meets the constraints)."""
    finalists: tuple[Candidate, ...] = ()
    """The best sets of parameters other than the defaults, best first, with their gains."""
    pareto: tuple[ParetoPoint, ...] = ()
    """By rising throughput."""
    trials: int = 0
    """Ended trials of the search, the defaults included."""
    confirmations: int = 0
    outcomes: dict[str, int] = {}
    """Trials by ``completed``, ``unranked`` (completed, without a score), ``failed``, ``infeasible``, ``open``."""
    failures: tuple[FailureCount, ...] = ()
    server_starts: int = 0
    seconds: float = 0.0
    """Time spent in trials."""
    foreign_cpus: float | None = None
    """Cores that other programs used on average while levels were measured; None where it could not be told."""
