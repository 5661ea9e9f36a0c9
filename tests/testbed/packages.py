"""Packages of this system (Debian and its kin), installed where that is ours to do: as root, with apt."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path


def install(names: Sequence[str]) -> None:
    """Install *names* unless all of them are there."""
    lacking = [name for name in names if not _installed(name)]
    if not lacking:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True, stdout=subprocess.DEVNULL)
    with _no_services():
        argv = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *lacking]
        subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)


def can_install() -> bool:
    """Whether `install` may work here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def suite() -> str:
    """The release of this system, such as ``bookworm``."""
    known = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return known["VERSION_CODENAME"].strip('"')


def mirror() -> str:
    """Where this system gets its packages from, by its own configuration."""
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line in said.stdout.splitlines():
        address, release, component = line.split()
        if (release, component) == (suite(), "main"):
            return address
    raise RuntimeError(f"apt has no source of {suite()} main")


def _installed(name: str) -> bool:
    said = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", name], capture_output=True, text=True, check=False)
    return said.stdout == "install ok installed"


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Packages may not start their daemons meanwhile: those would be the system's, not ours."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
