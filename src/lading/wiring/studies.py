"""From a study's file to what `lading.flows.tune` takes. Everything is checked before anything is created or started.

Problems of the document are collected and shown together, each with its file, line and key.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from lading import wiring
from lading.backends import passing
from lading.engines.base import Engine
from lading.errors import InvalidDocument, InvalidInput, LadingError, Missing, StudyError
from lading.events import Emit
from lading.flows import study as studies
from lading.flows.study import Opening, Setup
from lading.hardware import environment, host
from lading.measure import lengths
from lading.measure.summary import PERCENTILES
from lading.ports.backend import Backend, Deployment, ServeRequest
from lading.ports.study import Search, Store, StudyRun
from lading.spec import documents, secret, units
from lading.spec import ref as refs
from lading.spec.documents import Location
from lading.spec.study import Study
from lading.tuning import estimate, feasible, score, space
from lading.tuning import search as searches
from lading.tuning import trial as trials
from lading.tuning.estimate import Estimate
from lading.tuning.feasible import Facts
from lading.tuning.space import Space
from lading.volume import servable
from lading.volume.servable import Servable
from lading.wiring import runs

Problem = tuple[Location, str]
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)  # no slots: `environment` is kept once it was asked for
class Prepared:
    """A study that can be run here, and how."""

    name: str
    """Of the document, for messages: its file."""
    text: str
    study: Study
    model: Servable
    model_path: str
    engine: Engine
    backend: Backend
    space: Space
    search: Search
    facts: Facts
    program: str
    argv: tuple[str, ...]
    """The defaults' command line; that of another point where a rule refuses the defaults."""

    @property
    def served_name(self) -> str:
        """What clients ask for."""
        return self.study.model.served_name or self.model.name

    @cached_property
    def environment(self) -> dict[str, object]:
        """What the run ran on: model, program, versions, hardware. Asked of the machine once."""
        manifest = self.model.manifest
        model = {
            "path": str(self.model.path),
            "served_path": self.model_path,
            "served_name": self.served_name,
            "format": self.model.format,
            "version": manifest.version if manifest is not None else unmanaged_version(self.model.path),
            "path_on_volume": manifest.path if manifest is not None else None,
        }
        return {**environment.environment(), "model": model, "program": self.program, "engine": self.engine.version}

    def guess(self) -> Estimate:
        """How long a trial takes as far as the workload alone tells."""
        prompt, answer = _mean_lengths(self.study.workload.scenario)
        return estimate.guess(self.study.workload, prompt, answer)

    def setup(self, store: Store, run: StudyRun, *, lease: str, emit: Emit) -> Setup:
        """All that `tune` needs."""
        return Setup(
            study=self.study,
            run=run,
            model=self.model_path,
            served_name=self.served_name,
            defaults=self.space.fixed,
            engine=self.engine,
            backend=self.backend,
            load=wiring.load_generator(),
            store=store,
            search=self.search,
            estimate=past(store, self.study) or self.guess(),
            directory=runs.directory(run.id),
            lease=lease,
            space_size=self.space.size,
            check=lambda params: feasible.check(self.engine, params, self.facts),
            emit=emit,
        )


def unmanaged_version(path: Path) -> str:
    """What stands for the version of weights that have no manifest: their size and when they were last written."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    stats = [file.stat() for file in files]
    size_bytes, newest_ns = sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)
    return f"unmanaged, {size_bytes} bytes, written {newest_ns}"


def past(store: Store, study: Study) -> Estimate | None:
    """What a trial took in the newest run with the same engine, model and workload; None without one."""
    mine = studies.identity(study)
    for run in reversed(store.runs()):
        if _identity(run) == mine:
            found = estimate.measured(trials.fold(store.facts(run.id)), "past runs")
            if found is not None:
                return found
    return None


def _identity(run: StudyRun) -> tuple[object, ...] | None:
    try:
        return studies.identity(studies.stored(run))
    except StudyError:  # of a newer version: nothing to compare with
        return None


def opening(prepared: Prepared, store: Store | None) -> Opening:
    """Which run the document goes on with; creates nothing."""
    latest = store.latest(prepared.study.name) if store else None
    return studies.opening(latest, prepared.study, prepared.environment)


def open_run(store: Store, found: Opening, prepared: Prepared) -> StudyRun:
    """The run that *found* says: the newest one, with the new budget if that changed, or a new one."""
    return studies.open_run(store, found, prepared.study, document=prepared.text, environment=prepared.environment)


def prepare(path: Path) -> Prepared:
    """The study in *path*, checked against this machine. Creates nothing, starts nothing.

    Raises:
        InvalidDocument: Problems of the document, all at once, each with its line.
        MissingProgram, MissingExtra: This machine cannot run the engine, or the search.
    """
    return prepare_text(documents.read(path), name=str(path))


def prepare_text(text: str, *, name: str) -> Prepared:
    """As `prepare`, for a document that is in no file; *name* stands for it in messages."""
    study = documents.parse(text, Study, name=name)
    problems = list(_lone_problems(study))
    engine = _try(problems, ("engine", "name"), lambda: wiring.engine(study.engine.name))
    backend = _try(problems, ("backend", "kind"), lambda: wiring.backend(study.backend))
    model = _try(problems, ("model", "ref"), lambda: servable.servable(refs.parse(study.model.ref)))
    if engine is not None:
        problems += [(problem.location, problem.message) for problem in space.problems(study, engine)]
    if problems or engine is None or backend is None or model is None:
        raise _refused(name, text, problems)
    return _joined(name, text, study, engine=engine, backend=backend, model=model)


def _joined(name: str, text: str, study: Study, *, engine: Engine, backend: Backend, model: Servable) -> Prepared:
    """What can only be checked with all parts at hand."""
    problems: list[Problem] = []
    found = space.of(study, engine)
    facts = Facts(
        model=model.facts,
        hardware=host.facts(),
        longest_request_tokens=lengths.parse(study.workload.scenario).longest,
    )
    model_path = _try(problems, ("model", "ref"), lambda: str(servable.path_for(model, engine.name)))
    search = _try(
        problems, ("search", "method"), lambda: searches.make(study.search.method, found, study.search.trials)
    )
    _try(problems, ("space",), lambda: feasible.require_feasible(found, facts))
    if problems or model_path is None or search is None:
        raise _refused(name, text, problems)
    request = ServeRequest(
        name="study", model=model_path, served_name=study.model.served_name or model.name, engine=engine,
        params=found.fixed, port=study.backend.port,
    )  # fmt: skip
    plan = _try(problems, ("engine", "parameters"), lambda: _plan(backend, request, found, facts))
    if plan is None:
        raise _refused(name, text, problems)
    return Prepared(
        name=name, text=text, study=study, model=model, model_path=model_path, engine=engine, backend=backend,
        space=found, search=search, facts=facts, program=plan.program, argv=plan.argv,
    )  # fmt: skip


def _plan(backend: Backend, request: ServeRequest, found: Space, facts: Facts) -> Deployment:
    """The defaults' deployment; where a rule refuses the defaults, that of a point that none refuses."""
    if feasible.check(found.engine, request.params, facts) is None:
        return backend.plan(request)
    return backend.plan(replace(request, params=feasible.require_feasible(found, facts)))


