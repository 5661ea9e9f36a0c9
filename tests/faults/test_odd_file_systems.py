"""Pulls onto a file system that fails, forgets or lacks things, by FUSE (`odd_fs.py`): healed, or one clear error and a rerun that
completes; after a loss of power, what is listed is whole."""

import importlib.util
import json
import random
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults import odd_fs
from tests.faults.conftest import MIB, SOAK, check_told, model, outcome, whole_only
from tests.faults.test_disks import completes
from tests.faults.test_resume import until
from tests.testbed import require

from lading.errors import LadingError, VolumeError, VolumeFull
from lading.events import Published

CONTENT = model(17 * MIB, 300_000, 10)
LITTLE = model(60_000, 3_000, 0)
#: A small pull makes some hundred calls that change something.
ERROR_AT = range(120) if SOAK else (2, 9, 20, 33, 48, 60, 75)
STALE_AT = range(0, 60, 3) if SOAK else (1, 20)
POWER_CUTS = 60 if SOAK else 3


@pytest.fixture
def odd(tmp_path):
    """Mounts a folder with faults, ``with odd(times=1, at=5) as place``; the same folder each time."""
    backing, place = tmp_path / "backing", tmp_path / "odd"
    backing.mkdir()
    place.mkdir()
    require("fuse", Path("/dev/fuse").exists(), "no /dev/fuse")

    @contextmanager
    def mounted(**faults):
        argv = [sys.executable, odd_fs.__file__, backing, place, json.dumps(faults)]
        process = subprocess.Popen([*map(str, argv)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            until(lambda: place.is_mount() or process.poll() is not None)
            require("fuse", process.poll() is None, "cannot mount here")
            yield place
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
            subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)

    mounted.backing = backing
    return mounted


def on(bed, place):
    bed.volume = place / "volume"
    return bed


@pytest.mark.real("fuse")
@pytest.mark.parametrize("at", ERROR_AT)
def test_an_error_of_the_device_at_any_call(at, odd, bed):
    """EIO once, at the n-th call that changes something: nothing half is visible, the next attempt completes."""
    with odd(error="EIO", at=at, times=1) as place:
        one = on(bed(LITTLE), place)
        ended = outcome(one.pull)
        assert isinstance(ended, Published | VolumeError), ended
        if not isinstance(ended, Published):
            assert "Input/output error" in ended.message
        completes_or_is(one)


def completes_or_is(bed):
    """The next attempt publishes it, where it is not published."""
    assert not isinstance(again := outcome(bed.pull), LadingError), again
    bed.check(published=True)


@pytest.mark.real("fuse")
@pytest.mark.parametrize("operation", ["getattr", "open", "read", "readdir", "readlink", "statfs"])
def test_a_stale_handle(operation, odd, bed):
    """ESTALE of each call that looks, once, after a first version is there."""
    with odd() as place:
        assert isinstance(on(bed(LITTLE), place).pull(version="v0"), Published)
    for at in STALE_AT:
        with odd(operation=operation, error="ESTALE", at=at, times=1) as place:
            one = on(bed(LITTLE), place)
            ended = outcome(lambda one=one, at=at: one.pull(version=f"v{at + 1}"))
            assert not isinstance(ended, LadingError) or isinstance(ended, VolumeError), ended
            assert not isinstance(
                again := outcome(lambda one=one, at=at: one.pull(version=f"v{at + 1}")), LadingError
            ), again
        assert whole_only(odd.backing / "volume", [LITTLE])


@pytest.mark.real("fuse")
def test_over_quota(odd, bed):
    with odd(quota_bytes=5 * MIB) as place:
        one = on(bed(CONTENT), place)
        error = outcome(one.pull)
        assert isinstance(error, VolumeFull), error
        told = error.message.rpartition(",")[0].replace("cannot finish", "cannot write")  # whichever comes first
        check_told("quota", VolumeFull(re.sub(r"part-\d", "part-0", told), hint=error.hint), {str(place): "DISK"})
        one.check(published=False)
    with odd() as place:
        completes(one)


@pytest.mark.real("fuse")
def test_a_file_system_that_lacks_what_others_have(odd, bed):
    """No hard links, no direct I/O, no preallocation, no modes, no flags of rename."""
    with odd(lacks=["link", "direct", "chmod"]) as place:
        one = on(bed(CONTENT), place)
        completes(one)
        assert isinstance(one.pull(version="again"), Published)
        one.check(published=True)


@pytest.mark.real("fuse")
@pytest.mark.parametrize("seed", range(POWER_CUTS))
def test_a_loss_of_power(seed, odd, bed, process):
    """Bytes that were not synced are gone, names are not: what is listed is whole, and the rerun completes."""
    chance = random.Random(seed)
    with odd(loses=True) as place:
        one = on(bed(CONTENT), place)
        one.server.rate_bytes_per_s = 30 * MIB
        goal = chance.randrange(1, sum(map(len, CONTENT.values())) + MIB)
        pulling = process("pull", one.address, one.volume, "--expect", "any", "--model", "model")
        until(lambda: one.server.sent_bytes >= goal or pulling.poll() is not None)
    pulling.kill()
    pulling.wait()
    one.server.rate_bytes_per_s = None
    whole_only(odd.backing / "volume", [CONTENT])
    with odd(loses=True) as place:
        completes_or_is(one)
    assert whole_only(odd.backing / "volume", [CONTENT])


def test_the_module_that_mounts_is_there():
    """Its absence would skip all of this without a word."""
    assert importlib.util.find_spec("mfusepy")
