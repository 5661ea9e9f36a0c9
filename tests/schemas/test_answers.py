"""Every JSON line that a command prints fits a published schema: the real commands, events first, then their answer."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
from tests.testbed import require

from lading import schemas, wiring
from lading.cli import app
from lading.events import Event
from lading.manifests.jobs import name as job_name
from lading.spec.base import dump
from lading.spec.command import PullCommand
from lading.testing import histories, truth, web

STUDY = """\
name: tiny
model: {ref: tiny.gguf, served_name: tiny}
engine: {name: llama.cpp, parameters: {n_ctx: 512}}
workload: {scenario: "D(8,4)", levels: {concurrency: [1]}, requests: 4, warmup: 2}
space: {n_parallel: {choice: [1, 2]}}
objective: {maximize: output_tokens_per_s}
search: {trials: 2, confirm: 0}
deadlines: {start: 60s, measure: 60s, teardown: 30s}
"""

#: Commands, one after the other in one folder, each with the documents it answers with (None: its last event is the answer).
CASES: dict[str, list[tuple[str, str | None]]] = {
    "ls": [
        ("ls volume", "listed-version"),
        ("ls volume/tiny", "listed-version"),
        ("ls volume/tiny --files", "listed-file"),
        ("ls more", "unmanaged-folder"),
        ("ls SUMS", "source-model"),
    ],
    "du": [("du volume", "volume-usage")],
    "diff": [("diff volume/tiny@v1 volume/tiny@v2", "file-difference or version-difference")],
    "adopt": [("adopt more", "listed-version"), ("adopt more", "listed-version")],
    "show": [("show volume/tiny", "shown-version")],
    "use": [("use volume/tiny@v1", "current-version")],
    "verify": [("verify volume", None)],
    "pull": [("pull more other --dry-run", None), ("pull more other", None), ("pull more other", None)],
    "rm": [("rm volume/tiny@v1 --dry-run", "removed"), ("rm volume/tiny --yes", "removed")],
    "prune": [("prune volume --keep 1 --yes", "removed or kept"), ("prune volume", "removed or kept")],
    "bench": [
        ("bench URL --levels 1 --requests 4 --dry-run", "bench-plan"),
        ("bench URL --levels 1 --requests 4 --scenario D(8,4)", "bench-result"),
    ],
    "ask": [("ask URL Hello --max-tokens 4", "reply")],
    "push": [("push more out --dry-run", None), ("push more out", None)],
    "images": [("images", "image-listed"), ("images pull", "image-listed")],
    "engines": [
        ("engines", "engine"),
        ("engines vllm", "engine-parameter"),
        ("engines llama.cpp --param n_ctx", "engine-parameter"),
        ("engines vllm --rules", "engine-rule"),
    ],
    "schema": [("schema", "schema-listed"), ("schema --write out", "schemas-written")],
    "studies": [
        ("studies", "study-listed"),
        ("studies show tiny-chat", "study-shown"),
        ("studies logs tiny-chat --trial 0", "study-log-line"),
        ("studies cancel tiny-chat", "study-cancelled"),
        ("studies copy tiny-chat next", "study-copied"),
    ],
    "report": [("report tiny-chat", "report-written")],
}

#: The same, with a model server.
SERVED: dict[str, list[tuple[str, str | None]]] = {
    "serve": [
        ("serve tiny.gguf --set n_ctx=512 --dry-run", "serve-plan"),
        ("serve tiny.gguf --set n_ctx=512", "served"),
        ("serve --list --backend process", "server-listed"),
        ("ask tiny Hello --max-tokens 4", "reply"),
        ("stop tiny", None),
    ],
    "tune": [
        ("tune study.yaml --dry-run", "tune-plan"),
        ("tune study.yaml", "study-result"),
        ("studies show tiny", "study-shown"),
    ],
}

#: The same, on a cluster, where the claim `models` is bound; as administrator.
DETACHED = job_name(PullCommand(source="https://127.0.0.1/m/SHA256SUMS", model="m"), claim="models", model="m")
CLUSTERED: dict[str, list[tuple[str, str | None]]] = {
    "claim": [
        ("claim create more --size 1Gi --dry-run", "claim-created"),
        ("claim create more --size 1Gi", "claim-created"),
        ("claim inspect models", "claim-inspected"),
        ("claim inspect more --no-pod", "claim-inspected"),
        ("claim retain pvc://models", "claim-kept"),
        ("claim classes", "class-listed"),
        ("claim repair-permissions models --dry-run", None),
    ],
    "jobs": [
        ("pull https://127.0.0.1/m/SHA256SUMS pvc://models/m --detach --no-preflight", "job-started"),
        ("jobs", "job-listed"),
        (f"jobs cancel {DETACHED} --yes", "job-cancelled"),
    ],
}

#: Words for people or for another Lading, or bytes, whatever the format; the demo runs the commands above.
NO_DOCUMENT = {"completion", "demo", "agent", "cat", "run"}


@dataclass
class Place:
    """A folder to run commands in, with a state folder of its own."""

    folder: Path
    home: Path
    url: str = ""
    sums: str = ""

    def run(self, line: str) -> list[dict[str, object]]:
        """What the command *line* prints as JSON; it must succeed, or find a difference."""
        words = [{"URL": self.url, "SUMS": self.sums}.get(word, word) for word in line.split()]
        done = subprocess.run(
            [sys.executable, "-m", "lading", *words, "--format", "json"],
            cwd=self.folder, env={**os.environ, "LADING_HOME": str(self.home)},
            capture_output=True, text=True, timeout=150, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == (4 if words[0] == "diff" else 0), done.stderr
        return [json.loads(printed) for printed in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def url():
    """A server that answers as fast as it can."""
    with truth.running(ttft_ms=1, itl_ms=1) as server:
        yield server.url


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_gguf):
    """A volume with two versions of one model, and weights to pull."""
    place = Place(tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("home"))
    (place.folder / "more").mkdir()
    shutil.copy(tiny_gguf, place.folder / "more")
    place.run("pull more volume --model tiny --version v1")
    (place.folder / "more/notes.json").write_text("{}")
    place.run("pull more volume --model tiny --version v2")
    return place.folder


@pytest.fixture
def place(made, tmp_path, lading_home, tiny_gguf, url):
    """A copy of `made`, and a study."""
    folder = tmp_path / "work"
    shutil.copytree(made, folder, symlinks=True)  # `current` is one
    (folder / "tiny.gguf").symlink_to(tiny_gguf)
    (folder / "study.yaml").write_text(STUDY)
    sums = f"{hashlib.sha256(tiny_gguf.read_bytes()).hexdigest()}  tiny.gguf\n".encode()
    with web.serving({"m/SHA256SUMS": sums, "m/tiny.gguf": tiny_gguf.read_bytes()}) as server:
        yield Place(folder, lading_home, url, f"{server.url}/m/SHA256SUMS")


@pytest.fixture
def chat(lading_home):
    """The study `tiny-chat` in the store: trials that ended in every way, their records, one log."""
    store, study = wiring.store(), histories.study()
    run = store.create(
        study.name, document=histories.DOCUMENT, spec=dump(study), environment=dict(histories.ENVIRONMENT)
    )
    folder = lading_home / "studies" / run.id
    store.append(run.id, histories.history(folder))
    store.close()
    log = folder / "trial-0/attempt-1/server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("loading\nready\n")


def problems(name: str, document: object) -> list[str]:
    """Why *document* is none of the kind *name*: what its schema says, and keys that no reader would find."""
    validator = jsonschema.Draft202012Validator(schemas.schema(name))
    wrong = [f"{'/'.join(map(str, one.absolute_path))}: {one.message}" for one in validator.iter_errors(document)]
    if wrong:
        return wrong
    adapter = schemas.DOCUMENTS[name].adapter
    read = adapter.dump_python(adapter.validate_python(document), mode="json", by_alias=True)
    return [f"{key}: not in the schema" for key in unknown(document, read)]


def unknown(document: object, read: object, at: str = "") -> list[str]:
    """The keys of *document* that are not in what was *read* of it."""
    match document, read:
        case dict(), dict():
            new = [f"{at}/{key}" for key in document if key not in read]
            return new + [
                one for key in document if key in read for one in unknown(document[key], read[key], f"{at}/{key}")
            ]
        case list(), list():
            return [one for pair in zip(document, read, strict=True) for one in unknown(*pair, at)]
        case _:
            return []


def check(lines: list[dict[str, object]], answer: str | None) -> None:
    """Events first, then the answer, all by their schemas."""
    assert lines
    told = [line for line in lines if "event" in line]
    answers = lines[len(told) :]
    assert all("event" not in line for line in answers), "an event after the answer"
    assert bool(answers) == (answer is not None)
    for line in told:
        assert problems("event", line) == []
    for line in answers:
        assert answer is not None
        found = [problems(name, line) for name in answer.split(" or ")]
        assert [] in found, found


@pytest.mark.parametrize("case", CASES)
def test_each_line_of_each_command_fits_its_schema(case, place, chat):
    for line, answer in CASES[case]:
        check(place.run(line), answer)


@pytest.mark.real("engine")
@pytest.mark.parametrize("case", SERVED)
def test_so_does_each_line_of_those_that_start_servers(case, place):
    require("engine", importlib.util.find_spec("xllamacpp"), "xllamacpp is not installed")
    try:
        for line, answer in SERVED[case]:
            check(place.run(line), answer)
    finally:
        subprocess.run(
            [sys.executable, "-m", "lading", "stop", "--all", "--yes", "--backend", "process"],
            env={**os.environ, "LADING_HOME": str(place.home)}, capture_output=True, timeout=90, check=False,
        )  # fmt: skip


@pytest.mark.real("cluster")
@pytest.mark.parametrize("case", CLUSTERED)
def test_so_does_each_line_of_those_that_need_a_cluster(case, place, namespace, monkeypatch):
    namespace.claim("models", retain=False)
    with namespace.provisioning():
        monkeypatch.setenv("KUBECONFIG", str(namespace.admin))
        for line, answer in CLUSTERED[case]:
            check(place.run(line), answer)


def answers():
    """The documents that some command above answers with; None for events."""
    steps = (step for case in (*CASES.values(), *SERVED.values(), *CLUSTERED.values()) for step in case)
    return {name for _, answer in steps for name in (answer.split(" or ") if answer else [None])}


def test_no_command_is_left_out_and_no_document_either():
    assert set(CASES) | set(SERVED) | set(CLUSTERED) | NO_DOCUMENT == set(app.COMMANDS) - {"stop"}  # stop is in serve's
    assert {document.name for document in schemas.ANSWERS} <= answers()


def test_the_page_about_json_names_every_command_and_its_answer():
    page = (Path(__file__).parents[2] / "docs/json.md").read_text(encoding="utf-8")
    assert [name for name in answers() - {None} if f"](schemas/{name}.json)" not in page] == []
    assert [command for command in app.COMMANDS if f"`{command}" not in page and f"`lading {command}" not in page] == []


def test_a_key_that_no_schema_names_is_noticed():
    assert problems("reply", {"model": "a", "answer": "b"}) == []
    assert problems("reply", {"model": "a", "answer": "b", "seconds": 1}) == ["/seconds: not in the schema"]
    assert problems("reply", {"model": "a"}) == [": 'answer' is a required property"]


def test_every_event_has_a_line_among_the_samples():
    kinds = {kind.model_fields["event"].default for kind in Event.__origin__.__args__}
    text = (Path(__file__).parents[1] / "compat/event-v1.jsonl").read_text(encoding="utf-8")
    assert {json.loads(line)["event"] for line in text.splitlines()} == kinds
