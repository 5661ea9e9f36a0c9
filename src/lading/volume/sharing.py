"""A file given a second place on a volume without its bytes: by a reflink where the file system has them, else a hard link.

A reflink is a file of its own that shares blocks until one is written; what rots later in one name of a hard link rots in both, so
the reflink is asked for first. What is published is never written in place, by us: so both are safe.
"""

import errno
import os
from pathlib import Path

from lading.volume.fs import Fs

#: What a file system says that has no reflinks or no hard links, or not for this file; or its version was removed meanwhile.
_NONE = frozenset(
    {
        errno.EPERM,
        errno.EOPNOTSUPP,
        errno.ENOSYS,
        errno.EMLINK,
        errno.EXDEV,
        errno.EINVAL,
        errno.ENOTTY,
        errno.ETXTBSY,
        errno.ENOENT,
    }
)


def share(fs: Fs, source: Path, target: Path, *, mode: int, may_link: bool) -> bool:
    """Whether *target* has the content of *source* now, durable but for its name; False where neither way is there.

    *may_link* False: only by a reflink, where others may write to *source*.
    """
    if os.path.lexists(target):  # of an attempt that died before it was journalled
        fs.unlink(target)
    return _cloned(fs, source, target, mode) or (may_link and _linked(fs, source, target))


def _cloned(fs: Fs, source: Path, target: Path, mode: int) -> bool:
    descriptor = fs.create(target)
    try:
        try:
            fs.clone(source, descriptor)
        except OSError as error:
            if error.errno not in _NONE:
                raise
            fs.unlink(target)
            return False
        fs.chmod(target, mode)
        fs.sync(descriptor)
    finally:
        fs.close(descriptor)
    return True


def _linked(fs: Fs, source: Path, target: Path) -> bool:
    try:
        fs.link(source, target)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        return False
    return True
