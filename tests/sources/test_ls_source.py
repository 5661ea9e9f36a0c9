"""`lading ls` of a source: which models a real bucket, or a web server, has, and whether they are whole."""

import hashlib
import json
import uuid

import pytest

from lading.testing import faulty

pytestmark = pytest.mark.real("minio")


@pytest.fixture(scope="module")
def models(minio, tiny_hf, tiny_gguf):
    """A bucket with a whole model, half of one, a GGUF, and what is none."""
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    objects = {f"llm/tiny/{file.name}": file.read_bytes() for file in tiny_hf.iterdir()}
    half = {f"llm/half/{file.name}": file.read_bytes() for file in tiny_hf.iterdir() if "00002-of" not in file.name}
    other = {"gguf/tiny/model.gguf": tiny_gguf.read_bytes(), "notes/readme.md": b"x"}
    minio.bucket(bucket, objects | half | other)
    return bucket


@pytest.fixture
def ls(lading, minio):
    return lambda *arguments, endpoint=minio.endpoint: lading(
        "ls", *arguments, "--endpoint", endpoint, env=minio.environment
    )


def test_models_below_a_prefix_with_what_is_wrong_with_them(ls, models, tiny_gguf):
    lines = ls(f"s3://{models}").stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    assert rows[0] == ["model", "format", "size", "files", "problem"]
    assert [(row[0], row[1], row[3]) for row in rows[1:]] == [
        ("gguf/tiny", "gguf", "1"), ("llm/half", "huggingface", "7"), ("llm/tiny", "huggingface", "8"),
    ]  # fmt: skip
    assert "1 of the 2 shards" in rows[2][4]
    assert rows[1][4] == rows[3][4] == ""


def test_one_document_for_each_model(ls, models, tiny_gguf):
    documents = [json.loads(line) for line in ls(f"s3://{models}/gguf", "--format", "json").stdout.splitlines()]
    assert documents == [
        {"source": f"s3://{models}/gguf", "path": "tiny", "format": "gguf", "files": 1,
         "size_bytes": tiny_gguf.stat().st_size, "problem": None}
    ]  # fmt: skip


def test_the_files_of_a_model(ls, models, tiny_hf):
    lines = ls(f"s3://{models}/llm/tiny", "--files", "--format", "json").stdout.splitlines()
    documents = [json.loads(line) for line in lines]
    assert {one["path"]: one["size_bytes"] for one in documents} == {
        file.name: file.stat().st_size for file in tiny_hf.iterdir()
    }
    assert {one["folder"] for one in documents} == {"."}


def test_heads_are_read_and_tensors_are_not(ls, models, minio, tiny_hf):
    """What crosses the wire is a fraction of the model."""
    with faulty.serving(faulty.Upstream(minio.endpoint)) as server:
        assert ls(f"s3://{models}/llm/tiny", endpoint=server.url).returncode == 0
        sent = server.sent(f"{models}/llm/tiny/*.safetensors")
    weights = sum(file.stat().st_size for file in tiny_hf.glob("*.safetensors"))
    assert 0 < sent < weights / 10


def test_a_prefix_without_a_model_is_said_to_have_none(ls, models):
    result = ls(f"s3://{models}/notes")
    assert (result.returncode, result.stdout) == (0, "")
    assert f"no model is at s3://{models}/notes: 1 file, 1 B" in result.stderr


def test_nothing_there_is_an_error(ls, models):
    result = ls(f"s3://{models}/absent")
    assert result.returncode == 1
    assert "has no objects" in result.stderr


def test_a_web_server_is_listed_by_its_checksum_file(lading, tiny_gguf):
    data = tiny_gguf.read_bytes()
    sums = f"{hashlib.sha256(data).hexdigest()}  tiny/model.gguf\n".encode()
    with faulty.serving({"d/SHA256SUMS": sums, "d/tiny/model.gguf": data}) as server:
        result = lading("ls", f"{server.url}/d/SHA256SUMS", "--format", "json")
    assert json.loads(result.stdout)["path"] == "tiny"
    assert json.loads(result.stdout)["problem"] is None
