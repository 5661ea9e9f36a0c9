"""`lading tune` with a real engine: llama.cpp on a tiny model, by the process backend."""

import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.backends.places import UncheckedLlamaCpp
from tests.testbed import require
from tests.tune.conftest import study_of

from lading import wiring
from lading.backends.process import ProcessBackend
from lading.engines.base import Parameter
from lading.engines.llamacpp import LlamaCpp
from lading.flows import study as studies
from lading.flows import tune as flow
from lading.flows.study import Setup
from lading.flows.trial import GRACE_S
from lading.measure import records
from lading.measure.summary import summarize
from lading.tuning import search as searches
from lading.tuning import space
from lading.tuning import trial as trials
from lading.tuning.estimate import Estimate
from lading.tuning.trial import Completed, Proposed

KILLED = Path(__file__).with_name("killed.py")
STUDY = """\
# a tiny study
name: tiny
model: {ref: tiny.gguf, served_name: tiny}
engine: {name: llama.cpp, parameters: {n_ctx: 512}}
workload: {scenario: "D(8,4)", levels: {concurrency: [1, 2]}, requests: 4, warmup: 2}  # short
space: {n_parallel: {choice: [1, 2]}}
objective: {maximize: output_tokens_per_s}
search: {confirm: 3}
deadlines: {start: 60s, measure: 60s, teardown: 30s}
"""

pytestmark = pytest.mark.real("engine")


@pytest.fixture(autouse=True)
def _engine():
    require("engine", importlib.util.find_spec("xllamacpp"), "xllamacpp is not installed")


