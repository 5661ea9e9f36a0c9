"""Pulls onto real small file systems: full, out of inodes, turned read-only, of several kinds. One clear error, and the same pull
completes once there is room again."""

import re
import subprocess

import pytest
from tests.faults.conftest import MIB, check_told, model, outcome
from tests.testbed.filesystems import image, mounted

from lading.errors import VolumeFull, VolumeNotWritable
from lading.events import Published
from lading.testing import faults

CONTENT = model(17 * MIB, 2 * MIB, 100_000, 10)
EXT4 = ("mkfs.ext4", "-q", "-F", "-m", "0")


@pytest.fixture
def disk(tmp_path):
    """Makes a small ext4; gives where it is mounted, and its image."""
    mounts = []

    def make(size_bytes, *options):
        made = image(tmp_path / "image", size_bytes, [*EXT4, *options])
        mounts.append(mounted(tmp_path / "disk", "-o", "loop", str(made)))
        return mounts[-1].__enter__()

    yield make
    for mount in mounts:
        mount.__exit__(None, None, None)


def on(bed, place):
    """A bed whose volume is on that file system."""
    bed.volume = place / "volume"
    return bed


def ended(bed, case, kind):
    """The pull ends with that error, and nothing is published. Which file met it is chance."""
    error = outcome(bed.pull)
    assert isinstance(error, kind), error
    told = kind(re.sub(r"part-\d+.bin", "FILE", error.message), hint=error.hint)
    check_told(case, told, {str(bed.volume.parent): "DISK"})
    bed.check(published=False)


def completes(bed):
    assert isinstance(bed.pull(), Published)
    bed.check(published=True)


@pytest.mark.real("ext4")
def test_a_disk_too_small_is_refused_before_a_byte_is_fetched(bed, disk):
    small = on(bed(CONTENT), disk(16 * MIB))
    error = outcome(small.pull)
    assert isinstance(error, VolumeFull)
    assert small.server.sent("model/part-*") == 0


@pytest.mark.real("ext4")
def test_a_disk_that_others_fill_meanwhile(bed, disk):
    small = on(bed(model(*[5 * MIB] * 4)), disk(32 * MIB))  # big files have their blocks from the start
    filler = small.volume.parent / "filler"

    def fill():
        with filler.open("wb") as file:
            subprocess.run(["cat", "/dev/zero"], stdout=file, stderr=subprocess.DEVNULL, check=False)

    small.server.plan(faults.calls(fill), path="model/part-0.bin")
    error = outcome(small.pull)
    assert isinstance(error, VolumeFull), error
    assert "lading prune" in error.hint
    small.check(published=False)
    filler.unlink()
    completes(small)


@pytest.mark.real("ext4")
def test_a_disk_without_inodes(bed, disk):
    many = on(bed(model(*[100] * 60)), disk(16 * MIB, "-N", "48"))
    ended(many, "disk-inodes", VolumeFull)


@pytest.mark.real("ext4")
def test_a_disk_that_turns_read_only(bed, disk, tmp_path):
    """As ext4 does after an error of the device."""
    place = disk(64 * MIB)
    turned = on(bed(CONTENT), place)
    abort = ["mount", "-o", "remount,abort", str(place)]
    turned.server.plan(
        faults.calls(lambda: subprocess.run(abort, check=True), after_bytes=MIB), path="model/part-0.bin", at=1
    )
    error = outcome(turned.pull)
    assert isinstance(error, VolumeNotWritable), error
    assert "must be mounted writable" in error.hint


@pytest.mark.real("xfs")
def test_xfs_takes_a_pull(bed, tmp_path):
    made = image(tmp_path / "image", 320 * MIB, ["mkfs.xfs", "-q"])
    with mounted(tmp_path / "disk", "-o", "loop", str(made)) as place:
        completes(on(bed(CONTENT), place))


@pytest.mark.real("tmpfs")
def test_memory_as_a_disk_takes_a_pull(bed, tmp_path):
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64m", "tmpfs") as place:
        completes(on(bed(CONTENT), place))
