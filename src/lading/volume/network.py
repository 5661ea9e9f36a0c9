"""What network file systems do that others do not: handles that go stale, names that are seen late, answers that are lost.

NFS looks a name up in what it remembers of a directory, for up to a minute; so "it is not there" is looked at again before it is believed.
Other file systems are believed at once.
"""

import errno
import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
LATE_S = 2.0
"""How long a name is waited for: longer would punish every misspelt one."""
_TRIES = 4
_PAUSE_S = 0.1
_KINDS = frozenset({"nfs", "nfs4", "ceph", "cifs", "smb3", "lustre", "gpfs", "glusterfs", "9p", "afs"})


def fresh(read: Callable[[], T]) -> T:
    """What *read* gives, done again where a handle went stale: it opens by name, so the next time it finds the new file."""
    for _ in range(_TRIES - 1):
        try:
            return read()
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            time.sleep(_PAUSE_S)
    return read()


def awaited(root: Path, look: Callable[[], T | None]) -> T | None:
    """What *look* finds, looked for a little while where names may be seen late."""
    found = look()
    deadline = time.monotonic() + (LATE_S if found is None and shows_names_late(root) else 0.0)
    while found is None and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
        found = look()
    return found


def shows_names_late(root: Path) -> bool:
    """Whether another host's new names are seen late at *root*: it lies on a network file system, by the kernel's list of mounts."""
    kind = _kind(os.path.realpath(root))
    return kind in _KINDS or kind.startswith("fuse")


@lru_cache(maxsize=64)
def _kind(path: str) -> str:
    """The type of the file system that *path* lies on; empty where nobody says."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        head, _, tail = line.partition(" - ")
        place = head.split(" ")[4].replace("\\040", " ")
        if len(place) >= len(best) and (path == place or path.startswith(place.rstrip("/") + "/")):
            best, kind = place, tail.split(" ")[0]
    return kind
