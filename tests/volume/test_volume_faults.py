"""Real faults of a volume: full, read-only, newer, damaged, shared between users. Nothing half-done is left."""

import json
import os
import shutil
import stat
import subprocess
import sys

import pytest
from tests.testbed import require

from lading.errors import (
    InvalidReference,
    ModelBusy,
    NotPublished,
    VolumeError,
    VolumeFull,
    VolumeNotWritable,
    VolumeTooNew,
)
from lading.spec.ref import LocalRef
from lading.testing.volume import CONTENT, OTHER, files_of, listed, manifest, publish, transfer, write
from lading.volume import find
from lading.volume.fs import Fs
from lading.weights import layout
from lading.weights.listing import Entry


@pytest.fixture
def root(tmp_path):
    return tmp_path / "volume"


@pytest.fixture
def volume(root):
    return find.create_volume(root)


@pytest.fixture
def small(tmp_path):
    """A real file system of 256 KiB; a process of its own unmounts it, even when this one is killed."""
    place = tmp_path / "small"
    place.mkdir()
    keeper = subprocess.Popen(
        ["sh", "-c", 'mount -t tmpfs -o size=256k tmpfs "$0" || exit; echo mounted; read -r _; umount -l "$0"', place],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    mounted = keeper.stdout.readline()
    if mounted:
        yield place
    _, said = keeper.communicate()
    require("tmpfs", mounted, f"cannot mount one here: {said.strip()}")


@pytest.mark.real("tmpfs")
def test_a_volume_that_fills_up_says_what_is_free_and_keeps_what_is_finished(small):
    """Another writer took the space after it was checked."""
    volume = find.create_volume(small)
    with volume.stage("tiny", "v1", "t") as staging:
        write(staging, "first.bin", b"x" * 50_000)
        staged = staging.open(Entry(path="second.bin", size_bytes=None))
        with pytest.raises(VolumeFull) as refused:
            staged.write(memoryview(b"x" * 1_000_000), 0)
        staged.abandon()
    assert "free" in refused.value.message
    assert "lading prune" in refused.value.hint
    with volume.stage("tiny", "v1", "t") as staging:
        assert set(staging.finished) == {"first.bin"}
        with pytest.raises(VolumeFull, match=r"needs 2.00 MB, the volume .* has .* free"):
            staging.open(Entry(path="second.bin", size_bytes=2_000_000))
    assert listed(volume) == set()


@pytest.mark.real("another user")
def test_a_volume_that_refuses_writes(tmp_path):
    """As a user who may only read: reading works, writing says why, nothing is left."""
    require("another user", os.geteuid() == 0 and shutil.which("setpriv"), "only root can become another user")
    root = tmp_path / "volume"
    publish(find.create_volume(root), "tiny", "v1")
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    before = set(root.rglob("*"))
    code = f"""if True:
        from pathlib import Path
        from lading.errors import VolumeNotWritable
        from lading.volume import find
        volume = find.open_volume(Path({str(root)!r}))
        print([m.version for m in volume.manifests()], volume.leftovers())
        actions = [lambda: volume.use("tiny", "v1"), lambda: volume.remove("tiny", "v1"),
                   lambda: volume.stage("tiny", "v2", "t").__enter__(), lambda: find.create_volume(Path({str(tmp_path / "new")!r}))]
        for act in actions:
            try:
                act()
            except VolumeNotWritable as error:
                print("refused", error.hint is not None)
    """
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join([str(path) for path in sys.path if path]), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    reachable = "No module named" not in done.stderr and "Permission denied" not in done.stderr
    require("another user", reachable, "the interpreter's own files are closed to others")
    assert done.stdout.splitlines() == ["['v1'] ()", *["refused True"] * 4], done.stderr
    assert set(root.rglob("*")) == before
    assert not (tmp_path / "new").exists()


def test_a_newer_layout_is_refused_for_reading_too(root, volume):
    document = json.loads((root / layout.VOLUME).read_text())
    (root / layout.VOLUME).write_text(json.dumps(document | {"layout": 2, "new": True}))
    with pytest.raises(VolumeTooNew, match="layout 2"):
        find.open_volume(root)
    with pytest.raises(VolumeTooNew):
        find.create_volume(root)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"layout": "one"}', '{"layout": 1}', "\0"])
