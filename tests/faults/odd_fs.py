"""A FUSE file system over a folder that behaves as bad ones do; a program of its own, ended by SIGKILL like a machine that lost
its power.

``python odd_fs.py FOLDER MOUNTPOINT '{"errno": "EIO", "operation": "fsync", "at": 3}'``
"""

# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH115, PTH116, PTH208, PTH211

import errno
import functools
import json
import os
import sys
import time
from pathlib import Path

import mfusepy


def odd(call):
    """An operation that may fail as planned."""

    @functools.wraps(call)
    def operation(self, *arguments):
        self._fail(call.__name__)
        try:
            return call(self, *arguments)
        except OSError as error:
            raise mfusepy.FuseOSError(error.errno or errno.EIO) from error

    return operation


class OddFs(mfusepy.Operations):
    """What is on *folder*, with faults.

    Args:
        operation, error, at, times: The *at*-th such operations (from 0; None: any that changes) fail, so many times.
        quota_bytes: What may be written in all; then EDQUOT.
        loses: Whether written bytes are in memory alone until they are synced.
        late_s: For so long a new name is not seen.
        lacks: What it has not: ``link``, ``direct``, ``chmod``.
    """

    use_ns = True
    changing = frozenset({"mkdir", "rmdir", "unlink", "rename", "create", "write", "truncate", "fsync", "symlink"})

    def __init__(
        self, folder, *, operation=None, error="EIO", at=0, times=0, quota_bytes=None, loses=False, late_s=0, lacks=()
    ):
        self.folder = folder
        self.operation, self.error, self.at, self.left = operation, getattr(errno, error), at, times
        self.quota_bytes, self.loses, self.late_s, self.lacks = quota_bytes, loses, late_s, set(lacks)
        self.written_bytes, self.count = 0, 0
        self.unsynced: dict[int, bytearray] = {}

    def _fail(self, op):
        if op != self.operation and not (self.operation is None and op in self.changing):
            return
        self.count += 1
        if self.left and self.count > self.at:
            self.left -= 1
            raise mfusepy.FuseOSError(self.error)

    def _real(self, path):
        return f"{self.folder}{path}"

    @odd
    def getattr(self, path, fh=None):
        found = os.lstat(self._real(path)) if fh is None else os.fstat(fh)
        if self.late_s and path != "/" and time.time() - found.st_ctime < self.late_s:
            raise OSError(errno.ENOENT, path)
        told = {
            name: getattr(found, name)
            for name in ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks", "st_ino")
        }
        told |= {f"st_{one}time": getattr(found, f"st_{one}time_ns") for one in "amc"}
        if found.st_ino in self.unsynced:
            told["st_size"] = len(self.unsynced[found.st_ino])
        return told

    @odd
    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self._real(path))]

    @odd
    def readlink(self, path):
        return os.readlink(self._real(path))

    @odd
    def mkdir(self, path, mode):
        os.mkdir(self._real(path), mode)

    @odd
    def rmdir(self, path):
        os.rmdir(self._real(path))

    @odd
    def unlink(self, path):
        os.unlink(self._real(path))

    @odd
    def symlink(self, target, source):
        os.symlink(source, self._real(target))

    @odd
    def rename(self, old, new, flags=0):
        if flags:
            raise OSError(errno.EINVAL, "no flags here")
        os.rename(self._real(old), self._real(new))

    @odd
    def link(self, target, source):
        if "link" in self.lacks:
            raise OSError(errno.EPERM, "no links here")
        os.link(self._real(source), self._real(target))

    @odd
    def chmod(self, path, mode, fh=None):
        if "chmod" in self.lacks:
            raise OSError(errno.EPERM, "no modes here")
        os.chmod(self._real(path), mode)

    @odd
    def utimens(self, path, times=None, fh=None):
        os.utime(self._real(path), ns=times)

    @odd
    def open(self, path, flags):
        if flags & os.O_DIRECT and "direct" in self.lacks:
            raise OSError(errno.EINVAL, "no direct I/O here")
        return os.open(self._real(path), (flags & ~os.O_DIRECT & ~os.O_APPEND & ~os.O_ACCMODE) | os.O_RDWR)

    @odd
    def create(self, path, mode, fi=None):
        return os.open(self._real(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

    @odd
    def truncate(self, path, length, fh=None):
        inode = os.stat(self._real(path)).st_ino
        if inode in self.unsynced:
            held = self.unsynced[inode]
            self.unsynced[inode] = held[:length] + bytearray(max(0, length - len(held)))
        else:
            os.truncate(self._real(path), length)

    @odd
    def read(self, path, size, offset, fh):
        held = self.unsynced.get(os.fstat(fh).st_ino)
        return os.pread(fh, size, offset) if held is None else bytes(held[offset : offset + size])

    @odd
    def write(self, path, data, offset, fh):
        self.written_bytes += len(data)
        if self.quota_bytes is not None and self.written_bytes > self.quota_bytes:
            raise OSError(errno.EDQUOT, "over quota")
        if not self.loses:
            return os.pwrite(fh, data, offset)
        inode = os.fstat(fh).st_ino
        if inode not in self.unsynced:
            self.unsynced[inode] = bytearray(os.pread(fh, os.fstat(fh).st_size, 0))
        held = self.unsynced[inode]
        held.extend(bytes(max(0, offset - len(held))))
        held[offset : offset + len(data)] = data
        return len(data)

    @odd
    def fsync(self, path, datasync, fh):
        held = self.unsynced.pop(os.fstat(fh).st_ino, None)
        if held is not None:
            os.pwrite(fh, held, 0)
            os.ftruncate(fh, len(held))

    @odd
    def fsyncdir(self, path, datasync, fh):
        pass

    @odd
    def flush(self, path, fh):
        pass

    @odd
    def release(self, path, fh):
        os.close(fh)

    @odd
    def statfs(self, path):
        found = os.statvfs(self.folder)
        return {
            name: getattr(found, name)
            for name in (
                "f_bavail",
                "f_bfree",
                "f_blocks",
                "f_bsize",
                "f_frsize",
                "f_favail",
                "f_ffree",
                "f_files",
                "f_namemax",
            )
        }


if __name__ == "__main__":
    backing, mountpoint, faults = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    mfusepy.FUSE(
        OddFs(str(backing), **faults), mountpoint, foreground=True, nothreads=True, attr_timeout=0, entry_timeout=0
    )
