"""All processes of one server, wherever they went: its session, its descendants, and those that carry its mark.

Engines start workers; workers leave the process group, are orphaned when their parent is killed, and overwrite their
environment with a new title. Each way of finding them misses some, so all are used. A process is known by its id and
its start time: an id that was used again is another process.
"""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from lading.backends import record
from lading.backends.record import ServerRecord

GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


def leader(server: ServerRecord) -> psutil.Process | None:
    """The process that was started, None when it is gone."""
    if server.pid is None or server.boot != record.boot_id():
        return None
    try:
        process = psutil.Process(server.pid)
        same = server.born_s is None or birth_s(process.pid) == server.born_s
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except GONE:
        return None


def birth_s(pid: int) -> float:
    """When the process began, in seconds on a clock that nobody sets where there is one (Linux: since boot).

    Raises:
        psutil.NoSuchProcess: There is none.
    """
    if sys.platform != "linux":
        return float(psutil.Process(pid).create_time())
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    return int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")  # the name may hold anything


def of(server: ServerRecord) -> list[psutil.Process]:
    """Every live process of *server*, its leader first."""
    if server.boot != record.boot_id():
        return []
    first = leader(server)
    found = {} if first is None else {process.pid: process for process in (first, *_descendants(first))}
    for process in _mine():
        if process.pid not in found and _belongs(process, server, leader_lives=first is not None):
            found[process.pid] = process
            found |= {child.pid: child for child in _descendants(process)}
    return [process for process in found.values() if _lives(process)]


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each of *processes* that is still there."""
    for process in processes:
        with contextlib.suppress(*GONE, psutil.AccessDenied):
            process.send_signal(number)


def port_is_taken(host: str, port: int) -> bool:
    """Whether a server could not listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return True
    return False


def free_port(host: str) -> int:
    """A port nobody listens on now. Another program may take it before the server does: its start then fails, and says so."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def listener(port: int) -> psutil.Process | None:
    """Who listens on *port*; None where that cannot be told."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return psutil.Process(connection.pid)
    return None


def shown(process: psutil.Process | None) -> str:
    """*process* for a person: ``python3 (pid 12)``."""
    with contextlib.suppress(psutil.Error):
        if process is not None:
            return f"{process.name()} (pid {process.pid})"
    return "another program"


def is_foreign(process: psutil.Process, server: ServerRecord) -> bool:
    """Whether *process* surely is none of *server*: older than it, or with a whole environment without its mark."""
    try:
        if server.born_s is not None and birth_s(process.pid) < server.born_s:
            return True
        environment = process.environ()
    except psutil.Error:
        return False
    return "PATH" in environment and environment.get(record.MARKER) != server.mark


def wait_gone(server: ServerRecord, until: float) -> list[psutil.Process]:
    """Wait until no process of *server* is left, at most until *until* (monotonic seconds); those that are."""
    while left := of(server):
        if time.monotonic() >= until:
            return left
        psutil.wait_procs(left, timeout=max(0.01, min(0.25, until - time.monotonic())))
    return []


def _mine() -> Iterator[psutil.Process]:
    """Live processes of this user."""
    me = os.getuid()
    for process in psutil.process_iter():
        with contextlib.suppress(*GONE, psutil.AccessDenied):
            if me in (0, process.uids().real):
                yield process


def _belongs(process: psutil.Process, server: ServerRecord, *, leader_lives: bool) -> bool:
    """Whether *process* carries the server's mark or is in its session.

    After the leader's death its session number alone is no proof; then only a process whose environment was overwritten
    (as programs do that set their title) is taken for one of the session.
    """
    try:
        if server.born_s is not None and birth_s(process.pid) < server.born_s:
            return False
        environment = process.environ()
        in_session = server.pid is not None and os.getsid(process.pid) == server.pid
    except (*GONE, psutil.AccessDenied, OSError):
        return False
    marked = environment.get(record.MARKER) == server.mark
    return marked or (in_session and (leader_lives or "PATH" not in environment))


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except GONE:
        return []


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except GONE:
        return False
