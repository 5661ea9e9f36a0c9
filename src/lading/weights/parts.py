"""Parts of a file: what one request brings, and what a journal remembers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lading.weights.crc import crc32, crc64nvme

ALIGN_BYTES = 4096
"""Direct I/O wants offsets and lengths that are multiples of the block: so all parts begin at one."""
PART_BYTES = 2 << 20
"""Big enough for direct I/O, small enough to stay in the processor's cache between receiving, hashing and writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a file; *size_bytes* None: to an end that nobody knows yet."""

    offset: int
    size_bytes: int | None

    @property
    def end(self) -> int | None:
        """The offset behind it."""
        return None if self.size_bytes is None else self.offset + self.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a file that was written, with its CRC-32: cheap to check again before it is trusted."""

    offset: int
    size_bytes: int
    crc: int

    def is_of(self, data: memoryview) -> bool:
        """Whether *data* is what was written."""
        return crc32(data) == self.crc

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded(Part):
    """A stretch of a file that a store has, with the CRC-64/NVME by which stores tell of it."""

    def is_of(self, data: memoryview) -> bool:
        """Whether *data* is what was sent."""
        return crc64nvme(data) == self.crc


def spans(size_bytes: int | None, *, part_bytes: int = PART_BYTES, kept: Sequence[Part] = ()) -> Iterator[Span | Part]:
    """What makes up a file, in order: the parts that are *kept*, and what is between them in spans of *part_bytes*.

    Spans end at multiples of *part_bytes*; a kept part that overlaps another, is too long, or leaves the file is dropped.
    One span for an empty file, and for one of unknown size.
    """
    if size_bytes is None:
        yield Span(offset=0, size_bytes=None)
        return
    offset = 0
    for part in sorted(kept, key=lambda one: one.offset):
        if part.offset < offset or part.end > size_bytes or not 0 < part.size_bytes <= part_bytes:
            continue
        yield from _between(offset, part.offset, part_bytes)
        yield part
        offset = part.end
    if size_bytes == 0:
        yield Span(offset=0, size_bytes=0)
    yield from _between(offset, size_bytes, part_bytes)


def _between(start: int, end: int, part_bytes: int) -> Iterator[Span]:
    while start < end:
        stop = min(end, (start // part_bytes + 1) * part_bytes)
        yield Span(offset=start, size_bytes=stop - start)
        start = stop
