"""Every change to a volume, one system call per method: the seam where tests inject crashes, faults and lost writes.

Nothing else in `lading.volume` changes the file system. Reading goes straight to `pathlib` and `os`.
"""

import ctypes
import errno
import fcntl
import os
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

WRITE_BYTES = 96 << 10
"""At most this much per write call: from 128 KiB on ext4 takes large folios, which cost several times the CPU where memory is
handed out cold (virtual machines that return free pages to their host)."""

_FICLONE = 0x40049409


class Fs:
    """The real file system."""

    def mkdir(self, path: Path) -> None:
        """Make a directory."""
        path.mkdir()

    def rmdir(self, path: Path) -> None:
        """Remove an empty directory."""
        path.rmdir()

    def unlink(self, path: Path) -> None:
        """Remove a file or a link."""
        path.unlink()

    def rename(self, old: Path, new: Path) -> None:
        """Give a file, link or directory another name, atomically, in place of what has it."""
        old.rename(new)

    def link(self, old: Path, new: Path) -> None:
        """Give a file a second name; OSError where the file system has no such names."""
        os.link(old, new, follow_symlinks=False)

    def clone(self, source: Path, descriptor: int) -> None:
        """Give an empty file the bytes of *source*, shared on the disk; OSError where the file system cannot."""
        opened = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.ioctl(descriptor, _FICLONE, opened)
        finally:
            os.close(opened)

    def symlink(self, target: str, path: Path) -> None:
        """Make a link at *path* that says *target*."""
        path.symlink_to(target)

    def chmod(self, path: Path, mode: int) -> None:
        """Set the mode; file systems that have none may refuse, which is no fault."""
        try:
            path.chmod(mode)
        except PermissionError:
            pass

    def touch(self, path: Path) -> None:
        """Set the modification time to the file system's now."""
        os.utime(path)

    def create(self, path: Path) -> int:
        """A descriptor of a new, empty file, in place of one that is there; never through a link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(path, flags, 0o666)

    def reopen(self, path: Path, direct: bool = False) -> int:
        """A descriptor that writes to a file that is there, past the page cache if *direct*; never through a link.

        Raises:
            OSError: EINVAL where there is no direct I/O.
        """
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        if direct:
            if not hasattr(os, "O_DIRECT"):
                raise OSError(errno.EINVAL, "no direct I/O on this system")
            flags |= os.O_DIRECT
        return os.open(path, flags)

    def append(self, path: Path) -> int:
        """A descriptor that writes at the end of a file, made when missing."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(path, flags, 0o666)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Write from *data*; how many bytes were taken."""
        return os.write(descriptor, data)

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        """Write from *data* at *offset*; how many bytes were taken. Direct I/O wants all three to be aligned."""
        return os.pwrite(descriptor, data, offset)

    def allocate(self, descriptor: int, size_bytes: int) -> None:
        """Give a file its size and its blocks at once; silent where the file system has no such call.

        Not by `os.posix_fallocate`: that writes a byte to each block where the call is missing, as on NFS.
        """
        _allocate(descriptor, size_bytes)

    def sync_data(self, descriptor: int) -> None:
        """Make a file's bytes durable, and of its metadata what is needed to read them."""
        getattr(os, "fdatasync", os.fsync)(descriptor)

    def begin_sync(self, descriptor: int) -> None:
        """Start a file's bytes on their way to the disk, and wait for nothing; silent where there is no such call."""
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self, descriptor: int) -> None:
        """Make a file's bytes durable."""
        os.fsync(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Make a directory's names durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        """Let go of a descriptor."""
        os.close(descriptor)


def write_all(fs: Fs, descriptor: int, data: bytes | memoryview) -> None:
    """Write all of *data*, in as many calls as it takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[fs.write(descriptor, rest[:WRITE_BYTES]) :]


def move(fs: Fs, old: Path, new: Path) -> None:
    """Give *old* the name *new*, durably: nowhere is worse than in both places."""
    fs.rename(old, new)
    fs.sync_directory(new.parent)
    fs.sync_directory(old.parent)


def unlink(fs: Fs, path: Path) -> None:
    """Remove a file or a link, durably."""
    fs.unlink(path)
    fs.sync_directory(path.parent)


def replace(fs: Fs, path: Path, data: bytes, *, temporary: Path, mode: int) -> None:
    """Give *path* the content *data*, atomically and durably; *temporary* is on the same file system."""
    descriptor = fs.create(temporary)
    try:
        fs.chmod(temporary, mode)
        write_all(fs, descriptor, data)
        fs.sync(descriptor)
    finally:
        fs.close(descriptor)
    fs.rename(temporary, path)
    fs.sync_directory(path.parent)


def append_line(fs: Fs, path: Path, line: bytes, *, mode: int, durable: bool = True, ends_well: bool = False) -> None:
    """Append *line*, *durable* or as soon as the system will.

    A line that a crash tore is closed first, unless the caller knows that the file is there and *ends_well*.
    """
    new = not ends_well and not path.exists()
    descriptor = fs.append(path)
    try:
        if new:
            fs.chmod(path, mode)
        write_all(fs, descriptor, (b"" if new or ends_well or _ends_well(path) else b"\n") + line + b"\n")
        if durable:
            fs.sync(descriptor)
    finally:
        fs.close(descriptor)
    if new and durable:
        fs.sync_directory(path.parent)


def make_directories(fs: Fs, path: Path, *, mode: int | None) -> None:
    """Make *path* and its missing parents, each durable with *mode*; None: as the umask says."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        try:
            fs.mkdir(directory)
        except FileExistsError:
            if not directory.is_dir():
                raise
            continue  # another writer was quicker
        if mode is not None:
            fs.chmod(directory, mode)
        fs.sync_directory(directory.parent)


def remove_tree(fs: Fs, path: Path) -> None:
    """Remove a directory and all in it; links are removed, not followed; what is gone already is silent."""
    try:
        entries = list(os.scandir(path))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(fs, Path(entry.path))
        else:
            _unlink_silently(fs, Path(entry.path))
    fs.rmdir(path)


def tree_files(path: Path) -> list[Path]:
    """All that is not a directory below *path*, sorted; empty for a missing one."""
    found: list[Path] = []
    for directory, folders, files in os.walk(path):
        links = [name for name in folders if (Path(directory) / name).is_symlink()]
        found += [Path(directory) / name for name in [*files, *links]]
    return sorted(found)


def tree_directories(path: Path) -> list[Path]:
    """*path* and all directories below it, the deepest first; empty for a missing one."""
    return [Path(directory) for directory, _, _ in os.walk(path, topdown=False)]


def tree_bytes(path: Path) -> int:
    """The size of all files below *path*."""
    return sum(file.lstat().st_size for file in tree_files(path))


def is_regular(found: os.stat_result) -> bool:
    """Whether what was found is a plain file."""
    return stat.S_ISREG(found.st_mode)


@lru_cache
def _fallocate() -> Any:
    """The C library's `fallocate(2)`; None where it has none."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if call is not None:
        call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return call


def _allocate(descriptor: int, size_bytes: int) -> None:
    call = _fallocate()
    if call is None or size_bytes == 0 or call(descriptor, 0, 0, size_bytes) == 0:
        return
    number = ctypes.get_errno()
    if number not in {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}:
        raise OSError(number, os.strerror(number))


def _unlink_silently(fs: Fs, path: Path) -> None:
    try:
        fs.unlink(path)
    except FileNotFoundError:
        pass


def _ends_well(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
