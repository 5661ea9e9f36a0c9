"""A plain tar read where it lies: its members as ranges of the one file, so that each can be fetched alone, and go on.

Its headers are found by asking for them, one after the other, each a window that brings the next ones with it where
the members are small. A member's place is in its entry's key: whoever has the entry can read it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from lading.errors import SourceError
from lading.weights import archive
from lading.weights.archive import Catalogue, Member
from lading.weights.listing import Entry

WINDOW_BYTES = 64 << 10
WINDOWS = 1000
"""An archive that needs more requests than this to be listed has so many small files that one stream is quicker."""
_KEY = re.compile(r"tar (\d+) (\d+) (.*)", re.DOTALL)

ReadAt = Callable[[int, memoryview, int], int]
"""Reads from an offset into a buffer, up to an end; how many bytes, 0 at the end."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member lies: from *start* on in the file *whole*."""

    whole: Entry
    start: int


def members(whole: Entry, read_at: ReadAt) -> list[Entry] | None:
    """The files of the plain tar *whole*, below no folder that all are in; None where one stream is quicker.

    Raises:
        HostileName, SourceError: A member must not be written; it is no tar, or damaged.
    """
    assert whole.size_bytes is not None, "of unknown size"
    windows = _Windows(read_at, whole.size_bytes)
    catalogue = Catalogue()
    found: list[tuple[Member, int]] = []
    while (member := archive.next_member(windows.take)) is not None:
        catalogue.add(member)
        if windows.position + member.padded_bytes > whole.size_bytes:
            raise SourceError(f"the archive ends in the middle of {member.path!r}", hint="it was cut off")
        if not member.is_folder:
            found.append((member, windows.position))
        windows.position += member.padded_bytes
        if windows.asked > WINDOWS:
            return None
    archive.check_rest(windows.take)
    folder = archive.common_folder(member.path for member, _ in found)
    return [_entry(whole, member, start, folder) for member, start in found]


def place(entry: Entry) -> Place | None:
    """Where *entry* lies in an archive; None for a file of its own."""
    found = _KEY.fullmatch(entry.key)
    if found is None:
        return None
    return Place(replace(entry, key=found[3], size_bytes=int(found[2]), sha256=None), int(found[1]))


def _entry(whole: Entry, member: Member, start: int, folder: str | None) -> Entry:
    return Entry(
        path=archive.below(folder, member.path),
        size_bytes=member.size_bytes,
        etag=whole.etag,
        key=f"tar {start} {whole.size_bytes} {whole.key}",
    )


class _Windows:
    """Reads here and there, a window at a time.

    Attributes:
        position: Of what is taken next.
        asked: How many windows were fetched.
    """

    def __init__(self, read_at: ReadAt, size_bytes: int) -> None:
        self.position = 0
        self.asked = 0
        self._read_at, self._size_bytes = read_at, size_bytes
        self._buffer = memoryview(bytearray(WINDOW_BYTES))
        self._start = self._end = 0

    def take(self, size_bytes: int) -> bytes:
        pieces = []
        while size_bytes and self.position < self._size_bytes:
            if not self._start <= self.position < self._end:
                self._fetch()
            piece = bytes(self._buffer[self.position - self._start : self._end - self._start][:size_bytes])
            pieces.append(piece)
            self.position += len(piece)
            size_bytes -= len(piece)
        return b"".join(pieces)

    def _fetch(self) -> None:
        self.asked += 1
        self._start = self._end = self.position
        end = min(self.position + WINDOW_BYTES, self._size_bytes)
        while self._end < end:
            got = self._end - self._start
            count = self._read_at(self._end, self._buffer[got : end - self._start], end)
            if count == 0:
                raise SourceError("the archive is shorter than its server said")
            self._end += count
