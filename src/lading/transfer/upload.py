"""A destination as the staging of a transfer: so a push is carried by the engine that carries a pull.

What the engine writes, piece by piece and in any order, is sent as the parts of an upload. A part that an earlier attempt
sent is *kept*: its bytes are read from the source again, compared by their CRC, hashed in their turn, and not sent.
Nothing is seen at the destination before the engine has found the whole file's SHA-256 right: `finish` completes it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from lading.ports.destination import Destination, SentPart, UploadJournal
from lading.ports.source import Source
from lading.transfer.patience import PATIENT, Attempts, Patience
from lading.weights import pushing
from lading.weights.crc import crc64nvme
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry
from lading.weights.parts import Part, Uploaded
from lading.weights.pushing import Held

T = TypeVar("T")


class Uploading:
    """Files on their way from *source* to *destination* (`lading.ports.volume.Staging`).

    Attributes:
        sent_bytes: What went over so far; without what was there.
        crcs: The CRC-64/NVME of all bytes of each file that was completed, by path.
    """

    in_order = False
    partial_bytes = 0

    def __init__(
        self,
        source: Source,
        destination: Destination,
        journal: UploadJournal,
        *,
        cancel: threading.Event,
        patience: Patience = PATIENT,
        part_bytes: int = pushing.PART_BYTES,
    ) -> None:
        self.source = source
        self.destination = destination
        self.journal = journal
        self.cancel = cancel
        self.part_bytes = part_bytes
        self.sent_bytes = 0
        self.crcs: dict[str, int] = {}
        self._patience = patience
        self._counting = threading.Lock()

    @property
    def finished(self) -> Mapping[str, FileEntry]:
        """What an earlier attempt completed."""
        return self.journal.finished

    def open(self, entry: Entry) -> "UploadedFile":
        """The upload of *entry* that an earlier attempt began, else a new one."""
        found = self.journal.unfinished.get(entry.path)
        if found is None:
            return UploadedFile(self, entry)
        parts = self.tried(lambda: self.destination.parts(entry.path, found.upload))
        if parts is None or found.mark != self.mark(entry):
            self.forget(entry.path, found.upload)
            return UploadedFile(self, entry)
        known = {number: _with_crc(part, found.crcs) for number, part in parts.items()}
        return UploadedFile(self, entry, upload=found.upload, parts=known)

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Up to *size_bytes* of what is at the destination, for format checks."""
        data = memoryview(bytearray(size_bytes))
        got, count = 0, -1
        while got < size_bytes and count:
            count = self.tried(partial(self.destination.read_into, path, offset + got, data[got:]))
            got += count
        return bytes(data[:got])

    def forget(self, path: str, upload: str) -> None:
        """Abort an upload, there and in the journal."""
        self.tried(lambda: self.destination.abort(path, upload))
        self.journal.forgotten(path)

    def mark(self, entry: Entry) -> str:
        """What an upload of *entry* is resumed by: the same content, cut at the same places."""
        length = pushing.part_bytes(entry.size_bytes, self.part_bytes)
        return f"{entry.size_bytes} {entry.sha256 or entry.etag} {length}"

    def count(self, size_bytes: int) -> None:
        """Count bytes that went over."""
        with self._counting:
            self.sent_bytes += size_bytes

    def tried(self, call: Callable[[], T]) -> T:
        """What *call* gives, tried again while that may help."""
        return Attempts(self._patience, self.cancel).until_progress(call)


