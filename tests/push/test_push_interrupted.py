"""A push that was killed or stopped goes on: counted on the wire, before a real MinIO; and what a store does to it on the way."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from tests.push.conftest import MODEL, TOTAL

import lading as api
from lading.errors import LadingError, ModelBusy, SourceDenied
from lading.testing import faults, faulty, proxy

pytestmark = pytest.mark.real("minio")

PARTS = ("llm/granite/model.gguf", "llm/granite/part-b.bin", "llm/granite/sub/part-c.bin")
PART_BYTES = 8 << 20
OVERHEAD_BYTES = 300_000  # signatures, listings and manifests, of both runs


@pytest.fixture
def wire(minio):
    """MinIO behind a proxy that counts what clients send it."""
    parts = urlsplit(minio.endpoint)
    with proxy.counting(parts.hostname, parts.port) as counted:
        yield counted


@pytest.fixture
def before(minio):
    """MinIO behind a server that does things to requests and answers."""
    with faulty.serving(faulty.Upstream(minio.endpoint)) as server:
        yield server


def until_on_the_wire(process, wire, size_bytes):
    """Wait until so much was sent, by the process's own events: each is a moment later."""
    for line in process.stdout:
        if wire.taken_bytes >= size_bytes:
            return
        assert json.loads(line)["event"] != "pushed", "it was to be stopped half way"
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_push_sends_only_what_is_missing(start, wire, bucket, ref, number, tmp_path):
    """Half of it went over; the rest goes with the second run, and the journal is gone then."""
    command = (ref, bucket.at("llm/granite/"), "--endpoint", f"http://127.0.0.1:{wire.port}")
    process = start(*command, "--max-rate", "8MB")
    until_on_the_wire(process, wire, TOTAL // 2)
    process.send_signal(number)
    _, said = process.communicate()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "what was sent is kept there" in said
    first = wire.taken_bytes
    assert not [key for key in bucket.objects() if ".lading" in key]

    again = start(*command)
    told, said = again.communicate()
    assert again.returncode == 0, said
    second = wire.taken_bytes - first
    under_way = 3 * PART_BYTES if number == signal.SIGKILL else 0  # one part of each file may have been cut
    assert first + second <= TOTAL + under_way + OVERHEAD_BYTES
    assert json.loads(told.splitlines()[-1])["sent_bytes"] < TOTAL
    assert bucket.holds("llm/granite/", MODEL)
    assert bucket.uploads(*PARTS) == []
    assert not list(tmp_path.glob("volume/.lading/journal/**/*.jsonl"))


def test_parts_are_compared_with_the_source_before_they_count(push, bucket, ref, wire, tmp_path, monkeypatch):
    """A part that another content left under the same upload is sent again, whatever the journal says."""
    there = "llm/granite/model.gguf"
    upload = bucket.client.create_multipart_upload(
        Bucket=bucket.name, Key=there, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT"
    )["UploadId"]
    for number, data in ((1, MODEL["model.gguf"][:PART_BYTES]), (2, bytes(PART_BYTES))):
        bucket.client.upload_part(
            Bucket=bucket.name, Key=there, UploadId=upload, PartNumber=number, Body=data, ChecksumAlgorithm="CRC64NVME"
        )
    journal_of(ref, bucket, tmp_path, monkeypatch, upload)
    said = push(ref, bucket.at("llm/granite/"), endpoint=f"http://127.0.0.1:{wire.port}")
    assert TOTAL - PART_BYTES - 100_000 <= said.sent_bytes <= TOTAL - PART_BYTES  # small files went with the first
    assert wire.taken_bytes <= TOTAL - PART_BYTES + OVERHEAD_BYTES
    assert bucket.holds("llm/granite/", MODEL)


def journal_of(ref, bucket, tmp_path, monkeypatch, upload):
    """Have a push killed as soon as it would send, and say in its journal that *upload* is its own."""
    from lading.sources.s3_upload import S3Destination

    def refuse(*arguments, **options):
        raise SourceDenied("not now")

    with monkeypatch.context() as patched:
        patched.setattr(S3Destination, "send", refuse)
        with pytest.raises(SourceDenied):
            api.push(ref, bucket.at("llm/granite/"), endpoint=bucket.minio.endpoint)
    (journal,) = tmp_path.glob("volume/.lading/journal/pushes/*.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        if line.get("begun", {}).get("path") == "model.gguf":
            line["begun"]["upload"] = upload
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"sent": {"pa')


def test_uploads_that_other_content_left_are_aborted(push, bucket, folder, monkeypatch):
    """The source changed after the push was stopped: its parts would cost their space for ever."""
    from lading.sources.s3_upload import S3Destination

    def denied(*arguments, **options):
        raise SourceDenied("not now")

    with monkeypatch.context() as patched:
        patched.setattr(S3Destination, "complete", denied)
        with pytest.raises(SourceDenied):
            push(folder, bucket.at("llm/granite/"))
    assert bucket.uploads("llm/granite/model.gguf") == ["llm/granite/model.gguf"]
    (folder / "model.gguf").unlink()
    push(folder, bucket.at("llm/granite/"))
    assert bucket.uploads(*PARTS) == []
    assert "llm/granite/model.gguf" not in bucket.objects()


def test_two_pushes_of_the_same_do_not_meet(push, bucket, folder, monkeypatch):
    """The second is told that the first is at it."""
    from lading.sources.s3_upload import S3Destination

    sound, told = S3Destination.put_manifest, []

    def again(self, data):
        with pytest.raises(ModelBusy) as caught:
            push(folder, bucket.at("llm/granite/"))
        told.append(caught.value.message)
        return sound(self, data)

    with monkeypatch.context() as patched:
        patched.setattr(S3Destination, "put_manifest", again)
        run_in_thread(lambda: push(folder, bucket.at("llm/granite/")), patched)
    assert told == [f"another push of this to {bucket.at('llm/granite/')} is running"]


def run_in_thread(call, patched):
    """The library's own loop is busy with the first push: the second gets one of its own."""
    import asyncio

    patched.setattr("lading.api.portal.run", asyncio.run)
    call()


def complete_and_break(server):
    """The store completes the first upload; its answer never arrives."""
    left = [1]

    def change(request):
        if "uploadId=" not in request.target or not left:
            return request
        left.pop()
        list(server.origin(request).body)
        return None

    return change


BUSY = faults.s3_error(503, "SlowDown")
FLAKY = {
    "slow down": lambda server: server.plan(BUSY, method="PUT", times=6),
    "answers lost": lambda server: server.plan(faults.status(500), method="PUT", times=3),
    "completion lost": lambda server: server.change(complete_and_break(server), method="POST", times=None),
    "reset": lambda server: server.change(lambda request: None, times=4),
    "wrong bytes on the wire": lambda server: server.change(
        lambda request: (
            replace(request, body=request.body[:-1] + bytes([request.body[-1] ^ 1])) if request.body else request
        ),
        times=5,
    ),
    "a cut body": lambda server: server.change(lambda request: replace(request, body=b""), times=2),
}


@pytest.fixture
def at_once(monkeypatch):
    """What is tried again is tried at once."""
    monkeypatch.setattr("lading.transfer.patience.Patience.wait_s", lambda self, failures, jitter: 0.01)


@pytest.mark.parametrize("fault", FLAKY)
def test_what_a_store_does_on_the_way_is_borne(push, bucket, ref, before, at_once, fault):
    """The objects are whole and right in the end."""
    FLAKY[fault](before)
    push(ref, bucket.at("llm/granite/"), endpoint=before.url)
    assert bucket.holds("llm/granite/", MODEL)
    assert bucket.uploads(*PARTS) == []


def test_wrong_bytes_for_ever_are_one_clear_error(push, bucket, ref, before, at_once):
    """No object has them, and there is no manifest."""
    before.change(lambda request: replace(request, body=bytes(len(request.body))), path="*model.gguf", times=None)
    with pytest.raises(LadingError, match="other bytes arrived than were sent"):
        push(ref, bucket.at("llm/granite/"), endpoint=before.url)
    assert "llm/granite/model.gguf" not in bucket.objects()
    assert not [key for key in bucket.objects() if ".lading" in key]


def test_expired_credentials_are_one_clear_error_and_what_was_sent_stays(push, bucket, ref, before):
    """The next push, with good ones, goes on."""
    before.plan(faults.s3_error(400, "ExpiredToken"), method="PUT", skip=4, times=None)
    with pytest.raises(SourceDenied) as caught:
        push(ref, bucket.at("llm/granite/"), endpoint=before.url)
    assert "ExpiredToken" in caught.value.message
    before.clear()
    assert push(ref, bucket.at("llm/granite/"), endpoint=before.url).sent_bytes < TOTAL
    assert bucket.holds("llm/granite/", MODEL)


def test_what_the_store_lost_is_found_by_reading_back(push, bucket, ref, monkeypatch):
    """An object that changed between its upload and the end: no manifest, and the next push sends it again."""
    from lading.flows.sending import Way

    sound = Way._verify

    def lost(self, *arguments):
        bucket.put("llm/granite/notes.txt", bytes(len(MODEL["notes.txt"])))
        sound(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Way, "_verify", lost)
        with pytest.raises(LadingError, match=r"does not have what was sent: notes\.txt"):
            push(ref, bucket.at("llm/granite/"))
    assert not [key for key in bucket.objects() if ".lading" in key]
    assert push(ref, bucket.at("llm/granite/"), replace=True).sent_files == 1
    assert bucket.holds("llm/granite/", MODEL)


def test_secrets_are_in_no_output(start, bucket, ref, wire):
    """Neither keys nor signatures, also with --debug, at a store that refuses them."""
    command = (ref, bucket.at("llm/granite/"), "--endpoint", f"http://127.0.0.1:{wire.port}", "--debug")
    process = start(*command)
    told, said = process.communicate()
    assert process.returncode == 0, said
    assert bucket.minio.secret_key not in told + said
    assert "Signature" not in told + said


def test_memory_does_not_grow_with_the_size(lading, bucket, tmp_path):
    """A sparse file of 256 MB, in parts: at most 200 MB more than the program itself takes."""
    (tmp_path / "big").mkdir()
    with (tmp_path / "big/model.bin").open("wb") as file:
        file.truncate(256_000_000)
    code = (
        "import resource, sys, lading.api.weights as api, lading.sources.s3_upload;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        f"api.push(sys.argv[1], sys.argv[2], endpoint={bucket.minio.endpoint!r}, expect='any');"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "big"), bucket.at("big/")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200_000
    assert bucket.objects()["big/model.bin"] == 256_000_000
