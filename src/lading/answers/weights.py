"""Answers of `lading ls`, `show`, `use`, `rm`, `prune` and `diff`; `du` answers with a `Usage`, `adopt` with a listed version."""

from typing import Any, Literal

from lading.spec.base import Answer, Stored
from lading.weights.inventory import Unmanaged
from lading.weights.layout import Leftover
from lading.weights.manifest import FileEntry, Manifest, PublishedBy, SourceEntry


class _Version(Stored):
    """What both say of a version; its manifest's values under the manifest's names."""

    manifest_version: int
    model: str
    version: str
    path: str
    """The version's directory, relative to the volume's root."""
    source: SourceEntry
    format: str
    published_at: str
    """UTC, ISO 8601."""
    published_by: PublishedBy
    current: bool
    """Whether it is what `current` names."""


class ListedVersion(_Version):
    """One published version, as `lading ls` lists it."""

    files: int
    """How many."""
    size_bytes: int
    """All files together."""

    @classmethod
    def of(cls, manifest: Manifest, *, current: bool) -> "ListedVersion":
        """The line of *manifest*."""
        head = _head(manifest)
        return cls(**head, current=current, files=len(manifest.files), size_bytes=manifest.size_bytes)


class UnmanagedFolder(Answer):
    """A folder with a model in it and no manifest, as `lading ls` lists it."""

    unmanaged: Literal[True] = True
    path: str
    """Relative to the volume's root; ``.`` is the root itself."""
    format: str
    """What it looks like."""
    files: int
    """How many."""
    size_bytes: int
    """All files together."""
    problem: str | None = None
    """What keeps a server from loading it; null: nothing that names, sizes and heads of files show."""

    @classmethod
    def of(cls, folder: Unmanaged) -> "UnmanagedFolder":
        """The line of *folder*."""
        return cls(
            path=folder.path,
            format=folder.format,
            files=len(folder.files),
            size_bytes=folder.size_bytes,
            problem=folder.problem,
        )


class SourceModel(Answer):
    """A model that a source has, as `lading ls` lists it."""

    source: str
    """What was listed; without secrets."""
    path: str
    """Where the model lies below *source*; ``.`` is all of it."""
    format: str
    """What it looks like."""
    files: int
    """How many."""
    size_bytes: int | None
    """All files together; null where the source does not say every size before it is read."""
    problem: str | None = None
    """What keeps a server from loading it; null: nothing that names, sizes and heads of files show."""


class ListedFile(Answer):
    """One file of a version, of a folder without a manifest, or of a model at a source, as `lading ls --files` lists it."""

    model: str | None = None
    version: str | None = None
    folder: str
    """Where the version or folder lies, relative to the volume's root."""
    path: str
    """Relative to *folder*."""
    size_bytes: int | None
    """Null: of a source that does not say it before it is read."""
    sha256: str | None = None
    """64 hex digits, as the manifest says; null: there is none."""


class FileDifference(Answer):
    """One file that is not the same in two versions, as `lading diff` lists it."""

    path: str
    change: Literal["added", "removed", "changed", "unknown"]
    """What the second version did to the first; ``unknown``: neither side tells whether its bytes are the same."""
    size_bytes: tuple[int | None, int | None]
    """In the first and in the second."""
    sha256: tuple[str | None, str | None]
    """64 hex digits each, where they are known."""


class Changed(Answer):
    """A key of `config.json`, or a tensor's type and shape, in two versions."""

    name: str
    before: str | None = None
    """In the first; a key's value as JSON. Null: it has none."""
    after: str | None = None


class VersionDifference(Answer):
    """How two versions differ: the last line of `lading diff`, after one line per file."""

    first: str
    second: str
    same: bool
    """Whether all files are the same, byte for byte."""
    same_files: int
    different_files: int
    load_bytes: int
    """What a switch to the second reads anew: all of its files that are not the same."""
    config: tuple[Changed, ...] = ()
    """Keys of config.json, as ``text_config.hidden_size``."""
    tensors: tuple[Changed, ...] = ()
    """Of safetensors files: added, removed, or of another type or shape."""
    problem: str | None = None
    """Why keys or tensors could not be compared."""


class ShownVersion(_Version):
    """One published version with all its files, as `lading show` shows it."""

    files: tuple[FileEntry, ...]
    directory: str
    """The version's directory: an absolute path here, or a storageUri."""
    digest: str
    """64 hex digits that name the content, whatever it is published as."""

    @classmethod
    def of(cls, manifest: Manifest, *, current: bool, directory: str) -> "ShownVersion":
        """All of *manifest*, and what it means on its volume."""
        head = _head(manifest)
        return cls(**head, current=current, files=manifest.files, directory=directory, digest=manifest.digest)


class CurrentVersion(Answer):
    """Which version of a model `lading use` made the current one."""

    model: str
    version: str
    before: str | None = None
    """The current version until then."""


class Removed(Answer):
    """One thing that `lading rm` or `prune` removed; or that there was nothing to remove."""

    removed: Literal["version", "staging", "removal"] | None = None
    """A published version, an interrupted pull, a removal that was not finished; null: nothing."""
    path: str | None = None
    """Of a version: relative to the volume's root; else absolute, on a claim as ``pvc://claim/path``."""
    model: str | None = None
    version: str | None = None
    size_bytes: int = 0
    """What it frees."""
    dry_run: bool = False
    """Whether it would be removed, and was not."""

    @classmethod
    def of(cls, gone: Manifest | Leftover, *, path: str, dry_run: bool = False) -> "Removed":
        """The line of *gone*, which lies at *path*."""
        kind = gone.kind if isinstance(gone, Leftover) else "version"
        return cls(
            removed=kind,
            path=path,
            model=gone.model,
            version=gone.version,
            size_bytes=gone.size_bytes,
            dry_run=dry_run,
        )


class Kept(Answer):
    """One thing that `lading prune` left where it is, and why."""

    kept: Literal["version", "staging", "removal"]
    """A published version, an interrupted pull, a removal that was not finished."""
    path: str
    """Of a version: relative to the volume's root; else absolute, on a claim as ``pvc://claim/path``."""
    model: str | None = None
    version: str | None = None
    why: str

    @classmethod
    def of(cls, kept: Manifest | Leftover, *, path: str, why: str) -> "Kept":
        """The line of *kept*, which lies at *path*."""
        kind = kept.kind if isinstance(kept, Leftover) else "version"
        return cls(kept=kind, path=path, model=kept.model, version=kept.version, why=why)


def _head(manifest: Manifest) -> dict[str, Any]:
    return {key: getattr(manifest, key) for key in _Version.model_fields if key != "current"}