@pytest.fixture
def folder(tmp_path, tiny_gguf):
    """A folder with the model and the study."""
    (tmp_path / "tiny.gguf").symlink_to(tiny_gguf)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def killed(folder, condition, *, timeout=120):
    """Run `lading tune` until *condition*; its exit code and the events it told."""
    done = subprocess.run(
        [sys.executable, str(KILLED), condition, "tune", "study.yaml", "--format", "json"],
        cwd=folder, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def servers(home):
    """Processes that carry the mark of a server started under *home*."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        if "LADING_SERVER" in environment and environment.get("LADING_HOME") == str(home):
            found.append(process)
    return found


def history(name="tiny"):
    store = wiring.store()
    run = store.latest(name)
    return run, trials.fold(store.facts(run.id)), store.facts(run.id)


def test_a_study_from_its_file_to_its_answer(folder, lading, lading_home):
    done = lading("tune", "study.yaml")
    assert done.returncode in {0, 1}, done.stderr
    assert "at most 9 server starts" in done.stderr
    run, found, _ = history()
    assert [trial.role for trial in found][:3] == ["default", "search", "search"]
    assert all(isinstance(trial.outcome, Completed) for trial in found)
    assert servers(lading_home) == []
    _refolds(lading_home / "studies" / run.id, found)
    assert found[1].effective["n_parallel"] == 1
    shown = lading("studies", "show", "tiny")
    assert shown.stdout.splitlines()[0] == done.stdout.splitlines()[0]
    assert "n_parallel=2" in shown.stdout
    assert "tiny" in lading("studies").stdout
    assert lading("studies", "logs", "tiny", "--trial", 1).stdout.strip()
    again = lading("tune", "study.yaml")
    assert "nothing is left to do" in again.stderr
    assert again.stdout == done.stdout


def _refolds(folder, found):
    """The numbers in the store are those of the raw records."""
    for trial in found:
        for name, stored in zip(trial.record_files, trial.levels, strict=True):
            with (folder / name).open() as file:
                header, rows = records.parse(file)
            assert summarize(header, rows) == stored


#: In an order that cuts no trial off three times: the study would give it up.
KILLS = (
    "study_planned",
    "trial_started",
    "phase_started:start",
    "server_starting",
    "trial_ended",
    "phase_started:ready",
    "server_ready",
    "phase_started:teardown",
    "phase_started:warmup",
    "phase_started:measure",
    "server_stopped",
    "level_started#1",
    "level_measured#1",
    "trial_ended",
    "level_started#2",
    "trial_started:confirm#2",
    "level_measured#2",
    "phase_started:teardown#2",
)


@pytest.mark.slow
def test_killed_in_every_phase_and_run_again_the_study_finishes_with_nothing_twice_and_nothing_left(
    folder, lading_home
):
    """One study, killed with SIGKILL at each of these moments in turn, each time run again."""
    for condition in KILLS:
        code, _, stderr = killed(folder, condition)
        assert code == -signal.SIGKILL, f"{condition}: {stderr}"
    code, told, stderr = killed(folder, "never")
    assert code == 0, stderr
    run, found, facts = history()
    assert [trial.number for trial in found] == list(range(9))
    assert [trial.role for trial in found] == ["default", "search", "search", *["confirm"] * 6]
    assert all(isinstance(trial.outcome, Completed) for trial in found)
    proposed = [fact for fact in facts if isinstance(fact, Proposed)]
    assert len(proposed) == len({fact.number for fact in proposed}) == 9
    assert len({json.dumps(trial.params) for trial in found if trial.role != "confirm"}) == 3
    assert all(len(trial.levels) == 2 for trial in found)
    assert run.ended_at is not None
    assert told[-1]["verdict"]
    assert servers(lading_home) == []
    assert list((lading_home / "run").glob("*/state.json")) == []
    _refolds(lading_home / "studies" / run.id, found)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_from_outside_at_random_moments(folder, lading_home):
    """What the chosen moments above may have missed: three of them here, thirty under LADING_SOAK."""
    moments = random.Random(1)
    for _ in range(30 if os.environ.get("LADING_SOAK") else 3):
        process = started(folder)
        time.sleep(moments.uniform(0.5, 4))
        process.kill()
        finished(process)
    code, _, stderr = killed(folder, "never")
    assert code == 0, stderr
    _, found, facts = history()
    assert [trial.number for trial in found] == list(range(len(found)))
    assert all(isinstance(trial.outcome, Completed) or trial.outcome.name == "cut-off" for trial in found)
    assert len([fact for fact in facts if isinstance(fact, Proposed)]) == len(found)
    assert servers(lading_home) == []


async def test_a_server_without_slots_fails_as_silent_and_not_for_the_deadline(tiny_gguf, tmp_path, lading_home):
    """`n_parallel` 0 says it is ready and hangs. A rule refuses it; this engine knows none."""
    study = study_of(name="hang", space={"n_parallel": {"choice": [0]}}, search={"trials": 2, "confirm": 0},
                     workload={"scenario": "D(4,2)", "levels": {"concurrency": [1]}, "requests": 2, "warmup": 0},
                     engine={"name": "llama.cpp"}, deadlines={"start": "4s", "measure": "30s"})  # fmt: skip
    engine, store = Unchecked(), wiring.store()
    points = space.of(study, engine)
    run = studies.open_run(store, studies.opening(None, study, {}), study, document="…", environment={})
    with wiring.lease() as lease:
        await flow.tune(Setup(
            study=study, run=run, model=str(tiny_gguf), served_name="tiny", defaults={}, engine=engine,
            backend=ProcessBackend(study.backend, home=lading_home), load=wiring.load_generator(), store=store,
            search=searches.make("grid", points, 2), estimate=Estimate(seconds=1, origin="guess"),
            directory=tmp_path, lease=lease.id, space_size=points.size,
        ))  # fmt: skip
    _, found, _ = history("hang")
    assert isinstance(found[0].outcome, Completed)
    assert (found[1].outcome.name, found[1].outcome.phase) == ("server-silent", "ready")
    assert [failure.name for failure in found[1].failures] == ["server-silent"] * 2
    assert any("READY http://" in line for line in found[1].outcome.log)
    assert all(trial.seconds["start"] + trial.seconds["ready"] < 4 + GRACE_S for trial in found)
    assert servers(lading_home) == []


class Unchecked(UncheckedLlamaCpp):
    """Of its parameters it knows one, and takes any value for it."""

    parameters = {"n_parallel": Parameter(name="n_parallel", kind="int", flags=("n_parallel",), default=1)}

    def parse(self, params):
        return dict(params)

    def resolved(self, params):
        return {"n_parallel": 1, **params}

    def request_body(self):
        return LlamaCpp().request_body()

    def classify(self, log, returncode):
        return LlamaCpp().classify(log, returncode)


def started(folder, *arguments):
    """`lading tune` as a process of its own, and its events as they come."""
    return subprocess.Popen(
        [sys.executable, "-m", "lading", "tune", "study.yaml", "--format", "json", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def until(process, name, phase=None):
    for line in process.stdout:
        event = json.loads(line)
        if event.get("event") == name and phase in (None, event.get("phase")):
            return event
    raise AssertionError(f"{name} never came: {process.stderr.read()}")


def finished(process, timeout=60):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def test_ctrl_c_once_removes_the_server_and_keeps_what_was_measured(folder, lading_home):
    process = started(folder)
    until(process, "phase_started", "warmup")
    assert servers(lading_home)
    process.send_signal(signal.SIGINT)
    code, _, stderr = finished(process)
    assert code == 130
    assert "Traceback" not in stderr
    assert "what was measured is kept" in stderr
    assert servers(lading_home) == []
    _, found, _ = history()
    assert found[0].outcome is None
    assert found[0].attempts == 1


def test_ctrl_c_twice_leaves_at_once_and_leaves_no_server(folder, lading_home):
    process = started(folder)
    until(process, "phase_started", "measure")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    code, _, stderr = finished(process, timeout=10)
    assert code == 130, stderr
    assert "Traceback" not in stderr
    deadline = time.monotonic() + 10
    while servers(lading_home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert servers(lading_home) == []


def test_a_second_process_is_told_who_works_on_the_study(folder, lading):
    (folder / "study.yaml").write_text(STUDY.replace("confirm: 3", "confirm: 20"))  # longer than two commands take
    process = started(folder)
    until(process, "phase_started", "start")
    second = lading("tune", "study.yaml")
    assert second.returncode == 1
    assert re.search(rf"study tiny is being worked on by process {process.pid} on ", second.stderr)
    cancelled = lading("studies", "cancel", "tiny")
    assert "will stop within seconds" in cancelled.stdout
    code, _, stderr = finished(process)
    assert code == 130
    assert "tiny.1 was cancelled" in stderr
    assert "nobody works on tiny" in lading("studies", "cancel", "tiny").stdout


def test_a_log_is_followed_until_its_server_is_gone(folder, lading):
    process = started(folder)
    until(process, "phase_started", "warmup")
    done = lading("studies", "logs", "tiny", "-f", timeout=60)
    assert done.returncode == 0, done.stderr
    assert "print_timing" in done.stdout
    process.send_signal(signal.SIGINT)
    finished(process)


def test_a_killed_tune_leaves_no_server_even_before_anyone_runs_it_again(folder, lading_home):
    process = started(folder)
    until(process, "phase_started", "warmup")
    os.kill(process.pid, signal.SIGKILL)
    finished(process)
    deadline = time.monotonic() + 15
    while servers(lading_home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert servers(lading_home) == []
