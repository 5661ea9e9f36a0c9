"""Servers at their worst, as real processes under real load: the study says what happened, and goes on."""

import psutil
import pytest

from lading import wiring
from lading.backends.process import ProcessBackend
from lading.flows import study as studies
from lading.flows import tune as flow
from lading.flows.study import Setup
from lading.spec import documents
from lading.spec.study import Study
from lading.store.sql import SqlStore
from lading.testing.scripted_engine import ScriptedEngine
from lading.tuning import search as searches
from lading.tuning import space, verdict
from lading.tuning import trial as trials
from lading.tuning.estimate import Estimate
from lading.tuning.trial import Completed, Failed

STUDY = """
name: faults
model: {ref: nothing, served_name: tiny}
engine: {name: scripted}
workload: {scenario: "D(4,2)", levels: {concurrency: [2]}, requests: 10, warmup: 0, timeout: 300ms, prompt: text}
space: {behaviour: {choice: BEHAVIOURS}}
objective: {maximize: requests_per_s}
search: {method: grid, trials: 20, confirm: 0}
deadlines: {start: 3s, measure: 20s, teardown: 20s}
"""

# behaviour: (phase, class shown, what the reason says)
EXPECTED = {
    "dies": ("ready", "scripted", ""),
    "deaf": ("ready", "scripted", ""),
    "hangs": ("ready", "server-silent", ""),
    "other_name": ("ready", "wrong-model", "another"),
    "stalls": ("measure", "no-answer", "none of "),
    "dies_loaded": ("measure", "scripted", "died under load"),
}


@pytest.fixture
def run(tmp_path, lading_home):
    """Tune over *behaviours*; the trials by behaviour."""

    async def go(*behaviours):
        study = documents.parse(STUDY.replace("BEHAVIOURS", str(list(behaviours))), Study)
        engine, store = ScriptedEngine(log=["loading"]), SqlStore.at(lading_home)
        points = space.of(study, engine)
        started = studies.open_run(store, studies.opening(None, study, {}), study, document="…", environment={})
        with wiring.lease() as lease:
            setup = Setup(
                study=study, run=started, model=str(tmp_path), served_name="tiny", defaults={}, engine=engine,
                backend=ProcessBackend(study.backend, home=lading_home), load=wiring.load_generator(), store=store,
                search=searches.make("grid", points, 20), estimate=Estimate(seconds=1, origin="guess"),
                directory=lading_home / "studies" / started.id, lease=lease.id, space_size=points.size,
            )  # fmt: skip
            answer = await flow.tune(setup)
        found = trials.fold(store.facts(started.id))
        return answer, {trial.params.get("behaviour", "defaults"): trial for trial in found}

    return go


async def test_each_fault_has_its_phase_its_class_and_its_log_and_nothing_is_left(run):
    answer, found = await run(*EXPECTED)
    assert isinstance(found["defaults"].outcome, Completed)
    for behaviour, (phase, name, said) in EXPECTED.items():
        outcome = found[behaviour].outcome
        assert isinstance(outcome, Failed), behaviour
        assert (outcome.phase, outcome.name) == (phase, name), behaviour
        assert said in outcome.reason, behaviour
        assert outcome.hint or outcome.name in {"server-silent", "wrong-model", "no-answer"}
        assert "loading" in outcome.log
    assert found["hangs"].attempts == found["stalls"].attempts == 2
    assert found["dies"].attempts == 1
    assert answer.winner.number == 0
    assert verdict.show_value(answer.winner.value, answer.unit) in answer.verdict
    assert [name for name in _marks() if name.startswith("faults.")] == []


def _marks():
    for process in psutil.process_iter():
        try:
            yield process.environ().get("LADING_SERVER", "")
        except psutil.Error:
            continue