class UploadedFile:
    """One file being sent (`lading.ports.volume.StagedFile`)."""

    def __init__(
        self,
        uploading: Uploading,
        entry: Entry,
        *,
        upload: str | None = None,
        parts: Mapping[int, SentPart] | None = None,
    ) -> None:
        self._uploading = uploading
        self._entry = entry
        self._upload = upload
        self._parts = dict(parts or {})
        self._part_bytes = pushing.part_bytes(entry.size_bytes, uploading.part_bytes)
        self._whole: bytes | None = b""
        self._gathered: dict[int, bytearray] = {}
        self._missing: dict[int, int] = {}
        self._lock = threading.Lock()

    @property
    def kept(self) -> Sequence[Part]:
        """What is there already; their bytes are compared by `read_into`, which reads the source."""
        return [
            Uploaded(offset=(part.number - 1) * self._part_bytes, size_bytes=part.size_bytes, crc=part.crc64nvme)
            for _, part in sorted(self._parts.items())
            if part.crc64nvme is not None
        ]

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Read what was sent before: from the source, as an unfinished upload cannot be read."""
        read = self._uploading.source.read_into
        return self._uploading.tried(partial(read, self._entry, offset, buffer, end=offset + len(buffer)))

    def write(self, data: memoryview, offset: int) -> None:
        """Send *data*; a small file is held until it was found right."""
        if not data:
            return
        if self._is_small(data, offset):
            self._whole = bytes(data)
            return
        self._whole = None
        if self._part_bytes == self._uploading.part_bytes:
            self._send(offset // self._part_bytes + 1, data)
        else:
            self._gather(data, offset)

    def keep(self, part: Part) -> None:
        """Nothing: it was journalled when it was sent."""

    def finish(self, size_bytes: int, sha256: str) -> FileEntry:
        """Make it a file of the destination."""
        held = self._complete()
        file = FileEntry(path=self._entry.path, size_bytes=size_bytes, sha256=sha256, etag=held.etag)
        self._uploading.journal.completed(file)
        return file

    def leave(self) -> None:
        """What was sent stays for another attempt."""
        self._gathered.clear()
        self._whole = b""

    def abandon(self) -> None:
        """Nothing of it stays."""
        self.leave()
        with self._lock:
            upload, self._upload = self._upload, None
            self._parts.clear()
        if upload is not None:
            self._uploading.forget(self._entry.path, upload)

    def _is_small(self, data: memoryview, offset: int) -> bool:
        """Whether *data* is all of a file that goes by one request."""
        size_bytes = self._entry.size_bytes
        return not offset and len(data) <= pushing.WHOLE_BYTES and size_bytes in {None, len(data)}

    def _gather(self, data: memoryview, offset: int) -> None:
        """Put *data* to its part, which holds several pieces; send that when it is whole."""
        number = offset // self._part_bytes + 1
        start = (number - 1) * self._part_bytes
        length = min(self._part_bytes, (self._entry.size_bytes or 0) - start)
        with self._lock:
            part = self._gathered.setdefault(number, bytearray(length))
            part[offset - start : offset - start + len(data)] = data
            self._missing[number] = self._missing.get(number, length) - len(data)
            if self._missing[number]:
                return
            del self._gathered[number]
        self._send(number, memoryview(part))

    def _send(self, number: int, data: memoryview) -> None:
        uploading, path, upload = self._uploading, self._entry.path, self._begun()
        offset = (number - 1) * self._part_bytes
        send = partial(uploading.destination.send, path, upload, number, data, offset=offset, cancel=uploading.cancel)
        part = uploading.tried(send)
        uploading.journal.sent(path, part)
        uploading.count(len(data))
        with self._lock:
            self._parts[number] = part

    def _begun(self) -> str:
        """The upload's id; the first who sends begins it."""
        uploading, entry = self._uploading, self._entry
        with self._lock:
            if self._upload is None:
                self._upload = uploading.tried(lambda: uploading.destination.begin(entry.path, entry.size_bytes))
                uploading.journal.begun(entry.path, self._upload, uploading.mark(entry))
            return self._upload

    def _complete(self) -> Held:
        uploading, path = self._uploading, self._entry.path
        if self._upload is None:
            data = memoryview(self._whole or b"")
            held = uploading.tried(lambda: uploading.destination.put(path, data, cancel=uploading.cancel))
            uploading.count(len(data))
            uploading.crcs[path] = crc64nvme(data)
            return held
        upload, parts = self._upload, [part for _, part in sorted(self._parts.items())]
        uploading.crcs[path] = pushing.whole_crc((part.crc64nvme or 0, part.size_bytes) for part in parts)
        return uploading.tried(lambda: uploading.destination.complete(path, upload, parts))


def _with_crc(part: SentPart, crcs: Mapping[str, int]) -> SentPart:
    """*part* with its CRC: what the destination says, else what was journalled of a part with that mark."""
    if part.crc64nvme is not None:
        return part
    return SentPart(number=part.number, size_bytes=part.size_bytes, etag=part.etag, crc64nvme=crcs.get(part.etag))
