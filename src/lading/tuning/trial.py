"""What happened in a study: facts as they are appended, and the history they fold into.

History is the only state of a study. Facts are appended, never changed; `fold` makes trials of them. A trial that
failed is a result.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator

from lading.engines.base import FailureClass, Value
from lading.measure.records import Level
from lading.measure.summary import Summary
from lading.spec.base import Stored

Params = dict[str, Value]
Phase = Literal["plan", "start", "ready", "warmup", "measure", "teardown"]
#: Why a trial exists: the defaults, the search, or the final comparison.
Role = Literal["default", "search", "confirm"]


class Completed(Stored):
    """The trial was measured, at least at one level."""

    outcome: Literal["completed"] = "completed"


class Failed(Stored):
    """The trial could not be measured: a result, never a number."""

    outcome: Literal["failed"] = "failed"
    phase: Phase
    kind: FailureClass
    """configuration: taught to the search as infeasible; infrastructure: retried, not taught; unknown: retried once, then taught."""
    name: str
    """The class shown: out-of-memory, port-in-use …"""
    reason: str
    hint: str = ""
    log: tuple[str, ...] = ()
    """The last lines of the server's log."""


class Infeasible(Stored):
    """A rule said no before anything was started."""

    outcome: Literal["infeasible"] = "infeasible"
    rule: str
    reason: str
    hint: str = ""


Outcome = Annotated[Completed | Failed | Infeasible, Discriminator("outcome")]


class Proposed(Stored):
    """Fact: trial *number* is to be tried."""

    fact: Literal["proposed"] = "proposed"
    number: int
    params: Params
    role: Role = "search"
    seed: int = 0
    replicate: int = 0
    """confirm: which of the interleaved server lives of these parameters, from 0."""


class Started(Stored):
    """Fact: an attempt at a trial began, under a lease."""

    fact: Literal["started"] = "started"
    number: int
    attempt: int
    lease: str
    """Id of the run that made the attempt."""
    at: str
    """UTC, ISO 8601."""
    argv: tuple[str, ...] = ()
    """The effective command line."""
    argv_sha256: str = ""


class Served(Stored):
    """Fact: the server of an attempt answered a real request."""

    fact: Literal["served"] = "served"
    number: int
    attempt: int
    ready_s: float
    """Seconds from start to the first real answer."""
    effective: Params = {}
    """What the server says it runs with."""
    differences: tuple[str, ...] = ()
    """Where that is not what was asked for, in words."""


class Measured(Stored):
    """Fact: one level of a trial was measured."""

    fact: Literal["measured"] = "measured"
    number: int
    attempt: int
    level: Level
    summary: Summary
    record_file: str
    """Relative to the study's folder."""


class LevelFailed(Stored):
    """Fact: one level of a trial could not be measured; the others stand."""

    fact: Literal["level_failed"] = "level_failed"
    number: int
    attempt: int
    level: Level
    reason: str


class Ended(Stored):
    """Fact: an attempt at a trial ended."""

    fact: Literal["ended"] = "ended"
    number: int
    attempt: int
    outcome: Outcome
    at: str
    seconds: dict[str, float] = {}
    """How long each phase took."""


class Stopped(Stored):
    """Fact: an attempt was stopped on purpose (Ctrl-C, a cancel) and its server removed: no word against the trial."""

    fact: Literal["stopped"] = "stopped"
    number: int
    attempt: int
    at: str


Fact = Annotated[Proposed | Started | Served | Measured | LevelFailed | Ended | Stopped, Discriminator("fact")]


class Trial(Stored):
    """One trial, folded from its facts; the levels are those of its last attempt."""

    number: int
    params: Params
    role: Role = "search"
    seed: int = 0
    replicate: int = 0
    attempts: int = 0
    lease: str | None = None
    argv: tuple[str, ...] = ()
    ready_s: float | None = None
    effective: Params = {}
    differences: tuple[str, ...] = ()
    levels: tuple[Summary, ...] = ()
    record_files: tuple[str, ...] = ()
    failed_levels: tuple[tuple[Level, str], ...] = ()
    outcome: Outcome | None = None
    """None while it is open: proposed, or an attempt was cut off."""
    failures: tuple[Failed, ...] = ()
    """How its attempts failed, oldest first: a retry does not hide why there was one."""
    cut_off: int = 0
    """Attempts that were started and neither ended nor were stopped: cut off by a kill or a loss of power, or under way."""
    started_at: str | None = None
    ended_at: str | None = None
    seconds: dict[str, float] = {}

    @property
    def client_limited(self) -> bool:
        """Whether any level was limited by the client: complete, and unranked there."""
        return any(level.health.client_limited for level in self.levels)


def fold(facts: Iterable[Fact]) -> tuple[Trial, ...]:
    """The trials, by number. Facts of an older attempt never mix with those of a newer one.

    An infrastructure failure followed by a new `Started` is an attempt, not an outcome: the trial is open again.
    """
    trials: dict[int, Trial] = {}
    for fact in facts:
        before = trials.get(fact.number)
        if isinstance(fact, Proposed):
            if before is None:
                trials[fact.number] = Trial(**fact.model_dump(exclude={"fact"}))
        elif before is not None:
            trials[fact.number] = _with(before, fact)
    return tuple(trials[number] for number in sorted(trials))


def _with(trial: Trial, fact: Started | Served | Measured | LevelFailed | Ended | Stopped) -> Trial:
    if isinstance(fact, Started):
        return _changed(trial, attempts=fact.attempt, lease=fact.lease, argv=fact.argv, started_at=fact.at, ready_s=None,
                        effective={}, differences=(), levels=(), record_files=(), failed_levels=(), outcome=None,
                        cut_off=trial.cut_off + 1, ended_at=None, seconds={})  # fmt: skip
    if fact.attempt < trial.attempts:
        return trial
    if isinstance(fact, Served):
        return _changed(trial, ready_s=fact.ready_s, effective=fact.effective, differences=fact.differences)
    if isinstance(fact, Measured):
        return _changed(
            trial, levels=(*trial.levels, fact.summary), record_files=(*trial.record_files, fact.record_file)
        )
    if isinstance(fact, LevelFailed):
        return _changed(trial, failed_levels=(*trial.failed_levels, (fact.level, fact.reason)))
    return _after(trial, fact)


def _after(trial: Trial, fact: Ended | Stopped) -> Trial:
    """*trial* when its attempt is over, and known to be."""
    cut_off = max(0, trial.cut_off - 1)
    if isinstance(fact, Stopped):
        return _changed(trial, cut_off=cut_off)
    failures = (*trial.failures, fact.outcome) if isinstance(fact.outcome, Failed) else trial.failures
    return _changed(
        trial, outcome=fact.outcome, failures=failures, cut_off=cut_off, ended_at=fact.at, seconds=fact.seconds
    )


def _changed(trial: Trial, **changes: Any) -> Trial:
    return trial.model_copy(update=changes)


def same_params(left: Mapping[str, Value], right: Mapping[str, Value]) -> bool:
    """Whether two canonical sets of parameters are one trial; ``True`` and ``1`` are different values."""
    return left.keys() == right.keys() and all(
        type(left[key]) is type(right[key]) and left[key] == right[key] for key in left
    )


def completed(history: Sequence[Trial]) -> tuple[Trial, ...]:
    """The trials that were measured."""
    return tuple(trial for trial in history if isinstance(trial.outcome, Completed))
