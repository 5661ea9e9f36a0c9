"""One writer at a time: a lock that works across hosts and survives its holder's death.

A lock is a directory that holds ``owner.json``. It is made aside and renamed into place, which fails while another
holder's directory is there (a rename never replaces a directory that has entries): so it appears whole, and there is
no moment in which it has no owner. Its age is judged by the file system's own clock, never by this host's.
flock is not used: some network file systems grant it to everyone.
"""

import errno
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lading.errors import ModelBusy
from lading.spec.clock import utc_now
from lading.volume import fs as files
from lading.volume import network
from lading.volume.fs import Fs

HEARTBEAT_S = 10.0
STALE_S = 120.0  # above NFS's attribute cache of 60 s and some missed heartbeats
_POLL_S = 0.05
OWNER = "owner.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of some host.

    Attributes:
        host: Host name, boot and process-id namespace: where they are equal, *pid* means the same.
        started_s: Its start, so that a reused id is not taken for it.
        run: What runs at most one such process at a time (a Job's uid, a connection's client): another process of the
            same run is dead, wherever it was. ``$LADING_WRITER``, else ``$LADING_RUN``.
        user: The person it works for, where that is not the process's own user.
    """

    host: str
    pid: int
    started_s: float
    run: str | None = None
    user: str | None = None

    @classmethod
    def this(cls) -> "Process":
        """The one that asks."""
        import psutil  # only who locks needs it

        return cls(
            host=_host(),
            pid=os.getpid(),
            started_s=psutil.Process().create_time(),
            run=os.environ.get("LADING_WRITER") or os.environ.get("LADING_RUN") or None,
        )

    def replaces(self, other: "Process") -> bool:
        """Whether *other* is dead because its run has this process now."""
        same = (self.host, self.pid, self.started_s) == (other.host, other.pid, other.started_s)
        return self.run is not None and self.run == other.run and not same

    def is_dead(self) -> bool:
        """Whether it surely ended; False where that cannot be known from here."""
        import psutil

        if self.host != _host():
            return False
        try:
            started_s: float = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False
        return abs(started_s - self.started_s) > 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that is held; `check` before what must not be done without it."""

    path: Path
    token: str
    what: str

    def is_ours(self) -> bool:
        """Whether nobody took it over."""
        return _has(self)

    def check(self) -> None:
        """Return while it is still ours.

        Raises:
            ModelBusy: Another took it over: this process was silent for too long.
        """
        if not self.is_ours():
            raise ModelBusy(
                f"the lock of {self.what} was taken over: this process was silent for more than {STALE_S:.0f} s",
                hint="run it again; what was fetched is kept",
            )


@contextmanager
def held(fs: Fs, path: Path, what: str, *, me: Process, wait_s: float = 0.0) -> Iterator[Held]:
    """Hold the lock at *path* of *what*, waiting at most *wait_s* for it; its heartbeat runs meanwhile.

    Raises:
        ModelBusy: Another live process has it; names it.
    """
    lock = Held(path, secrets.token_hex(16), what)
    _acquire(fs, lock, me, wait_s)
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(fs, lock, stop), name="lading-lock", daemon=True)
    heart.start()
    try:
        yield lock
    finally:
        stop.set()
        heart.join()
        _release(fs, lock)


def is_held(path: Path) -> bool:
    """Whether a live process seems to hold the lock at *path*; looks only, and trusts this host's clock."""
    owner = _owner(path)
    try:
        return owner is not None and not owner.is_stale(time.time() - (path / OWNER).stat().st_mtime)
    except FileNotFoundError:
        return False


