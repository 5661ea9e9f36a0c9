"""The node's images: what is in its containerd, and loading more."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.testbed.places import CLUSTER

_SOCKET = CLUSTER / "containerd.sock"
_LOADED = CLUSTER / "images.json"


def ctr(*argv: str | Path) -> str:
    """What containerd's client prints, in the namespace of Kubernetes."""
    done = subprocess.run(
        ["ctr", "--address", _SOCKET, "--namespace", "k8s.io", *argv], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"ctr {argv[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def running() -> bool:
    """Whether the node's containerd answers."""
    if not _SOCKET.exists():
        return False
    try:
        ctr("version")
    except RuntimeError:
        return False
    return True


def loaded() -> dict[str, str]:
    """Images that were loaded, each with the digest of what it was made from."""
    try:
        return dict(json.loads(_LOADED.read_text()))
    except (OSError, ValueError):
        return {}


def load(archive: Path, images: Mapping[str, str]) -> None:
    """Load *archive*, which holds *images*: names with the digest of what each was made from."""
    ctr("images", "import", archive)
    _LOADED.write_text(json.dumps({**loaded(), **images}))