def test_a_damaged_volume_document_is_named(root, volume, text):
    (root / layout.VOLUME).write_text(text)
    with pytest.raises(VolumeError, match=r"volume\.json is damaged"):
        find.open_volume(root)


def test_a_newer_manifest_is_refused(root, volume):
    publish(volume, "tiny", "v1")
    path = root / layout.manifest("tiny", "v1")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"manifest_version": 2}))
    with pytest.raises(VolumeTooNew, match=r"tiny/v1\.json was written by a newer Lading"):
        list(volume.manifests())


def test_a_damaged_manifest_is_named_and_its_version_can_be_removed(root, volume):
    publish(volume, "tiny", "v1")
    publish(volume, "tiny", "v2", OTHER)
    (root / layout.manifest("tiny", "v1")).write_text("{")
    with pytest.raises(VolumeError, match=r"v1\.json is damaged"):
        list(volume.manifests())
    volume.remove("tiny", "v1")
    assert listed(volume) == {("tiny", "v2")}
    assert not (root / "tiny" / "v1").exists()


def test_a_manifest_in_a_wrong_place_is_not_believed(root, volume):
    publish(volume, "tiny", "v1")
    shutil.copy(root / layout.manifest("tiny", "v1"), root / layout.manifest("tiny", "v9"))
    with pytest.raises(VolumeError, match="it is of tiny@v1"):
        volume.manifest("tiny", "v9")


def test_a_manifest_cannot_lead_out_of_the_volume(root, volume):
    publish(volume, "tiny", "v1")
    path = root / layout.manifest("tiny", "v1")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"path": "../outside"}))
    (root.parent / "outside").mkdir()
    (root.parent / "outside" / "precious").write_text("x")
    with pytest.raises(Exception, match="must not be written"):
        volume.directory(volume.manifest("tiny", "v1"))
    volume.remove("tiny", "v1")
    assert (root.parent / "outside" / "precious").read_text() == "x"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_published_files_are_readable_by_all_whatever_the_umask(root, umask):
    before = os.umask(umask)
    try:
        root.mkdir(mode=0o755)
        root.chmod(0o755)
        publish(find.create_volume(root), "tiny", "v1")
    finally:
        os.umask(before)
    modes = {
        path.relative_to(root).as_posix(): stat.S_IMODE(path.lstat().st_mode)
        for path in root.rglob("*")
        if not path.is_symlink()
    }
    assert {modes[f"tiny/v1/{name}"] for name in CONTENT} == {0o644}
    assert {modes[name] for name in ("tiny", "tiny/v1", "tiny/v1/sub", ".lading", ".lading/manifests/tiny")} == {0o755}
    assert modes[".lading/manifests/tiny/v1.json"] == modes[".lading/volume.json"] == 0o644


def test_a_group_writable_volume_is_shared(root):
    """Files and directories are the group's too, with setgid, whatever the umask."""
    before = os.umask(0o077)
    try:
        root.mkdir()
        root.chmod(0o2775)
        publish(find.create_volume(root), "tiny", "v1")
    finally:
        os.umask(before)
    for path in root.rglob("*"):
        if not path.is_symlink() and "locks" not in path.parts:
            wanted = 0o2775 if path.is_dir() else 0o664
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_an_empty_directory_of_another_owner_is_named_with_the_pod(root, volume, monkeypatch):
    (root / "tiny" / "v1").mkdir(parents=True)

    real = Fs.rmdir

    def refuse(self, path):
        if path == root / "tiny" / "v1":
            raise PermissionError(13, "Permission denied", str(path))
        real(self, path)

    with volume.stage("tiny", "v1", transfer(volume, "tiny", "v1", CONTENT)) as staging:
        for path, data in CONTENT.items():
            write(staging, path, data)
    monkeypatch.setattr("lading.volume.fs.Fs.rmdir", refuse)
    with pytest.raises(VolumeNotWritable, match="kubelet made it") as refused:
        publish(volume, "tiny", "v1")
    assert "delete that pod" in refused.value.hint
    monkeypatch.undo()
    assert publish(volume, "tiny", "v1") == []


