"""Writing a report: from the raw records, whole or not at all, never with numbers that are not theirs."""

import csv
import json
import os
from pathlib import Path

import pytest

from lading import schemas, wiring
from lading.errors import InvalidInput, StudyError
from lading.events import Notice, Wrote
from lading.flows import report as flow
from lading.flows.report import Material, Placement
from lading.measure import records
from lading.measure.summary import summarize
from lading.ports.study import StudyRun
from lading.spec.base import dump
from lading.testing import histories
from lading.tuning import trial

NAMES = ["report.html", "report.json", "trials.csv", "levels.csv", "manifests/run.sh", "manifests/docker-compose.yaml",
         "manifests/kserve-inferenceservice.yaml", "manifests/deployment.yaml"]  # fmt: skip


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder of raw records and the facts that were folded from them."""
    folder = tmp_path_factory.mktemp("records")
    return folder, histories.history(folder)


@pytest.fixture
def material(recorded, tmp_path):
    """Everything a report is made from; its records are links, so that a test may spoil its own."""
    source, facts = recorded
    directory = tmp_path / "run"
    for path in source.rglob("*.jsonl"):
        own = directory / path.relative_to(source)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.symlink_to(path)
    return make(directory, facts)


def make(directory, facts, **changes):
    study = histories.study()
    run = StudyRun(id="tiny-chat.1", name="tiny-chat", run=1, created_at="2026-11-20T09:30:00+00:00", document=histories.DOCUMENT,
                   spec=dump(study), environment=histories.ENVIRONMENT)  # fmt: skip
    values = {"run": run, "study": study, "history": trial.fold(facts), "directory": directory, "engine": wiring.engine("llama.cpp"),
              "version": "0.1.0", "written_at": "2026-11-20T11:02:00+00:00", **changes}  # fmt: skip
    return Material(**values)


def test_all_files_are_written_and_told_in_their_order(material, tmp_path):
    told = []
    written = flow.write(material, tmp_path / "out", emit=told.append)
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written.files] == NAMES
    assert [event.path for event in told if isinstance(event, Wrote)] == [str(path) for path in written.files]
    assert sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    ) == sorted(NAMES)
    assert os.access(tmp_path / "out/manifests/run.sh", os.X_OK)
    assert written.report.refold.equal
    assert written.report.refold.files == sum(len(one.levels) for one in material.history)


def test_every_number_of_every_file_is_a_refold_of_the_raw_records(material, tmp_path):
    flow.write(material, tmp_path / "out")
    folded = {}
    for path in material.directory.rglob("*.jsonl"):
        with path.open() as lines:
            folded[path.relative_to(material.directory).as_posix()] = summarize(*records.parse(lines))
    document = json.loads((tmp_path / "out/report.json").read_text())
    for scored in document["trials"]:
        for summary, name in zip(scored["trial"]["levels"], scored["trial"]["record_files"], strict=True):
            assert summary == dump(folded[name])
        if "value" in scored:
            at = scored["trial"]["record_files"][
                [level["level"] for level in scored["trial"]["levels"]].index(scored["level"])
            ]
            assert scored["value"] == folded[at].output_tokens_per_s
    with (tmp_path / "out/levels.csv").open() as file:
        for row in csv.DictReader(file):
            summary = folded[row["record_file"]]
            assert float(row["output_tokens_per_s"]) == summary.output_tokens_per_s
            assert float(row["duration_s"]) == summary.duration_s
            assert float(row["e2e_s.mean"]) == summary.e2e_s.mean
    verdict = document["result"]["verdict"]
    for name in NAMES[4:]:
        assert verdict in (tmp_path / "out" / name).read_text()


def test_the_json_is_valid_against_its_published_schema_and_reads_back(material, tmp_path):
    import jsonschema

    written = flow.write(material, tmp_path / "out")
    text = (tmp_path / "out/report.json").read_text()
    jsonschema.validate(json.loads(text), schemas.schema("report"), cls=jsonschema.Draft202012Validator)
    assert schemas.DOCUMENTS["report"].adapter.validate_json(text) == written.report


def spoil(material, number=7):
    """Replace the records of one level by others."""
    path = material.directory / f"trial-{number}/attempt-1/c8.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.unlink()
    path.write_text("".join(lines[:-5]))
    return path


def test_numbers_that_are_not_the_records_are_refused_and_nothing_is_written(material, tmp_path):
    spoil(material)
    with pytest.raises(
        StudyError,
        match=r"1 of 58 raw record files of tiny-chat\.1 do not fold to the stored numbers: trial-7/attempt-1/c8.jsonl",
    ):
        flow.write(material, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_record_file_is_refused(material, tmp_path):
    path = spoil(material)
    path.write_text("{}\n")
    with pytest.raises(StudyError):
        flow.write(material, tmp_path / "out")


def test_missing_records_are_said_loudly(material, tmp_path):
    spoil(material).unlink()
    told = []
    written = flow.write(material, tmp_path / "out", emit=told.append)
    assert next(event for event in told if isinstance(event, Notice)).message.startswith(
        "1 raw record files are missing"
    )
    assert written.report.refold.missing == ("trial-7/attempt-1/c8.jsonl",)
    assert "These numbers are not what the raw records say" in (tmp_path / "out/report.html").read_text()


def test_statistics_that_a_newer_version_adds_are_no_difference(material):
    stored = {"a": 1, "b": {"p95": {"value": 2.0}}}
    assert flow._holds({"a": 1, "b": {"p95": {"value": 2.0}, "p99.9": {"value": 3.0}}, "c": 4}, stored)
    assert not flow._holds({"a": 1, "b": {"p95": {"value": 2.1}}}, stored)
    assert not flow._holds({"b": stored["b"]}, stored)


def test_written_twice_equals_once_and_a_reader_never_sees_half(material, tmp_path):
    flow.write(material, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    flow.write(material, tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_write_that_fails_leaves_the_old_file_and_no_other(material, tmp_path, monkeypatch):
    flow.write(material, tmp_path / "out")
    before = sorted((tmp_path / "out").rglob("*"))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flow.os, "fsync", full)
    with pytest.raises(InvalidInput, match="cannot be written: No space left on device"):
        flow.write(make(material.directory, histories.history(material.directory)), tmp_path / "out")
    assert sorted((tmp_path / "out").rglob("*")) == before


def test_without_a_score_there_is_a_report_and_nothing_to_run(tmp_path):
    written = flow.write(make(tmp_path, ()), tmp_path / "out")
    assert [path.name for path in written.files] == ["report.html", "report.json", "trials.csv", "levels.csv"]
    assert not (tmp_path / "out/manifests").exists()


def test_where_it_will_run_is_written_into_the_manifests(material, tmp_path):
    placed = make(material.directory, (), history=material.history,
                  placement=Placement(claim="models", namespace="demo", gpus=2, cpus="4", memory="16Gi"))  # fmt: skip
    flow.write(placed, tmp_path / "out")
    text = (tmp_path / "out/manifests/kserve-inferenceservice.yaml").read_text()
    for words in (
        "storageUri: pvc://models/tiny-llama/v1",
        "namespace: demo",
        'nvidia.com/gpu: "2"',
        "memory: 16Gi",
        'cpu: "4"',
    ):
        assert words in text.replace('"16Gi"', "16Gi"), words
    assert "CHANGE" not in text


def test_secrets_of_the_environment_are_not_in_the_manifests(material, tmp_path):
    study = histories.study(histories.DOCUMENT + "backend: {env: {HF_TOKEN: hf_verysecret, OMP_NUM_THREADS: '2'}}\n")
    flow.write(make(material.directory, (), history=material.history, study=study), tmp_path / "out")
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert b"hf_verysecret" not in path.read_bytes()
    script = (tmp_path / "out/manifests/run.sh").read_text()
    assert "export OMP_NUM_THREADS=2" in script
    assert "It needs in its environment, and has no value for them here: HF_TOKEN." in script
    assert ': "${HF_TOKEN:?export it first}"' in script
    assert 'HF_TOKEN: "${HF_TOKEN:?export it first}"' in (tmp_path / "out/manifests/docker-compose.yaml").read_text()
    for name in ("deployment.yaml", "kserve-inferenceservice.yaml"):
        assert "secretKeyRef" in (tmp_path / "out/manifests" / name).read_text()


def test_the_paths_in_the_page_are_those_that_were_written(material, tmp_path):
    flow.write(material, tmp_path / "out")
    text = (tmp_path / "out/report.html").read_text()
    for name in NAMES[4:]:
        assert f'href="{name}"' in text
    assert Path(tmp_path / "out" / NAMES[4]).exists()
