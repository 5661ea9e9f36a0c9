"""A Docker daemon of our own: its data, socket and id under ``.testbed/docker``; without a bridge and without iptables."""

import contextlib
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
    """A daemon for a while; one that ran before stays."""
    ran = processes.running(_RECORD) is not None
    up()
    try:
        yield
    finally:
        if not ran:
            down()


def up() -> None:
    """Start the daemon unless it runs, and wait until it answers."""
    if processes.running(_RECORD) is None:
        DOCKER.mkdir(parents=True, exist_ok=True)
        (DOCKER / "docker.pid").unlink(missing_ok=True)
        argv = [
            "dockerd", "--data-root", DOCKER / "data", "--exec-root", DOCKER / "exec", "--host", f"unix://{_SOCKET}",
            "--pidfile", DOCKER / "docker.pid", "--bridge", "none", "--iptables=false", "--ip-forward=false",
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


def _environment() -> dict[str, str]:
    # The legacy builder needs no plugin, and takes --network none.
    return {**os.environ, "DOCKER_HOST": f"unix://{_SOCKET}", "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(DOCKER)}
