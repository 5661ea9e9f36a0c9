"""One run of a study: what it needs (`Setup`), and which run a document goes on with (`open_run`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from lading.engines.base import Engine
from lading.errors import StudyError
from lading.events import Emit, ignore
from lading.ports.backend import Backend
from lading.ports.load import LoadGenerator
from lading.ports.study import Search, Store, StudyRun
from lading.spec import changes
from lading.spec.base import dump
from lading.spec.changes import Change
from lading.spec.clock import utc_now
from lading.spec.study import Study
from lading.tuning import trial as trials
from lading.tuning.estimate import Estimate
from lading.tuning.trial import Fact, Infeasible, Params, Trial


def refuse_none(params: Params) -> Infeasible | None:
    """A check that knows no rule."""
    del params
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a run of a study needs: its values, its adapters, and who listens.

    Attributes:
        study: The document, valid.
        model: Path of the model as the server will see it.
        defaults: The parameters of trial 0: what is fixed in every trial, canonical.
        search: A strategy over the study's space; its points hold *defaults* too.
        space_size: How many points the space has; None where it has no end.
        check: The rule that refuses a set of parameters before anything is started, None for none.
        directory: The run's own folder for raw records and server logs.
        lease: Id under which servers are started: of this process, not of the run.
        estimate: What is known of the length of a trial before the first.
    """

    study: Study
    run: StudyRun
    model: str
    served_name: str
    defaults: Params
    engine: Engine
    backend: Backend
    load: LoadGenerator
    store: Store
    search: Search
    estimate: Estimate
    directory: Path
    lease: str
    space_size: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Params], Infeasible | None] = refuse_none
    emit: Emit = ignore
    now: Callable[[], str] = utc_now

    def history(self) -> tuple[Trial, ...]:
        """The trials so far."""
        return trials.fold(self.store.facts(self.run.id))

    def append(self, *facts: Fact) -> None:
        """Commit *facts*, all or none."""
        self.store.append(self.run.id, facts)

    @property
    def server_prefix(self) -> str:
        """How the names of this run's servers begin."""
        return f"{self.run.id}.t"

    def server_name(self, number: int, attempt: int) -> str:
        """The name of the server of an attempt: it tells whose it is."""
        return f"{self.server_prefix}{number}.a{attempt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Which run a document goes on with.

    Attributes:
        latest: The newest run of this name, None for the first.
        differences: What the document changes against it.
        resumes: Whether it goes on: nothing but the budget differs.
    """

    latest: StudyRun | None
    differences: Sequence[Change]

    @property
    def resumes(self) -> bool:
        """Whether the newest run goes on."""
        return self.latest is not None and all(change.is_budget for change in self.differences)

    @property
    def run_number(self) -> int:
        """The number of the run this will be."""
        if self.latest is None:
            return 1
        return self.latest.run if self.resumes else self.latest.run + 1


def opening(latest: StudyRun | None, study: Study, environment: Mapping[str, object]) -> Opening:
    """What *study* means for the newest run of its name. Pure: it creates nothing.

    The model's resolved path counts as part of the document: other weights are another study.
    """
    if latest is None:
        return Opening(latest=None, differences=())
    before = dump(stored(latest))
    unknown = [one for one in changes.between(before, latest.spec) if one.before is None]
    gone = tuple(Change(key=one.key, before=one.after, after=None) for one in unknown)
    after = dump(study)
    for spec, surroundings in ((before, latest.environment), (after, environment)):
        spec["resolved_model"] = _weights(surroundings)
    return Opening(latest=latest, differences=(*changes.between(before, after), *gone))


def stored(run: StudyRun) -> Study:
    """The study of *run* as the store has it. Keys that a newer version of Lading knows are left out.

    Raises:
        StudyError: A value in it means nothing to this version.
    """
    try:
        return Study.model_validate(run.spec, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise StudyError(
            f"the stored study of {run.id} cannot be read: {key}: {first['msg']}",
            hint="it may be of a newer Lading: upgrade to go on with it, or choose another name for this study",
        ) from error


def _weights(environment: Mapping[str, object]) -> object:
    """Where the weights were, and their version."""
    model = environment.get("model")
    return {key: model.get(key) for key in ("path", "version")} if isinstance(model, Mapping) else model


def identity(study: Study) -> tuple[object, ...]:
    """What decides how long a trial takes: engine, model and workload."""
    return study.engine.name, study.model.ref, study.workload


def open_run(
    store: Store, found: Opening, study: Study, *, document: str, environment: Mapping[str, object]
) -> StudyRun:
    """The run that *found* says: the newest one, with the new budget if that changed, or a new one."""
    if found.latest is None or not found.resumes:
        return store.create(study.name, document=document, spec=dump(study), environment=environment)
    if found.differences:
        return store.rebudget(found.latest.id, document=document, spec=dump(study))
    return found.latest
