"""Ctrl-C: once it stops cleanly, twice at once; both keep what was finished, and neither shows half a model."""

import os
import signal
import subprocess
import time

import pytest
from tests.pull.conftest import check_said, events_until, pulled, shown

from lading.testing.web import Stall


@pytest.fixture
def running(server, start, tmp_path):
    """A slow pull of which one file has arrived, and its arguments."""
    server.slow = 0.02
    arguments = (f"{server.url}/model/SHA256SUMS", tmp_path / "volume", "--expect", "any")
    process = start(*arguments)
    seen = events_until(process, "file_pulled", 2)
    return process, arguments, pulled(seen)


def finish(process):
    """What the process said to its end, as a completed process."""
    out, err = process.communicate(timeout=30)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once(running, server, start, tmp_path, number):
    process, arguments, kept = running
    process.send_signal(number)
    check_said("interrupted-once", finish(process))
    assert shown(tmp_path / "volume") == []

    server.slow = 0
    before = dict(server.sent)
    again = start(*arguments)
    events_until(again, "published", 1)
    assert again.wait() == 0
    assert not [path for path in kept if server.sent[f"model/{path}"] > before.get(f"model/{path}", 0)]


def test_twice(running, server, start, tmp_path):
    """The second one need not wait for anything: not even for a server that is silent."""
    process, arguments, _ = running
    server.slow = 60.0
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    line = process.stderr.readline()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert time.monotonic() - began < 15
    check_said("interrupted-twice", subprocess.CompletedProcess([], done.returncode, "", line + done.stderr))
    assert shown(tmp_path / "volume") == []

    server.slow = 0
    again = start(*arguments)
    events_until(again, "published", 1)
    assert again.wait() == 0
    assert shown(tmp_path / "volume") == ["model"]


def test_before_anything_is_known(lading_argv, server, tmp_path):
    """While the source is still asked what it has."""
    server.plan("model/SHA256SUMS", Stall(0, 2.0))
    process = subprocess.Popen(
        [*lading_argv, "pull", f"{server.url}/model/SHA256SUMS", str(tmp_path / "volume")],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    while not server.asked:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    check_said("interrupted-once", finish(process))
    assert not (tmp_path / "volume").exists()


def test_a_reader_that_goes_away_ends_it(server, start, tmp_path):
    """As in `lading pull … --format json | head -1`: quietly, with the shell's code of a broken pipe."""
    server.slow = 0.01
    process = start(f"{server.url}/model/SHA256SUMS", tmp_path / "volume", "--expect", "any")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=20) == 128 + signal.SIGPIPE
    assert process.stderr.read() == ""
    assert shown(tmp_path / "volume") == []