def _acquire(fs: Fs, lock: Held, me: Process, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while not _take(fs, lock, me):
        owner = _owner(lock.path)
        if owner is not None and (owner.is_replaced(me) or owner.is_stale(_age_s(fs, lock.path))):
            _discard(fs, lock.path, owner.token)
        elif time.monotonic() >= deadline:
            raise _busy(lock.what, owner)
        else:
            time.sleep(_POLL_S)


def _release(fs: Fs, lock: Held) -> None:
    try:
        _discard(fs, lock.path, lock.token)
    except OSError:
        pass  # a volume that went away: the lock falls when this process ends; what happened inside counts more


def _take(fs: Fs, lock: Held, me: Process) -> bool:
    if (lock.path / OWNER).exists():
        return False
    made = lock.path.parent / f".new-{lock.token}"
    fs.mkdir(made)
    _write_owner(fs, made / OWNER, _Owner(token=lock.token, process=me, since=utc_now()))
    try:
        fs.rename(made, lock.path)
    except OSError as error:
        if _has(lock):
            return True  # NFS lost the answer, asked again, and was told of what its first question had done
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        files.remove_tree(fs, made)
        return False
    return True


def _has(lock: Held) -> bool:
    owner = _owner(lock.path)
    return owner is not None and owner.token == lock.token


def _discard(fs: Fs, path: Path, token: str) -> None:
    """Remove the lock that has *token*. Two may judge one stale, and a third take it between: so it is looked at aside."""
    aside = path.parent / f".old-{secrets.token_hex(16)}"
    try:
        fs.rename(path, aside)
    except FileNotFoundError:
        return
    owner = _owner(aside)
    if owner is not None and owner.token != token:
        try:
            fs.rename(aside, path)
        except OSError:
            pass  # a fourth has it by now; the third will see that in `Held.check`
        else:
            return
    files.remove_tree(fs, aside)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """Who holds a lock; *process* None where ``owner.json`` is damaged."""

    token: str
    process: Process | None
    since: str = ""

    def is_replaced(self, me: Process) -> bool:
        return self.process is not None and me.replaces(self.process)

    def is_stale(self, age_s: float) -> bool:
        return age_s > STALE_S or (self.process is not None and self.process.is_dead())


def _owner(path: Path) -> _Owner | None:
    """The holder of the lock at *path*, None while nobody has it."""
    try:
        text = network.fresh((path / OWNER).read_bytes)
    except FileNotFoundError:
        return None
    try:
        document = json.loads(text)
        process = Process(
            host=str(document["host"]),
            pid=int(document["pid"]),
            started_s=float(document["started_s"]),
            run=_text(document.get("run")),
            user=_text(document.get("user")),
        )
        return _Owner(token=str(document["token"]), process=process, since=_text(document.get("since")) or "")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return _Owner(token="", process=None)


def _write_owner(fs: Fs, path: Path, owner: _Owner) -> None:
    assert owner.process is not None
    process = {key: value for key, value in asdict(owner.process).items() if value is not None}
    document = {"token": owner.token, "since": owner.since, **process}
    descriptor = fs.create(path)
    try:
        files.write_all(fs, descriptor, json.dumps(document).encode())
        fs.sync(descriptor)
    finally:
        fs.close(descriptor)


def _age_s(fs: Fs, path: Path) -> float:
    """Seconds since the last heartbeat, by the clock of the file system; 0 when the lock is gone."""
    clock = path.parent / ".clock"
    fs.close(fs.append(clock))
    fs.touch(clock)
    try:
        return clock.stat().st_mtime - (path / OWNER).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _beat(fs: Fs, lock: Held, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        try:
            lock.check()
            fs.touch(lock.path / OWNER)
        except (OSError, ModelBusy):
            continue  # a stalled mount may come back; `check` decides before the rename


def _busy(what: str, owner: _Owner | None) -> ModelBusy:
    return ModelBusy(
        f"{what} is being written by {_holder(owner)}",
        hint=f"wait for it to end; should its host be gone, the lock falls {STALE_S:.0f} s after its last sign of life",
    )


def _holder(owner: _Owner | None) -> str:
    """``process 7 on lading-pull-x7k2p, for anna on laptop, since 2026-01-01T00:00:00Z``; printable, whoever wrote it."""
    if owner is None or owner.process is None:
        return "another process"
    parts = [f"process {owner.process.pid} on {owner.process.host.split('/')[0]}"]
    parts += [f"for {owner.process.user}"] if owner.process.user else []
    parts += [f"since {owner.since}"] if owner.since else []
    return "".join(char for char in ", ".join(parts)[:300] if char.isprintable())


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None


def _host() -> str:
    """Where a process id means the same: host name, boot and process-id namespace."""
    return "/".join([socket.gethostname(), _first_line(Path("/proc/sys/kernel/random/boot_id")), _namespace()])


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
