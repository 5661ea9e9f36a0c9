"""`lading pull`: what it says, what it leaves, and that it does nothing when there is nothing to do."""

import json
import os
import pty
import shutil
import subprocess
import uuid

import pytest
from tests.pull.conftest import MODEL, SIZES, TOTAL, tree


def lines(completed):
    assert completed.returncode == 0, completed.stderr
    return [json.loads(line) for line in completed.stdout.splitlines()]


@pytest.fixture
def joblib(tmp_path):
    """The smallest model there is."""
    folder = tmp_path / "Iris Classifier"
    folder.mkdir()
    (folder / "model.joblib").write_bytes(b"not really")
    return folder


def test_a_folder_becomes_a_model(lading, tmp_path, tiny_hf):
    completed = lading("pull", str(tiny_hf), "volume")
    assert completed.returncode == 0, completed.stderr
    assert completed.stderr == ""
    first, second = completed.stdout.splitlines()
    assert first.startswith("volume/tiny@")
    assert "is published: 8 files" in first
    assert {path.name for path in (tmp_path / "volume/tiny/current").iterdir()} == {p.name for p in tiny_hf.iterdir()}
    assert os.path.realpath(tmp_path / "volume/tiny/current") == second
    assert (
        json.loads(next((tmp_path / "volume/.lading/manifests/tiny").iterdir()).read_text())["format"] == "huggingface"
    )


def test_events_are_lines_of_json(lading, tmp_path, joblib):
    told = lines(lading("pull", str(joblib), "volume", "--version", "v1", "--format", "json"))
    assert [event["event"] for event in told if event["event"] != "pull_progress"] == [
        "pull_planned", "file_pulled", "published",
    ]  # fmt: skip
    assert told[-1]["model"] == "iris-classifier"
    assert told[-1]["version"] == "v1"
    last = [event for event in told if event["event"] == "pull_progress"][-1]
    assert last["done_bytes"] == last["total_bytes"] == 10


def test_an_unchanged_source_is_said_to_be_and_nothing_is_done(lading, tmp_path, joblib):
    lading("pull", str(joblib), "volume", "--version", "v1")
    before = {path: (tmp_path / "volume" / path).lstat().st_mtime_ns for path in tree(tmp_path / "volume")}
    assert "volume/iris-classifier@v1 is unchanged" in lading("pull", str(joblib), "volume", "--version", "v1").stdout
    assert "volume/iris-classifier@v1 is unchanged" in lading("pull", str(joblib), "volume").stdout
    assert [event["event"] for event in lines(lading("pull", str(joblib), "volume", "--format", "json"))] == [
        "unchanged"
    ]
    assert {path: (tmp_path / "volume" / path).lstat().st_mtime_ns for path in tree(tmp_path / "volume")} == before


def test_a_changed_source_becomes_another_version(lading, tmp_path, joblib):
    lading("pull", str(joblib), "volume")
    (joblib / "model.joblib").write_bytes(b"another")
    lading("pull", str(joblib), "volume")
    versions = [path.name for path in (tmp_path / "volume/iris-classifier").iterdir() if not path.is_symlink()]
    assert len(versions) == 2
    assert (tmp_path / "volume/iris-classifier/current/model.joblib").read_bytes() == b"another"


def test_no_use_leaves_current_alone(lading, tmp_path, joblib):
    lading("pull", str(joblib), "volume", "--version", "v1")
    (joblib / "model.joblib").write_bytes(b"another")
    lading("pull", str(joblib), "volume", "--version", "v2", "--no-use")
    assert (tmp_path / "volume/iris-classifier/current").readlink().name == "v1"


def test_dry_run_prints_the_plan_and_makes_nothing(lading, tmp_path, joblib):
    before = tree(tmp_path)
    completed = lading("pull", str(joblib), "volume", "--dry-run", "--version", "v1")
    assert completed.stdout.splitlines() == [
        f"would pull 1 file, 10 B, from {joblib} to volume/iris-classifier@v1",
        "file\tsize",
        "model.joblib\t10 B",
    ]
    (planned,) = lines(lading("pull", str(joblib), "volume", "--dry-run", "--format", "json"))
    assert planned["event"] == "pull_planned"
    assert tree(tmp_path) == before


def test_the_destination_may_name_model_and_version(lading, tmp_path, joblib):
    lading("pull", str(joblib), "volume")
    assert "volume/cls/iris@v7 is published" in lading("pull", str(joblib), "volume/cls/iris@v7").stdout
    assert (tmp_path / "volume/cls/iris/v7/model.joblib").exists()


def test_a_version_on_a_volume_is_a_source(lading, tmp_path, joblib):
    lading("pull", str(joblib), "volume", "--version", "v1")
    lading("pull", "volume/iris-classifier", "other", "--version", "copied")
    lading("pull", "volume/iris-classifier@v1", "third")
    assert (tmp_path / "other/iris-classifier/copied/model.joblib").read_bytes() == b"not really"
    assert (tmp_path / "third/iris-classifier/current/model.joblib").exists()


def test_a_snapshot_of_the_hubs_cache_is_a_source(lading, tmp_path, tiny_hf):
    """Its files are links into the cache's blobs; its name is the commit."""
    commit = "c" * 40
    cache = tmp_path / "hub/models--acme--Tiny-Llama"
    (cache / "blobs").mkdir(parents=True)
    (cache / "snapshots" / commit).mkdir(parents=True)
    for file in tiny_hf.iterdir():
        shutil.copy(file, cache / "blobs" / f"blob-{file.name}")
        (cache / "snapshots" / commit / file.name).symlink_to(f"../../blobs/blob-{file.name}")
    assert (
        f"volume/tiny-llama@{commit[:12]} is published"
        in lading("pull", str(cache / "snapshots" / commit), "volume").stdout
    )
    assert not any(path.is_symlink() for path in (tmp_path / "volume/tiny-llama" / commit[:12]).iterdir())


