"""What a source has, pinned: a revision and its files."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lading.spec.ref import Reference
from lading.weights.archive import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a source.

    Attributes:
        path: Relative to the model, with ``/``; checked by `weights.names` before it is written anywhere.
        size_bytes: Its size, None where the source does not say before reading.
        etag: The source's own mark of this content (an ETag, a modification time); changes when the content does.
        sha256: Hex digest, where the source knows it.
        digests: What else the source says of the content, by algorithm, as `lading.weights.digests` names them; each
            is computed while the file is written, and compared.
        key: Where the source finds it; private to the source.
        archive: It is an archive of this kind, which is not to be kept: its members are the files.
    """

    path: str
    size_bytes: int | None
    etag: str | None = None
    sha256: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict, compare=False)
    key: str = field(default="", compare=False)
    archive: Kind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All files of a source at one moment.

    Attributes:
        ref: What was asked for.
        name: The source's own name for it (the last part of a prefix, a folder's name), for a default model name.
        revision: What the source calls this state (a hub commit), or the digest of the entries.
        entries: Sorted by path, no path twice.
        version: What the source calls this version, where it is a volume; it is called so again.
        format: What the manifest there says it is; None without one.
        origin: Where the content came from before it lay at *ref*, as the manifest there says; None: from *ref*.
        notes: What a person should read of it, one sentence each.
    """

    ref: Reference
    name: str
    revision: str
    entries: tuple[Entry, ...]
    version: str | None = None
    format: str | None = None
    origin: str | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def size_bytes(self) -> int:
        """The sum of the known sizes."""
        return sum(entry.size_bytes or 0 for entry in self.entries)


def listing(ref: Reference, name: str, entries: Iterable[Entry], *, revision: str | None = None) -> Listing:
    """A listing of *entries*; *revision* None: 40 hex digits of a digest over path, size and etag of each entry."""
    ordered = tuple(sorted(entries, key=lambda entry: entry.path))
    return Listing(ref=ref, name=name, revision=revision or digest(ordered), entries=ordered)


def digest(entries: Iterable[Entry]) -> str:
    """40 hex digits that change when any path, size or etag does."""
    lines = (f"{entry.path}\0{entry.size_bytes}\0{entry.sha256 or entry.etag or ''}\n" for entry in entries)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:40]
