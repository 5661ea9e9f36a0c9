"""KServe's own model server for scikit-learn (V1 and V2): its packages in a folder, run as a process, or as an image of them.

MLServer would be a third smaller, but speaks V2 alone. KServe publishes the packages below its server, and the server itself
only within its Go module, of the version whose controller is built here.
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.testbed import base, docker, image, node
from tests.testbed.places import IMAGES, STATE

NAME = "docker.io/testbed/sklearnserver:dev"
_HERE = Path(__file__).parent
_LOCK = _HERE / "sklearn_server" / "requirements.txt"
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_RECORD = IMAGES / "sklearnserver.json"
#: As KServe's own image: a runtime gives it `--model_name`, `--model_dir` and `--http_port`.
_DOCKERFILE = f"""\
FROM {base.NAME}
COPY packages /opt/sklearnserver
ENV PYTHONPATH=/opt/sklearnserver PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 65532:0
ENTRYPOINT ["python3", "-m", "sklearnserver"]
"""
_TRAIN = """\
import sys
import joblib
from sklearn.linear_model import LogisticRegression
rows = [[i % 5, i % 7, i % 3, i % 2] for i in range(60)]
joblib.dump(LogisticRegression().fit(rows, [int(sum(row) > 6) for row in rows]), sys.argv[1])
"""


def missing() -> str | None:
    """Why there is no such server here; None when there is."""
    return None if _stamp().exists() else "sklearnserver is not installed (make testbed installs it; Go is needed)"


def prepare() -> list[str]:
    """Install it when its lock changed (half a minute); a sentence on it."""
    if shutil.which("go") is not None and not (_stamp().exists() and _stamp().read_text() == _digest()):
        _install(packages())
        _stamp().write_text(_digest())
    return [f"sklearnserver: {missing() or packages()}"]


def packages() -> Path:
    """The folder of its packages, for this interpreter's version of Python."""
    return STATE / "sklearnserver" / f"packages-{_VERSION}"


def missing_image() -> str | None:
    """Why there can be no image of it here; None when there can."""
    if missing() is None and docker.missing() is None and base.missing() is None and base.python_version() != _VERSION:
        return f"the packages are for Python {_VERSION}, the base image has {base.python_version()}"
    return missing() or docker.missing() or base.missing()


def ensure() -> list[str]:
    """The image, built when its packages changed; what was done."""
    with image.alone():
        inputs = hashlib.sha256((_DOCKERFILE + _digest()).encode()).hexdigest()[:16]
        if _built() == inputs:
            return [f"{NAME} is as this checkout has it"]
        _build()
        _RECORD.write_text(json.dumps({"inputs": inputs}))
        return [f"built {NAME}"]


def in_docker() -> None:
    """Have the image in the Docker daemon."""
    if not docker.docker("images", "--quiet", NAME.removeprefix("docker.io/")):
        docker.docker("load", "--input", archive())


def in_node() -> None:
    """Have the image in the cluster's node, which runs."""
    with image.alone():
        inputs = _built()
        if inputs is not None and node.loaded().get(NAME) != inputs:
            node.load(archive(), {NAME: inputs})


def archive() -> Path:
    """Where the built image lies, as `docker save` writes it."""
    return IMAGES / "sklearnserver.tar"


def train(folder: Path) -> Path:
    """A small classifier of four features, saved by joblib into *folder*: at most 6 in all is 0, more is 1."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.joblib"
    subprocess.run([sys.executable, "-c", _TRAIN, model], env=_environment(), check=True, timeout=120)
    return model


@contextlib.contextmanager
def running(folder: Path, log: Path, *, name: str = "iris") -> Iterator[str]:
    """The server over *folder*, as a process that is ended; its URL, as soon as it says that it is ready."""
    port = free_port()
    argv = [
        sys.executable, "-m", "sklearnserver", "--model_dir", folder, "--model_name", name,
        "--http_port", str(port), "--enable_grpc", "false",
    ]  # fmt: skip
    with log.open("wb") as output, subprocess.Popen(argv, env=_environment(), stdout=output, stderr=output) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 120
            while not _is_ready(url, name):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"sklearnserver did not come: {log.read_text()[-3000:]}")
                time.sleep(0.1)
            yield url
        finally:
            process.kill()


def free_port() -> int:
    """A port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(url: str, name: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/v2/models/{name}/ready", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _environment() -> dict[str, str]:
    # One thread each: the machine has few cores, and the model is small.
    return {**os.environ, "PYTHONPATH": str(packages()), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


def _stamp() -> Path:
    return packages().with_name(f"{packages().name}.digest")


def _digest() -> str:
    """Of the locked packages, KServe's version and this interpreter's."""
    go = (_HERE / "kserve" / "go.mod").read_bytes()
    return hashlib.sha256(_LOCK.read_bytes() + go + _VERSION.encode()).hexdigest()


def _install(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-compile",
        "--no-deps",
    ]
    subprocess.run(
        [*pip, "--require-hashes", "--only-binary", ":all:", "--target", folder, "--requirement", _LOCK], check=True
    )
    for tests in [path for path in folder.rglob("tests") if path.is_dir()]:
        shutil.rmtree(tests, ignore_errors=True)
    source = _kserve() / "python" / "sklearnserver" / "sklearnserver"
    for module in source.glob("[!t]*.py"):
        (folder / "sklearnserver").mkdir(exist_ok=True)
        shutil.copyfile(module, folder / "sklearnserver" / module.name)
    argv = [sys.executable, "-m", "compileall", "-q", "-j", "2", folder]
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=False)  # some packages have files for other Pythons


def _kserve() -> Path:
    """Where Go keeps the source of the KServe that the controller is built from."""
    said = subprocess.run(
        ["go", "mod", "download", "-json", "github.com/kserve/kserve"],
        cwd=_HERE / "kserve", capture_output=True, text=True, check=True,
    )  # fmt: skip
    return Path(json.loads(said.stdout)["Dir"])


def _built() -> str | None:
    try:
        return str(json.loads(_RECORD.read_text())["inputs"]) if archive().exists() else None
    except (OSError, ValueError):
        return None


def _build() -> None:
    context = STATE / "sklearnserver" / "context"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    shutil.copytree(packages(), context / "packages", copy_function=os.link)
    (context / "Dockerfile").write_text(_DOCKERFILE)
    with docker.daemon():
        base.in_docker()
        docker.docker("build", "--quiet", "--network", "none", "--tag", NAME, ".", folder=context)
        docker.docker("save", "--output", archive(), NAME)
    shutil.rmtree(context)
