"""A Docker daemon of our own: its data, socket and id under ``.testbed/docker``; with a bridge of its own, without iptables."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.testbed import packages, processes
from tests.testbed.places import DOCKER

_RECORD = DOCKER / "daemon.json"
_SOCKET = DOCKER / "docker.sock"
#: Its containers' network: published ports are served by Docker's own proxies, so that no rule of this host changes.
_BRIDGE, _RANGE = "testbed-docker", "10.245.0.1/24"
HOST = f"unix://{_SOCKET}"


def missing() -> str | None:
    """Why there can be no daemon here; None when there can."""
    if os.geteuid() != 0:
        return "a Docker daemon needs root"
    lacking = [name for name in ("dockerd", "docker") if shutil.which(name) is None]
    return f"{' and '.join(lacking)} not installed (make testbed installs them on Debian)" if lacking else None


def prepare() -> list[str]:
    """Install it, where that is ours to do; a sentence on it."""
    if packages.can_install() and shutil.which("dockerd") is None:
        packages.install(("docker.io",))
    return [f"docker: {missing() or 'dockerd is there'}"]


def docker(*argv: str | Path, folder: Path | None = None) -> str:
    """What the client prints.

    Raises:
        RuntimeError: The command failed, with the end of what it said.
    """
    done = subprocess.run(
        ["docker", *map(str, argv)], cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"docker {argv[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-3000:]}")
    return done.stdout.strip()


@contextlib.contextmanager
def daemon() -> Iterator[None]:
    """A daemon for a while, shared with whoever else is in such a block; the last one ends it. One that ran before stays."""
    DOCKER.mkdir(parents=True, exist_ok=True)
    with (DOCKER / "users").open("w") as users:
        with _starting():
            fcntl.flock(users, fcntl.LOCK_SH)
            ran = processes.running(_RECORD) is not None
            up()
            if not ran:
                (DOCKER / "ours").touch()
        try:
            yield
        finally:
            with _starting():
                if _is_last(users.fileno()) and (DOCKER / "ours").exists():
                    down()


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """Nobody else starts or ends it meanwhile."""
    with (DOCKER / "starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_last(users: int) -> bool:
    fcntl.flock(users, fcntl.LOCK_UN)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def up() -> None:
    """Start the daemon unless it runs, and wait until it answers."""
    if processes.running(_RECORD) is None:
        DOCKER.mkdir(parents=True, exist_ok=True)
        (DOCKER / "docker.pid").unlink(missing_ok=True)
        argv = [
            "dockerd", "--data-root", DOCKER / "data", "--exec-root", DOCKER / "exec", "--host", HOST,
            "--pidfile", DOCKER / "docker.pid", "--bridge", _bridge(), "--iptables=false", "--ip-forward=false",
        ]  # fmt: skip
        processes.start(_RECORD, argv, log=DOCKER / "dockerd.log")
    deadline = time.monotonic() + 60
    while subprocess.run(["docker", "version"], env=_environment(), capture_output=True, check=False).returncode != 0:
        if processes.running(_RECORD) is None or time.monotonic() > deadline:
            raise RuntimeError(f"dockerd does not answer: {(DOCKER / 'dockerd.log').read_text()[-2000:]}")
        time.sleep(0.1)


def down() -> None:
    """End the daemon; what it built stays on disk."""
    processes.end(_RECORD, within_s=30)
    (DOCKER / "ours").unlink(missing_ok=True)
    subprocess.run(["ip", "link", "delete", _BRIDGE], capture_output=True, check=False)


def _bridge() -> str:
    """Its bridge, made; ``none`` where this machine allows no bridge."""
    for step in (
        ("link", "add", "name", _BRIDGE, "type", "bridge"),
        ("address", "replace", _RANGE, "dev", _BRIDGE),
        ("link", "set", _BRIDGE, "up"),
    ):
        done = subprocess.run(["ip", *step], capture_output=True, text=True, check=False)
        if done.returncode != 0 and "exists" not in done.stderr:
            return "none"
    return _BRIDGE


def _environment() -> dict[str, str]:
    # The legacy builder needs no plugin, and takes --network none.
    return {**os.environ, "DOCKER_HOST": HOST, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(DOCKER)}
