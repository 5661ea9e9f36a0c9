"""What is decided without a cluster: what a pod's words mean, what a command document may hold, who is like whom."""

import json
import subprocess

import pytest

from lading import errors
from lading.cli.in_job import InJob
from lading.errors import InvalidInput, PodFailed
from lading.events import CommandEnded, Failed, Published
from lading.placement import hearing, jobs, likeness
from lading.spec import ref as refs
from lading.spec.placement import Choice, Placement, Toleration
from lading.volume.find import Found
from lading.wiring import claims, pulls, volumes

PUBLISHED = Published(model="m", version="v1", path="/volume/m/v1", files=1, size_bytes=1, seconds=1.0)


def asked(source, dest, **more):
    return pulls.Asked(source=refs.parse(source), dest=refs.parse(dest), **more)


def test_a_path_in_the_pod_is_a_reference_to_the_claim_here():
    event = hearing.parse(PUBLISHED.model_dump_json(), "models")
    assert event.path == "pvc://models/m/v1"
    assert hearing.event(PUBLISHED.model_dump(), "models") == event


def test_the_pod_s_folder_in_words_is_the_claim_here():
    said = Failed(code="VolumeFull", message="the volume /volume has 1 B free", hint="lading du /volume/m", exit_code=1)
    heard = hearing.parse(said.model_dump_json(), "models")
    assert (heard.message, heard.hint) == ("the volume pvc://models has 1 B free", "lading du pvc://models/m")
    source = said.model_copy(update={"message": "http://host/volume/m gives no /volumes", "hint": None})
    assert hearing.parse(source.model_dump_json(), "models") == source


@pytest.mark.parametrize(
    "line",
    ["", "Traceback (most recent call last):", "{", "[]", '{"event": "published"}', '{"event": "x"}', "{" * 5000],
)
def test_what_is_no_event_is_only_shown(line):
    heard = hearing.Heard()
    assert heard.take(line, "models") is None
    assert list(heard.tail) == [line[:500]]


def test_nothing_that_a_pod_says_drives_a_terminal():
    evil = Failed(code="SourceMissing", message="\x1b[2Jgone\x07", hint="\x9b31m", exit_code=1)
    heard = hearing.Heard()
    heard.take(evil.model_dump_json(), "models")
    heard.take("\x1b]0;title\x07", "models")
    said = heard.failed.message + heard.failed.hint + "".join(heard.tail)
    assert said.isprintable()


def test_a_result_and_its_end_are_kept():
    heard = hearing.Heard()
    heard.take(PUBLISHED.model_dump_json(), "models")
    heard.take(CommandEnded(command="pull", seconds=1.0, peak_memory_bytes=1).model_dump_json(), "models")
    assert heard.result.path == "pvc://models/m/v1"
    assert heard.done is not None


@pytest.mark.parametrize(
    ("code", "exit_code", "kind"),
    [
        ("SourceDenied", 1, errors.SourceDenied),
        ("VerificationFailed", 4, errors.VerificationFailed),
        ("InvalidDocument", 2, errors.InvalidInput),
        ("MissingExtra", 3, errors.Missing),
        ("SystemExit", 1, PodFailed),
        ("SourceDenied", 99, PodFailed),
    ],
)
def test_an_error_of_a_pod_is_one_of_ours(code, exit_code, kind):
    error = hearing.error(Failed(code=code, message="so", hint="do", exit_code=exit_code))
    assert (type(error), error.message, error.hint) == (kind, "so", "do")


def test_the_last_word_of_a_pod_is_in_its_termination_message():
    terminated = {"terminated": {"message": "noise\n" + PUBLISHED.model_dump_json()}}
    pod = {"metadata": {}, "status": {"containerStatuses": [{"state": terminated}]}}
    assert hearing.last_word(pod, "models").path == "pvc://models/m/v1"
    assert hearing.last_word({"metadata": {}}, "models") is None


@pytest.mark.parametrize("source", ["https://user:word@host/m/SHA256SUMS", "https://host/m.gguf?signature=abc"])
def test_a_document_never_holds_a_secret(source):
    with pytest.raises(InvalidInput) as caught:
        pulls.command(asked(source, "pvc://models/m"))
    assert "word" not in str(caught.value).replace("password", "")
    assert "abc" not in str(caught.value)


def test_a_model_is_named_once():
    with pytest.raises(InvalidInput, match="--model b and DEST"):
        pulls.command(asked("s3://bucket/a", "pvc://models/a", model="b"))


@pytest.mark.parametrize(
    ("metadata", "status", "state"),
    [
        ({}, {}, "waiting"),
        ({}, {"ready": 1, "active": 1}, "running"),
        ({}, {"conditions": [{"type": "Complete", "status": "True"}]}, "done"),
        ({}, {"conditions": [{"type": "Complete", "status": "False"}]}, "waiting"),
        ({}, {"conditions": [{"type": "Failed", "status": "True"}]}, "failed"),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, {"ready": 1}, "stopping"),
    ],
)
def test_how_a_job_stands(metadata, status, state):
    assert jobs.state({"metadata": metadata, "status": status}) == state


