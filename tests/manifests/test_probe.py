"""The startup probe against a server that answers, one that does not, and one that serves another name."""

import os
import shutil
import subprocess
import sys

import pytest
from tests.manifests.conftest import vllm
from tests.testbed import require

from lading.manifests import target as targets
from lading.testing import truth


def ask(url, name, path):
    command = targets.first_request(vllm(served_name=name)).replace(f"http://127.0.0.1:{targets.PORT}", url)
    return subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": path}, capture_output=True, check=False, timeout=70
    ).returncode


@pytest.fixture(params=["curl", "python3"])
def path(request, tmp_path):
    """A PATH that has only one of the two programs that the probe can use."""
    program = shutil.which("curl") if request.param == "curl" else sys.executable
    require("curl", program, "not on the path")
    (tmp_path / "bin").mkdir()
    if request.param == "curl":
        (tmp_path / "bin/curl").symlink_to(program)
    else:
        (tmp_path / "bin/python3").write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (tmp_path / "bin/python3").chmod(0o755)
    return os.fspath(tmp_path / "bin")


def test_it_succeeds_only_for_an_answer_under_the_served_name(path):
    with truth.running(ttft_ms=1, itl_ms=1) as server:
        assert ask(server.url, "truth", path) == 0
        assert ask(server.url, "another", path) != 0


def test_it_fails_where_nobody_listens(path):
    assert ask("http://127.0.0.1:9", "truth", path) != 0
