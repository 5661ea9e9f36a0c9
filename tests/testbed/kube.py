"""Kubernetes' own programs, all in one binary: built from ``tests/testbed/kube``; kubectl among them."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.testbed import processes
from tests.testbed.places import BIN, CLUSTER, PIDS

PROGRAM = BIN / "kube"
_SOURCE = Path(__file__).parent / "kube"
_VERSION = "k8s.io/component-base/version"


def missing() -> str | None:
    """Why there is no Kubernetes here; None when it is built."""
    return None if PROGRAM.exists() else "Kubernetes is not built (make testbed builds it; Go is needed)"


def prepare() -> list[str]:
    """Build it when its source changed (minutes, the first time); a sentence on it."""
    if shutil.which("go") is None:
        return [f"kubernetes: {missing() or PROGRAM}"]
    build(
        _SOURCE, PROGRAM, flags=f"-X {_VERSION}.gitVersion=v1.34.4 -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=34"
    )
    return [f"kubernetes: {missing() or PROGRAM}"]


def build(source: Path, program: Path, *, flags: str = "") -> None:
    """Build the Go module in *source*, unless *program* was built from just that, or there is no Go."""
    if shutil.which("go") is None:
        return
    content = b"".join((source / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    stamp = program.with_name(f".{program.name}.digest")
    wanted = hashlib.sha256(content + flags.encode()).hexdigest()
    if program.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_name(f".{program.name}.new")
    argv = ["go", "build", "-trimpath", "-ldflags", f"-s -w {flags}", "-o", fresh, "."]
    subprocess.run(argv, cwd=source, check=True, env={**os.environ, "GOFLAGS": "-buildvcs=false"})
    fresh.replace(program)
    stamp.write_text(wanted)


def start(part: str, *argv: str | Path) -> None:
    """Start one program of the cluster, recorded."""
    processes.start(PIDS / part, [PROGRAM, part, *argv], log=CLUSTER / "log" / f"{part}.log")


def kubectl(kubeconfig: Path, *argv: str, stdin: str | None = None, check: bool = True) -> str:
    """What kubectl prints.

    Raises:
        RuntimeError: It failed, and *check*.
    """
    done = subprocess.run(
        [PROGRAM, "ctl", "--kubeconfig", kubeconfig, *argv], input=stdin, capture_output=True, text=True, check=False
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"kubectl {' '.join(argv)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
