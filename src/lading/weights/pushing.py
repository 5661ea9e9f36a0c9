"""What a push has to send: a pure function of what the source has, what the destination has, and what is known of that."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lading.weights import crc, names
from lading.weights.listing import Entry, Listing
from lading.weights.manifest import FileEntry, Manifest

WHOLE_BYTES = 1 << 20
"""Up to this size a file is sent by one request; what is bigger goes in parts."""
PART_BYTES = 8 << 20
"""Of bigger files; a store takes no parts below 5 MiB but the last."""
MOST_PARTS = 10_000
"""Of one upload, for every store that speaks S3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A file that a destination has: *etag* is its mark of the content, which changes when the content does."""

    path: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan:
    """What to send, what is there.

    Attributes:
        send: Not there, the biggest first.
        same: There with the content of the source, sorted by path; their marks are the destination's.
        unsure: There with the right size, and nothing known tells whether with the right content: to be compared.
        other: Paths of the source that have other content there.
        extra: Paths there that the source does not have.
    """

    send: tuple[Entry, ...]
    same: tuple[FileEntry, ...]
    unsure: tuple[Entry, ...]
    other: tuple[Entry, ...]
    extra: tuple[str, ...]

    @property
    def send_bytes(self) -> int:
        """Bytes to go, if all that is unsure is the same; files of unknown size count as none."""
        return sum(entry.size_bytes or 0 for entry in (*self.send, *self.other))


def plan(found: Listing, there: Mapping[str, Held], known: Mapping[str, FileEntry]) -> PushPlan:
    """How the destination comes to have *found*.

    *there* is what it lists, *known* what is known of files that were pushed there: believed where size and mark are
    still the same.

    Raises:
        HostileName: A name of the listing must not be written anywhere.
    """
    names.check_all(entry.path for entry in found.entries)
    sorts: dict[str, list[Entry]] = {"send": [], "same": [], "unsure": [], "other": []}
    for entry in found.entries:
        sorts[_sort(entry, there.get(entry.path), _valid(known.get(entry.path), there))].append(entry)
    return PushPlan(
        send=_biggest_first(sorts["send"]),
        same=tuple(known[entry.path] for entry in sorts["same"]),
        unsure=_biggest_first(sorts["unsure"]),
        other=_biggest_first(sorts["other"]),
        extra=tuple(sorted(there.keys() - {entry.path for entry in found.entries})),
    )


def part_bytes(size_bytes: int | None, least: int) -> int:
    """How long the parts of a file are: *least*, doubled until there are few enough."""
    length = least
    while (size_bytes or 0) > length * MOST_PARTS:
        length *= 2
    return length


def whole_crc(parts: Iterable[tuple[int, int]]) -> int:
    """CRC-64/NVME of a file, from that and the size of each of its parts, in order."""
    whole = 0
    for part_crc, size_bytes in parts:
        whole = crc.joined_crc64nvme(whole, part_crc, size_bytes)
    return whole


def is_another(manifest: Manifest | None, found: Listing) -> bool:
    """Whether *manifest*, which lies at the destination, is that of another content than *found*, as far as one can tell."""
    if manifest is None:
        return False
    sums = {file.path: (file.size_bytes, file.sha256) for file in manifest.files}
    return sums.keys() != {entry.path for entry in found.entries} or any(
        entry.size_bytes not in {None, sums[entry.path][0]} or entry.sha256 not in {None, sums[entry.path][1]}
        for entry in found.entries
    )


def _sort(entry: Entry, there: Held | None, known: FileEntry | None) -> str:
    if there is None:
        return "send"
    if entry.size_bytes not in {None, there.size_bytes}:
        return "other"
    if entry.sha256 is None or known is None:
        return "unsure"
    return "same" if known.sha256 == entry.sha256 else "other"


def _valid(known: FileEntry | None, there: Mapping[str, Held]) -> FileEntry | None:
    """What is known of a file, if the one that is there is still that one."""
    found = there.get(known.path) if known is not None else None
    return known if found and known and (found.etag, found.size_bytes) == (known.etag, known.size_bytes) else None


def _biggest_first(entries: list[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: (-(entry.size_bytes or 0), entry.path)))
