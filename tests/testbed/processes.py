"""Processes that outlive whoever started them: recorded by id *and* start time, so that a reused id is never ended."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def start(record: Path, argv: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None) -> None:
    """Start *argv* in a session of its own and write who it is to *record*."""
    for folder in (record.parent, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=None if env is None else dict(env),
        )
    record.write_text(json.dumps({"pid": process.pid, "started": _started(process.pid), "argv": [*map(str, argv)]}))


def running(record: Path) -> int | None:
    """The id of the process that *record* is of, None when it is gone."""
    try:
        known = json.loads(record.read_text())
    except (OSError, ValueError):
        return None
    alive = known["started"] is not None and _started(known["pid"]) == known["started"]
    return int(known["pid"]) if alive else None


def end(record: Path, *, within_s: float = 10) -> None:
    """End the recorded process, killing it when it does not leave in time; the record goes last."""
    pid = running(record)
    if pid is not None:
        _signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + within_s
        while running(record) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        if running(record) is not None:
            _signal(pid, signal.SIGKILL)
        while running(record) is not None:
            time.sleep(0.02)
    record.unlink(missing_ok=True)


def mark(pid: int) -> str:
    """What says which process this is, now and later: ``PID.TICKS``."""
    return f"{pid}.{_started(pid)}"


def lives(marked: str) -> bool:
    """Whether the process with this `mark` runs still."""
    pid, _, started = marked.partition(".")
    return str(_started(int(pid))) == started


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _started(pid: int) -> int | None:
    """When the process began, in ticks since boot; None when it is gone (or a zombie: only its entry is left).

    A zombie of ours is reaped on the way.
    """
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else int(fields[18])
