"""What the cluster of the test bed leaves behind, also when the session that started it was killed: nothing."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.testbed import cluster as clusters
from tests.testbed import processes, require
from tests.testbed.places import ROOT

# A network of its own, so that a second cluster may have the same ports: loopback, and an address that is not.
_ALONE = """
ip link set lo up
ip link add bed type bridge
ip address add 192.0.2.10/24 dev bed
ip link set bed up
exec "$@"
"""


@pytest.fixture
def short_path():
    """A folder with a short path: sockets lie below it, and the path of a socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="bed-", dir="/tmp") as path:
        yield Path(path)


def test_a_process_is_known_by_its_start_time_too(tmp_path):
    """A reused id is nobody of ours: it is not ended."""
    record, log = tmp_path / "sleep", tmp_path / "log"
    processes.start(record, ["sleep", "60"], log=log)
    pid = processes.running(record)
    assert pid is not None
    known = record.read_text()
    record.write_text(json.dumps({**json.loads(known), "started": 1}))
    assert processes.running(record) is None
    processes.end(record)
    os.kill(pid, 0)
    record.write_text(known)
    processes.end(record)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not record.exists()


def test_a_process_that_does_not_leave_is_killed(tmp_path):
    record = tmp_path / "stubborn"
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    processes.start(record, [sys.executable, "-c", script], log=tmp_path / "log")
    while not (tmp_path / "log").read_text():
        pass
    processes.end(record, within_s=0.2)
    assert processes.running(record) is None


@pytest.mark.slow
@pytest.mark.real("cluster")
@pytest.mark.timeout(170)
def test_what_a_killed_session_leaves_is_said_and_ended(short_path):
    """`status` tells it; `down` ends processes, pods, mounts, bridge and rules, by record alone."""
    missing = clusters.missing()
    require("cluster", missing is None, missing or "")
    result = _alone(short_path, sys.executable, __file__, short_path / "cluster")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.real("cluster")
@pytest.mark.timeout(170)
def test_without_root_there_is_the_control_plane_alone(short_path):
    """What needs a node is skipped with its reason, what needs the API runs; both are ended with the session."""
    missing = clusters.missing()
    require("cluster", missing is None, missing or "")
    session = Path(__file__).with_name("session_without_root.py")
    as_user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    result = _alone(short_path, *as_user, sys.executable, "-m", "pytest", "-q", session)
    assert "a node needs root" in result.stdout
    assert "1 passed, 1 skipped" in result.stdout
    assert _with_path(short_path / "cluster") == []


def _alone(folder: Path, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run *argv* in a network of its own, with a cluster of its own in *folder*."""
    own = {"LADING_TEST_CLUSTER": str(folder / "cluster"), "LADING_TEST_CRDS": "", "LADING_TEST_REQUIRE": ""}
    return subprocess.run(
        ["unshare", "--net", "sh", "-euc", _ALONE, "sh", *argv], cwd=ROOT, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT), **own},
    )  # fmt: skip


def _kill_a_session_and_look(state: Path) -> None:
    session = Path(__file__).with_name("session_to_be_killed.py")
    argv = [sys.executable, "-m", "pytest", "-q", "-s", session]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "READY" in line:
                break
        else:
            raise AssertionError("".join(said))
        process.kill()
    assert "up, left by a killed test session" in _testbed("status")
    assert _with_path(state)
    assert "testbed0" in _output("ip", "link")
    assert "KUBE-" in _output("iptables-save")
    assert "CNI-" in _output("iptables-save")
    _testbed("down")
    assert _testbed("status") == "down\n"
    assert _with_path(state) == []
    assert str(state) not in Path("/proc/mounts").read_text()
    assert "testbed0" not in _output("ip", "link")
    assert "KUBE-" not in _output("iptables-save")
    assert "CNI-" not in _output("iptables-save")
    assert {path.name for path in state.iterdir()} == {"log"}


def _testbed(command: str) -> str:
    return _output(sys.executable, "-m", "tests.testbed", command)


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _with_path(state: Path) -> list[str]:
    """Command lines of processes that have the cluster's folder among their arguments, but this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            argv = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"{state}/" in argv and process.name != str(os.getpid()):
            found.append(argv)
    return found


if __name__ == "__main__":
    _kill_a_session_and_look(Path(sys.argv[1]))
