"""The manifest of one published version: the bill of lading. `docs/manifest.md` is its specification."""

from typing import Literal

from lading.spec.base import Stored


class FileEntry(Stored):
    """One file as it lies on the volume."""

    path: str
    """Relative to the version's directory, with ``/``."""
    size_bytes: int
    sha256: str
    """64 hex digits, computed while it was written."""
    etag: str | None = None
    """The source's mark of this content when it was read."""


class SourceEntry(Stored):
    """Where the files came from."""

    ref: str
    revision: str


class PublishedBy(Stored):
    """Who published it: recorded, never trusted."""

    program: str = "lading"
    version: str
    user: str | None = None
    host: str | None = None


class Manifest(Stored):
    """One version of one model, file by file."""

    manifest_version: Literal[1] = 1
    model: str
    version: str
    path: str
    """The version's directory, relative to the volume's root; ``<model>/<version>`` unless adopted."""
    source: SourceEntry
    format: str
    """``huggingface``, ``gguf``, ``sklearn`` … as the format check found it."""
    files: tuple[FileEntry, ...]
    """Sorted by path."""
    published_at: str
    """UTC, ISO 8601."""
    published_by: PublishedBy

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)
