"""What the operating system says, as the errors a user meets."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lading.errors import LadingError, VolumeError, VolumeFull, VolumeNotWritable
from lading.spec import units

_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_HINTS = {
    errno.EXDEV: "`.lading` and the models must lie on one file system, and on CephFS under one quota: what was fetched is kept",
    errno.ESTALE: "the server of this mount was started anew, or the volume replaced: mount it again, then run this again; "
    "what was fetched is kept",
}


@contextmanager
def translated(root: Path, doing: str) -> Iterator[None]:
    """Turn an `OSError` inside into the `VolumeError` it means; *doing* completes "cannot …"."""
    try:
        yield
    except OSError as error:
        raise meaning(error, root, doing) from error


def meaning(error: OSError, root: Path, doing: str) -> LadingError:
    """The error a user should see for *error*."""
    reason = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in _DENIED:
        return VolumeNotWritable(
            f"cannot {doing} on the volume {root}: {where}{reason}",
            hint="the volume must be mounted writable, and its root writable for this user or group",
        )
    if error.errno in _FULL:
        return VolumeFull(f"cannot {doing} on the volume {root}: {reason}, {_left(root)}", hint=room_hint(root))
    return VolumeError(f"cannot {doing} on the volume {root}: {where}{reason}", hint=_HINTS.get(error.errno or 0))


def free_bytes(path: Path) -> int:
    """Bytes an ordinary user may still write where *path* is, or its nearest directory that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def _left(root: Path) -> str:
    """What room there is: a file system may have no place for another file, and yet much for bytes."""
    free = f"{units.show_bytes(free_bytes(root))} free"
    try:
        found = os.statvfs(root)
    except OSError:
        return free
    no_files = found.f_files and not found.f_favail
    return f"{free}, but no room for another file: all its {found.f_files:,} inodes are used" if no_files else free


def room_hint(root: Path) -> str:
    """What to do about a full volume."""
    return f"make room with `lading prune {root}`, or enlarge the volume; what was fetched is kept"
