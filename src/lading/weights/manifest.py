"""The manifest of one published version: the bill of lading. `docs/manifest.md` is its specification."""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from lading.spec.base import Stored

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(Stored):
    """One file as it lies on the volume."""

    path: str
    """Relative to the version's directory, with ``/``."""
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256
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
    """``huggingface``, ``gguf``, ``sklearn`` … as the format check found it; ``files`` when it was not asked to."""
    files: tuple[FileEntry, ...]
    """Sorted by path."""
    published_at: str
    """UTC, ISO 8601."""
    published_by: PublishedBy

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)

    @property
    def is_adopted(self) -> bool:
        """Whether its files lay where they are before it was listed: then they stay when it is not any more."""
        return self.path != f"{self.model}/{self.version}"

    def file_path(self, path: str) -> str:
        """The path of one of its files, from the volume's root."""
        return path if self.path == "." else f"{self.path}/{path}"

    @property
    def digest(self) -> str:
        """64 hex digits that name the content, whatever it is published as."""
        return hashlib.sha256(self.sha256sums().encode()).hexdigest()

    def sha256sums(self) -> str:
        """The input of ``sha256sum -c``, run in the version's directory."""
        return "".join(f"{file.sha256}  {file.path}\n" for file in self.files)

    def same_content(self, other: "Manifest") -> bool:
        """Whether both have the same files with the same bytes."""
        return self.sha256sums() == other.sha256sums()
