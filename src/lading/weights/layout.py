"""Layout 1: which path on a volume means what. `docs/manifest.md` is its specification. Values only: nothing is read."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from lading.spec.base import Stored

LAYOUT = 1
OURS = PurePosixPath(".lading")
VOLUME = OURS / "volume.json"
MANIFESTS = OURS / "manifests"
INCOMING = OURS / "incoming"
JOURNAL = OURS / "journal"
PUSHES = JOURNAL / "pushes"
REMOVING = OURS / "removing"
LOCKS = OURS / "locks"
TEMPORARY = OURS / "tmp"
HISTORY = OURS / "history.jsonl"
JOBS = OURS / "jobs"
FOLDERS = (OURS, MANIFESTS, INCOMING, JOURNAL, REMOVING, LOCKS, TEMPORARY)
CURRENT = "current"


class VolumeDocument(Stored):
    """What a volume is: ``.lading/volume.json``."""

    layout: int
    """The layout's number; a larger one than ours is refused."""
    id: str
    """32 hex digits, made once."""
    claim: str | None = None
    """The PersistentVolumeClaim it is, where known."""
    namespace: str | None = None
    created_at: str
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What a killed run left on a volume.

    Attributes:
        kind: ``staging``: files of an interrupted pull; ``removal``: a removal that was not finished.
        size_bytes: What removing it frees.
        idle_s: How long ago anything of it changed.
    """

    kind: Literal["staging", "removal"]
    path: Path
    size_bytes: int
    model: str | None = None
    version: str | None = None
    idle_s: float = 0.0


def version(model: str, name: str) -> PurePosixPath:
    """The directory of a version that was published, not adopted."""
    return PurePosixPath(model) / name


def current(model: str) -> PurePosixPath:
    """The link that names the current version."""
    return PurePosixPath(model) / CURRENT


def manifests(model: str) -> PurePosixPath:
    """The directory of a model's manifests."""
    return MANIFESTS / model


def manifest(model: str, name: str) -> PurePosixPath:
    """The manifest of a version."""
    return MANIFESTS / model / f"{name}.json"


def incoming(transfer: str) -> PurePosixPath:
    """Where a transfer stages its files."""
    return INCOMING / transfer


def journal(transfer: str) -> PurePosixPath:
    """Which staged files of a transfer are finished."""
    return JOURNAL / f"{transfer}.jsonl"


def removing(model: str, name: str) -> PurePosixPath:
    """Where a version's directory goes to be deleted; its manifest goes beside, with ``.json``."""
    return REMOVING / f"{flat(model)}+{name}"


def lock(model: str) -> PurePosixPath:
    """The lock of a model's one writer."""
    return LOCKS / flat(model)


def switch_lock(model: str) -> PurePosixPath:
    """The lock held for the moment in which a model's names change, so that `use` need not wait for a pull."""
    return LOCKS / f"{flat(model)}+switch"


def place(volume: str, path: str) -> str:
    """Where a version's directory lies, on a volume that a person calls *volume*; *path* is its manifest's."""
    return volume if path == "." else f"{volume}/{path}"


def job(name: str) -> PurePosixPath:
    """What a Job did here, attempt by attempt, and what it came to."""
    return JOBS / f"{name}.json"


def flat(model: str) -> str:
    """A model's name as one path segment; ``+`` is in no model's name."""
    return model.replace("/", "+")
