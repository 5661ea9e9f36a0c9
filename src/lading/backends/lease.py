"""Who is still there: a run holds a locked file, and the kernel lets go of it however the run ends.

What a run starts carries its lease. A server whose lease nobody holds was left by a killed run, and is removed by the
next one (`lading.ports.backend.Backend.reap`).
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_SUFFIX = ".lock"


class Lease:
    """Held from `acquire` until `release`, or until this process ends.

    Attributes:
        id: What servers and trials carry.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.id = path.name.removesuffix(_SUFFIX)
        self._path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, home: Path) -> Self:
        """A new lease under *home*."""
        folder = _folder(home)
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = folder / f"{secrets.token_hex(8)}{_SUFFIX}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():  # else `forget_dead` of another run came between the two calls
                return cls(path, descriptor)
            os.close(descriptor)

    def release(self) -> None:
        """Let go; idempotent."""
        if self._descriptor is None:
            return
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def held(home: Path, lease: str) -> bool:
    """Whether a live process holds *lease*."""
    path = _folder(home) / f"{lease}{_SUFFIX}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def forget_dead(home: Path) -> None:
    """Delete the files of leases that nobody holds."""
    for path in _folder(home).glob(f"*{_SUFFIX}"):
        if not held(home, path.name.removesuffix(_SUFFIX)):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file *path*; waits for whoever has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _folder(home: Path) -> Path:
    return home / "leases"
