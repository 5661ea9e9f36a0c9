"""`lading studies`, and what `lading tune` does with a document that changed under a known name. The store is real."""

import json
import subprocess

import pytest
from tests.tune.conftest import STUDY as FAKE

from lading import wiring
from lading.cli import app
from lading.spec import documents
from lading.spec.base import dump
from lading.spec.study import Study
from lading.store import runlock
from lading.testing.fakes import Life
from lading.tuning.trial import Completed, Ended, Failed, Infeasible, Proposed, Started
from lading.wiring import studies

STUDY = """\
# what we tune, and why
name: chat
model: {ref: tiny.gguf, served_name: tiny}
engine: {name: llama.cpp, parameters: {n_ctx: 1024}}   # fixed
workload:
  scenario: "D(16,8)"
  levels: {concurrency: [1, 4]}   # two levels
  requests: 40
space: {n_parallel: {choice: [1, 4]}}
objective: {maximize: output_tokens_per_s}
search: {trials: 20, confirm: 0}
"""


@pytest.fixture
def command(monkeypatch, tmp_path, capfd):
    """The command's own `main`, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            app.main([*map(str, arguments)])
        said = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, left.value.code, said.out, said.err)

    return run


@pytest.fixture
def known(tmp_path, tiny_gguf):
    """A run of `chat` in the store: the defaults, one that was refused, one that failed."""
    (tmp_path / "tiny.gguf").symlink_to(tiny_gguf)
    store = wiring.store()
    study = documents.parse(STUDY, Study)
    weights = tmp_path / "tiny.gguf"
    environment = {"model": {"path": str(weights), "version": studies.unmanaged_version(weights)}}
    run = store.create("chat", document=STUDY, spec=dump(study), environment=environment)
    failed = Failed(phase="ready", kind="configuration", name="out-of-memory", reason="no room", hint="less")
    store.append(run.id, [
        Proposed(number=0, params={"n_ctx": 1024}, role="default"),
        Started(number=0, attempt=1, lease="x", at="2026-01-01T00:00:00Z"),
        Ended(number=0, attempt=1, outcome=Completed(), at="2026-01-01T00:01:00Z", seconds={"measure": 3.0}),
        Proposed(number=1, params={"n_ctx": 1024, "n_parallel": 1}),
        Ended(number=1, attempt=0, outcome=Infeasible(rule="slots", reason="no"), at="2026-01-01T00:02:00Z"),
        Proposed(number=2, params={"n_ctx": 1024, "n_parallel": 4}),
        Started(number=2, attempt=1, lease="x", at="2026-01-01T00:00:00Z"),
        Ended(number=2, attempt=1, outcome=failed, at="2026-01-01T00:03:00Z"),
    ])  # fmt: skip
    folder = wiring.home() / "studies" / run.id / "trial-2" / "attempt-1"
    folder.mkdir(parents=True)
    (folder / "server.log").write_text("loading\n\x1b]0;owned\x07no room\n")
    return run


def test_without_a_study_there_is_none_and_none_is_made(command, lading_home):
    done = command("studies")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no studies yet" in done.stderr
    done = command("studies", "show", "chat")
    assert done.returncode == 1
    assert "error: there is no study called chat" in done.stderr
    assert list(lading_home.iterdir()) == []


def test_the_list_has_every_run(command, known):
    rows = command("studies").stdout.splitlines()
    assert rows[0].split("\t") == ["NAME", "RUN", "STATE", "TRIALS", "BEGAN", "ANSWER"]
    assert rows[1].split("\t")[:4] == ["chat", "1", "stopped", "3"]
    assert json.loads(command("studies", "--format", "json").stdout)["run"]["id"] == "chat.1"


def test_show_answers_first_then_lists_the_trials(command, known):
    lines = command("studies", "show", "chat").stdout.splitlines()
    assert lines[0].startswith("no trial of 3 ")
    rows = [line.split("\t") for line in lines[2:]]
    assert rows[0] == ["TRIAL", "ROLE", "PARAMETERS", "OUTCOME", "SCORE", "LEVEL", "SECONDS"]
    assert rows[1][:4] == ["0", "default", "the defaults", "unranked"]
    assert rows[2][2:4] == ["n_parallel=1", "infeasible: slots"]
    assert rows[3][2:4] == ["n_parallel=4", "failed at ready: out-of-memory"]
    document = json.loads(command("studies", "show", "chat", "--format", "json").stdout)
    assert [trial["number"] for trial in document["trials"]] == [0, 1, 2]


def test_logs_are_printed_without_what_would_drive_the_terminal(command, known):
    done = command("studies", "logs", "chat", "--trial", 2)
    assert done.stdout.splitlines()[0] == "loading"
    assert "no room" in done.stdout
    assert "\x1b" not in done.stdout
    assert command("studies", "logs", "chat").stdout == done.stdout
    nothing = command("studies", "logs", "chat", "--trial", 1)
    assert nothing.returncode == 1
    assert "attempt 0 at trial 1 of chat.1 has no server log" in nothing.stderr
    assert "its trials are 0 to 2" in command("studies", "logs", "chat", "--trial", 9).stderr


def test_a_copy_keeps_the_comments_and_changes_what_was_asked(command, known, tmp_path):
    done = command(
        "studies", "copy", "chat", "wide", "--set", "workload.levels.concurrency=[1,4,8,16]", "--set", "search.trials=5"
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "wide.yaml").read_text()
    assert "# what we tune, and why" in text
    assert "# fixed" in text
    assert "# two levels" in text
    copied = documents.load(tmp_path / "wide.yaml", Study)
    assert (copied.name, copied.workload.levels.concurrency, copied.search.trials) == ("wide", (1, 4, 8, 16), 5)
    assert copied.engine == documents.parse(STUDY, Study).engine


def test_a_copy_that_would_be_no_study_is_not_written(command, known, tmp_path):
    for setting, said in (
        ("workload.request=5", "unknown key; did you mean `requests`?"),
        ("workload.requests=many", "workload.requests"),
        ("name.x=1", "name holds no keys"),
        ("workload.requests", "is not KEY=VALUE"),
        ("workload.requests=[", "is not YAML"),
    ):
        done = command("studies", "copy", "chat", "--set", setting)
        assert done.returncode == 2
        assert said in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.gguf"]


def test_a_copy_overwrites_nothing(command, known, tmp_path):
    (tmp_path / "chat-2.yaml").write_text("mine")
    done = command("studies", "copy", "chat")
    assert done.returncode == 2
    assert "chat-2.yaml is already there" in done.stderr
    assert (tmp_path / "chat-2.yaml").read_text() == "mine"


def test_a_changed_budget_goes_on_and_is_told_key_by_key(command, known, tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY.replace("trials: 20", "trials: 30") + "deadlines: {start: 99s}\n")
    done = command("tune", "study.yaml", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "chat differs from its last run; only the budget differs: chat.1 goes on",
        "  search.trials: 20 → 30",
        "  deadlines.start: 600.0 → 99.0",
    ]
    assert "chat, run 1: nothing is left to do (3 stand from before)" in done.stdout


def test_any_other_change_is_another_run(command, known, tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY.replace("requests: 40", "requests: 50").replace("[1, 4]}}", "[1, 2]}}"))
    done = command("tune", "study.yaml", "--dry-run")
    assert done.stderr.splitlines() == [
        "chat differs from its last run; this is another study: run 2 begins, chat.1 stays",
        "  workload.requests: 40 → 50",
        "  space.n_parallel.choice: [1, 4] → [1, 2]",
    ]
    assert "chat, run 2: 3 trials" in done.stdout


def test_other_weights_under_the_same_name_are_another_run(command, known, tmp_path, tiny_gguf):
    (tmp_path / "tiny.gguf").unlink()
    (tmp_path / "tiny.gguf").write_bytes(tiny_gguf.read_bytes())
    (tmp_path / "study.yaml").write_text(STUDY)
    assert "  resolved_model.version: unmanaged, " in command("tune", "study.yaml", "--dry-run").stderr


def test_nobody_working_on_it_cannot_be_cancelled(command, known):
    assert command("studies", "cancel", "chat").stdout == "nobody works on chat; nothing to stop\n"


def test_who_works_on_a_study_is_known(command, known, lading_home):
    with runlock.only_one(lading_home, "chat"):
        assert "running" in command("studies").stdout
        assert "will stop within seconds" in command("studies", "cancel", "chat").stdout
    assert wiring.store().cancelled("chat.1")
    assert not runlock.is_held(lading_home, "chat")


def test_a_whole_run_is_drawn_for_those_who_watch(tmp_path):
    """The live view takes every event of a study, and says where it is."""
    from io import StringIO

    from rich.console import Console
    from tests.tune.conftest import Bench, by_width

    from lading.cli.tune_view import TuneView

    bench = Bench(directory=tmp_path, script=by_width(w2=Life(rate_otherwise=200), w8=Life(ready_s=1e9)))
    view = TuneView(documents.parse(FAKE, Study))
    drawn = []

    class Watching(list):
        def append(self, event):
            view(event)
            console = Console(file=StringIO(), width=100)
            console.print(view._drawn())
            drawn.append(console.file.getvalue())

    bench.told = Watching()
    bench.run()
    assert any("waiting for its first answer" in picture for picture in drawn)
    assert "best so far: trial 2, 200 tok/s" in drawn[-1]
    assert "trial 3: failed: " in drawn[-1]


@pytest.fixture
def newer(known):
    """`chat.1` as a newer version might have stored it: keys that are not known here."""
    store = wiring.store()
    spec = {**known.spec, "priority": 3, "search": {**known.spec["search"], "warm_start": True}}
    return store.rebudget(known.id, document=STUDY, spec=spec)


def test_keys_of_a_newer_version_do_not_hide_a_study(command, newer):
    assert json.loads(command("studies", "--format", "json").stdout)["run"]["id"] == "chat.1"
    assert command("studies", "show", "chat").stdout.startswith("no trial of 3 ")
    assert command("report", "chat", "--out", "report").returncode == 0


def test_a_study_with_keys_of_a_newer_version_does_not_go_on_as_if_they_meant_nothing(command, newer, tmp_path):
    (tmp_path / "chat.yaml").write_text(STUDY)
    said = command("tune", "chat.yaml", "--dry-run").stderr
    assert "this is another study: run 2 begins, chat.1 stays" in said
    assert "priority: 3 → (not given)" in said
    assert "search.warm_start: True → (not given)" in said


def test_a_stored_value_that_means_nothing_here_is_said_to_be(command, known, tmp_path):
    wiring.store().rebudget(known.id, document=STUDY, spec={**known.spec, "objective": {"maximize": "joy"}})
    (tmp_path / "chat.yaml").write_text(STUDY)
    for words in (["studies", "show", "chat"], ["tune", "chat.yaml", "--dry-run"], ["report", "chat"]):
        done = command(*words)
        assert done.returncode == 1
        assert "error: the stored study of chat.1 cannot be read: objective.maximize: " in done.stderr
        assert "upgrade" in done.stderr
        assert "Traceback" not in done.stderr
    listed = command("studies")
    assert listed.returncode == 0
    assert "the stored study of chat.1 cannot be read" in listed.stderr
