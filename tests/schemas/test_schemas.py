"""Every document that leaves the program has a published schema; what is written fits it; what was written is still read."""

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import TypeAdapter
from tests.testbed import golden

from lading import schemas, wiring
from lading.cli import schema as command
from lading.engines.base import Parameter
from lading.measure import records
from lading.spec.base import dump
from lading.testing import histories, truth
from lading.tuning import result, trial

ROOT = Path(__file__).parents[2]
COMPAT = ROOT / "tests/compat"
VALIDATOR = jsonschema.Draft202012Validator


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The facts of a study, and the folder of its raw records."""
    folder = tmp_path_factory.mktemp("records")
    return histories.history(folder), folder


def fits(name, document):
    problems = [
        f"{'/'.join(map(str, one.absolute_path))}: {one.message}"
        for one in VALIDATOR(schemas.schema(name)).iter_errors(document)
    ]
    assert problems == []


@pytest.mark.parametrize("name", schemas.DOCUMENTS)
def test_each_schema_is_a_schema(name):
    document = schemas.schema(name)
    VALIDATOR.check_schema(document)
    assert document["$id"] == f"urn:lading:{name}:{schemas.DOCUMENTS[name].version}"


@pytest.mark.parametrize("name", schemas.DOCUMENTS)
def test_the_committed_copy_is_what_the_code_prints(name):
    """A schema that changed is written anew on purpose: ``lading schema --write docs/schemas``, and read in the diff."""
    assert (ROOT / f"docs/schemas/{name}.json").read_text(encoding="utf-8") == command.text(name)


def test_no_committed_copy_is_left_over():
    assert {path.stem for path in (ROOT / "docs/schemas").glob("*.json")} == set(schemas.DOCUMENTS)


def test_the_history_of_a_study_fits(recorded):
    facts, folder = recorded
    for fact in facts:
        fits("fact", dump(fact))
    history = trial.fold(facts)
    for one in history:
        fits("trial", dump(one))
        for summary in one.levels:
            fits("summary", dump(summary))
    fits("study-result", dump(result.result(histories.study(), history)))
    path = next(folder.rglob("*.jsonl"))
    header, *lines = path.read_text().splitlines()
    fits("record-header", json.loads(header))
    for line in lines:
        fits("record", json.loads(line))


def test_a_study_as_people_write_it_fits_and_a_typo_does_not():
    from ruamel.yaml import YAML

    document = YAML(typ="safe", pure=True).load(
        histories.DOCUMENT + "deadlines: {start: 30m, measure: 1800, teardown: 1m30s}\n"
    )
    fits("study", document)
    fits("study", dump(histories.study()))
    with pytest.raises(AssertionError, match="workloads"):
        fits("study", {**document, "workloads": {}})


def test_a_run_as_the_store_keeps_it_fits():
    store = wiring.store()
    run = store.create(
        "tiny-chat", document=histories.DOCUMENT, spec=dump(histories.study()), environment=histories.ENVIRONMENT
    )
    store.close()
    fits("study-run", schemas.DOCUMENTS["study-run"].adapter.dump_python(run, mode="json"))


@pytest.mark.parametrize("engine", ["llama.cpp", "vllm"])
def test_the_catalogues_of_the_engines_fit(engine):
    adapter = TypeAdapter(Parameter)
    for parameter in wiring.engine(engine).parameters.values():
        fits("engine-parameter", adapter.dump_python(parameter, mode="json"))


def test_what_a_pull_says_and_writes_fits(lading, tiny_gguf, tmp_path):
    done = lading("pull", tiny_gguf.parent, tmp_path / "volume", "--format", "json")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        fits("event", json.loads(line))
    fits("volume", json.loads((tmp_path / "volume/.lading/volume.json").read_text()))
    manifests = list((tmp_path / "volume/.lading/manifests").rglob("*.json"))
    assert manifests
    for path in manifests:
        fits("manifest", json.loads(path.read_text()))


def test_what_a_bench_says_and_writes_fits(lading, tmp_path):
    with truth.running(ttft_ms=1, itl_ms=1) as server:
        done = lading(
            "bench",
            server.url,
            "--levels",
            "1,2",
            "--requests",
            "6",
            "--scenario",
            "D(8,4)",
            "--out",
            tmp_path / "out",
            "--format",
            "json",
        )
    assert done.returncode == 0, done.stderr
    *events, answer = map(json.loads, done.stdout.splitlines())
    for event in events:
        fits("event", event)
    fits("bench-result", answer)
    for path in (tmp_path / "out").rglob("*.jsonl"):
        header, *lines = path.read_text().splitlines()
        fits("record-header", json.loads(header))
        for line in lines:
            fits("record", json.loads(line))


SAMPLES = sorted(path.name for path in COMPAT.glob("*-v*.*") if path.name.rpartition("-v")[0] in schemas.DOCUMENTS)


def samples(file):
    """(Name of the document, its texts as JSON) of a committed sample."""
    path = COMPAT / file
    text = path.read_text(encoding="utf-8")
    name = file.rpartition("-v")[0]
    if path.suffix == ".yaml":
        from ruamel.yaml import YAML

        return name, [json.dumps(YAML(typ="safe", pure=True).load(text))]
    return name, text.splitlines() if path.suffix == ".jsonl" else [text]


@pytest.mark.parametrize("file", SAMPLES)
def test_old_documents_still_load(file):
    """A sample is committed once per version and never written anew: what was stored then is read now."""
    name, texts = samples(file)
    for text in texts:
        document = schemas.DOCUMENTS[name].adapter.validate_json(text)
        fits(name, json.loads(text))
        rendered = schemas.DOCUMENTS[name].adapter.dump_python(document, mode="json", by_alias=True, exclude_none=True)
        if name != "study":  # people write 10m, we keep 600
            assert _has(rendered, json.loads(text)), "nothing of it is lost"


@pytest.mark.parametrize("file", [file for file in SAMPLES if not file.startswith("study-v")])
def test_documents_of_a_newer_version_that_only_has_more_keys_load_too(file):
    name, texts = samples(file)
    schemas.DOCUMENTS[name].adapter.validate_python({**json.loads(texts[0]), "a_key_of_tomorrow": 1})


@pytest.mark.parametrize("name", schemas.DOCUMENTS)
def test_there_is_a_sample_of_every_version(name):
    for version in range(1, schemas.DOCUMENTS[name].version + 1):
        assert [file for file in SAMPLES if file.startswith(f"{name}-v{version}.")], f"{name} v{version}"


def test_an_old_raw_record_file_folds():
    header = (COMPAT / "record-header-v1.json").read_text().strip() + "\n"
    lines = (COMPAT / "record-v1.jsonl").read_text().splitlines(keepends=True)
    found, requests = records.parse([header, *lines])
    assert found.record_format == 1
    assert len(requests) == len(lines)


def _has(new, old):
    """Whether *new* has all that *old* has; keys left at null may be absent."""
    if isinstance(old, dict):
        return all(value is None or (key in new and _has(new[key], value)) for key, value in old.items())
    if isinstance(old, list):
        return len(new) == len(old) and all(_has(*pair) for pair in zip(new, old, strict=True))
    return new == old


def test_the_command_lists_prints_and_writes(lading, tmp_path):
    listed = lading("schema").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == ["NAME", *schemas.DOCUMENTS]
    assert json.loads(lading("schema", "study").stdout) == schemas.schema("study")
    assert json.loads(lading("schema", "study", "--format", "json").stdout) == schemas.schema("study")
    assert lading("schema", "--write", tmp_path / "out").returncode == 0
    assert {path.stem for path in (tmp_path / "out").iterdir()} == set(schemas.DOCUMENTS)


def test_an_unknown_document_is_a_sentence_with_the_nearest(lading, tmp_path):
    golden.check("schema", "unknown", golden.said(lading("schema", "studdy")))
    (tmp_path / "file").write_text("in the way")
    golden.check("schema", "not-a-folder", golden.said(lading("schema", "--write", "file")))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
