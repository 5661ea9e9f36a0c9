"""Permissions of a volume: what is wanted, what a process may change, and the whole of it in a pod without root."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.claim.conftest import answer

from lading.volume import permissions

SCRIPT = """
import json, os, sys
from dataclasses import asdict
from pathlib import Path
from lading.volume import permissions
os.setgroups([]), os.setgid(4711), os.setuid(4711)  # the folders above it are closed to that user, this one is open
print(json.dumps(asdict(permissions.repair(Path("volume"), dry_run=sys.argv[1] == "dry"))))
"""


def modes(root):
    """The permission bits of everything below *root*."""
    return {
        path.relative_to(root).as_posix(): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in sorted(root.rglob("*"))
        if not path.is_symlink()
    }


@pytest.fixture
def volume(tmp_path):
    """A volume whose group may write, filled by hand: nothing in it is as it should be."""
    root = tmp_path / "volume"
    (root / "model" / "deep").mkdir(parents=True)
    (root / "model" / "deep" / "weights.bin").write_bytes(b"x")
    (root / "model" / "run.sh").write_bytes(b"x")
    (root / "lost+found").mkdir(mode=0o700)
    (root / "model" / "link").symlink_to("/etc/passwd")
    (root / "model" / "deep" / "weights.bin").chmod(0o600)
    (root / "model" / "run.sh").chmod(0o700)
    (root / "model" / "deep").chmod(0o700)
    (root / "model").chmod(0o755)
    root.chmod(0o2775)
    return root


def test_bits_are_added_never_taken_away(volume):
    """What everybody may read, and the group write, they may; a program stays one; links and lost+found are left alone."""
    before = (Path("/etc/passwd").stat(), modes(volume))
    dry = permissions.repair(volume, dry_run=True)
    assert modes(volume) == before[1]
    done = permissions.repair(volume)
    assert (dry.changed, done.changed, done.refused_count) == (4, 4, 0)
    assert modes(volume) == {
        "lost+found": "0o700",
        "model": "0o2775",
        "model/deep": "0o2775",
        "model/deep/weights.bin": "0o664",
        "model/run.sh": "0o764",
    }
    assert Path("/etc/passwd").stat() == before[0]
    assert permissions.repair(volume).changed == 0


def test_a_volume_that_its_group_may_not_write_is_made_readable_and_no_more(volume):
    volume.chmod(0o755)
    found = permissions.repair(volume)
    assert found.group is None
    assert modes(volume)["model/deep"] == "0o755"
    assert modes(volume)["model/deep/weights.bin"] == "0o644"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others, which root alone may")
def test_what_belongs_to_others_is_named_and_left(volume):
    """As a user without root: own files are mended, others' are refused, the dry run tells both as they come."""
    volume.parent.chmod(0o755)
    for path in (volume, volume / "model", volume / "model" / "run.sh"):
        os.chown(path, 4711, 4711)
    counts = []
    for how in ("dry", "really"):
        argv = [sys.executable, "-c", SCRIPT, how]
        result = subprocess.run(argv, cwd=volume.parent, capture_output=True, text=True, check=True)
        counts.append(permissions.Findings(**json.loads(result.stdout)))
    assert counts[0] == counts[1]
    assert (counts[1].refused, counts[1].closed) == (["model/deep"], 1)
    assert modes(volume)["model/run.sh"] == "0o764"
    assert modes(volume)["model/deep"] == "0o700"


@pytest.mark.real("cluster")
def test_a_helper_pod_mends_what_is_its_own_and_names_the_rest(namespace, lading, admin):
    """On a claim filled by root: nothing can be changed without root, and the administrator's command is printed."""
    claim = namespace.claim("models")
    (claim.path / "by-hand").mkdir(mode=0o700)
    (claim.path / "by-hand" / "weights.bin").write_bytes(b"x")
    found = answer(lading("claim", "repair-permissions", "models", "--dry-run", "--format", "json"))
    assert found["dry_run"] is True
    assert found["refused"] == ["by-hand"]
    done = lading("claim", "repair-permissions", "models", "--yes")
    assert done.returncode == 1
    assert "chmod -R a+rX,g+w /volume" in done.stdout
    (claim.path / "by-hand").chmod(0o2775)
    right = lading("claim", "repair-permissions", "models", "--yes")
    assert right.returncode == 0, right.stdout + right.stderr
    assert right.stdout == "permissions on pvc://models are right: 1 file and 2 directories\n"
