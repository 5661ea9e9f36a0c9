"""Ctrl-C on a terminal asks: leave the Job running, or stop it. Anything else leaves it running."""

import os
import pty
import signal
import subprocess
import time

import pytest
from tests.testbed.api import wait

pytestmark = pytest.mark.real("cluster")


class Terminal:
    """The real command on a terminal of its own."""

    def __init__(self, argv, cwd):
        self.screen = ""
        self.leader, follower = pty.openpty()
        os.set_blocking(self.leader, False)
        self.process = subprocess.Popen(
            argv, cwd=cwd, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "xterm"},
        )  # fmt: skip
        os.close(follower)

    def read(self) -> str:
        try:
            self.screen += os.read(self.leader, 1 << 16).decode(errors="replace")
        except (BlockingIOError, OSError):
            pass
        return self.screen

    def shows(self, text: str) -> None:
        wait(f"the terminal shows {text!r}: {self.screen[-500:]}", lambda: text in self.read())

    def type(self, text: str) -> None:
        os.write(self.leader, text.encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
            time.sleep(0.05)
        self.read()
        return self.process.wait(1)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.leader)


def jobs(namespace) -> list[str]:
    return [job["metadata"]["name"] for job in namespace.get("jobs", root="/apis/batch/v1")]


@pytest.fixture
def terminal(lading_argv, namespace, pulls, tmp_path):
    """A slow pull on a terminal, its bar drawn."""
    namespace.claim()
    pulls.web.slow = 0.5
    argv = [*lading_argv, "pull", pulls.offer("m"), "pvc://models/m", "--expect", "any", "--no-preflight"]
    made = Terminal(argv, tmp_path)
    wait("bytes flow", lambda: made.read() and any(pulls.web.sent[f"m/part-{number}.bin"] for number in range(3)))
    yield made
    made.close()


def test_ctrl_c_and_enter_leave_it_running(namespace, terminal):
    terminal.interrupt()
    terminal.shows("Leave it running, stop it, or go on watching?")
    terminal.type("\n")
    assert terminal.ended() == 5
    (name,) = jobs(namespace)
    assert f"lading jobs follow {name}" in terminal.screen


def test_ctrl_c_and_s_stop_it(namespace, terminal):
    terminal.interrupt()
    terminal.shows("Leave it running, stop it, or go on watching?")
    terminal.type("s\n")
    assert terminal.ended() == 130
    assert (jobs(namespace), namespace.get("pods")) == ([], [])
    assert "finished files are kept" in terminal.screen


def test_a_second_ctrl_c_leaves_it_running_at_once_and_g_goes_on(namespace, terminal, pulls):
    terminal.interrupt()
    terminal.shows("go on watching?")
    terminal.type("g\n")
    terminal.shows("watching it again")
    terminal.interrupt()
    wait("it asks again", lambda: terminal.read().count("go on watching?") == 2)
    terminal.interrupt()
    assert terminal.ended() == 5
    assert len(jobs(namespace)) == 1


def test_a_result_that_comes_while_it_asks_is_told(terminal, pulls):
    terminal.interrupt()
    terminal.shows("go on watching?")
    pulls.web.slow = 0.0
    assert terminal.ended() == 0
    assert "is published" in terminal.screen


def test_sigterm_leaves_it_running(namespace, terminal):
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ended() == 5
    assert len(jobs(namespace)) == 1
    assert "go on watching?" not in terminal.screen
