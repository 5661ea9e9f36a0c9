"""Whether a file at a destination is the one of the source: by what the destination says of it, or by reading it."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from functools import partial

from lading.errors import Cancelled
from lading.ports.destination import Destination
from lading.ports.source import Source
from lading.ports.volume import Progress
from lading.transfer.patience import PATIENT, Attempts
from lading.weights import digests
from lading.weights.digests import Hasher
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry
from lading.weights.pushing import Held

BUFFER_BYTES = 1 << 20

Read = Callable[[int, memoryview], int]


def same(
    entry: Entry, held: Held, *, source: Source, destination: Destination, cancel: threading.Event
) -> FileEntry | None:
    """What the destination has as *held*, where it has the bytes of *entry*; None where it has others, or does not say.

    Reads the source; nothing is sent.
    """
    said = Attempts(PATIENT, cancel).until_progress(lambda: destination.digests(entry.path))
    wanted = digests.to_compare(said)
    if wanted is None:
        return None
    name, value = wanted
    other = digests.hasher(name, said, size_bytes=entry.size_bytes)
    assert other is not None, "only what can be computed is to be compared"
    sha256 = hashlib.sha256()
    size_bytes = _hash(partial(source.read_into, entry), (sha256, other), cancel)
    if other.hexdigest() != value or size_bytes != held.size_bytes:
        return None
    return FileEntry(path=entry.path, size_bytes=size_bytes, sha256=sha256.hexdigest(), etag=held.etag)


def is_told(file: FileEntry, *, destination: Destination, crcs: Mapping[str, int], cancel: threading.Event) -> bool:
    """Whether the destination says of *file* what was sent; where it says nothing, its listing has to do."""
    said = Attempts(PATIENT, cancel).until_progress(lambda: destination.digests(file.path))
    ours = {"sha256": file.sha256, "crc64nvme": f"{crcs[file.path]:016x}"}
    return all(said[name] == ours[name] for name in ours.keys() & said.keys())


def reads_back(file: FileEntry, *, destination: Destination, cancel: threading.Event, progress: Progress) -> bool:
    """Whether *file*, read and hashed, is what its entry says."""
    sha256 = hashlib.sha256()
    size_bytes = _hash(partial(destination.read_into, file.path), (sha256,), cancel, progress)
    return (size_bytes, sha256.hexdigest()) == (file.size_bytes, file.sha256)


def _hash(read: Read, hashers: tuple[Hasher, ...], cancel: threading.Event, progress: Progress = lambda _: None) -> int:
    """Have *hashers* take all that *read* gives; how many bytes."""
    attempts = Attempts(PATIENT, cancel)
    buffer = memoryview(bytearray(BUFFER_BYTES))
    offset = 0
    while count := attempts.until_progress(partial(read, offset, buffer)):
        if cancel.is_set():
            raise Cancelled("interrupted")
        for hasher in hashers:
            hasher.update(buffer[:count])
        offset += count
        progress(count)
    return offset
