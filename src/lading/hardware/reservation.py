"""GPUs that are reserved: a locked file each, which the kernel lets go of however its holder ends.

The server inherits the locks of its GPUs, so that they are its own for as long as it lives, also after the command that
started it has ended. One in a container inherits nothing: its GPUs are lent to its process, by id. Runs of one ``LADING_HOME`` know of each other; what others use is known by its memory only.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from lading.hardware import allocation
from lading.hardware.gpus import Gpu

_SUFFIX = ".lock"
_UUID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")


class Reservation:
    """Held until `release` and until every process that inherited it has ended.

    Attributes:
        gpus: As they were when they were reserved.
        holder: Who it is, for messages to others.
    """

    def __init__(self, gpus: tuple[Gpu, ...], descriptors: tuple[int, ...], holder: str) -> None:
        self.gpus = gpus
        self.holder = holder
        self._descriptors = descriptors

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a server is to inherit (``pass_fds``)."""
        return self._descriptors

    @property
    def uuids(self) -> tuple[str, ...]:
        """What binds a server to them: ``CUDA_VISIBLE_DEVICES``, or the device ids of a container."""
        return tuple(gpu.uuid for gpu in self.gpus)

    def lend(self, pid: int) -> None:
        """Leave the GPUs to the process *pid*, which inherits nothing, until it ends; `release` is still to be called."""
        for gpu, descriptor in zip(self.gpus, self._descriptors, strict=True):
            _sign(descriptor, _said(self.holder, gpu), pid)

    def release(self) -> None:
        """Let go of our part; idempotent."""
        held, self._descriptors = self._descriptors, ()
        for descriptor in held:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def reserve(
    home: Path,
    gpus: Sequence[Gpu],
    count: int,
    *,
    holder: str,
    least_share: float = 0.0,
    taken: Mapping[str, str] | None = None,
) -> Reservation:
    """Reserve *count* of *gpus*; of two who ask at once, each gets its own.

    Args:
        home: Lading's state folder; the files are in ``gpus/`` in it.
        gpus: Those that may be given, as they are now.
        count: How many; see `lading.hardware.allocation.choose`.
        holder: Who reserves, for messages to others: ``the server tiny``.
        least_share: As of `choose`.
        taken: More that others have, to who has them: what runs in containers holds no file.

    Raises:
        GpusUnavailable: As `choose`.
    """
    folder = home / "gpus"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        locks = {gpu.uuid: _lock(folder, gpu.uuid) for gpu in gpus}
        kept: set[str] = set()
        try:
            others = {uuid: _holder(folder, uuid) for uuid, descriptor in locks.items() if descriptor is None}
            chosen = allocation.choose(gpus, count, least_share=least_share, taken={**others, **(taken or {})})
            kept = {gpu.uuid for gpu in chosen}
        finally:
            _close(descriptor for uuid, descriptor in locks.items() if uuid not in kept)
        held = [locks[gpu.uuid] for gpu in chosen]
        descriptors = tuple(descriptor for descriptor in held if descriptor is not None)
        for gpu, descriptor in zip(chosen, descriptors, strict=True):
            _sign(descriptor, _said(holder, gpu))
    return Reservation(chosen, descriptors, holder)


def reserved(home: Path) -> dict[str, str]:
    """Who holds which GPU now, by UUID."""
    folder = home / "gpus"
    found = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        uuid = path.name.removesuffix(_SUFFIX).replace("+", "/")
        descriptor = _lock(folder, uuid) if uuid else None
        if descriptor is not None:
            os.close(descriptor)
        elif uuid:
            found[uuid] = _holder(folder, uuid)
    return found


def _file(folder: Path, uuid: str) -> Path:
    """The file of a GPU; older drivers name parts ``MIG-GPU-…/1/0``."""
    if not _UUID.fullmatch(uuid):
        raise ValueError(f"{uuid!r} is no UUID of a GPU")
    return folder / f"{uuid.replace('/', '+')}{_SUFFIX}"


def _lock(folder: Path, uuid: str) -> int | None:
    """The locked file of a GPU, None where another one has it."""
    descriptor = os.open(_file(folder, uuid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if _is_lent(_lines(folder, uuid)[1]):
        os.close(descriptor)
        return None
    return descriptor


def _said(holder: str, gpu: Gpu) -> str:
    return f"{holder} (GPU {gpu.index})"


def _sign(descriptor: int, holder: str, pid: int | None = None) -> None:
    """Write down who has the GPU, and the process that it is lent to with its time of birth: ids are used again."""
    lent = "" if pid is None else f"\n{pid} {_birth(pid)}"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{holder}{lent}".encode(), 0)


def _is_lent(lent: str) -> bool:
    """Whether the process that *lent* names still lives."""
    pid, _, birth = lent.partition(" ")
    return pid.isdecimal() and bool(birth) and _birth(int(pid)) == birth


def _birth(pid: int) -> str:
    """When a process began; empty when there is none."""
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except (psutil.Error, OverflowError):
        return ""


def _holder(folder: Path, uuid: str) -> str:
    return _lines(folder, uuid)[0] or "another run"


def _lines(folder: Path, uuid: str) -> tuple[str, str]:
    """Who has a GPU, and what it is lent to, as they are written down."""
    text = _file(folder, uuid).read_bytes()[:300].decode("utf-8", "replace")
    holder, _, lent = ("".join(char for char in text if char.isprintable() or char == "\n")).partition("\n")
    return holder[:200], lent


def _close(descriptors: Iterator[int | None]) -> None:
    for descriptor in descriptors:
        if descriptor is not None:
            os.close(descriptor)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".alone").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
