"""Where weights are kept: what is staged, published, read and removed, and the channel to a volume beside which we are not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path
from typing import Protocol, runtime_checkable

from lading.weights.inventory import Adoption, Seen, Unmanaged, Usage
from lading.weights.layout import Leftover
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry, Manifest
from lading.weights.parts import Part


class StagedFile(Protocol):
    """One file being written to staging. Several threads write to it, each its own parts."""

    @property
    def kept(self) -> Sequence[Part]:
        """Parts that an earlier attempt wrote and journalled, by offset; their bytes are to be checked before they count."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Read what was written at *offset*; fewer bytes than fit where the file ends."""

    def write(self, data: memoryview, offset: int) -> None:
        """Write *data* at *offset*; quickest where both are aligned to 4096 bytes.

        Raises:
            VolumeFull, VolumeNotWritable: As named; the staging stays for a later attempt.
        """

    def keep(self, part: Part) -> None:
        """Say that all bytes of *part* were written: soon durable and journalled, it is in `kept` of a later attempt."""

    def finish(self, size_bytes: int, sha256: str) -> FileEntry:
        """Make it durable and journal it, or a small one soon, together with others; gives what is journalled.

        The caller hashed what it wrote. All that was finished is durable once `Staging.finished` is asked for, at `publish`,
        and when the staging is left.
        """

    def leave(self) -> None:
        """Let go of it, with the parts that were kept; idempotent, silent after `finish`."""

    def abandon(self) -> None:
        """Forget what was written; idempotent, silent after `finish`."""


