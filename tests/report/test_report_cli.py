"""`lading report`: the real command on a real store."""

import json
import shutil

import pytest
from tests.testbed import golden

from lading import wiring
from lading.spec.base import dump
from lading.testing import histories
from lading.wiring import runs


@pytest.fixture(scope="module")
def facts_and_records(tmp_path_factory):
    """The facts of one study, and the folder of its raw records."""
    folder = tmp_path_factory.mktemp("records")
    return histories.history(folder), folder


@pytest.fixture
def studied(lading_home, facts_and_records):
    """A store with one ended study and its raw records."""
    facts, records = facts_and_records
    store = wiring.store()
    study = histories.study()
    run = store.create(study.name, document=histories.DOCUMENT, spec=dump(study), environment=histories.ENVIRONMENT)
    store.append(run.id, facts)
    store.end(run.id, "2026-11-20T10:40:00+00:00")
    store.close()
    shutil.copytree(records, runs.directory(run.id))
    return run


def test_the_first_line_answers_and_the_others_name_the_files(lading, studied, tmp_path):
    done = lading("report", "tiny-chat")
    assert done.returncode == 0, done.stderr
    verdict, *files = done.stdout.splitlines()
    assert verdict.startswith("n_parallel=8, n_batch=512, cache_type_v=f16 serves")
    assert files[0] == "tiny-chat-report/report.html"
    assert all((tmp_path / name).is_file() for name in files)
    assert len(files) == 8


def test_programs_get_an_event_per_file_and_then_the_answer(lading, studied, tmp_path):
    done = lading(
        "report", "tiny-chat", "--out", tmp_path / "out", "--run", "1", "--claim", "models", "--format", "json"
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["event"] for line in lines[:-1]] == ["wrote"] * 8
    assert lines[-1]["winner"] == 7
    assert lines[-1]["files"] == [line["path"] for line in lines[:-1]]


BAD = {
    "unknown-study": ("report", "tinychat"),
    "unknown-run": ("report", "tiny-chat", "--run", "9"),
    "bad-claim": ("report", "tiny-chat", "--claim", "My Claim"),
    "bad-namespace": ("report", "tiny-chat", "--namespace", "a/b"),
    "bad-memory": ("report", "tiny-chat", "--memory", "16 gigs"),
    "bad-cpus": ("report", "tiny-chat", "--cpus", "many"),
    "bad-gpus": ("report", "tiny-chat", "--gpus", "-1"),
    "not-a-folder": ("report", "tiny-chat", "--out", "file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_sentence_and_leaves_nothing(lading, studied, tmp_path, case):
    (tmp_path / "file").write_text("in the way")
    done = lading(*BAD[case])
    assert done.returncode != 0
    assert done.stdout == ""
    golden.check("report", case, golden.said(done))
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


def test_changed_records_are_refused(lading, studied, tmp_path):
    path = runs.directory(studied.id) / "trial-7/attempt-1/c8.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-5]))
    done = lading("report", "tiny-chat")
    golden.check("report", "changed-records", golden.said(done).replace(str(runs.directory(studied.id)), "RUN"))
    assert not list(tmp_path.iterdir())


def test_without_any_study_it_says_how_to_make_one(lading):
    golden.check("report", "no-store", golden.said(lading("report", "tiny-chat")))
