"""`lading diff`: what a switch would change, on volumes and against a source."""

import json
import os

import pytest

from lading.testing.volume import publish
from lading.volume import find


def safetensors(**tensors):
    """A file with tensors of bytes: name → shape; filled with zeros."""
    header, end = {}, 0
    for name, shape in tensors.items():
        count = 1
        for size in shape:
            count *= size
        header[name] = {"dtype": "U8", "shape": shape, "data_offsets": [end, end + count]}
        end += count
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


OLD = {
    "config.json": b'{"hidden_size": 4, "rope": {"theta": 1}, "gone": true}',
    "model.safetensors": safetensors(embed=[4, 4], old=[2]),
    "README.md": b"read me",
    "LICENSE": b"free",
}
NEW = {
    "config.json": b'{"hidden_size": 8, "rope": {"theta": 1}}',
    "model.safetensors": safetensors(embed=[8, 4], new=[2]),
    "README.md": b"read me",
    "notes.txt": b"new",
}


@pytest.fixture
def volume(tmp_path):
    volume = find.create_volume(tmp_path / "vol")
    publish(volume, "tiny", "v1", OLD, kind="huggingface")
    publish(volume, "tiny", "v2", NEW, kind="huggingface", at="2026-02-01T00:00:00Z")
    return volume


@pytest.fixture
def ran(lading, tmp_path):
    def run(*arguments):
        return lading("diff", *arguments, cwd=tmp_path)

    return run


def answers(done):
    *files, summary = (json.loads(line) for line in done.stdout.splitlines())
    return {file["path"]: file["change"] for file in files}, summary


def test_files_keys_and_tensors_are_told(ran, volume):
    done = ran("vol/tiny@v1", "vol/tiny@v2", "--format", "json")
    files, summary = answers(done)
    assert done.returncode == 4, done.stderr
    assert files == {
        "LICENSE": "removed", "config.json": "changed", "model.safetensors": "changed", "notes.txt": "added",
    }  # fmt: skip
    assert (summary["same"], summary["same_files"], summary["different_files"]) == (False, 1, 4)
    assert summary["load_bytes"] == sum(len(NEW[path]) for path in ("config.json", "model.safetensors", "notes.txt"))
    assert [(key["name"], key.get("before"), key.get("after")) for key in summary["config"]] == [
        ("gone", "true", None), ("hidden_size", "4", "8"),
    ]  # fmt: skip
    assert [(tensor["name"], tensor.get("before"), tensor.get("after")) for tensor in summary["tensors"]] == [
        ("embed", "U8 [4, 4]", "U8 [8, 4]"), ("new", None, "U8 [2]"), ("old", "U8 [2]", None),
    ]  # fmt: skip


def test_people_are_told_first_what_it_comes_to(ran, volume):
    done = ran("vol/tiny@v1", "vol/tiny@v2")
    assert done.stdout.splitlines()[0].startswith(
        "tiny@v1 and tiny@v2 differ in 4 files; 1 is the same; a switch to the second loads "
    )
    assert "hidden_size\t4\t8" in done.stdout
    assert "embed\tU8 [4, 4]\tU8 [8, 4]" in done.stdout
    same = ran("vol/tiny@v1", "vol/tiny@v1")
    assert (same.returncode, same.stdout) == (0, "tiny@v1 and tiny@v1 have the same 4 files, byte for byte\n")


def test_a_source_is_held_against_a_version(ran, volume, tmp_path):
    """What its listing does not tell of small files is read; of big ones it is said that nobody knows."""
    folder = tmp_path / "Tiny"
    folder.mkdir()
    for path, data in OLD.items():
        (folder / path).write_bytes(data)
    assert ran("Tiny", "vol/tiny@v1").returncode == 0
    (folder / "config.json").write_bytes(NEW["config.json"].ljust(len(OLD["config.json"])))
    files, summary = answers(ran("vol/tiny@v1", "Tiny", "--format", "json"))
    assert files == {"config.json": "changed"}
    assert [key["name"] for key in summary["config"]] == ["gone", "hidden_size"]
    (folder / "big.bin").write_bytes(os.urandom(5 << 20))
    publish(volume, "big", "v1", {"big.bin": (folder / "big.bin").read_bytes()})
    for path in OLD:
        (folder / path).unlink()
    assert answers(ran("vol/big", "Tiny", "--format", "json"))[0] == {"big.bin": "unknown"}


def test_a_head_that_cannot_be_read_is_said_and_the_files_are_told(ran, volume):
    (volume.root / "tiny" / "v2" / "model.safetensors").write_bytes(b"rotten" * 50)
    done = ran("vol/tiny@v1", "vol/tiny@v2")
    assert done.returncode == 4
    assert "keys or tensors could not be compared: model.safetensors is not a whole safetensors file" in done.stderr


def test_an_error_is_not_a_difference(ran, volume):
    assert ran("vol/tiny@v1", "vol/tiny@v9").returncode == 1