class Staging(Protocol):
    """A transfer's own directory on the volume's file system, under the model's lock."""

    @property
    def in_order(self) -> bool:
        """Whether a file takes its bytes only from its start to its end, by one thread (a stream to elsewhere)."""

    @property
    def partial_bytes(self) -> int:
        """Room that unfinished files of an earlier attempt have taken already: it is not needed again."""

    @property
    def finished(self) -> Mapping[str, FileEntry]:
        """Files an earlier attempt completed and journalled, by path; their size on disk was checked again."""

    def open(self, entry: Entry) -> StagedFile:
        """A file for *entry*, whose name is checked: as an interrupted attempt left it, else a new one. Thread-safe.

        Raises:
            HostileName: The name must not be written.
        """

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Up to *size_bytes* of a finished file from *offset* on, for format checks; empty at its end."""


Progress = Callable[[int], None]


"""Told how many more bytes are done (fewer where work begins again); what it raises stops the work."""


@runtime_checkable
class Settles(Protocol):
    """A staging that makes small files durable many at a time."""

    def settle(self) -> None:
        """Make durable and journal what still waits for that; raises as `StagedFile.finish`."""


@runtime_checkable
class TakesOver(Protocol):
    """A staging that can go on with what an earlier transfer has, of the same source a moment ago."""

    def take_over(self, transfer: str, entries: Sequence[Entry]) -> None:
        """Take of *entries* what that transfer finished or began, where it is still that content; the rest is left there."""


@runtime_checkable
class KeepsFiles(Protocol):
    """A staging that can take files of published versions over without their bytes."""

    def take(self, manifest: Manifest, file: FileEntry, *, progress: Progress) -> bool:
        """Take *file* of the version of *manifest* over as finished, its bytes hashed again; False where that cannot be.

        Thread-safe. *progress* is told of hashed bytes; what it raises stops it.
        """


@runtime_checkable
class Volume(Protocol):
    """Models on a volume: the only writer to it. Blocking; each method is safe to repeat."""

    @property
    def root(self) -> Path:
        """The directory that is the volume, here."""

    @property
    def shown(self) -> str:
        """The volume as a person names it: a folder's path, ``pvc://claim``. Messages name it so."""

    @property
    def cores(self) -> int:
        """How many files are worth hashing at once, where the volume is."""

    @property
    def id(self) -> str:
        """The volume's own id: the same through every mount."""

    def stage(self, model: str, version: str, transfer: str) -> AbstractContextManager[Staging]:
        """The staging of *transfer* (an id that is the same for the same source, revision and destination).

        Leaving the context releases the lock and keeps the staging, so that a rerun goes on, unless it was published.

        Raises:
            ModelBusy: Another live writer has this model; VolumeNotWritable, VolumeTooNew: as named.
        """

    def publish(self, staging: Staging, manifest: Manifest, *, use: bool = True) -> Path:
        """Make the staged files the version of *manifest*: fsync, rename, manifest last, then `current` if *use*.

        Before it returns, or at a crash in any place, the version is either wholly there with its manifest, or not
        listed at all. Publishing what is published is silent.
        """

    def mend(self, manifest: Manifest, transfer: str) -> AbstractContextManager[Staging]:
        """A staging for files of a published version that are broken, under its model's lock.

        What was staged and not put in place is kept for a later attempt.

        Raises:
            NotPublished: It is not listed; ModelBusy: another live writer has this model.
        """

    def replace(self, staging: Staging, manifest: Manifest, paths: Sequence[str]) -> None:
        """Put the staged *paths* in the place of a version's broken files, each by a rename; the manifest stays as it is.

        Raises:
            VolumeError: One is not staged with the bytes that the manifest says; nothing was replaced.
        """

    def discard(self, manifest: Manifest, paths: Sequence[str]) -> None:
        """Remove what lies in a version's directory and is not in its manifest (`extra_files`); other *paths* are silent.

        Raises:
            VolumeError: The version was adopted: what else lies there is somebody's.
        """

    def manifests(self) -> Iterator[Manifest]:
        """All published versions, by model, then by time of publication."""

    def manifest(self, model: str, version: str | None = None) -> Manifest:
        """One version's manifest; None: the current one.

        Raises:
            NotPublished: There is none; the hint names the nearest.
        """

    def directory(self, manifest: Manifest) -> Path:
        """Where the files of a published version lie, here; absolute."""

    def place(self, manifest: Manifest) -> str:
        """Where a version lies, as a person names it; a claim's is its storageUri."""

    def current(self, model: str) -> str | None:
        """The version `current` names, or the only one, when it was adopted; None without."""

    def currents(self, models: Sequence[str]) -> Mapping[str, str | None]:
        """The current version of each of *models*."""

    def use(self, model: str, version: str) -> None:
        """Switch `current` atomically; logged in ``.lading/history.jsonl``."""

    def adopt(self, adoption: Adoption, *, progress: Progress) -> Manifest:
        """Hash a folder where it lies and list it as a version, which is not moved; again is silent while it is the same.

        *progress* may be called from several threads.

        Raises:
            InvalidReference: It is no folder, or it and a published version lie in one another.
            FormatRefused: It is no whole model, or has links in it.
            ModelBusy: Another live writer has this model.
            VolumeError: Its files changed since it was adopted, or while it was hashed.
        """

    def unmanaged(self, known: Sequence[Manifest] | None = None) -> tuple[Unmanaged, ...]:
        """Folders that look like a model and have no manifest, by path; judged by names, sizes and heads of files.

        *known*: all published versions, where the caller has read them already.
        """

    def usage(self) -> Usage:
        """What all that lies there takes, each byte counted once."""

    def open_file(self, manifest: Manifest, path: str) -> BufferedReader:
        """A file of a published version, for reading.

        Raises:
            OSError: It is not there, no plain file, behind a link, or cannot be read.
        """

    def open_plain(self, path: str) -> BufferedReader:
        """A plain file anywhere on the volume but in ``.lading``, by its path from the root, for reading.

        Raises:
            HostileName: *path* leads out of the volume, or into ``.lading``.
            OSError: As `open_file`.
        """

    def hash_plain(self, path: str, size_bytes: int, progress: Progress) -> tuple[int, str]:
        """Size and SHA-256 of a plain file, hashed where the volume is; empty where its size is not *size_bytes*.

        Raises:
            HostileName, OSError: As `open_plain`.
        """

    def look(self, manifest: Manifest) -> tuple[Seen, ...]:
        """Each of its files as it lies there, in the manifest's order: opened, not read."""

    def extra_files(self, manifest: Manifest) -> tuple[str, ...]:
        """Paths in the version's directory that its manifest does not have."""

    def remove(self, model: str, version: str) -> None:
        """Remove a version, its manifest first; a missing one is silent. `current` never dangles.

        Raises:
            VolumeError: It is the current one, and others are left.
        """

    def sweep(self, *, idle_s: float = 0.0) -> tuple[Path, ...]:
        """Remove what killed runs left, and say what it was: exactly the paths of `leftovers`.

        An interrupted pull that nobody runs now loses its progress, where nothing of it changed for *idle_s*; what a
        live writer holds is left alone.
        """

    def leftovers(self) -> tuple[Leftover, ...]:
        """What `sweep` would remove."""

    def free_bytes(self) -> int:
        """Bytes an ordinary user may still write."""

    def require_free(self, size_bytes: int) -> None:
        """Return when *size_bytes* more fit.

        Raises:
            VolumeFull: They do not; names what is needed and what is free.
        """


class Channel(Protocol):
    """Bytes both ways between us and a program elsewhere (its stdin and stdout); blocking, and thread-safe per direction."""

    def send(self, data: bytes | memoryview) -> None:
        """Hand all of *data* on; returns when it may be reused. Waits where the other side does not keep up.

        Raises:
            ChannelClosed: The other side is gone.
        """

    def receive(self) -> bytes:
        """The next bytes, as many as there are; empty when the other side has ended.

        Raises:
            ChannelClosed: The stream broke before its end.
        """

    def close(self) -> None:
        """End the stream; idempotent. A `receive` under way returns."""
