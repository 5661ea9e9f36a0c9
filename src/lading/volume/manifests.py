"""Manifests as they lie on a volume: found, read, and refused when they are damaged, newer, or in a wrong place."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from lading.errors import VolumeError, VolumeTooNew
from lading.weights import layout
from lading.weights.manifest import Manifest


def every(root: Path) -> Iterator[Manifest]:
    """All manifests of the volume at *root*, in no order. On plain strings: there may be thousands."""
    top = str(root / layout.MANIFESTS)
    for path in _below(top):
        model, _, version = path[len(top) + 1 :].removesuffix(".json").rpartition("/")
        yield _read(path, model, version)


def one(root: Path, model: str, version: str) -> Manifest | None:
    """The manifest of a version, None where it is not published.

    Raises:
        VolumeError: It is damaged, or of something else.
        VolumeTooNew: A newer Lading wrote it.
    """
    path = root / layout.manifest(model, version)
    return _read(str(path), model, version) if path.is_file() else None


def versions(root: Path, model: str) -> list[str]:
    """The published versions of a model, sorted by name; reads no manifest."""
    return sorted(path.stem for path in (root / layout.manifests(model)).glob("*.json"))


def is_adopted(path: Path) -> bool:
    """Whether the manifest at *path* is of files that lay where they were: removing it leaves them there."""
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError:
        return False
    return manifest.is_adopted


def _below(directory: str) -> Iterator[str]:
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)
        elif entry.name.endswith(".json"):
            yield entry.path


def _read(path: str, model: str, version: str) -> Manifest:
    with open(path, "rb") as file:  # noqa: PTH123
        text = file.read()
    try:
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        if _number(text) > 1:
            raise VolumeTooNew(
                f"the manifest {path} was written by a newer Lading", hint="pip install --upgrade lading"
            ) from error
        raise _damaged(path, str(error.errors(include_url=False)[0]["msg"])) from error
    if (found.model, found.version) != (model, version):
        raise _damaged(path, f"it is of {found.model}@{found.version}")
    return found


def _number(text: bytes) -> int:
    """The manifest's number, 0 where there is none."""
    try:
        found = json.loads(text)["manifest_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return found if isinstance(found, int) else 0


def _damaged(path: str, problem: str) -> VolumeError:
    return VolumeError(
        f"the manifest {path} is damaged: {problem}",
        hint="restore it from a backup, or remove its version with `lading rm` and pull it again",
    )