def test_excluded_files_are_left_out_and_make_another_revision(lading, tmp_path, joblib):
    (joblib / "notes.bin").write_bytes(b"x")
    lading("pull", str(joblib), "volume")
    lading("pull", str(joblib), "volume", "--exclude", "*.bin")
    assert len(list((tmp_path / "volume/iris-classifier").iterdir())) == 3
    assert [path.name for path in (tmp_path / "volume/iris-classifier/current").iterdir()] == ["model.joblib"]


def test_secrets_of_an_address_are_sent_and_never_shown_or_stored(lading, tmp_path, server):
    server.password = "someone:hunter2"
    address = server.url.replace("//", "//someone:hunter2@")
    completed = lading(
        "pull", f"{address}/model/part-4.bin?sig=hunter3", "volume", "--expect", "any", "--format", "json"
    )
    assert lines(completed)[-1]["event"] == "published"
    written = [path.read_text() for path in (tmp_path / "volume/.lading").rglob("*") if path.is_file()]
    for text in (completed.stdout, completed.stderr, *written):
        assert "hunter" not in text
        assert "someone" not in text


def test_redirects_are_followed_without_the_password(lading, tmp_path, server):
    """Another host gets no password that was not meant for it."""
    from lading.testing import web

    with web.serving({"elsewhere.bin": b"x" * 1000}) as other:
        server.redirects["model/moved.bin"] = f"{other.url}/elsewhere.bin"
        address = server.url.replace("//", "//someone:hunter2@")
        completed = lading("pull", f"{address}/model/moved.bin", "volume", "--expect", "any")
        assert completed.returncode == 0, completed.stderr
        assert other.headers
        assert not any("Authorization" in headers for headers in other.headers)
    assert (tmp_path / "volume/moved/current/moved.bin").read_bytes() == b"x" * 1000


def test_a_person_who_watches_sees_progress_and_the_next_command(lading_argv, server, tmp_path):
    server.slow = 0.01
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*lading_argv, "pull", f"{server.url}/model/SHA256SUMS", "volume", "--expect", "any", "--version", "v1"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=slave, stdin=slave, env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    seen = bytearray()
    try:
        while data := os.read(master, 65536):
            seen += data
    except OSError:
        pass  # the other end is closed
    os.close(master)
    out, _ = process.communicate()
    text = seen.decode()
    assert process.returncode == 0
    assert "of 6.54 MB" in text
    assert "MB/s" in text
    assert "left" in text
    assert "next: lading serve volume/model@v1" in text
    assert out.decode().startswith("volume/model@v1 is published: 8 files, 6.54 MB")
    assert sum(SIZES) == TOTAL == 6_540_000


@pytest.mark.real("minio")
def test_a_prefix_is_exactly_that_prefix(lading, tmp_path, minio_environment):
    """No sibling prefix, empty objects kept, directory markers skipped, odd names as they are."""
    bucket = f"exact-{uuid.uuid4().hex[:8]}"
    keys = [
        "llm/m/model.joblib",
        "llm/m/empty",
        "llm/m/sub/",
        "llm/m/sub/odd +%41 ü.txt",
        "llm/m-2/x",
        "llm/mm",
        "llm/m.bin",
    ]
    minio_environment.bucket(bucket, {key: b"" if key.endswith(("/", "empty")) else key.encode() for key in keys})
    endpoint = minio_environment.endpoint
    completed = lading("pull", f"s3://{bucket}/llm/m", "volume", "--endpoint", endpoint)
    assert completed.returncode == 0, completed.stderr
    version = tmp_path / "volume/m/current"
    assert tree(version.resolve()) == {"model.joblib", "empty", "sub", "sub/odd +%41 ü.txt"}
    assert (version / "empty").read_bytes() == b""
    assert (version / "sub/odd +%41 ü.txt").read_bytes() == "llm/m/sub/odd +%41 ü.txt".encode()
    assert lading("pull", f"s3://{bucket}/llm/m.bin", "one", "--endpoint", endpoint, "--expect", "any").returncode == 0
    assert (tmp_path / "one/m/current/m.bin").read_bytes() == b"llm/m.bin"
    assert "is unchanged" in lading("pull", f"s3://{bucket}/llm/m/", "volume", "--endpoint", endpoint).stdout


@pytest.mark.real("minio")
def test_a_long_listing_is_read_to_its_end(lading, tmp_path, minio_environment):
    """A page has 1,000 keys."""
    bucket = f"long-{uuid.uuid4().hex[:8]}"
    minio_environment.bucket(bucket, {f"m/{number:04}": b"x" for number in range(1203)})
    endpoint = minio_environment.endpoint
    (planned,) = lines(
        lading(
            "pull",
            f"s3://{bucket}/m",
            "volume",
            "--endpoint",
            endpoint,
            "--expect",
            "any",
            "--dry-run",
            "--format",
            "json",
        )
    )
    assert planned["files"] == 1203


def test_all_of_a_checksum_file(lading, tmp_path, server):
    completed = lading("pull", f"{server.url}/model/SHA256SUMS", "volume", "--expect", "any")
    assert completed.returncode == 0, completed.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "volume/model/current").iterdir()} == MODEL
