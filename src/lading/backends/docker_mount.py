"""Where a model of this machine lies inside a container: one read-only mount, whatever links lead to its files."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lading.errors import InvalidInput
from lading.manifests.target import MOUNT

#: One part of a GGUF that is split: the server opens its neighbours by itself.
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A model in a container.

    Attributes:
        source: What is mounted, on this machine, without links.
        target: Where, in the container.
        model: The path that the server is given.
    """

    source: str
    target: str
    model: str


def of(model: str) -> Mounted:
    """How *model*, a file or a folder of this machine, is mounted.

    A file comes alone, and a folder as it is. Where links in a folder lead out of it (the Hugging Face cache), the
    nearest folder that holds both is mounted, so that they lead somewhere.

    Raises:
        InvalidInput: It is not there, or its links cannot be followed in a container.
    """
    path = Path(model)
    if not path.exists():
        raise InvalidInput(f"no model is at {model}", hint="give a file or a folder of this machine")
    if path.is_dir():
        return _folder(path, None)
    if _SPLIT.search(path.name):
        return _folder(path.parent, path.name)
    inside = f"{MOUNT}/{path.name}"
    return Mounted(source=str(path.resolve()), target=inside, model=inside)


def _folder(path: Path, file: str | None) -> Mounted:
    folder = path.resolve()
    root = _root(folder)
    inside = PurePosixPath(MOUNT, *folder.relative_to(root).parts, *([file] if file else []))
    return Mounted(source=str(root), target=MOUNT, model=str(inside))


def _root(folder: Path) -> Path:
    """The nearest folder that holds *folder* and all that its links lead to."""
    outside = [target for target in _targets(folder) if not target.is_relative_to(folder)]
    root = Path(os.path.commonpath([folder, *outside]))
    if outside and root in (Path(root.anchor), Path.home()):
        raise InvalidInput(
            f"{folder} has links to {outside[0]}: a container would have to see all of {root}",
            hint=f"`lading pull {folder} VOLUME` copies the model to one place",
        )
    return root


def _targets(folder: Path) -> Iterator[Path]:
    """What the links below *folder* lead to."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if not path.is_symlink():
                continue
            if path.readlink().is_absolute():
                raise InvalidInput(
                    f"{path} is a link to an absolute path, which leads nowhere in a container",
                    hint=f"`lading pull {folder} VOLUME` copies the model to one place",
                )
            yield path.resolve()