def test_what_was_asked_for_wins_over_what_it_is_like():
    spec = {
        "nodeSelector": {"gpu": "yes", "zone": "a"},
        "serviceAccountName": "theirs",
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists"},
        ],
    }
    asked = Placement(image="i", node_selector={"zone": "b"}, service_account="mine")
    made = likeness.merged(asked, spec)
    assert made.node_selector == {"gpu": "yes", "zone": "b"}
    assert made.service_account == "mine"
    assert made.tolerations == (Toleration(key="nvidia.com/gpu", effect="NoSchedule"),)
    assert likeness.merged(asked, None) == asked


def test_run_says_events_alone_and_its_last_word_in_the_report(lading, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("a")
    told = {"LADING_JOB": "lading-pull-m-1", "LADING_RUN": "uid", "LADING_CLAIM": "models", "LADING_NAMESPACE": "demo"}
    document = {"command": "pull", "source": str(tmp_path / "source"), "model": "m", "expect": "any"}
    done = lading("run", "--volume", tmp_path / "volume", env={**told, "LADING_COMMAND": json.dumps(document)})
    assert done.returncode == 0, done.stderr
    kinds = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert (kinds[0], kinds[-2:]) == ("pull_planned", ["published", "command_ended"])
    ours = tmp_path / "volume" / ".lading"
    assert json.loads((ours / "volume.json").read_text())["claim"] == "models"
    assert json.loads((ours / "jobs" / "lading-pull-m-1.json").read_text())["result"]["event"] == "published"


def test_run_pushes_from_the_claim_that_is_mounted(lading, tmp_path):
    """As a Job does: by the manifest, with the journal on the volume, the result where whoever waits finds it."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("a")
    volume, dest = tmp_path / "volume", tmp_path / "dest"
    told = {"LADING_CLAIM": "models", "LADING_NAMESPACE": "demo", "LADING_VOLUME": str(volume)}
    pull = {"command": "pull", "source": str(tmp_path / "source"), "model": "m", "version": "v7", "expect": "any"}
    assert lading("run", json.dumps(pull), "--volume", volume, env=told).returncode == 0
    push = {"command": "push", "source": "pvc://models/m", "dest": str(dest)}
    done = lading("run", json.dumps(push), "--volume", volume, env=told)
    assert done.returncode == 0, done.stdout
    *_, pushed, ended = map(json.loads, done.stdout.splitlines())
    assert (ended["event"], pushed["event"], pushed["source"]) == ("command_ended", "pushed", "pvc://models/m")
    assert (pushed["model"], pushed["version"], (dest / "a.txt").read_text()) == ("m", "v7", "a")
    assert isinstance(hearing.parse(json.dumps(pushed), "models"), hearing.RESULTS)
    unpublished = lading("run", json.dumps({**push, "source": "pvc://models/n"}), "--volume", volume, env=told)
    failed = json.loads(unpublished.stdout.splitlines()[-1])
    assert (failed["event"], failed["code"]) == ("failed", "SourceMissing")
    assert str(volume) not in failed["message"]


@pytest.mark.parametrize(
    ("document", "exit_code", "code"),
    [
        ("{}", 2, "InvalidDocument"),
        ("nonsense", 2, "InvalidDocument"),
        ('{"apiVersion": "lading.dev/command.v2", "command": "pull", "source": "x"}', 3, "VersionSkew"),
        ('{"command": "pull", "source": "/there/is/none"}', 1, "SourceMissing"),
        ('{"command": "pull", "source": "http://127.0.0.1:9/SHA256SUMS"}', 75, "SourceTransient"),
    ],
)
def test_run_fails_with_the_code_of_its_error(lading, tmp_path, document, exit_code, code):
    done = lading("run", document, "--volume", tmp_path)
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["event"], last["code"]) == (exit_code, "failed", code)


def test_run_reads_its_command_from_stdin(lading, lading_argv, tmp_path):
    document = '{"command": "pull", "source": "/there/is/none"}'
    argv = [*lading_argv, "run", "-", "--volume", str(tmp_path)]
    done = subprocess.run(argv, check=False, input=document, capture_output=True, text=True, timeout=120)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "SourceMissing")
    assert "Unknown option: --volum" in lading("run", "--volum").stdout


@pytest.mark.parametrize("option", ["timeout", "deadline"])
def test_a_time_written_wrongly_is_refused_before_there_is_a_job(option):
    with pytest.raises(InvalidInput, match=f"--{option}: 'xx' is not a duration"):
        InJob(**{option: "xx"}).choice(service_account=None)


@pytest.mark.parametrize(
    ("ref", "namespace", "said"),
    [
        ("pvc://models/tiny@v1", None, "pvc://models"),
        ("pvc://demo:models/tiny", None, "pvc://demo:models"),
        ("pvc://models/tiny", "demo", "pvc://demo:models"),
    ],
)
def test_a_claim_is_named_with_the_namespace_that_was_said(ref, namespace, said):
    assert claims.shown(refs.parse(ref), Choice(namespace=namespace)) == said


def test_two_versions_on_one_claim_need_it_open_once():
    found = Found(volume=None)
    there = volumes.beside(found, "pvc://models/tiny@v1", "pvc://models/tiny@v2")
    assert (there.model, there.version) == ("tiny", "v2")
    assert volumes.beside(found, "pvc://models/tiny@v1", "pvc://demo:models/tiny@v2") is None
