"""Answers of `lading studies` and its commands, of `tune --dry-run` and of `report`."""

from typing import Literal

from lading.engines.base import Value
from lading.events import StudyPlanned
from lading.spec.base import Answer, Stored
from lading.tuning.result import StudyResult
from lading.tuning.trial import Trial

State = Literal["running", "ended", "cancelled", "stopped"]


class RunState(Stored):
    """A run of a study, and where it is."""

    id: str
    """The study's name and the run's number, ``granite-chat.1``."""
    name: str
    run: int
    created_at: str
    """UTC, ISO 8601."""
    state: State
    """``stopped``: nobody works on it, and it has not ended."""


class StudyListed(Stored):
    """One run of a study with its answer so far, as `lading studies` lists it."""

    run: RunState
    result: StudyResult


class StudyShown(Stored):
    """One run of a study with its trials, as `lading studies show` shows it."""

    run: RunState
    result: StudyResult
    trials: tuple[Trial, ...]


class StudyLogLine(Stored):
    """A line of a server's log, as `lading studies logs` prints it."""

    trial: int
    attempt: int
    line: str


class StudyCancelled(Stored):
    """What `lading studies cancel` came to."""

    run: str
    cancelled: bool
    """Whether someone worked on it, and was asked to stop."""


class StudyCopied(Stored):
    """The study file that `lading studies copy` wrote."""

    name: str
    path: str


class Defaults(Stored):
    """The server of a study's trial 0."""

    params: dict[str, Value]
    program: str
    argv: tuple[str, ...]


class TunePlan(Stored):
    """What `lading tune --dry-run` would do."""

    plan: StudyPlanned
    defaults: Defaults
    differences: tuple[str, ...]
    """What the file changes against the newest run of its name, key by key."""


class ReportWritten(Answer):
    """What `lading report` wrote."""

    run: str
    verdict: str
    """One sentence: the winner, its value, its gain over the defaults with its interval."""
    winner: int | None = None
    """The number of its trial; null: no trial has a score, and there are no manifests."""
    files: tuple[str, ...]
    """Paths; the page first."""
