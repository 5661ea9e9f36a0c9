"""Our image for the test bed: built by Docker from the shipped Dockerfile without a network, when what goes into it changed."""

import fcntl
import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.testbed import base, docker, node
from tests.testbed.places import IMAGES, ROOT, STATE

NAME = "docker.io/testbed/lading:dev"
_LOCKS = ("requirements/image.txt", "requirements/build.txt")
#: What our wheels may be built for: the base is no older than these.
_PLATFORMS = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in (36, 34, 31, 28, 17, 12, 5)))
_RECORD = IMAGES / "lading.json"
_CONTEXT = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE", *_LOCKS)


def ensure() -> list[str]:
    """The image as this checkout has it: built when it changed, and in the node when one runs; what was done."""
    with alone():
        said = []
        inputs = digest()
        if _built() != inputs:
            _build(inputs)
            said.append(f"built {NAME}")
        if node.running() and node.loaded().get(NAME) != inputs:
            node.load(archive(), {NAME: inputs})
            said.append(f"loaded {NAME} into the node")
        return said or [f"{NAME} is as this checkout has it"]


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else builds meanwhile, nor ends the daemon that does."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (IMAGES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def archive() -> Path:
    """Where the built image lies, as `docker save` writes it."""
    return IMAGES / "lading.tar"


def digest() -> str:
    """Of everything that goes into the image: 16 hex digits."""
    known = hashlib.sha256(base.python_version().encode())
    for path in _inputs():
        known.update(f"{path.relative_to(ROOT)}\0".encode())
        known.update(hashlib.sha256(path.read_bytes()).digest())
    return known.hexdigest()[:16]


def _built() -> str | None:
    """The digest of what the archive holds."""
    try:
        return str(json.loads(_RECORD.read_text())["inputs"])
    except (OSError, ValueError):
        return None


def _inputs() -> Iterator[Path]:
    yield from (ROOT / name for name in _CONTEXT)
    yield from sorted(path for path in (ROOT / "src").rglob("*") if path.is_file() and path.suffix != ".pyc")


def _build(inputs: str) -> None:
    context = STATE / "context"
    shutil.rmtree(context / "src", ignore_errors=True)
    for path in _inputs():
        target = context / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    _fill_wheelhouse(context / "wheelhouse")
    argv = ["--quiet", "--network", "none", "--build-arg", f"BASE={base.NAME}", "--tag", NAME, "."]
    with docker.daemon():
        base.in_docker()
        docker.docker("build", *argv, folder=context)
        docker.docker("save", "--output", archive(), NAME)
        docker.docker("image", "prune", "--force", "--filter", "until=24h")
    _RECORD.write_text(json.dumps({"inputs": inputs}))


def _fill_wheelhouse(folder: Path) -> None:
    """The wheels of both locks for the base's Python, downloaded anew when a lock changed."""
    wanted = hashlib.sha256(
        b"".join((ROOT / name).read_bytes() for name in _LOCKS) + base.python_version().encode()
    ).hexdigest()
    stamp = folder.with_suffix(".digest")
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for name in _LOCKS:
        subprocess.run(
            [
                ROOT / ".venv/bin/python", "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                "--require-hashes", "--only-binary", ":all:", "--python-version", base.python_version(),
                *(part for tag in _PLATFORMS for part in ("--platform", f"{tag}_{platform.machine()}")),
                "--requirement", ROOT / name, "--dest", folder,
            ],
            check=True,
        )  # fmt: skip
    stamp.write_text(wanted)