def _lone_problems(study: Study) -> Iterator[Problem]:
    """What is wrong in the document by itself, beyond its types."""
    if study.backend.kind == "endpoint":
        yield ("backend", "kind"), "a server that already runs cannot be restarted with other parameters; use process"
    yield from _environment_problems(study)
    try:
        lengths.parse(study.workload.scenario)
    except InvalidInput as error:
        yield ("workload", "scenario"), _sentence(error)
    yield from _objective_problems(study)
    yield from _percentile_problems(study)
    shortest_s = estimate.shortest_s(study.workload)
    if shortest_s > study.deadlines.measure:
        needed = units.show_seconds(shortest_s)
        yield ("deadlines", "measure"), f"the levels alone take {needed} at their own pace; set at least {needed}"


def _environment_problems(study: Study) -> Iterator[Problem]:
    env = study.backend.env
    for name in secret.literal(env):
        yield ("backend", "env", name), f"a secret may not stand in a document; write `{name}:` and export it"
    for name in passing.missing(env):
        yield ("backend", "env", name), "is passed on from the environment, where it is not set; export it first"


def _objective_problems(study: Study) -> Iterator[Problem]:
    objective, offered = study.objective, study.workload.levels
    if objective.maximize == "goodput_rps" and study.workload.slo is None:
        yield ("objective", "maximize"), "goodput_rps needs workload.slo: what makes a request good"
    levels = offered.concurrency or offered.rate
    if objective.at != "best" and objective.at not in levels:
        known = ", ".join(f"{level:g}" for level in levels)
        yield ("objective", "at"), f"level {objective.at:g} is not among workload.levels ({known})"


def _percentile_problems(study: Study) -> Iterator[Problem]:
    known = ", ".join(f"{percentile:g}" for percentile in PERCENTILES)
    asked: list[tuple[Location, float]] = []
    if study.objective.minimize:
        asked.append((("objective", "percentile"), study.objective.percentile))
    for index, constraint in enumerate(study.constraints):
        if constraint.metric != "error_share":
            asked.append((("constraints", index, "percentile"), constraint.percentile))
    for location, percentile in asked:
        if percentile not in PERCENTILES:
            yield location, f"{percentile:g} is not computed; one of {known}"
    for sentence in score.unresolvable(study.workload.requests, study.objective, study.constraints):
        yield ("workload", "requests"), sentence


def _try(problems: list[Problem], location: Location, make: Callable[[], Result]) -> Result | None:
    """What *make* gives; what is wrong with the user's input becomes a problem at *location*."""
    try:
        return make()
    except Missing:  # of this machine, not of the document
        raise
    except LadingError as error:
        problems.append((location, _sentence(error)))
        return None


def _sentence(error: LadingError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _refused(name: str, text: str, problems: list[Problem]) -> InvalidDocument:
    return documents.refusal(text, Study, problems, name=name)


def _mean_lengths(scenario: str) -> tuple[float, float]:
    """Mean tokens of prompt and answer."""
    match lengths.parse(scenario):
        case lengths.Fixed(prompt=prompt, answer=answer):
            return prompt, answer
        case lengths.Normal(prompt_mean=prompt, answer_mean=answer):
            return prompt, answer
        case lengths.Uniform() as uniform:
            return (uniform.prompt_low + uniform.prompt_high) / 2, (uniform.answer_low + uniform.answer_high) / 2
