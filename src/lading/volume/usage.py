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

    A version counts with what its manifest says: it never changes. All else is looked at.
    """
    disk = shutil.disk_usage(root)
    known = {manifest.path for manifest in published} | {folder.path for folder in unmanaged}
    versions = tuple(
        VersionUsage(
            model=manifest.model,
            version=manifest.version,
            size_bytes=manifest.size_bytes,
            current=current(manifest.model) == manifest.version,
            adopted=manifest.is_adopted,
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
