"""Folders of a volume that look like a model and have no manifest: found by names, judged by the heads of their files.

Directories of published versions are not looked into, so a volume of a thousand models costs a look at a thousand names.
"""

import os
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from lading.errors import LadingError
from lading.volume import reading
from lading.weights import layout
from lading.weights.inventory import Unmanaged
from lading.weights.layout import CURRENT

DEPTH = 6
"""How many folders deep a model is looked for."""
FILES = 100_000
"""The most files that are counted in one folder."""
_NEVER = frozenset({str(layout.OURS), "lost+found", ".snapshot", ".Trash", ".git"})


def every(root: Path, managed: AbstractSet[str]) -> tuple[Unmanaged, ...]:
    """All such folders below *root*, by path; *managed* are the paths of published versions."""
    return tuple(sorted(_below(root, "", managed, DEPTH), key=lambda folder: folder.path))


def at(root: Path, path: str, managed: AbstractSet[str] = frozenset()) -> Unmanaged:
    """The folder at *path* (``.``: the root itself), whatever is in it; ``files`` where it looks like no model.

    Raises:
        OSError: It is no folder, or cannot be read.
    """
    prefix = "" if path == "." else f"{path}/"
    with os.scandir(root / path):
        pass
    found, links = _tree(root, prefix, managed)
    return _judged(root, prefix, found, links)


def _below(root: Path, prefix: str, managed: AbstractSet[str], depth: int) -> Iterator[Unmanaged]:
    files, folders = _entries(root, prefix)
    if files and _kind(files) is not None:
        yield _judged(root, prefix, *_tree(root, prefix, managed))
        if prefix:
            return  # what lies in a model belongs to it; only the root may hold others
    for name in folders if depth else ():
        if f"{prefix}{name}" not in managed:
            yield from _below(root, f"{prefix}{name}/", managed, depth - 1)


def _judged(root: Path, prefix: str, files: dict[str, int], links: list[str]) -> Unmanaged:
    from lading.weights import formats  # who has no such folder does without

    def read(path: str, offset: int, size_bytes: int) -> bytes:
        with reading.open_plain(root, prefix + path) as opened:
            opened.seek(offset)
            return opened.read(size_bytes)

    kind = formats.kind_of(files) or "files"
    problem = f"{len(links)} of its files are links, such as {links[0]}" if links else None
    if problem is None and kind != "files":
        try:
            formats.check(files, read)
        except LadingError as error:
            problem = error.message
        except OSError as error:
            problem = str(error)
    return Unmanaged(path=prefix.rstrip("/") or ".", format=kind, files=files, problem=problem)


def _kind(names: list[str]) -> str | None:
    from lading.weights import formats

    return formats.kind_of(names)


def _tree(root: Path, prefix: str, managed: AbstractSet[str]) -> tuple[dict[str, int], list[str]]:
    """Plain files below *prefix* with their sizes, and what is a link; from the root, without folders of other models."""
    files: dict[str, int] = {}
    links: list[str] = []
    waiting = [""]
    while waiting and len(files) < FILES:
        inside = waiting.pop()
        for entry in sorted(_scanned(root, prefix + inside), key=lambda entry: entry.name):
            if entry.name in _NEVER:
                continue
            path = f"{inside}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if not prefix and _belongs_to_others(root, path, managed):
                    continue
                if f"{prefix}{path}" not in managed:
                    waiting.append(f"{path}/")
            elif entry.is_symlink():
                links.append(path)
            elif entry.is_file(follow_symlinks=False) and not entry.name.startswith(".nfs"):
                files[path] = entry.stat(follow_symlinks=False).st_size
    return dict(sorted(files.items())), sorted(links)


def _belongs_to_others(root: Path, path: str, managed: AbstractSet[str]) -> bool:
    """Whether a folder at the root is another model's, or holds one."""
    if any(known == path or known.startswith(f"{path}/") for known in managed):
        return True
    return next(_below(root, f"{path}/", managed, DEPTH), None) is not None


def _entries(root: Path, prefix: str) -> tuple[list[str], list[str]]:
    """Names of plain files and of folders in one folder; `current` and what is a link otherwise does not count."""
    files, folders = [], []
    for entry in _scanned(root, prefix):
        if prefix and entry.name == str(layout.OURS):
            return [], []  # a volume of its own
        if entry.name in _NEVER:
            continue
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.name)
        elif entry.name != CURRENT:
            files.append(entry.name)
    return files, sorted(folders)


def _scanned(root: Path, prefix: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(f"{root}/{prefix}") as entries:
            return list(entries)
    except OSError:
        return []  # not ours to read: lost+found, another user's folder
