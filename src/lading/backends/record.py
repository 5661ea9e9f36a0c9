"""What is written down about a server that was started here, so that any later process can find and stop it.

One folder per server under ``$LADING_HOME/run/``: ``state.json`` and ``server.log``. The state is written before the
process exists and again with its id, so that a run killed in between leaves a trace: every process of a server carries
`MARKER` in its environment. Values of environment variables are never written down.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lading.errors import InvalidInput
from lading.spec.base import Stored

MARKER = "LADING_SERVER"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?")
_STATE = "state.json"


class ServerRecord(Stored):
    """One server of this machine."""

    state_format: int = 1
    name: str
    mark: str
    """The value of `MARKER` in the environment of each of its processes."""
    boot: str
    """Which boot of this machine the process id belongs to."""
    engine: str
    model: str
    served_name: str
    host: str
    port: int
    argv: tuple[str, ...]
    argv_sha256: str
    """Of the plan, in which the port may be open."""
    lease: str | None = None
    pid: int | None = None
    """None: it was about to be started."""
    born_s: float | None = None
    """When the process began (`processes.birth_s`): tells it from a later one with the same id."""
    gpus: dict[str, int] = {}
    """The GPUs it is bound to, by UUID, with the bytes there were on each before it was started."""

    @property
    def url(self) -> str:
        """Where it can be asked."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.port}"  # noqa: S104 - not bound, read


def check_name(name: str) -> str:
    """*name*, when it may name a server (and so a folder).

    Raises:
        InvalidInput: It may not.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot name a server: a-z, 0-9, '-', '_' and '.', at most 100", hint="choose one with --name"
        )
    return name


def folder(home: Path, name: str) -> Path:
    """The server's own folder."""
    return home / "run" / check_name(name)


def log_file(home: Path, name: str) -> Path:
    """Where the server's output goes."""
    return folder(home, name) / "server.log"


def write(home: Path, record: ServerRecord) -> None:
    """Write *record*, whole or not at all."""
    place = folder(home, record.name)
    place.mkdir(parents=True, exist_ok=True)
    draft = place / f"{_STATE}.new"
    draft.write_text(record.model_dump_json(indent=2), encoding="utf-8")
    draft.replace(place / _STATE)


def read(home: Path, name: str) -> ServerRecord | None:
    """The record of *name*, None without one."""
    try:
        return ServerRecord.model_validate_json((folder(home, name) / _STATE).read_bytes())
    except FileNotFoundError:
        return None


def every(home: Path) -> Iterator[ServerRecord]:
    """All records, by name."""
    for path in sorted((home / "run").glob(f"*/{_STATE}")):
        record = read(home, path.parent.name)
        if record is not None:
            yield record


def erase(home: Path, name: str) -> None:
    """Forget *name*; silent when unknown."""
    shutil.rmtree(folder(home, name), ignore_errors=True)


def boot_id() -> str:
    """A text that changes when the machine is started again, where it can be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except FileNotFoundError:  # not Linux
        return os.uname().nodename
