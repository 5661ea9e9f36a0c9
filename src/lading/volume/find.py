"""From a reference to a volume: the nearest directory that has ``.lading/volume.json``, from the path upwards."""

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

import lading
from lading.errors import InvalidReference, NotPublished, VolumeError, VolumeTooNew
from lading.spec import ref as refs
from lading.spec.clock import utc_now
from lading.spec.ref import LocalRef
from lading.volume import faults
from lading.volume import fs as files
from lading.volume.fs import Fs
from lading.volume.ground import make_skeleton
from lading.volume.local import LocalVolume
from lading.volume.lock import Process
from lading.volume.staging import Modes
from lading.weights import layout
from lading.weights.layout import VolumeDocument

if TYPE_CHECKING:  # all seams of the program hang on it: reading a volume does without
    from lading.ports.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a reference names: a volume, and maybe a model and a version of it, published or not."""

    volume: "Volume"
    model: str | None = None
    version: str | None = None


def find(ref: LocalRef) -> Found:
    """The volume that *ref* is or lies in, with the model and version that the rest of its path names.

    ``VOL/model@v1``, and also ``VOL/model/v1`` where v1 is published, and ``VOL/model/current``.

    Raises:
        VolumeError: It is no volume, nor inside one.
        VolumeTooNew, InvalidReference: As named.
    """
    found = locate(ref)
    if found is None:
        what = "is not a volume, nor inside one" if Path(ref.path).exists() else "does not exist"
        raise VolumeError(f"{ref.path} {what}", hint=f"`lading pull SOURCE {ref.path}` makes one")
    return found


def locate(ref: LocalRef) -> Found | None:
    """As `find`; None where no volume is."""
    within = around(ref)
    return None if within is None else resolve(*within, ref.version)


def around(ref: LocalRef) -> tuple[LocalVolume, str] | None:
    """The volume that *ref* is or lies in, and the path in it (``.``: the volume itself); None where there is none."""
    path = _absolute(ref.path)
    for root in (path, *path.parents):
        if (root / layout.VOLUME).is_file():
            return open_volume(root), path.relative_to(root).as_posix()
    return None


def resolve(volume: "Volume", path: str, version: str | None) -> Found:
    """What *path* on *volume* (``.``: the volume itself) names: a model, or a version of one as a storageUri has it.

    Raises:
        InvalidReference: It cannot name a model.
    """
    if path == ".":
        return Found(volume=volume, version=version)
    parent, _, last = path.rpartition("/")
    if parent and version is None:
        if last == layout.CURRENT:
            return Found(volume=volume, model=refs.check_model(parent))
        if _is_published(volume, parent, last):
            return Found(volume=volume, model=refs.check_model(parent), version=last)
    return Found(volume=volume, model=refs.check_model(path), version=version)


def open_volume(path: Path, *, fs: Fs | None = None, me: Process | None = None) -> LocalVolume:
    """The volume at *path*.

    Raises:
        VolumeError: There is none, or what describes it is damaged.
        VolumeTooNew: It was laid out by a newer Lading.
    """
    root = _absolute(path)
    try:
        text = (root / layout.VOLUME).read_bytes()
    except FileNotFoundError:
        raise VolumeError(f"{root} is not a volume", hint=f"`lading pull SOURCE {root}` makes one") from None
    except OSError as error:
        raise faults.meaning(error, root, "read") from error
    return LocalVolume(root, _document(root, text), fs=fs, me=me)


def open_or_empty(path: Path, *, me: Process | None = None) -> LocalVolume:
    """The volume at *path*; a directory that is none yet is read as an empty one, and must not be written to."""
    root = _absolute(path)
    if (root / layout.VOLUME).is_file():
        return open_volume(root, me=me)
    if not root.is_dir():
        raise VolumeError(f"{root} does not exist", hint=f"`lading pull SOURCE {root}` makes one")
    return LocalVolume(root, VolumeDocument(layout=layout.LAYOUT, id="", created_at="", created_by=""), me=me)


def create_volume(
    path: Path,
    *,
    claim: str | None = None,
    namespace: str | None = None,
    fs: Fs | None = None,
    me: Process | None = None,
) -> LocalVolume:
    """Make *path* a volume, its missing directories too; one that is a volume already is opened. Foreign files stay.

    *claim* and *namespace* say which PersistentVolumeClaim it is, where that is known: its document keeps them.
    """
    root, fs = _absolute(path), fs or Fs()
    if (root / layout.VOLUME).is_file():
        return open_volume(root, fs=fs, me=me)
    document = VolumeDocument(
        layout=layout.LAYOUT,
        id=uuid.uuid4().hex,
        claim=claim,
        namespace=namespace,
        created_at=utc_now(),
        created_by=f"lading {lading.__version__}",
    )
    with faults.translated(root, "make a volume"):
        files.make_directories(fs, root, mode=None)
        make_skeleton(fs, root)
        text = document.model_dump_json(indent=2, exclude_none=True) + "\n"
        temporary = root / layout.TEMPORARY / "volume.json"
        files.replace(fs, root / layout.VOLUME, text.encode(), temporary=temporary, mode=Modes.of(root).file)
    return LocalVolume(root, document, fs=fs, me=me)


def _document(root: Path, text: bytes) -> VolumeDocument:
    path = root / layout.VOLUME
    try:
        number = json.loads(text)["layout"]
        if isinstance(number, int) and number > layout.LAYOUT:
            raise VolumeTooNew(
                f"{root} has layout {number}; this is Lading {lading.__version__}, which knows layout {layout.LAYOUT}",
                hint="pip install --upgrade lading",
            )
        return VolumeDocument.model_validate_json(text)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        problem = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else "no JSON object"
        raise VolumeError(
            f"{path} is damaged: {problem}", hint='restore it: {"layout": 1, "id": …}, see docs/manifest.md'
        ) from error


def _is_published(volume: "Volume", model: str, version: str) -> bool:
    if isinstance(volume, LocalVolume):  # quicker than reading it
        return (volume.root / layout.manifest(model, version)).is_file()
    try:
        volume.manifest(model, version)
    except (NotPublished, InvalidReference):
        return False
    return True


def _absolute(path: str | Path) -> Path:
    """Absolute, without following links: a link to a model would lead out of its volume's words."""
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100  # Path has no `..` folding without links
