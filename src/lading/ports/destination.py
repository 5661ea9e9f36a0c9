"""Where weights are sent to, and what a push remembers between two attempts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lading.weights.manifest import FileEntry
from lading.weights.pushing import Held


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPart:
    """A part of an unfinished upload, as the destination has it.

    Attributes:
        number: From 1 on, in the order of the file.
        etag: The destination's mark of its content.
        crc64nvme: Of its bytes; None where the destination does not say it later on.
    """

    number: int
    size_bytes: int
    etag: str
    crc64nvme: int | None


class Cancel(Protocol):
    """Says whether work is to stop (a `threading.Event`)."""

    def is_set(self) -> bool:
        """Whether it is."""


@runtime_checkable
class Destination(Protocol):
    """A place that weights are pushed to: a prefix of an object store, a folder. Blocking and thread-safe.

    A file is seen there when it is whole, and not before. Every method raises `SourceTransient` where it is worth another
    try (`SourceBusy`: but slower), `SourceDenied` and `SourceError` else.
    """

    @property
    def shown(self) -> str:
        """Where it is, as a person names it."""

    def files(self) -> Mapping[str, Held]:
        """What is there, by path; without what a push keeps beside the files."""

    def digests(self, path: str) -> Mapping[str, str]:
        """What it says that a file hashes to, by algorithm (`lading.weights.digests`); empty where it says nothing."""

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        """Read bytes of a file that is there; 0 only at its end."""

    def put(self, path: str, data: memoryview, *, cancel: Cancel | None = None) -> Held:
        """A small file, whole, in place of what was there; refused where other bytes arrived than were sent."""

    def begin(self, path: str, size_bytes: int | None) -> str:
        """Begin to upload a file in parts; gives the upload's id. Nothing is seen before `complete`."""

    def send(
        self, path: str, upload: str, number: int, data: memoryview, *, offset: int, cancel: Cancel | None = None
    ) -> SentPart:
        """One part, again where it was sent before; refused where other bytes arrived than were sent.

        All parts but the last are of one size, and *offset* is where its bytes lie in the file. *cancel* is looked at while
        it is sent (`Cancelled`).
        """

    def parts(self, path: str, upload: str) -> Mapping[int, SentPart] | None:
        """What an unfinished upload has, by number; None where there is no such upload any more."""

    def complete(self, path: str, upload: str, parts: Sequence[SentPart]) -> Held:
        """Make the file of *parts*, which are all of it, in order: it is there then, in place of what was."""

    def abort(self, path: str, upload: str) -> None:
        """Forget an upload; silent where there is none."""

    def remove(self, path: str) -> None:
        """Remove a file; silent where there is none."""

    def manifest(self) -> bytes | None:
        """The manifest that lies beside the files, as it is; None where there is none."""

    def require_manifest(self) -> None:
        """Nothing, if a manifest may be put beside the files, which is found out before any of them is sent.

        Raises:
            SourceDenied: It may not.
        """

    def put_manifest(self, data: bytes) -> str:
        """Put it there, in place of an older one; gives where it is, as a person names it."""

    def close(self) -> None:
        """Close all connections; idempotent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An upload that was begun: *mark* is that of the content it began with, *crcs* those of its parts, by their etag."""

    upload: str
    mark: str
    crcs: Mapping[str, int]


class UploadJournal(Protocol):
    """What a push did so far, for the next attempt at the same; thread-safe. A line that is lost costs work, never truth."""

    @property
    def unfinished(self) -> Mapping[str, Unfinished]:
        """Uploads that were neither completed nor forgotten, by path."""

    @property
    def finished(self) -> Mapping[str, FileEntry]:
        """Files that were completed, by path; `etag` is the destination's mark."""

    def begun(self, path: str, upload: str, mark: str) -> None:
        """An upload was begun."""

    def sent(self, path: str, part: SentPart) -> None:
        """A part of it is there."""

    def completed(self, file: FileEntry) -> None:
        """The file is there."""

    def forgotten(self, path: str) -> None:
        """The upload was aborted, or the file is not what was sent."""


class UploadJournals(Protocol):
    """Where the journals of pushes are, by the id of their transfer (`lading.weights.plan.transfer_id`)."""

    def finished(self, transfer: str) -> Mapping[str, FileEntry]:
        """What an earlier attempt completed, without making a journal."""

    def opened(self, transfer: str, destination: str) -> AbstractContextManager[UploadJournal]:
        """The journal, held by this process.

        Raises:
            ModelBusy: Another process is at the same push.
        """

    def stale(self, transfer: str, destination: str) -> Iterator[tuple[str, Mapping[str, Unfinished]]]:
        """Pushes of other content to *destination* that nobody is at: their ids, and the uploads that they left."""

    def remove(self, transfer: str) -> None:
        """Forget a push; silent where there is none."""
