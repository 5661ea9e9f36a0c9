"""Images below ours, made from this system's own packages: a Debian with Python (debootstrap), and the sandbox's `pause`."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.testbed import archives, docker, mounts, packages
from tests.testbed.places import IMAGES

NAME = "docker.io/testbed/base:1"
PAUSE = "docker.io/testbed/pause:1"
_INCLUDE = "python3,python3-venv,ca-certificates,libgomp1"
_RECORD = IMAGES / "base.json"
_PAUSE_SOURCE = Path(__file__).parent / "pause.c"


def missing() -> str | None:
    """Why there is no base image; None when it is made."""
    made = (IMAGES / "base.tar").exists() and (IMAGES / "pause.tar").exists()
    return None if made else "no base image (make testbed makes one on Debian, by debootstrap)"


def prepare() -> list[str]:
    """Make both archives, where that can be done; a sentence on them."""
    if packages.can_install():
        packages.install(("debootstrap", "gcc", "libc6-dev"))
        archive()
        pause_archive()
    return [f"base image: {missing() or IMAGES / 'base.tar'}"]


def archive() -> Path:
    """The base image's archive, made when it is not there yet (about a minute)."""
    path = IMAGES / "base.tar"
    if not (path.exists() and _RECORD.exists()):
        root = IMAGES / "base-root"
        try:
            _bootstrap(root)
            version = max((root / "usr/lib").glob("python3.*")).name.removeprefix("python")
            archives.write(path, NAME, root, ["python3"])
        finally:
            _remove(root)
        _RECORD.write_text(json.dumps({"python": version, "suite": packages.suite()}))
    return path


def pause_archive() -> Path:
    """The archive of `pause`, a static program of twenty lines."""
    path = IMAGES / "pause.tar"
    if not path.exists():
        root = IMAGES / "pause-root"
        root.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-Os", "-static", "-o", root / "pause", _PAUSE_SOURCE], check=True)
        archives.write(path, PAUSE, root, ["/pause"])
        shutil.rmtree(root)
    return path


def in_docker() -> None:
    """Have the base image in the Docker daemon."""
    if not docker.docker("images", "--quiet", NAME.removeprefix("docker.io/")):
        docker.docker("load", "--input", archive())


def python_version() -> str:
    """``3.11``: of the base's interpreter."""
    archive()
    return str(json.loads(_RECORD.read_text())["python"])


def _remove(root: Path) -> None:
    mounts.unmount(root)
    shutil.rmtree(root, ignore_errors=True)


def _bootstrap(root: Path) -> None:
    _remove(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={_INCLUDE}", packages.suite(), root, packages.mirror()],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    for folder in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
