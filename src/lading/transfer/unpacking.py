"""An archive from a source to a staging, as one stream: decompressed, taken apart, hashed and written while it arrives.

It is read once and never stored. A fault of the network is healed by reading on where it broke; what was cut off by a
kill begins again, as a compressed stream has no middle to begin at. Every member is checked before a byte of it is
written (`lading.weights.archive`), and needs room on the volume like any file.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

from lading.errors import Cancelled, SourceChanged, SourceError, VerificationFailed
from lading.events import Emit, FilePulled, ignore
from lading.ports.source import Source
from lading.ports.volume import StagedFile, Staging
from lading.transfer.buffers import Buffer
from lading.transfer.hashing import FileHash
from lading.transfer.meter import Meter
from lading.transfer.pace import Rate
from lading.transfer.patience import Attempts, Patience
from lading.weights import archive
from lading.weights.archive import Catalogue, Member
from lading.weights.compression import Plain
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry

STEP_BYTES = 1 << 20
Taken = Callable[[str], bool]


def unpack(
    entry: Entry,
    source: Source,
    staging: Staging,
    *,
    cancel: threading.Event,
    meter: Meter,
    emit: Emit = ignore,
    patience: Patience | None = None,
    rate: Rate | None = None,
    taken: Taken = bool,
) -> tuple[FileEntry, ...]:
    """Write the files of the archive *entry* to *staging*, sorted by path: those whose path is *taken*.

    One folder that all are below is left out of their paths.

    Raises:
        Cancelled: *cancel* was set.
        HostileName: A member must not be written.
        SourceError: It is damaged, cut off, or a bomb; `VerificationFailed`: not what its digest says.
        VolumeError: As the staging raises it.
    """
    assert entry.archive is not None, "not an archive"
    raw = _Raw(entry, source, Attempts(patience or Patience(), cancel), meter, rate or Rate(None))
    tape = _Tape(raw, Plain(entry.archive))
    unpacking = _Unpacking(entry, staging, tape, cancel=cancel, emit=emit, taken=taken)
    unpacking.members()
    tape.finish()
    raw.check()
    return unpacking.files()


class _Raw:
    """The bytes of the archive as they lie at the source, hashed where its source says what they hash to."""

    def __init__(self, entry: Entry, source: Source, attempts: Attempts, meter: Meter, rate: Rate) -> None:
        self._entry, self._source, self._attempts, self._meter, self._rate = entry, source, attempts, meter, rate
        self._hashes = FileHash(entry, {}) if entry.sha256 or entry.digests else None
        self._buffer = Buffer(STEP_BYTES)
        self._step_bytes = rate.step_bytes(STEP_BYTES)
        self._offset = 0

    def read(self) -> bytes:
        """The next bytes; empty at its end."""
        view = self._buffer.view[: self._step_bytes]
        count = self._attempts.until_progress(partial(self._source.read_into, self._entry, self._offset, view))
        self._rate.wait(count, self._attempts.cancel)
        self._offset += count
        self._meter.add(count)
        if self._hashes is not None:
            self._hashes.update(view[:count])
        return bytes(view[:count])

    def check(self) -> None:
        """That all of it came, and is what its source says."""
        said = self._entry.size_bytes
        if said is not None and self._offset != said:
            raise SourceChanged(
                f"{self._entry.path} ended after {self._offset} bytes, its listing says {said}",
                hint="run the same command again: it takes the source as it is then",
            )
        mismatch = self._hashes.mismatch() if self._hashes is not None else None
        if mismatch is not None:
            raise mismatch.error(self._entry.path)


class _Tape:
    """The archive without its compression, read from its start to its end."""

    def __init__(self, raw: _Raw, plain: Plain) -> None:
        self._raw, self._plain = raw, plain
        self._piece = memoryview(b"")
        self._ended = False

    def take(self, size_bytes: int) -> bytes:
        """That many bytes; fewer only at the end."""
        pieces = []
        while size_bytes and (piece := self.some(size_bytes)):
            pieces.append(bytes(piece))
            size_bytes -= len(piece)
        return b"".join(pieces)

    def some(self, most_bytes: int) -> memoryview:
        """Up to *most_bytes*, as they come; empty at the end."""
        while not self._piece and not self._ended:
            self._piece = memoryview(self._plain.take(STEP_BYTES))
            if not self._piece:
                self._feed()
        piece, self._piece = self._piece[:most_bytes], self._piece[most_bytes:]
        return piece

    def finish(self) -> None:
        """Read what is behind the end mark: nothing that counts."""
        archive.check_rest(self.take)

    def _feed(self) -> None:
        data = self._raw.read()
        if data:
            self._plain.feed(data)
        else:
            self._plain.end()
            self._ended = True


@dataclass(slots=True)
class _Names:
    """Where members go: below no folder, as long as all so far were in one."""

    folder: str | None = None
    seen: list[str] = field(default_factory=list)

    def fits(self, path: str) -> bool:
        """Whether *path* leaves what was decided for those before it as it is."""
        if not self.seen:
            self.folder = archive.common_folder([path])
        self.seen.append(path)
        return self.folder is None or path.startswith(f"{self.folder}/")

    def of(self, path: str) -> str:
        """Where *path* of the archive goes."""
        return archive.below(self.folder, path)


class _Unpacking:
    """The files of one archive on their way into a staging."""

    def __init__(
        self, entry: Entry, staging: Staging, tape: _Tape, *, cancel: threading.Event, emit: Emit, taken: Taken
    ) -> None:
        self._entry, self._staging, self._tape = entry, staging, tape
        self._cancel, self._emit, self._taken = cancel, emit, taken
        self._buffer = Buffer(STEP_BYTES).view
        self._names = _Names()
        self._written: dict[str, FileEntry] = {}

    def members(self) -> None:
        """Take all members to the end mark."""
        catalogue = Catalogue()
        while (member := archive.next_member(self._tape.take)) is not None:
            catalogue.add(member)
            if member.is_folder:
                continue
            if not self._names.fits(member.path):
                self._put_back()
            self._member(member)

    def files(self) -> tuple[FileEntry, ...]:
        """What was written, by path."""
        if not self._written:
            raise SourceError(f"{self._entry.path} has no files in it that are to be taken")
        return tuple(sorted(self._written.values(), key=lambda file: file.path))

    def _member(self, member: Member) -> None:
        path = self._names.of(member.path)
        if not self._taken(path):
            self._pass_over(member.padded_bytes)
            return
        began = time.monotonic()
        file = self._write(Entry(path=path, size_bytes=member.size_bytes, etag=self._entry.etag), self._content)
        self._pass_over(member.padded_bytes - member.size_bytes)
        self._written[member.path] = file
        self._emit(
            FilePulled(path=path, size_bytes=file.size_bytes, sha256=file.sha256, seconds=time.monotonic() - began)
        )

    def _write(self, entry: Entry, fill: "_Fill") -> FileEntry:
        """*entry* written with what *fill* puts into the buffer, hashed meanwhile."""
        size_bytes = entry.size_bytes or 0
        hashes, offset = sha256(), 0
        staged = self._staging.open(entry)
        try:
            while offset < size_bytes:
                if self._cancel.is_set():
                    raise Cancelled("interrupted")
                view = self._buffer[: min(len(self._buffer), size_bytes - offset)]
                fill(view, offset)
                hashes.update(view)
                staged.write(view, offset)
                offset += len(view)
            return staged.finish(size_bytes, hashes.hexdigest())
        finally:
            staged.abandon()

    def _content(self, view: memoryview, _offset: int) -> None:
        filled = 0
        while filled < len(view):
            piece = self._tape.some(len(view) - filled)
            if not piece:
                raise SourceError(f"{self._entry.path} ends in the middle of a member", hint="it was cut off")
            view[filled : filled + len(piece)] = piece
            filled += len(piece)

    def _pass_over(self, size_bytes: int) -> None:
        while size_bytes:
            piece = self._tape.some(size_bytes)
            if not piece:
                raise SourceError(f"{self._entry.path} ends in the middle of a member", hint="it was cut off")
            size_bytes -= len(piece)

    def _put_back(self) -> None:
        """Not all are in one folder after all: those written so far get its name back, by a copy on the volume."""
        folder, self._names.folder = self._names.folder, None
        if any(self._taken(path) != self._taken(archive.below(folder, path)) for path in self._names.seen[:-1]):
            raise SourceError(
                f"{self._entry.path} began with the folder {folder}, and has others beside it: by then, files of it "
                "had been chosen without its name",
                hint="pull it without --include and --exclude, or unpack it and pull the folder",
            )
        for path, file in [*self._written.items()]:
            if path.startswith(f"{file.path}/"):  # a file called like the folder is in its way
                self._written[path] = self._move(file, f"{file.path}.aside-{len(self._names.seen)}")
        for path in sorted(self._written, key=lambda path: -_repeats(path, f"{folder}/")):  # into what is gone by then
            self._written[path] = self._move(self._written[path], path)

    def _move(self, file: FileEntry, path: str) -> FileEntry:
        def fill(view: memoryview, offset: int) -> None:
            view[:] = self._staging.read(file.path, offset, len(view))

        moved = self._write(Entry(path=path, size_bytes=file.size_bytes, etag=self._entry.etag), fill)
        if moved.sha256 != file.sha256:
            raise VerificationFailed(
                f"{file.path} has other bytes on the volume than were written", hint="pull it again"
            )
        self._forget(file.path)
        return moved

    def _forget(self, path: str) -> None:
        staged: StagedFile = self._staging.open(Entry(path=path, size_bytes=0))
        staged.abandon()


def _repeats(path: str, start: str) -> int:
    """How often *path* begins with *start*, one behind the other."""
    count = 0
    while path.startswith(start, count * len(start)):
        count += 1
    return count


_Fill = Callable[[memoryview, int], None]
