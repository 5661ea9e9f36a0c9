"""Where studies are kept, and what proposes and runs their trials."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lading.events import Event
from lading.tuning.observe import Observation
from lading.tuning.trial import Fact, Params


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """One run of a study: the document as it was when the run began.

    Attributes:
        id: ``name`` and run number, ``granite-chat.1``: also its folder's name.
        document: The text as written.
        spec: The study as JSON (`lading.spec.base.dump`).
        environment: Versions and hardware when it began.
    """

    id: str
    name: str
    run: int
    created_at: str
    document: str
    spec: Mapping[str, object]
    environment: Mapping[str, object]
    cancelled: bool = False
    ended_at: str | None = None


class Store(Protocol):
    """Studies and their facts, append-only. Blocking; several processes may hold one store."""

    def create(
        self, name: str, *, document: str, spec: Mapping[str, object], environment: Mapping[str, object]
    ) -> StudyRun:
        """A new run of *name*, numbered one above the last."""

    def runs(self) -> tuple[StudyRun, ...]:
        """All runs, oldest first."""

    def latest(self, name: str, run: int | None = None) -> StudyRun | None:
        """The newest run of *name*, or the run numbered *run*; None without one."""

    def rebudget(self, run_id: str, *, document: str, spec: Mapping[str, object]) -> StudyRun:
        """Take a document in which only the budget differs; both documents stay readable."""

    def documents(self, run_id: str) -> tuple[str, ...]:
        """The run's documents as they were written, oldest first: one, and one for each `rebudget`."""

    def append(self, run_id: str, facts: Sequence[Fact]) -> None:
        """Append *facts*, all or none, durable on return. A fact already there (same content) is silent.

        Raises:
            StudyError: The run is unknown.
        """

    def facts(self, run_id: str) -> tuple[Fact, ...]:
        """All facts in the order they were appended; a value that later appends do not change."""

    def cancel(self, run_id: str) -> None:
        """Ask the process that works on the run to stop; idempotent."""

    def uncancel(self, run_id: str) -> None:
        """Forget the request: someone runs it again."""

    def cancelled(self, run_id: str) -> bool:
        """Whether someone asked."""

    def end(self, run_id: str, at: str) -> None:
        """Note that the run has its answer."""

    def close(self) -> None:
        """Let go of the database; idempotent."""


class Search(Protocol):
    """A strategy as a pure function of history and a seed."""

    def propose(
        self, history: Sequence[Observation], pending: Sequence[Params], *, count: int, seed: int
    ) -> tuple[Params, ...]:
        """Up to *count* new parameter sets of its space, none in history, pending or twice; fewer means there are no more.

        The same arguments give the same proposal, on every machine; *history* is not changed.
        """


class Runner(Protocol):
    """Where a command of ours runs: here, in a pod, in a Job. The command is a document, not argv."""

    def run(self, command: Mapping[str, object]) -> AsyncIterator[Event]:
        """Its events, until it ended."""
