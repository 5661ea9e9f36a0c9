"""Where weights come from."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from lading.spec.ref import Reference
from lading.weights.listing import Entry, Listing


@runtime_checkable
class Source(Protocol):
    """A place weights come from. It never sees a path of the volume."""

    async def resolve(self, ref: Reference) -> Listing:
        """What is there now, pinned; the same content gives the same revision.

        Raises:
            SourceMissing, SourceDenied, SourceTransient, InvalidReference: As named.
        """

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """Read bytes of *entry* from *offset* on into *buffer*; how many, 0 only at its end (or where *end* is).

        Fewer than fit are no fault. *end*: this thread goes on reading up to there and no further (nor does *buffer*), so
        that one request for a range brings all of it; None: to the end of the file. Blocking and thread-safe; every wait inside is at
        most 5 s. Sequential reads of one entry by one thread may share a connection.

        Raises:
            SourceChanged: The content is no longer that of the listing.
            SourceTransient: Worth another try from the same offset; `SourceBusy`: but slower.
            RangesRefused: Its server gives whole files only: read it from its start, with one thread.
            SourceDenied, SourceMissing: As named.
        """

    def close(self) -> None:
        """Close all connections; idempotent."""


@runtime_checkable
class KnowsDigests(Protocol):
    """A source that can be asked what a file hashes to, where its listing does not say."""

    def digests(self, entry: Entry) -> Mapping[str, str]:
        """What the store says of the content, by algorithm (`lading.weights.digests`); asked once before a file is read.

        Blocking and thread-safe; empty where it says nothing. Raises as `Source.read_into`.
        """


@runtime_checkable
class KeepsManifest(Protocol):
    """A source beside whose files a push left a manifest."""

    def manifest(self, ref: Reference) -> bytes | None:
        """That manifest, as it lies there: not to be trusted before it is read. None where there is none.

        Blocking. Raises as `Source.resolve`.
        """
