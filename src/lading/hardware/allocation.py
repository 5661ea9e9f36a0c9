"""Which GPUs a server gets, and whether it gave their memory back. Decisions only; `lading.hardware.reservation` acts.

Layers that are split over GPUs need as much room on each: one that is half full ends the server's start on all of them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lading.errors import GpusUnavailable
from lading.hardware.gpus import Gpu, GpuProcess
from lading.spec.units import show_bytes

BALANCE = 0.8
"""Of one server's GPUs, the fullest has at least this share of the free memory of the emptiest."""
SLACK_BYTES = 512 * 2**20
"""What a driver may keep for itself after a server has ended: less than any server takes."""


def choose(
    gpus: Sequence[Gpu], count: int, *, least_share: float = 0.0, taken: Mapping[str, str] | None = None
) -> tuple[Gpu, ...]:
    """*count* GPUs with similar free memory, those with the most of it; by index.

    Args:
        gpus: Those that may be given, as `lading.hardware.gpus.visible` tells them.
        count: How many.
        least_share: Of each one's whole memory, how much must be free.
        taken: UUIDs of those that others have reserved, to who did.

    Raises:
        GpusUnavailable: There is no such set; says of each GPU why not.
    """
    taken = taken or {}
    free = [gpu for gpu in gpus if gpu.uuid not in taken and gpu.free_bytes >= least_share * gpu.memory_bytes]
    if count > 1:  # CUDA gives a process one MIG part at most
        free = [gpu for gpu in free if gpu.part_of is None]
    free.sort(key=lambda gpu: (-gpu.free_bytes, gpu.index, gpu.uuid))
    for start in range(len(free) - count + 1):
        window = free[start : start + count]
        if balanced(window):
            return tuple(sorted(window, key=lambda gpu: (gpu.index, gpu.uuid)))
    raise _unavailable(gpus, count, free, least_share, taken)


def balanced(gpus: Sequence[Gpu]) -> bool:
    """Whether their free memory is similar."""
    free = [gpu.free_bytes for gpu in gpus]
    return not free or min(free) >= BALANCE * max(free)


@dataclass(frozen=True, slots=True, kw_only=True)
class StillHeld:
    """A GPU that did not get back what a server took of it, and the processes that may hold it."""

    uuid: str
    missing_bytes: int
    processes: tuple[GpuProcess, ...]

    @property
    def shown(self) -> str:
        """As a clause of a message."""
        by = ", ".join(process.shown for process in self.processes) or "something that this system does not show"
        return f"{show_bytes(self.missing_bytes)} of {self.uuid} by {by}"


def room_bytes(gpu: Gpu) -> int:
    """What would be free were nobody on it: free memory, and what its processes are known to hold."""
    return gpu.free_bytes + sum(process.memory_bytes or 0 for process in gpu.processes)


def still_held(
    before: Mapping[str, int], now: Sequence[Gpu], *, others: Collection[int] = frozenset()
) -> tuple[StillHeld, ...]:
    """What is missing of the memory that there was before a server was started.

    Args:
        before: `room_bytes` of its GPUs then, by UUID.
        now: The GPUs as they are; one that is not there any more holds nothing.
        others: Ids of processes that surely are not the server's; what they hold is theirs.
    """
    found = []
    for gpu in now:
        foreign = [process for process in gpu.processes if process.pid in others]
        if gpu.uuid not in before or any(process.memory_bytes is None for process in foreign):
            continue  # not the server's, or nobody can tell whose it is
        missing = before[gpu.uuid] - gpu.free_bytes - sum(process.memory_bytes or 0 for process in foreign)
        if missing > SLACK_BYTES:
            left = tuple(process for process in gpu.processes if process.pid not in others)
            found.append(StillHeld(uuid=gpu.uuid, missing_bytes=missing, processes=left))
    return tuple(found)


def _unavailable(
    gpus: Sequence[Gpu], count: int, free: Sequence[Gpu], least_share: float, taken: Mapping[str, str]
) -> GpusUnavailable:
    if len(gpus) < count:
        return GpusUnavailable(
            f"{_gpus(count)} asked for, there {'is' if len(gpus) == 1 else 'are'} {len(gpus)}",
            hint="lower a parallel size, or give backend.gpus",
        )
    reasons = [f"GPU {gpu.index}: {_reason(gpu, least_share, taken)}" for gpu in gpus if gpu not in free]
    if len(free) >= count:
        shown = ", ".join(f"GPU {gpu.index} has {show_bytes(gpu.free_bytes)}" for gpu in free)
        reasons.append(f"their free memory differs too much: {shown}")
    return GpusUnavailable(
        f"{_gpus(count)} asked for, {len(free)} of {len(gpus)} can be had: {'; '.join(reasons)}",
        hint="wait until what holds them ends, or ask for less memory or fewer GPUs",
    )


def _reason(gpu: Gpu, least_share: float, taken: Mapping[str, str]) -> str:
    if gpu.uuid in taken:
        return f"reserved by {taken[gpu.uuid]}"
    if gpu.free_bytes < least_share * gpu.memory_bytes:
        by = ", ".join(process.shown for process in gpu.processes)
        need = show_bytes(int(least_share * gpu.memory_bytes))
        return f"{show_bytes(gpu.free_bytes)} free, {need} needed" + (f" (used by {by})" if by else "")
    return "a MIG part, of which a server can have one only"


def _gpus(count: int) -> str:
    return f"{count} GPU{'' if count == 1 else 's'}"
