"""What a pull has to fetch: a pure function of what the source has and what the volume has."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from lading.errors import InvalidInput
from lading.weights import names
from lading.weights.listing import Entry, Listing
from lading.weights.manifest import FileEntry, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPlan:
    """What to fetch, what is there already.

    Attributes:
        fetch: To be fetched, the biggest first, so that no big file is left for the end.
        keep: Finished by an earlier attempt, sorted by path.
        unchanged: The version is published with this very content: nothing is to be done.
    """

    fetch: tuple[Entry, ...]
    keep: tuple[FileEntry, ...]
    unchanged: bool = False

    @property
    def fetch_bytes(self) -> int:
        """Bytes to come, and so the space needed; files of unknown size count as none."""
        return sum(entry.size_bytes or 0 for entry in self.fetch)

    @property
    def kept_bytes(self) -> int:
        """Bytes that need not be fetched."""
        return sum(file.size_bytes for file in self.keep)

    @property
    def total_bytes(self) -> int:
        """The whole version."""
        return self.fetch_bytes + self.kept_bytes


def plan(listing: Listing, finished: Mapping[str, FileEntry], published: Manifest | None = None) -> TransferPlan:
    """How to get from *finished* files to all of *listing*; *published* is the manifest of the version it is to become.

    Raises:
        HostileName: A name of the listing must not be written.
        InvalidInput: The version is published with other content; a version never changes.
    """
    names.check_all(entry.path for entry in listing.entries)
    if published is not None:
        _check_same(listing, published)
        return TransferPlan(fetch=(), keep=published.files, unchanged=True)
    keep = {
        entry.path: finished[entry.path]
        for entry in listing.entries
        if entry.path in finished and matches(entry, finished[entry.path])
    }
    fetch = sorted(
        (entry for entry in listing.entries if entry.path not in keep),
        key=lambda entry: (-(entry.size_bytes or 0), entry.path),
    )
    return TransferPlan(fetch=tuple(fetch), keep=tuple(keep[path] for path in sorted(keep)))


def matches(entry: Entry, file: FileEntry) -> bool:
    """Whether *file* is the content that *entry* stands for, as far as the source tells."""
    if entry.archive is not None or entry.size_bytes not in {None, file.size_bytes}:
        return False
    if entry.sha256 is not None:
        return entry.sha256 == file.sha256
    return entry.etag == file.etag


def is_published(listing: Listing, published: Manifest) -> bool:
    """Whether *published* was made from this very state of the source."""
    if listing.revision != published.source.revision or any(entry.archive for entry in listing.entries):
        return listing.revision == published.source.revision  # what is in an archive is known by its mark alone
    files = {file.path: file for file in published.files}
    return files.keys() == {entry.path for entry in listing.entries} and all(
        entry.size_bytes in {None, files[entry.path].size_bytes} for entry in listing.entries
    )


def transfer_id(source: str, revision: str, destination: str) -> str:
    """The id of a transfer: 32 hex digits, the same for the same three, so that a rerun finds its journal.

    *destination* names volume, model and version, as ``<volume id>/<model>@<version>``.
    """
    parts = "".join(f"{len(part.encode())}:{part}" for part in (source, revision, destination))
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _check_same(listing: Listing, published: Manifest) -> None:
    if not is_published(listing, published):
        raise InvalidInput(
            f"{published.model}@{published.version} is published with revision {published.source.revision[:12]} of "
            f"{published.source.ref}; {listing.ref} is at {listing.revision[:12]}, and a version never changes",
            hint="give another --version, or none: it is then named after the revision",
        )
