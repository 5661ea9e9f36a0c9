"""What of a model is mounted in a container, and where the server finds it; what cannot be followed there is refused."""

import os
from pathlib import Path

import pytest

from lading.backends import docker_mount
from lading.errors import InvalidInput


def test_a_file_comes_alone(tmp_path):
    (tmp_path / "tiny.gguf").touch()
    mounted = docker_mount.of(str(tmp_path / "tiny.gguf"))
    assert (mounted.source, mounted.model) == (str(tmp_path / "tiny.gguf"), "/mnt/models/tiny.gguf")


def test_a_link_to_a_file_keeps_its_name(tmp_path):
    (tmp_path / "blob").touch()
    (tmp_path / "tiny.gguf").symlink_to("blob")
    mounted = docker_mount.of(str(tmp_path / "tiny.gguf"))
    assert (mounted.source, mounted.model) == (str(tmp_path / "blob"), "/mnt/models/tiny.gguf")


def test_a_part_of_a_split_file_brings_its_folder(tmp_path):
    (tmp_path / "m-00001-of-00002.gguf").touch()
    mounted = docker_mount.of(str(tmp_path / "m-00001-of-00002.gguf"))
    assert (mounted.source, mounted.model) == (str(tmp_path), "/mnt/models/m-00001-of-00002.gguf")


def test_a_folder_is_mounted_as_it_is_behind_its_link(tmp_path):
    (tmp_path / "v2").mkdir()
    (tmp_path / "current").symlink_to("v2")
    mounted = docker_mount.of(str(tmp_path / "current"))
    assert (mounted.source, mounted.target, mounted.model) == (str(tmp_path / "v2"), "/mnt/models", "/mnt/models")


def test_links_out_of_a_folder_are_followed_from_the_nearest_folder_that_holds_both(tmp_path):
    """The Hugging Face cache."""
    snapshot = tmp_path / "models--a--b" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir()
    (blobs / "1234").touch()
    (snapshot / "model.safetensors").symlink_to("../../blobs/1234")
    mounted = docker_mount.of(str(snapshot))
    assert mounted.source == str(tmp_path / "models--a--b")
    assert mounted.model == "/mnt/models/snapshots/abc"
    inside = Path(mounted.model.replace("/mnt/models", mounted.source, 1)) / "model.safetensors"
    assert inside.exists()


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../../../../../../../../../../etc/hostname"])
def test_links_that_lead_nowhere_in_a_container_or_to_everything_are_refused(tmp_path, target):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(target)
    with pytest.raises(InvalidInput, match=r"absolute path|all of /") as raised:
        docker_mount.of(str(folder))
    assert "lading pull" in raised.value.hint


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(InvalidInput, match="no model is at"):
        docker_mount.of(os.fspath(tmp_path / "nothing"))
