"""GPUs of a server on this machine: which it is bound to, and that it gave their memory back.

What the parameters ask for is reserved before the server is started (`lading.hardware.reservation`), and the server sees
those GPUs alone, by UUID: an index means another GPU to CUDA than to NVML, and to a process that sees fewer.
"""

import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import psutil

from lading.backends import processes
from lading.backends.record import ServerRecord
from lading.engines import gpus as counting
from lading.engines.base import Engine
from lading.errors import GpusUnavailable, MissingExtra, TeardownFailed
from lading.hardware import allocation, gpus, reservation
from lading.hardware.allocation import StillHeld
from lading.hardware.gpus import Found
from lading.hardware.reservation import Reservation
from lading.tuning.trial import Params

VARIABLE = "CUDA_VISIBLE_DEVICES"
Wanted = int | Literal["auto"]


def reserve(
    home: Path,
    engine: Engine,
    params: Params,
    wanted: Wanted,
    *,
    holder: str,
    listed: str | None = None,
    taken: Mapping[str, str] | None = None,
) -> Reservation | None:
    """The GPUs that a server gets; None where it is bound to none.

    That is so where its parameters ask for none, or leave it to the engine, and where no GPU is known here or listed:
    with *wanted* ``auto`` the engine then says itself what it lacks.

    Args:
        home: Lading's state folder.
        engine: What is started.
        params: With what.
        wanted: `BackendChoice.gpus`.
        holder: As of `reservation.reserve`.
        listed: ``CUDA_VISIBLE_DEVICES`` as the server would have it: only these are given.
        taken: As of `reservation.reserve`.

    Raises:
        GpusUnavailable: Fewer can be had; or they are asked for by number, and there is none.
        MissingExtra: They are asked for by number, and there is a driver that cannot be asked.
    """
    count = counting.wanted(engine, params, wanted)
    if count == 0:
        return None
    found = gpus.look()
    seen = gpus.visible(found.gpus, listed)
    if not seen:
        if wanted != "auto":
            raise _none(count, found, listed)
        return None
    return reservation.reserve(
        home,
        seen,
        count,
        holder=holder,
        least_share=counting.memory_share(engine, params),
        taken=taken,
    )


def environment(reserved: Reservation | None, wanted: Wanted) -> dict[str, str]:
    """What binds a server to its GPUs; to none where none are *wanted*, by number."""
    if reserved is not None:
        return {VARIABLE: ",".join(reserved.uuids)}
    return {VARIABLE: ""} if wanted == 0 else {}


def room(reserved: Reservation | None) -> dict[str, int]:
    """What there was on each GPU before the server was started, in bytes by UUID: it must be there again."""
    return {} if reserved is None else {gpu.uuid: allocation.room_bytes(gpu) for gpu in reserved.gpus}


def wait_given_back(server: ServerRecord, until: float) -> None:
    """Wait until the memory of the server's GPUs is free again; its processes have ended.

    Raises:
        TeardownFailed: Something still holds it at *until* (monotonic seconds); names what.
    """
    while left := _held(server):
        if time.monotonic() >= until:
            shown = "; ".join(one.shown for one in left)
            raise TeardownFailed(
                f"all processes of {server.name} are gone, but memory of its GPUs is still held: {shown}",
                hint="`nvidia-smi` shows what runs there; where nothing does, the driver has to let go",
            )
        time.sleep(0.05)


def _held(server: ServerRecord) -> tuple[StillHeld, ...]:
    if not server.gpus:
        return ()
    now = gpus.look().gpus
    pids = {process.pid for gpu in now for process in gpu.processes}
    return allocation.still_held(server.gpus, now, others=_strangers(server, pids))


def _strangers(server: ServerRecord, pids: Collection[int]) -> frozenset[int]:
    """Those of *pids* that surely are none of the server's: of another user, older, or with an environment of their own."""
    found = set()
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.uids().real != os.getuid() or processes.is_foreign(process, server):
                found.add(pid)
        except psutil.Error:
            continue
    return frozenset(found)


def _none(count: int, found: Found, listed: str | None) -> GpusUnavailable | MissingExtra:
    if found.gpus:
        return GpusUnavailable(
            f"gpus: {count}, and {VARIABLE}={listed} leaves none of this machine's {len(found.gpus)}",
            hint=f"unset {VARIABLE}",
        )
    if found.needs_package:
        return MissingExtra("giving a server its GPUs", extra="gpu")
    why = "; ".join(filter(None, (found.why_none, *found.unread))) or "NVML lists none"
    return GpusUnavailable(f"gpus: {count}, and this machine has none: {why}", hint="`nvidia-smi` shows what it has")
