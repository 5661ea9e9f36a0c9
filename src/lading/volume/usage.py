"""What all that lies on a volume takes, each byte counted once."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lading.volume import fs as files
from lading.weights import layout
from lading.weights.inventory import Unmanaged, Usage, VersionUsage
from lading.weights.manifest import Manifest


def of(
    root: Path, published: Sequence[Manifest], unmanaged: tuple[Unmanaged, ...], current: Callable[[str], str | None]
) -> Usage:
    """The usage of the volume at *root*, whose *published* versions and *unmanaged* folders are known.

    A version counts with what its manifest says, but for files that an earlier one shares with it by a hard link. What shares
    blocks by reflinks looks like two files to all who count, and counts twice.
    """
    disk = shutil.disk_usage(root)
    known = {manifest.path for manifest in published} | {folder.path for folder in unmanaged}
    seen: set[tuple[int, int]] = set()
    versions = tuple(
        VersionUsage(
            model=manifest.model,
            version=manifest.version,
            size_bytes=manifest.size_bytes,
            current=current(manifest.model) == manifest.version,
            adopted=manifest.is_adopted,
            shared_bytes=_shared_bytes(root, manifest, seen),
        )
        for manifest in published
    )
    return Usage(
        capacity_bytes=disk.total,
        free_bytes=disk.free,
        versions=versions,
        staging_bytes=sum(files.tree_bytes(root / place) for place in (layout.INCOMING, layout.REMOVING)),
        unmanaged=unmanaged,
        other_bytes=0 if "." in known else _other_bytes(root, known),
    )


def _shared_bytes(root: Path, manifest: Manifest, seen: set[tuple[int, int]]) -> int:
    """Bytes of files with several names, one of which was *seen* in another version; adds to it."""
    total = 0
    for file in manifest.files:
        try:
            found = (root / manifest.file_path(file.path)).lstat()
        except OSError:
            continue  # missing: `verify` says so
        if found.st_nlink > 1:
            total += found.st_size if (found.st_dev, found.st_ino) in seen else 0
            seen.add((found.st_dev, found.st_ino))
    return total


def _other_bytes(root: Path, known: set[str]) -> int:
    """Bytes of plain files outside *known* folders and `.lading`."""
    total = 0
    for directory, folders, names in os.walk(root):
        inside = os.path.relpath(directory, root)
        prefix = "" if inside == "." else f"{inside}/"
        folders[:] = [
            name for name in folders if f"{prefix}{name}" not in known and f"{prefix}{name}" != str(layout.OURS)
        ]
        for name in names:
            try:
                total += (Path(directory) / name).lstat().st_size
            except OSError:
                continue  # gone meanwhile
    return total
