"""The report as a value: `report.json`, and all that the page, the tables and the manifests are made from."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from lading.measure.records import Level
from lading.spec.base import Stored, dump
from lading.spec.secret import HIDDEN, holds_secret, is_secret, public_argv
from lading.spec.study import Study
from lading.tuning import score as scores
from lading.tuning.result import StudyResult
from lading.tuning.trial import Completed, Failed, Infeasible, Trial

State = Literal["ranked", "unranked", "failed", "infeasible", "open"]


class RunHead(Stored):
    """Which run of which study, and where it ran."""

    id: str
    name: str
    run: int
    created_at: str
    ended_at: str | None = None
    environment: dict[str, Any] = {}
    """Versions and hardware when it began."""


class Refold(Stored):
    """Whether the numbers are what the raw records fold to."""

    files: int
    """Raw record files that were read again."""
    differing: tuple[str, ...] = ()
    """Files whose fold is not the number that was stored."""
    missing: tuple[str, ...] = ()
    """Files that are not there any more."""

    @property
    def equal(self) -> bool:
        """Whether every number was found again."""
        return not self.differing and not self.missing


class Artefact(Stored):
    """A file to run the winner with."""

    path: str
    """Relative to the report."""
    what: str


class ScoredTrial(Stored):
    """A trial with what it is worth."""

    trial: Trial
    state: State
    value: float | None = None
    """The objective at *level*; None: no level counts, see *reasons*."""
    level: Level | None = None
    reasons: tuple[str, ...] = ()
    """Why no level counts, by level."""

    @property
    def number(self) -> int:
        """The trial's."""
        return self.trial.number


class Report(Stored):
    """A study's report."""

    report_format: Literal[1] = 1
    lading: str
    """The version of Lading that wrote it."""
    written_at: str
    run: RunHead
    study: dict[str, Any]
    """The study as it was when the run began, values that look secret hidden."""
    document: str
    """Its text as written, values that look secret hidden."""
    result: StudyResult
    trials: tuple[ScoredTrial, ...]
    artefacts: tuple[Artefact, ...] = ()
    refold: Refold | None = None
    """None: the raw records were not read again."""

    @property
    def spec(self) -> Study:
        """The study, parsed."""
        return Study.model_validate(self.study, extra="ignore")

    def trial(self, number: int) -> ScoredTrial | None:
        """The trial of this number."""
        return next((trial for trial in self.trials if trial.number == number), None)

    @property
    def winner(self) -> ScoredTrial | None:
        """The trial that found what to run."""
        return self.trial(self.result.winner.number) if self.result.winner else None

    @property
    def default(self) -> ScoredTrial | None:
        """The defaults, as the search measured them."""
        return next((trial for trial in self.trials if trial.trial.role == "default"), None)

    @property
    def changed(self) -> bool:
        """Whether something else than the defaults is to be run."""
        return self.result.winner is not None and self.winner is not self.default


def build(
    *, run: RunHead, study: Study, document: str, history: Sequence[Trial], result: StudyResult, lading: str, written_at: str,
    artefacts: Sequence[Artefact] = (), refold: Refold | None = None,
) -> Report:  # fmt: skip
    """The report of *history*; secrets of the study's environment and URL are in none of its parts."""
    secrets = _secrets(study)
    return Report(
        lading=lading,
        written_at=written_at,
        run=RunHead.model_validate(_hide(run.model_dump(mode="json"), secrets)),
        study=_hide(dump(study), secrets),
        document=_hide(document, secrets),
        result=result,
        trials=tuple(_scored(trial, study, secrets) for trial in history),
        artefacts=tuple(artefacts),
        refold=refold,
    )


def _scored(trial: Trial, study: Study, secrets: Sequence[str]) -> ScoredTrial:
    shown = Trial.model_validate(_hide(trial.model_dump(mode="json"), secrets))
    shown = shown.model_copy(update={"argv": public_argv(shown.argv)})
    match trial.outcome:
        case Failed(reason=reason, phase=phase):
            return ScoredTrial(trial=shown, state="failed", reasons=(_hide(f"{phase}: {reason}", secrets),))
        case Infeasible(reason=reason):
            return ScoredTrial(trial=shown, state="infeasible", reasons=(_hide(reason, secrets),))
        case Completed():
            found = scores.score(trial, study.objective, study.constraints)
            state: State = "ranked" if found.value is not None else "unranked"
            return ScoredTrial(trial=shown, state=state, value=found.value, level=found.level, reasons=found.reasons)
        case _:
            return ScoredTrial(trial=shown, state="open", reasons=("not ended",))


def _secrets(study: Study) -> tuple[str, ...]:
    """Values of the study that must not be shown, longest first."""
    found = [value for name, value in study.backend.env.items() if value and holds_secret(name, value)]
    if study.backend.url:
        found.append(urlsplit(study.backend.url).password or "")
    found += [str(value) for name, value in study.engine.parameters.items() if is_secret(name)]
    return tuple(sorted((value for value in found if len(value) >= 4), key=len, reverse=True))


def _hide(value: Any, secrets: Sequence[str]) -> Any:
    """*value* with every occurrence of a secret in its texts replaced."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {key: _hide(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(item, secrets) for item in value]
    return value
