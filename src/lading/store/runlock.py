"""One process per study: a lock file that the kernel lets go of however its holder ends, and that says who holds it."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lading.errors import StudyError
from lading.spec.clock import utc_now


@contextmanager
def only_one(home: Path, study: str) -> Iterator[None]:
    """Work on *study* alone for the length of the block.

    Raises:
        StudyError: Another process does; the message says which, and since when.
    """
    path = _path(home, study)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(study, _read(path)) from None
        file.truncate(0)
        json.dump(_me(), file)
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def is_held(home: Path, study: str) -> bool:
    """Whether a live process works on *study*."""
    try:
        with _path(home, study).open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _held(study: str, holder: Mapping[str, object]) -> StudyError:
    who = f"process {holder.get('pid', '?')} on {holder.get('host', 'this host')}, since {holder.get('since', '?')}"
    return StudyError(
        f"study {study} is being worked on by {who}",
        hint=f"`lading studies show {study}` tells how far it is, `lading studies cancel {study}` stops it",
    )


def _me() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": utc_now()}


def _read(path: Path) -> Mapping[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _path(home: Path, study: str) -> Path:
    return home / "studies" / f"{study}.lock"
