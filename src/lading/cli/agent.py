"""`lading agent`: the program that a client elsewhere speaks to (`lading.volume.agent`). Started for each connection: imports little."""

import os
import select
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.volume import agent as serving

SILENT_S = 60.0
"""A client says that it lives four times as often; one that is silent for longer is gone."""
_RECEIVE_BYTES = 1 << 20


def agent(root: Path, *, read_only: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Serve a volume on stdin and stdout, for a Lading elsewhere.

    Not for people: Lading starts it in a pod beside the claim.

    Args:
        root: The folder that is, or is to become, the volume.
        read_only: Refuse whatever changes it.
    """
    to_client = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else prints must not come between the frames
    serving.serve(root, _received, lambda data: _send(to_client, data), read_only=read_only)


def _received() -> bytes:
    """What the client says next; empty when it ended, or was silent for too long."""
    ready, _, _ = select.select([sys.stdin], [], [], SILENT_S)
    return os.read(sys.stdin.fileno(), _RECEIVE_BYTES) if ready else b""


def _send(descriptor: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
