"""The benchmark of pulls runs, on little: every contender brings all bytes, and the table has them."""

import json
import subprocess
import sys

import pytest
from tests.testbed import minio, peers, require
from tests.testbed.places import ROOT


@pytest.mark.real("minio")
@pytest.mark.real("peers")
@pytest.mark.slow
@pytest.mark.parametrize("row", ["s3", "hub", "small", "tls"])
def test_a_round_of(row, tmp_path):
    require("minio", minio.program("minio"), "not built (make testbed builds it; Go is needed)")
    require("peers", peers.python(), "not installed (make testbed installs them)")
    found = tmp_path / "found.json"
    argv = [
        sys.executable,
        "benchmarks/pull.py",
        "--quick",
        "--only",
        row,
        "--json",
        str(found),
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (contest,) = json.loads(found.read_text())
    assert contest["name"] == row
    assert contest["failed"] == {}
    assert contest["runs"].keys() == contest["commands"].keys()
    assert all(run["wall_s"] > 0 for runs in contest["runs"].values() for run in runs)
    assert all(f"| {name} |" in done.stdout for name in contest["runs"])
    assert {goal["who"] for goal in contest["goals"]} <= contest["runs"].keys()
