"""This machine as the docker backend uses it: whose containers are ours, free ports, GPUs, and the servers' processes."""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from lading.backends import processes
from lading.backends.docker_container import Seen, Wanted
from lading.engines import gpus as demand
from lading.errors import PortInUse, TeardownFailed
from lading.hardware import gpus
from lading.ports.backend import Deployment

if TYPE_CHECKING:
    from lading.hardware.reservation import Reservation

#: Docker's own process that listens for a container.
_PROXY = "docker-proxy"


# ------------------------------------------------------------------------------------------------------------- ownership


def owner(home: Path) -> str | None:
    """Whose containers are those of *home*; None: nothing was ever started for it."""
    try:
        return (home / "docker" / "owner").read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def own(home: Path) -> str:
    """As `owner`, made when there is none yet; the same for all who ask at once."""
    while (known := owner(home)) is None:
        folder = home / "docker"
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{secrets.token_hex(8)}"
        draft.write_text(secrets.token_hex(16), encoding="ascii")
        with contextlib.suppress(FileExistsError):
            os.link(draft, folder / "owner")  # whole, and only one of several wins
        draft.unlink()
    return known


# ----------------------------------------------------------------------------------------------------------------- ports


@contextlib.contextmanager
def port(wanted: Wanted) -> Iterator[int | None]:
    """The port of this machine that the container is made with; None: the daemon chooses one as it starts.

    With the host's network a free one is held for the length of the block, so that nobody else is given it meanwhile.

    Raises:
        PortInUse: The one asked for is taken.
    """
    host, asked = wanted.deployment.host, wanted.deployment.port
    if asked is not None:
        if processes.port_is_taken(host, asked):
            raise PortInUse(
                f"port {asked} of {host} is in use by {processes.shown(processes.listener(asked))}",
                hint="give another with --port, or leave it out to have a free one chosen",
            )
        yield asked
    elif wanted.network == "host":
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as held:
            held.bind((host, 0))
            found: int = held.getsockname()[1]
            yield found
    else:
        yield None


async def until_free(found: Seen, until: float) -> None:
    """Wait until nothing of the removed container *found* listens on its port.

    Raises:
        TeardownFailed: Something does, at *until* (monotonic seconds).
    """
    if found.port is None or not found.running:
        return
    while processes.port_is_taken(found.host or "0.0.0.0", found.port):  # noqa: S104 - looked at
        holder = processes.listener(found.port)
        if holder is not None and _is_foreign(holder):
            return
        if time.monotonic() >= until:
            raise TeardownFailed(
                f"the container of {found.name} is gone, but {processes.shown(holder)} listens on its port {found.port}",
                hint=f"find it with `ss -ltnp 'sport = :{found.port}'`",
            )
        await asyncio.sleep(0.05)


def _is_foreign(holder: psutil.Process) -> bool:
    """Whether another program took the port meanwhile: the container is gone, so what is not Docker's proxy is none of it."""
    try:
        return bool(holder.name() != _PROXY)
    except psutil.Error:
        return False


# ------------------------------------------------------------------------------------------------------------------ GPUs


def gpu_count(deployment: Deployment, asked: int | Literal["auto"]) -> int:
    """How many GPUs the container gets: as many as its parameters ask for, unless *asked* says it by number.

    By itself it asks for none where this machine has no driver: images that run without GPUs do.
    """
    count = demand.wanted(deployment.engine, deployment.params, asked)
    if asked == "auto" and count:
        found = gpus.look()
        return count if found.gpus or found.needs_package else 0
    return count


@contextlib.contextmanager
def reserved_gpus(home: Path, wanted: Wanted, ours: Sequence[Seen]) -> "Iterator[Reservation | None]":
    """GPUs for *wanted*, reserved for the length of the block; None: it takes none, or the daemon chooses.

    From then on the container itself says that it has them (those of *ours*, ended ones apart, are taken), and to servers
    that are no containers the process it was lent to.

    Raises:
        GpusUnavailable: There are too few with enough free memory; the message says why, GPU by GPU.
    """
    found = gpus.look() if wanted.gpus else None
    if found is None or not found.gpus:
        yield None  # none is known here: the daemon's NVIDIA runtime knows, or says what it lacks
        return
    from lading.hardware import reservation

    plan = wanted.deployment
    taken = {one: f"the server {seen.name}" for seen in ours if seen.state != "exited" for one in seen.device_ids}
    with reservation.reserve(
        home, gpus.visible(found.gpus, os.environ.get("CUDA_VISIBLE_DEVICES")), wanted.gpus, holder=f"the server {plan.name}",
        least_share=demand.memory_share(plan.engine, plan.params), taken=taken,
    ) as held:  # fmt: skip
        yield held


# ------------------------------------------------------------------------------------------------------------- processes


def note(home: Path, name: str, pid: int) -> None:
    """Write down the process of the server *name*, which has answered: measurements must not take it for foreign load."""
    (home / "docker" / f"{name}.pid").write_text(str(pid), encoding="ascii")


def is_noted(home: Path, name: str) -> bool:
    """Whether the server *name* has answered."""
    return (home / "docker" / f"{name}.pid").exists()


def forget(home: Path, name: str) -> None:
    """Undo `note`."""
    (home / "docker" / f"{name}.pid").unlink(missing_ok=True)


def noted(home: Path) -> Iterator[int]:
    """The processes of servers in containers, as they were noted."""
    for path in (home / "docker").glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            yield int(path.read_text(encoding="ascii"))
