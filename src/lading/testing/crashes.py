"""File systems that crash or forget, so that a run can be cut at each of its calls.

`CrashingFs` dies before or after its k-th call, as by SIGKILL. `ForgetfulFs` then also loses what was not made durable,
as a power failure does. Both change a real directory, so that what is left can be opened like any other volume.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.volume.fs import Fs
from lading.volume.lock import Process


class Crash(BaseException):
    """The process is gone: nothing handles this, and nothing it still tries has an effect."""


class QuickFs(Fs):
    """The real file system without waiting for the disk: a SIGKILL leaves the same with or without fsync."""

    def sync(self, descriptor: int) -> None:
        """Nothing."""

    def sync_data(self, descriptor: int) -> None:
        """Nothing."""

    def sync_directory(self, path: Path) -> None:
        """Nothing."""


_CALLS = frozenset(
    name for name, value in vars(Fs).items() if callable(value) and not name.startswith("_") and name != "close"
)


class CrashingFs(QuickFs):
    """A file system whose process dies at a chosen call.

    Args:
        at: The number of the call, from 0; None: it never dies, and counts its calls in `calls`.
        after: Whether that call still takes effect.
    """

    def __init__(self, at: int | None = None, *, after: bool = False) -> None:
        self.at = at
        self.after = after
        self.calls: list[str] = []
        self.dead = False
        self._count = threading.Lock()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in _CALLS:
            return found
        return lambda *arguments: self._call(name, found, arguments)

    def _call(self, name: str, method: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        with self._count:
            if self.dead:
                raise Crash
            self.calls.append(name)
            self.dead = len(self.calls) - 1 == self.at
            if self.dead and not self.after:
                raise Crash
            result = method(*arguments)
            if self.dead:
                raise Crash
            return result


@dataclass
class _Change:
    """One change that is not durable yet: durable once *directory* is; *undo* takes *paths* as they are called then."""

    paths: list[Path]
    directory: Path | None
    undo: Callable[[list[Path]], None]
    moved: bool = False


class ForgetfulFs(CrashingFs):
    """A crashing file system that loses, on `forget`, every change whose file or directory was not fsynced.

    A change of a directory is durable when the directory is (for a rename: the one that has the new name); written bytes
    when their file is. All other changes are undone, the last first: the most that a journalling file system may lose.

    Args:
        attic: A directory on the same file system, where what was replaced is kept.
    """

    def __init__(self, at: int | None = None, *, after: bool = False, attic: Path) -> None:
        super().__init__(at, after=after)
        self._attic = attic
        self._changes: list[_Change] = []
        self._unsynced: dict[tuple[int, int], tuple[int, int, list[tuple[int, int]]]] = {}

    def forget(self) -> None:
        """Lose what was not durable."""
        for descriptor, length, written in self._unsynced.values():
            for offset, count in written:
                os.pwrite(descriptor, bytes(count), offset)
            os.ftruncate(descriptor, length)
            os.close(descriptor)
        for change in reversed(self._changes):
            change.undo(change.paths)
        self._changes.clear()
        self._unsynced.clear()

    def mkdir(self, path: Path) -> None:
        """Make a directory."""
        super().mkdir(path)
        self._note([path], path.parent, lambda paths: shutil.rmtree(paths[0], ignore_errors=True))

    def rmdir(self, path: Path) -> None:
        """Remove an empty directory."""
        super().rmdir(path)
        self._note([path], path.parent, _make_again)

    def unlink(self, path: Path) -> None:
        """Remove a file or a link, which the attic keeps."""
        restore = self._keep(path)
        super().unlink(path)
        self._note([path], path.parent, lambda paths: restore(paths[0]))

    def rename(self, old: Path, new: Path) -> None:
        """Rename; what was replaced is kept in the attic."""
        restore = self._keep(new)
        super().rename(old, new)

        def undo(paths: list[Path]) -> None:
            if os.path.lexists(paths[1]) and paths[0].parent.is_dir():
                paths[1].rename(paths[0])
                restore(paths[1])

        self._note([old, new], new.parent, undo, moved=True)

    def symlink(self, target: str, path: Path) -> None:
        """Make a link."""
        super().symlink(target, path)
        self._note([path], path.parent, lambda paths: paths[0].unlink(missing_ok=True))

    def link(self, old: Path, new: Path) -> None:
        """A second name, which is lost with its directory."""
        super().link(old, new)
        self._note([new], new.parent, lambda paths: paths[0].unlink(missing_ok=True))

    def clone(self, source: Path, descriptor: int) -> None:
        """Share the bytes; they are lost until `sync`."""
        self._lossy(descriptor)
        super().clone(source, descriptor)

    def create(self, path: Path) -> int:
        """A new file; its name is lost with its directory."""
        new = not path.exists()
        descriptor = super().create(path)
        if new:
            self._note([path], path.parent, lambda paths: paths[0].unlink(missing_ok=True))
        return descriptor

    def append(self, path: Path) -> int:
        """A file to append to; the name of a new one is lost with its directory."""
        new = not path.exists()
        descriptor = super().append(path)
        if new:
            self._note([path], path.parent, lambda paths: paths[0].unlink(missing_ok=True))
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Write; the bytes are lost until `sync`."""
        self._lossy(descriptor)
        return super().write(descriptor, data)

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        """Write; where the file had its size already, the bytes are zeros again until `sync` or `sync_data`."""
        written = self._lossy(descriptor)
        count = super().write_at(descriptor, data, offset)
        written.append((offset, count))
        return count

    def allocate(self, descriptor: int, size_bytes: int) -> None:
        """Give it its size, which is lost until `sync` or `sync_data`."""
        self._lossy(descriptor)
        super().allocate(descriptor, size_bytes)

    def sync(self, descriptor: int) -> None:
        """Written bytes of this file are kept."""
        found = os.fstat(descriptor)
        kept = self._unsynced.pop((found.st_dev, found.st_ino), None)
        if kept:
            os.close(kept[0])

    def sync_data(self, descriptor: int) -> None:
        """As `sync`."""
        ForgetfulFs.sync(self, descriptor)

    def _lossy(self, descriptor: int) -> list[tuple[int, int]]:
        """Stretches of the file that are lost until it is made durable; noted with the length it had before."""
        found = os.fstat(descriptor)
        key = (found.st_dev, found.st_ino)
        if key not in self._unsynced:
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY)
            self._unsynced[key] = (own, found.st_size, [])
        return self._unsynced[key][2]

    def sync_directory(self, path: Path) -> None:
        """Names in this directory are kept.

        What moved here is here, though its first name never was durable; what lies below it is called by its new name.
        """
        durable = [change for change in self._changes if change.directory == path]
        self._changes = [change for change in self._changes if change.directory != path]
        for moved in (change for change in durable if change.moved):
            self._changes = [change for change in self._changes if change.paths != moved.paths[:1]]
            for change in self._changes:
                change.paths = [_moved(each, *moved.paths) for each in change.paths]
                change.directory = change.directory and _moved(change.directory, *moved.paths)

    def _note(
        self, paths: list[Path], directory: Path, undo: Callable[[list[Path]], None], *, moved: bool = False
    ) -> None:
        self._changes.append(_Change(paths, directory, undo, moved))

    def _keep(self, path: Path) -> Callable[[Path], None]:
        """How to put back what is at *path* now."""
        if path.is_symlink():
            target = str(path.readlink())
            return lambda place: place.symlink_to(target) if place.parent.is_dir() else None
        if path.is_file():
            kept = self._attic / str(len(list(self._attic.iterdir())))
            kept.hardlink_to(path)
            return lambda place: place.hardlink_to(kept) if place.parent.is_dir() else None
        if path.is_dir():
            return lambda place: place.mkdir()
        return lambda _: None


def _make_again(paths: list[Path]) -> None:
    """Undo an rmdir, unless the directory above is durably gone too."""
    if paths[0].parent.is_dir():
        paths[0].mkdir(exist_ok=True)


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old) if path.is_relative_to(old) else path


def dead_process() -> Process:
    """The identity of a process of this host that has ended."""
    here = Process.this()
    return Process(host=here.host, pid=2**31 - 2, started_s=1.0)


@contextmanager
def dying() -> Iterator[None]:
    """Run what may crash."""
    try:
        yield
    except Crash:
        pass
