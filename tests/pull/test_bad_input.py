"""What cannot be pulled: a clear sentence, a hint, an exit code, and nothing that was not there before."""

import json
import os
import shutil
import subprocess
import uuid
from contextlib import contextmanager

import pytest
from tests.pull.conftest import check_said, events_until, tree
from tests.testbed import require


@pytest.fixture
def refused(lading, tmp_path):
    """Run a pull that must fail, in a folder that must stay as it is; compare what it says."""

    def run(case, *arguments, env=None, replace=None):
        before = tree(tmp_path)
        completed = lading("pull", *map(str, arguments), env=env)
        assert completed.stdout == ""
        check_said(case, completed, {str(tmp_path): "TMP", **(replace or {})})
        assert tree(tmp_path) == before

    return run


@contextmanager
def small_disk(folder, size, *, readonly=False):
    """A file system of its own on *folder*."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}{',ro' if readonly else ''}", "none", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    require("mount", mounted.returncode == 0, f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# ------------------------------------------------------------------------------------------------------------ source


def test_a_missing_folder(refused, tmp_path, tiny_hf):
    shutil.copytree(tiny_hf, tmp_path / "granite-7b")
    refused("source-missing", tmp_path / "granit-7b", tmp_path / "volume")


def test_an_empty_folder(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    refused("source-empty", tmp_path / "empty", tmp_path / "volume")


def test_a_link_that_leaves_the_folder(refused, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "model" / "weights.bin").symlink_to("../secret")
    refused("source-link", tmp_path / "model", tmp_path / "volume")


def test_an_unknown_scheme(refused, tmp_path):
    refused("source-scheme", "s4://bucket/model", tmp_path / "volume")


def test_a_missing_file_of_a_web_server(refused, tmp_path, server):
    refused("http-missing", f"{server.url}/model/none.gguf?token=secret", tmp_path / "volume")


def test_a_directory_of_a_web_server(refused, tmp_path, server):
    refused("http-directory", f"{server.url}/model/", tmp_path / "volume")


def test_a_web_server_that_wants_a_password(refused, tmp_path, server):
    server.password = "someone:right"
    refused("http-denied", server.url.replace("//", "//someone:wrong@") + "/model/part-0.bin", tmp_path / "volume")


def test_a_web_server_that_is_not_there(refused, tmp_path):
    refused("http-refused", "http://127.0.0.1:9/model.gguf", tmp_path / "volume")


@pytest.mark.real("minio")
def test_a_missing_prefix(refused, tmp_path, minio_environment):
    bucket = f"models-{uuid.uuid4().hex[:8]}"
    minio_environment.bucket(bucket, {"llm/granite-7b/config.json": b"{}", "llm/llama/config.json": b"{}"})
    endpoint = ("--endpoint", minio_environment.endpoint)
    plain = tmp_path / "volume"
    refused("s3-prefix-near", f"s3://{bucket}/llm/granite-8b", plain, *endpoint, replace={bucket: "BUCKET"})
    refused("s3-prefix-far", f"s3://{bucket}/llm/xyz", plain, *endpoint, replace={bucket: "BUCKET"})


@pytest.mark.real("minio")
def test_a_missing_bucket(refused, tmp_path, minio_environment):
    bucket = f"models-{uuid.uuid4().hex[:8]}"
    minio_environment.bucket(bucket, {})
    endpoint = ("--endpoint", minio_environment.endpoint)
    refused("s3-bucket", f"s3://{bucket}x/m", tmp_path / "volume", *endpoint, replace={bucket: "BUCKET"})


@pytest.mark.real("minio")
def test_bad_credentials(refused, tmp_path, minio_environment):
    minio_environment.bucket(f"b-{uuid.uuid4().hex[:8]}", {})
    endpoint = ("--endpoint", minio_environment.endpoint)
    env = {"AWS_SECRET_ACCESS_KEY": "wrong"}
    refused("s3-secret", "s3://bucket/m", tmp_path / "volume", *endpoint, env=env)
    env = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    refused("s3-no-credentials", "s3://bucket/m", tmp_path / "volume", *endpoint, env=env)


def test_a_store_that_is_not_there(refused, tmp_path):
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    refused("s3-refused", "s3://bucket/m", tmp_path / "volume", "--endpoint", "http://127.0.0.1:9", env=env)
    refused("s3-endpoint", "s3://bucket/m", tmp_path / "volume", "--endpoint", "127.0.0.1:9", env=env)


# ----------------------------------------------------------------------------------------------------------- content


@pytest.fixture
def half(tmp_path, tiny_hf):
    """A model without its second shard."""
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_hf, folder)
    next(folder.glob("*-00002-of-*.safetensors")).unlink()
    return folder


def test_half_a_model(refused, tmp_path, half):
    refused("half-a-model", half, tmp_path / "volume")


def test_half_a_model_is_refused_before_its_bulk_is_fetched(server, lading, half, tmp_path):
    for file in half.iterdir():
        server.files[f"half/{file.name}"] = file.read_bytes()
    names = tmp_path / "list.txt"
    names.write_text("".join(f"{file.name}\n" for file in half.iterdir()))
    completed = lading("pull", f"{server.url}/half/", str(tmp_path / "volume"), "--files", str(names))
    assert "half a model" in completed.stderr
    assert not [path for path in server.sent if path.endswith(".safetensors")]


def test_a_damaged_shard(refused, tmp_path, tiny_hf):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_hf, folder)
    shard = next(folder.glob("*-00001-of-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-5])
    refused("damaged-shard", folder, tmp_path / "volume")


def test_another_format_than_expected(refused, tmp_path, tiny_hf):
    shutil.copytree(tiny_hf, tmp_path / "tiny")
    refused("wrong-format", tmp_path / "tiny", tmp_path / "volume", "--expect", "gguf")
    refused("no-such-format", tmp_path / "tiny", tmp_path / "volume", "--expect", "guf")


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("hostile-parent", ["../../etc/passwd"]),
        ("hostile-absolute", ["/etc/passwd"]),
        ("hostile-ours", ["a.bin", ".lading/volume.json"]),
        ("hostile-control", ["a\x1b[31m.bin"]),
        ("hostile-case", ["Model.bin", "model.bin"]),
    ],
)
def test_hostile_names_of_a_list(refused, tmp_path, server, case, names):
    for name in names:
        server.files[f"model/{name}"] = b"x"
        server.files[os.path.normpath(f"model/{name}")] = b"x"
        server.files[name.lstrip("/")] = b"x"
    (tmp_path / "list.txt").write_text("".join(f"{name}\n" for name in names))
    refused(case, f"{server.url}/model/", tmp_path / "volume", "--files", tmp_path / "list.txt", "--expect", "any")


def test_a_file_that_is_not_what_its_checksum_says(lading, tmp_path, server):
    """What was fetched stays for the next attempt; nothing is visible."""
    server.files["model/part-0.bin"] = server.files["model/part-0.bin"][::-1]
    completed = lading("pull", f"{server.url}/model/SHA256SUMS", str(tmp_path / "volume"), "--expect", "any")
    check_said("checksum", completed, {str(tmp_path): "TMP"})
    assert [path.name for path in (tmp_path / "volume").iterdir()] == [".lading"]


# ------------------------------------------------------------------------------------------------------- destination


def test_a_version_never_changes(lading, refused, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.joblib").write_bytes(b"one")
    os.utime(tmp_path / "model" / "model.joblib", (1, 1))
    assert lading("pull", "model", "volume", "--version", "v1").returncode == 0
    (tmp_path / "model" / "model.joblib").write_bytes(b"two")
    os.utime(tmp_path / "model" / "model.joblib", (2, 2))
    refused("other-content", "model", "volume", "--version", "v1")


def test_a_destination_that_is_no_folder(refused, tmp_path):
    (tmp_path / "model.joblib").write_bytes(b"one")
    (tmp_path / "file").write_bytes(b"")
    refused("dest-scheme", "model.joblib", "s3://bucket/volume")
    refused("dest-file", "model.joblib", "file")
    refused("dest-name", "model.joblib", "volume", "--model", "Granite 7B")


def test_an_option_of_another_source(refused, tmp_path):
    (tmp_path / "model.joblib").write_bytes(b"one")
    (tmp_path / "list.txt").write_text("model.joblib\n")
    refused("option-endpoint", "model.joblib", "volume", "--endpoint", "http://127.0.0.1:9000")
    refused("option-files", "model.joblib", "volume", "--files", "list.txt")


def test_no_space(lading, tmp_path):
    (tmp_path / "model.joblib").write_bytes(bytes(3_000_000))
    with small_disk(tmp_path / "disk", "1m") as disk:
        completed = lading("pull", "model.joblib", str(disk / "volume"))
        check_said("no-space", completed, {str(tmp_path): "TMP"})
        assert [path.name for path in (disk / "volume").iterdir()] == [".lading"]


def test_no_space_seen_only_while_writing(lading, tmp_path, server):
    """The server does not say how long the file is."""
    server.chunked = True
    with small_disk(tmp_path / "disk", "1m") as disk:
        completed = lading("pull", f"{server.url}/model/part-0.bin", str(disk / "volume"), "--expect", "any")
        check_said("no-space-late", completed, {str(tmp_path): "TMP"})
        assert tree(disk / "volume/.lading/incoming") == set()


def test_a_volume_that_cannot_be_written(lading, tmp_path):
    (tmp_path / "model.joblib").write_bytes(b"one")
    with small_disk(tmp_path / "disk", "1m", readonly=True) as disk:
        completed = lading("pull", "model.joblib", str(disk / "volume"))
        check_said("read-only", completed, {str(tmp_path): "TMP"})


def test_two_pulls_of_one_model(lading, start, server, tmp_path):
    server.slow = 0.5  # the biggest file takes 15 s, unless it is let go
    arguments = (f"{server.url}/model/SHA256SUMS", tmp_path / "volume", "--expect", "any")
    first = start(*arguments)
    events_until(first, "pull_progress", 1)
    completed = lading("pull", *map(str, arguments))
    assert completed.returncode == 1
    [owner] = (tmp_path / "volume/.lading/locks").glob("*/owner.json")
    since = json.loads(owner.read_text())["since"]
    hidden = {str(tmp_path): "TMP", str(first.pid): "PID", os.uname().nodename: "HOST", since: "TIME"}
    check_said("busy", completed, hidden)
    server.slow = 0
    events_until(first, "published", 1)
    assert first.wait() == 0


def test_errors_in_json_mode_go_to_stderr_alone(lading, tmp_path):
    completed = lading("pull", "missing", "volume", "--format", "json")
    assert completed.stdout == ""
    assert completed.returncode == 1
