"""Permissions of a whole volume made as a shared one needs them: readable by all, writable by one group, directories setgid.

Claims that were filled by hand (`oc cp`, a notebook, a Job with another UID) hold files that a server or a later pull
cannot use. What this process may change, it does; what it may not, it counts and names. Links are never followed.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_SKIPPED = frozenset({"lost+found"})  # of the file system itself, at its root
NAMED = 20

_FILE, _DIRECTORY = 0o444, 0o555
_FILE_SHARED, _DIRECTORY_SHARED = 0o664, 0o2775


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found wrong, and what became of it.

    Attributes:
        group: The group that is to own all; None: groups are left alone.
        unreadable: Files and directories that not everybody may read.
        not_writable: That their group may not write, or directories without setgid.
        wrong_group: That belong to another group.
        changed: How many were mended, or would be.
        closed: Directories that could not be looked into; what is in them is not counted.
        refused: The first of those that this process may not mend, relative to the root.
        refused_count: How many there are of these.
    """

    group: int | None
    files: int = 0
    directories: int = 0
    unreadable: int = 0
    not_writable: int = 0
    wrong_group: int = 0
    changed: int = 0
    closed: int = 0
    refused: list[str] = field(default_factory=list)
    refused_count: int = 0

    def refuse(self, path: str) -> None:
        """Note one that cannot be mended."""
        self.refused_count += 1
        if len(self.refused) < NAMED:
            self.refused.append(path)


def repair(root: Path, *, group: int | None = None, dry_run: bool = False) -> Findings:
    """Mend *root* and all below it, or with *dry_run* say what that would do; safe to repeat.

    Args:
        root: The volume.
        group: To own it all; None: the root's own group, where the root is writable by it.
        dry_run: Change nothing; what the caller does not own counts as refused.
    """
    top = root.stat()
    shared = group is not None or bool(top.st_mode & stat.S_IWGRP)
    found = Findings(group=group if group is not None else top.st_gid if shared else None)
    for path, name, folder in _everything(root, found):
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            continue  # gone meanwhile
        kind = stat.S_IFMT(status.st_mode)
        if kind in {stat.S_IFREG, stat.S_IFDIR}:
            _mend(found, path, name, folder, status, dry_run=dry_run)
    return found


def wanted_mode(mode: int, *, shared: bool) -> int:
    """The permission bits that a file or directory of *mode* gets: more than it has, never less."""
    if stat.S_ISDIR(mode):
        return stat.S_IMODE(mode) | (_DIRECTORY_SHARED if shared else _DIRECTORY)
    return stat.S_IMODE(mode) | (_FILE_SHARED if shared else _FILE)


def _everything(root: Path, found: Findings) -> Iterator[tuple[str, str, int]]:
    """The root and all below it: path from the root, name, and the open directory it is in; each directory first.

    A directory is opened after it was given, so that one that its owner could not read can be, mended.
    """
    above = os.open(root.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield ".", root.name or ".", above
    finally:
        os.close(above)

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            found.closed += 1

    for folder, directories, files, descriptor in os.fwalk(root, onerror=unreadable):
        if Path(folder) == root:
            directories[:] = [name for name in directories if name not in _SKIPPED]
        within = os.path.relpath(folder, root)
        for name in (*directories, *files):
            yield os.path.normpath(f"{within}/{name}"), name, descriptor


def _mend(found: Findings, path: str, name: str, folder: int, status: os.stat_result, *, dry_run: bool) -> None:
    mode, shared = stat.S_IMODE(status.st_mode), found.group is not None
    wanted = wanted_mode(status.st_mode, shared=shared)
    directory = stat.S_ISDIR(status.st_mode)
    readable = _DIRECTORY if directory else _FILE
    regroup = shared and status.st_gid != found.group
    found.directories += directory
    found.files += not directory
    found.unreadable += mode & readable != readable
    found.not_writable += bool((wanted & ~readable) & ~mode)
    found.wrong_group += regroup
    if wanted == mode and not regroup:
        return
    if dry_run:
        mended = os.geteuid() in {0, status.st_uid}
    else:
        mended = _changed(name, folder, wanted, found.group if regroup else None)
    if mended:
        found.changed += 1
    else:
        found.refuse(path)


def _changed(name: str, folder: int, mode: int, group: int | None) -> bool:
    """Whether it could be mended. By a handle on the very file: a link that takes its place meanwhile is not followed."""
    try:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        place = Path(f"/proc/self/fd/{handle}")
        if group is not None:
            os.chown(place, -1, group)
        place.chmod(mode)  # after the group: a change of owner clears setgid
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
