"""What killed runs left on a volume: found by their journals and by removals that were not finished.

`LocalVolume.sweep` removes it under the locks; nothing here takes one.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lading.volume import fs as files
from lading.volume import journal as journals
from lading.volume import lock, manifests
from lading.volume.fs import Fs
from lading.weights import layout
from lading.weights.layout import Leftover


def every(root: Path) -> Iterator[Leftover]:
    """All that nobody works on any more: stagings, then removals."""
    yield from _stagings(root)
    yield from _removals(root)


def transfers_of(root: Path, model: str | None, version: str | None) -> Iterator[str]:
    """Ids of the transfers that staged this version; None: those whose journal does not say what they staged."""
    for transfer in _transfers(root):
        facts = journals.read(root / layout.journal(transfer))
        if (facts.model, facts.version) == (model, version):
            yield transfer


def take_back(fs: Fs, root: Path, model: str, version: str) -> None:
    """Undo the rename of a run that died before its manifest was there."""
    for transfer in transfers_of(root, model, version):
        final = _unpublished(root, journals.read(root / layout.journal(transfer)))
        if final is not None:
            files.move(fs, final, root / layout.incoming(transfer))


def sweep_litter(fs: Fs, root: Path) -> None:
    """Remove what a crash left of locks and temporary files, when nobody can be at it any more."""
    litter = [*(root / layout.TEMPORARY).glob("*"), *(root / layout.LOCKS).glob(".[no]*-*")]
    for path in litter:
        if time.time() - path.lstat().st_mtime < lock.STALE_S:
            continue
        if path.is_dir() and not path.is_symlink():
            files.remove_tree(fs, path)
        else:
            fs.unlink(path)


def _stagings(root: Path) -> Iterator[Leftover]:
    for transfer in _transfers(root):
        journal = root / layout.journal(transfer)
        facts = journals.read(journal)
        if facts.model is not None and lock.is_held(root / layout.lock(facts.model)):
            continue
        place = _unpublished(root, facts) or root / layout.incoming(transfer)
        yield Leftover(
            kind="staging",
            path=place if place.exists() else journal,
            size_bytes=files.tree_bytes(place),
            model=facts.model,
            version=facts.version,
            idle_s=max(0.0, time.time() - max(_changed_s(journal), _changed_s(place))),
        )


def _changed_s(path: Path) -> float:
    """When anything at *path*, or below it, changed; 0 where nothing is."""
    times = [0.0]
    for file in (path, *files.tree_files(path)):
        with suppress(FileNotFoundError):
            times.append(file.lstat().st_mtime)
    return max(times)


def _removals(root: Path) -> Iterator[Leftover]:
    for record in sorted((root / layout.REMOVING).glob("*.json")):
        flat, _, version = record.stem.rpartition("+")
        model = flat.replace("+", "/")
        places = (root / layout.removing(model, version), root / layout.version(model, version))
        size_bytes = 0 if manifests.is_adopted(record) else sum(map(files.tree_bytes, places))
        yield Leftover(kind="removal", path=record, size_bytes=size_bytes, model=model, version=version)


def _transfers(root: Path) -> list[str]:
    """Ids of all transfers that have a staging directory or a journal."""
    staged = {path.name for path in (root / layout.INCOMING).glob("*")}
    return sorted(staged | {path.stem for path in (root / layout.JOURNAL).glob("*.jsonl")})


def _unpublished(root: Path, facts: journals.Facts) -> Path | None:
    """The directory that was renamed to its final path by the run that wrote *facts*, and then got no manifest."""
    if facts.published_path is None or facts.model is None or facts.version is None:
        return None
    final = root / layout.version(facts.model, facts.version)
    try:
        mine = final.lstat().st_ino == facts.inode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return final if mine and not (root / layout.manifest(facts.model, facts.version)).exists() else None
