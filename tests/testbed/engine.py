"""The engine image of the test bed: llama.cpp's server as ``/app/llama-server``, made of this venv's own xllamacpp."""

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path

from tests.testbed import base, docker, image, node
from tests.testbed.places import IMAGES, ROOT, STATE

NAME = "docker.io/testbed/engine:dev"
_RECORD = IMAGES / "engine.json"
_OURS = ("__init__", "errors", "engines/__init__", "engines/base", "engines/values", "engines/llamacpp_parameters")
_DOCKERFILE = f"""\
FROM {base.NAME}
COPY opt /opt/engine
COPY app /app
ENV PYTHONPATH=/opt/engine PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["/app/llama-server"]
"""


def missing() -> str | None:
    """Why there can be no engine image here; None when there can."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "xllamacpp is not installed"
    return docker.missing() or base.missing()


def ensure() -> list[str]:
    """The image as this checkout has it: built when it changed, and in the node when one runs; what was done."""
    inputs = digest()
    current = [f"{NAME} is as this checkout has it"]
    if _is_current(inputs):
        return current  # without waiting for whoever builds another image
    with image.alone():
        said = []
        if _built() != inputs:
            _build()
            _RECORD.write_text(json.dumps({"inputs": inputs}))
            said.append(f"built {NAME}")
        if node.running() and node.loaded().get(NAME) != inputs:
            node.load(archive(), {NAME: inputs})
            said.append(f"loaded {NAME} into the node")
        return said or current


def _is_current(inputs: str) -> bool:
    return _built() == inputs and (not node.running() or node.loaded().get(NAME) == inputs)


def in_docker() -> None:
    """Have the engine image in the Docker daemon, as it was built last."""
    if not docker.docker("images", "--quiet", NAME.removeprefix("docker.io/")):
        docker.docker("load", "--input", archive())


def archive() -> Path:
    """Where the built image lies, as `docker save` writes it."""
    return IMAGES / "engine.tar"


def digest() -> str:
    """Of everything that goes into the image: 16 hex digits."""
    known = hashlib.sha256((_DOCKERFILE + base.python_version() + _package().parent.name).encode())
    for path in (*_files().values(), _package() / "_version.py"):
        known.update(path.read_bytes())
    return known.hexdigest()[:16]


def _built() -> str | None:
    try:
        return str(json.loads(_RECORD.read_text())["inputs"]) if archive().exists() else None
    except (OSError, ValueError):
        return None


def _package() -> Path:
    found = importlib.util.find_spec("xllamacpp")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _files() -> dict[str, Path]:
    """What lies where in the build's context, beside the package."""
    ours = {f"opt/lading/{name}.py": ROOT / f"src/lading/{name}.py" for name in _OURS}
    launcher = {"opt/xllamacpp_server.py": ROOT / "src/lading/backends/xllamacpp_server.py"}
    return {**ours, **launcher, "app/llama-server": ROOT / "tests/testbed/llama_server.py"}


def _build() -> None:
    context = STATE / "engine-context"
    shutil.rmtree(context, ignore_errors=True)
    for name, path in _files().items():
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (context / "app/llama-server").chmod(0o755)
    shutil.copytree(_package(), context / "opt/xllamacpp", ignore=shutil.ignore_patterns("__pycache__"))
    (context / "Dockerfile").write_text(_DOCKERFILE)
    with docker.daemon():
        base.in_docker()
        docker.docker("build", "--quiet", "--network", "none", "--tag", NAME, ".", folder=context)
        docker.docker("save", "--output", archive(), NAME)
    shutil.rmtree(context)
