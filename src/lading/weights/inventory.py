"""What lies on a volume beside its manifests, and what all of it takes. Values only: nothing is read here."""

from typing import Annotated, Literal

from pydantic import Field

from lading.spec.base import Stored
from lading.weights.manifest import PublishedBy


class Seen(Stored):
    """One file of a published version as it lies there: opened, not read."""

    path: str
    """Relative to the version's directory."""
    size_bytes: int | None = None
    """None where there is a problem."""
    problem: Literal["missing", "unreadable"] | None = None
    detail: str = ""


class Unmanaged(Stored):
    """A folder with a model in it and no manifest: nobody vouches for its bytes."""

    path: str
    """Relative to the volume's root; ``.`` is the root itself."""
    format: str
    """What it looks like: ``huggingface``, ``gguf``, ``sklearn``."""
    files: dict[str, Annotated[int, Field(ge=0)]]
    """Size in bytes of each plain file, by its path in the folder."""
    problem: str | None = None
    """What keeps a server from loading it, as names, sizes and heads of files tell; None: nothing that these show."""

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(self.files.values())


class VersionUsage(Stored):
    """What one published version takes."""

    model: str
    version: str
    size_bytes: int
    current: bool
    shared_bytes: int = 0
    """Of these, in files that an earlier version here has, too (hard links): they take no room twice."""
    adopted: bool
    """It lies where it lay, and stays there when it is removed from the list."""


class Usage(Stored):
    """What a volume holds, in bytes; all that is not named is ``other_bytes``."""

    capacity_bytes: int
    """Of the file system; a claim on a shared one may be promised less."""
    free_bytes: int
    """What an ordinary user may still write."""
    versions: tuple[VersionUsage, ...]
    """By model, then by time of publication."""
    staging_bytes: int
    """Pulls under way or interrupted, and removals that were not finished: `lading prune` frees what nobody works on."""
    unmanaged: tuple[Unmanaged, ...]
    other_bytes: int
    """Files that are neither a published version's, nor staged, nor of a folder that looks like a model."""

    @property
    def published_bytes(self) -> int:
        """All versions together, what they share counted once."""
        return sum(version.size_bytes - version.shared_bytes for version in self.versions)


class Adoption(Stored):
    """A folder that is to be listed as a version, where it lies."""

    path: str
    """Relative to the volume's root; ``.`` is the root itself."""
    model: str
    version: str | None = None
    """None: the first 12 hex digits of a digest of the files."""
    expect: str = "auto"
    """The format it must have; ``any`` for no check."""
    source: str
    """Where it is said to have come from, for the manifest."""
    by: PublishedBy
