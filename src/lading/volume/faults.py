"""What the operating system says, as the errors a user meets."""

import errno
import os
import shutil
from contextlib import AbstractContextManager
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


class _Translated:
    """A class, not a generator: a small file passes half a dozen of them."""

    def __init__(self, root: Path, doing: str) -> None:
        self._root = root
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise meaning(error, self._root, self._doing) from error


def translated(root: Path, doing: str) -> AbstractContextManager[None]:
    """Turn an `OSError` inside into the `VolumeError` it means; *doing* completes "cannot …"."""
    return _Translated(root, doing)


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