def test_a_writer_whose_lock_was_taken_over_touches_nothing_any_more(root, volume):
    """It stalled for minutes; another one goes on with its staging."""
    with volume.stage("tiny", "v1", "t") as staging:
        staging.open(Entry(path="a", size_bytes=9)).write(memoryview(b"theirs"), 0)
        owner = root / layout.lock("tiny") / "owner.json"
        owner.write_text(json.dumps(json.loads(owner.read_text()) | {"token": "another"}))
        with pytest.raises(ModelBusy, match="taken over"):
            volume.publish(staging, manifest("tiny", "v1", {}))
    assert (root / layout.incoming("t") / "a").read_bytes() == b"theirs"
    assert listed(volume) == set()
    assert owner.exists()


def test_history_tells_what_happened(root, volume):
    publish(volume, "tiny", "v1")
    publish(volume, "tiny", "v2", OTHER)
    volume.use("tiny", "v1")
    volume.use("tiny", "v1")
    volume.remove("tiny", "v2")
    lines = [json.loads(line) for line in (root / layout.HISTORY).read_text().splitlines()]
    assert [(line["what"], line["version"], line.get("previous")) for line in lines] == [
        ("publish", "v1", None),
        ("use", "v1", None),
        ("publish", "v2", None),
        ("use", "v2", "v1"),
        ("use", "v1", "v2"),
        ("remove", "v2", None),
    ]


def test_removing_an_adopted_model_leaves_its_files(root, volume):
    (root / "lay-here").mkdir()
    (root / "lay-here" / "weights.bin").write_bytes(b"x")
    publish(volume, "tiny", "v1", OTHER)
    path = root / layout.manifest("tiny", "v1")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"path": "lay-here"}))
    volume.remove("tiny", "v1")
    assert listed(volume) == set()
    assert files_of(root / "lay-here") == {"weights.bin": b"x"}


class TestFind:
    """From a reference to a volume."""

    def found(self, path, version=None):
        found = find.find(LocalRef(path=str(path), version=version))
        return found.volume.root, found.model, found.version

    def test_the_nearest_directory_upwards_is_the_volume(self, root, volume, monkeypatch):
        publish(volume, "org/tiny", "v1")
        assert self.found(root) == (root, None, None)
        assert self.found(root / "org" / "tiny") == (root, "org/tiny", None)
        assert self.found(root / "org" / "tiny", "v1") == (root, "org/tiny", "v1")
        assert self.found(root / "org" / "new") == (root, "org/new", None)
        monkeypatch.chdir(root)
        assert self.found(".") == (root, None, None)
        assert self.found("org/tiny") == (root, "org/tiny", None)

    def test_a_published_versions_directory_and_current_are_understood(self, root, volume):
        publish(volume, "org/tiny", "v1")
        assert self.found(root / "org" / "tiny" / "v1") == (root, "org/tiny", "v1")
        assert self.found(root / "org" / "tiny" / "current") == (root, "org/tiny", None)

    def test_a_volume_in_a_volume_is_nearer(self, root, volume):
        inner = find.create_volume(root / "inner")
        assert self.found(root / "inner" / "tiny") == (inner.root, "tiny", None)
        assert inner.id != volume.id

    def test_what_is_no_volume_is_said(self, tmp_path):
        with pytest.raises(VolumeError, match="is not a volume, nor inside one") as refused:
            self.found(tmp_path)
        assert "lading pull SOURCE" in refused.value.hint
        with pytest.raises(VolumeError, match="does not exist"):
            self.found(tmp_path / "missing")
        assert find.locate(LocalRef(path=str(tmp_path))) is None

    def test_a_name_that_cannot_be_a_model_is_refused_with_one_that_can(self, root, volume):
        with pytest.raises(InvalidReference) as refused:
            self.found(root / "Mistral-7B")
        assert refused.value.hint == "call it `mistral-7b`"

    def test_foreign_files_stay_when_a_folder_becomes_a_volume(self, root):
        root.mkdir()
        (root / "mine").write_text("x")
        find.create_volume(root)
        assert (root / "mine").read_text() == "x"
        assert find.create_volume(root).id == find.open_volume(root).id

    def test_a_file_cannot_be_a_volume(self, root):
        root.write_text("x")
        with pytest.raises(VolumeError):
            find.create_volume(root)
        assert root.read_text() == "x"

    def test_an_empty_volume_has_nothing(self, volume):
        with pytest.raises(NotPublished, match="no model 'tiny'"):
            volume.manifest("tiny")
