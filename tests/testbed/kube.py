"""Kubernetes' own programs, all in one binary: built from ``tests/testbed/kube``; kubectl among them."""

import subprocess
from pathlib import Path

from tests.testbed.places import BIN

PROGRAM = BIN / "kube"


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
