"""A study on a scripted server, under a virtual clock: hours pass in milliseconds."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import looptime
import pytest

from lading.flows import study as studies
from lading.flows import tune as flow
from lading.flows.study import Setup
from lading.ports.backend import ServeRequest
from lading.spec import documents
from lading.spec.base import dump
from lading.spec.study import Study
from lading.testing.fakes import FakeBackend, FakeEngine, FakeLoad, Life, MemoryStore
from lading.tuning import search as searches
from lading.tuning import space
from lading.tuning import trial as trials
from lading.tuning.estimate import Estimate
from lading.tuning.trial import Trial

STUDY = """
name: fast
model: {ref: ./model, served_name: tiny}
engine: {name: fake, parameters: {depth: 2}}
backend: {kind: process}
workload: {scenario: "D(8,10)", levels: {concurrency: [1, 4]}, requests: 20}
space: {width: {choice: [1, 2, 8]}}
objective: {maximize: output_tokens_per_s}
search: {trials: 10, confirm: 0}
deadlines: {start: 60s, measure: 10m, teardown: 30s}
"""


def study_of(text: str = STUDY, **changes: Any) -> Study:
    """The study of *text*, with some top-level keys changed."""
    study = documents.parse(text, Study)
    return Study.model_validate({**dump(study), **changes})


@dataclass
class Bench:
    """A study, what runs it, and what it told."""

    directory: Path
    study: Study = field(default_factory=study_of)
    script: Any = None
    store: MemoryStore = field(default_factory=MemoryStore)
    backend: FakeBackend = field(default_factory=FakeBackend)
    told: list[Any] = field(default_factory=list)
    check: Any = studies.refuse_none
    seconds: float = 0.0
    now: Any = None

    def setup(self) -> Setup:
        """For one call of `tune`, on the store's newest run."""
        if self.script is not None:
            self.backend.script = self.script
        latest = self.store.latest(self.study.name)
        found = studies.opening(latest, self.study, {"model": "/model"})
        run = studies.open_run(self.store, found, self.study, document="…", environment={"model": "/model"})
        engine = FakeEngine()
        points = space.of(self.study, engine)
        return Setup(
            study=self.study, run=run, model="/model", served_name="tiny", defaults={"depth": 2},
            engine=engine, backend=self.backend, load=FakeLoad(self.backend), store=self.store,
            search=searches.make("grid", points, 10_000), estimate=Estimate(seconds=30, origin="guess"),
            directory=self.directory / run.id, lease="lease", space_size=points.size, emit=self.told.append,
            check=self.check,
        )  # fmt: skip

    def run(self, *, during: Any = None) -> Any:
        """`tune` under a virtual clock; *during(task)* runs beside it."""
        loop = looptime.new_event_loop(start=0)

        async def main() -> Any:
            task = asyncio.ensure_future(flow.tune(self.setup()))
            beside = asyncio.ensure_future(during(task)) if during else None
            try:
                return await task
            finally:
                self.seconds = loop.time()
                if beside:
                    beside.cancel()

        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()

    def leave(self, setup: Setup, name: str) -> str:
        """A server that a killed process left running."""
        request = ServeRequest(name=name, model="/model", served_name="tiny", engine=setup.engine, params={})
        self.backend.running[name] = self.backend.plan(request)
        self.backend.lives[name] = Life()
        return name

    @property
    def history(self) -> tuple[Trial, ...]:
        """The trials of the newest run."""
        run = self.store.latest(self.study.name)
        return trials.fold(self.store.facts(run.id))

    def events(self, name: str) -> list[Any]:
        """What was told under *name*."""
        return [event for event in self.told if event.event == name]


@pytest.fixture
def bench(tmp_path) -> Bench:
    """Three points and the defaults; 100 tok/s whatever the parameters."""
    return Bench(directory=tmp_path)


def by_width(**lives: Life) -> Any:
    """A script that chooses the life by width: ``w8=Life(…)``; `w0` for the defaults."""
    return lambda params, _before: lives.get(f"w{params.get('width', 0)}", Life())
