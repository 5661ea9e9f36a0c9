"""The staging of a pull on a volume elsewhere: files go there piece by piece, as far ahead as the agent gives credit."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from lading.errors import LadingError, VolumeError
from lading.volume import link as links
from lading.volume import wire
from lading.volume.link import Link, Stream
from lading.volume.reading import Progress
from lading.volume.wire import Kind
from lading.weights import names
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry, Manifest
from lading.weights.parts import Part


class RemoteStaging:
    """A transfer's staging there (`Staging`)."""

    def __init__(self, link: Link, number: int, model: str, version: str) -> None:
        self._link = link
        self._number = number
        self.model = model
        self.version = version

    @property
    def in_order(self) -> bool:
        """A file is a stream to there."""
        return True

    @property
    def partial_bytes(self) -> int:
        """Unfinished files begin again there, in place of what is left of them."""
        return 0

    @property
    def finished(self) -> Mapping[str, FileEntry]:
        """Files an earlier attempt completed and journalled, by path."""
        found = [links.document(FileEntry, file) for file in self.ask("finished").get("files") or ()]
        return {file.path: file for file in found}

    def open(self, entry: Entry) -> "RemoteStagedFile":
        """A new file for *entry*. Thread-safe. What stands against a small one is said by `write` or `finish`."""
        stream = self._link.call(
            "write", staging=self._number, path=names.check(entry.path), size_bytes=entry.size_bytes, etag=entry.etag
        )
        if wire.answered(entry.size_bytes):
            stream.next(Kind.EVENT)
        return RemoteStagedFile(stream, entry)

    def take(self, manifest: Manifest, file: FileEntry, *, progress: Progress) -> bool:
        """Take *file* of a published version over as finished, without its bytes, where it lies."""
        found = self._link.ask(
            "take", tell=progress, staging=self._number, manifest=manifest.model_dump(mode="json", exclude_none=True),
            file=file.model_dump(mode="json", exclude_none=True),
        )  # fmt: skip
        return bool(found.get("taken"))

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Up to *size_bytes* of a finished file from *offset* on."""
        parts: list[bytes] = []
        while size_bytes > 0:
            part = self._link.data(
                "read_staged", staging=self._number, path=path, offset=offset, size_bytes=min(size_bytes, wire.DATA_BYTES)
            )  # fmt: skip
            if not part:
                break
            parts.append(part)
            offset, size_bytes = offset + len(part), size_bytes - len(part)
        return b"".join(parts)

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """What the agent answers of this staging."""
        return self._link.ask(op, staging=self._number, **arguments)


class RemoteStagedFile:
    """One file on its way, from one thread, in order (`StagedFile`)."""

    kept: Sequence[Part] = ()

    def __init__(self, stream: Stream, entry: Entry) -> None:
        self._stream = stream
        self._entry = entry
        self._size_bytes = 0
        self._ahead_bytes = 0
        self._open = True

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Nothing is kept, so there is nothing to be read."""
        del offset, buffer
        return 0

    def write(self, data: memoryview, offset: int) -> None:
        """Append *data*; waits where the other side does not keep up."""
        assert offset == self._size_bytes, "written out of order"
        for start in range(0, len(data), wire.DATA_BYTES):
            piece = data[start : start + wire.DATA_BYTES]
            while self._ahead_bytes + len(piece) > wire.WINDOW_BYTES:
                self._ahead_bytes -= links.count(self._stream.next(Kind.CREDIT).document(), "bytes")
            self._stream.write(piece)
            self._ahead_bytes += len(piece)
            self._size_bytes += len(piece)
            while (frame := self._stream.peek(Kind.CREDIT)) is not None:
                self._ahead_bytes -= links.count(frame.document(), "bytes")

    def keep(self, part: Part) -> None:
        """A file that breaks off begins again there."""

    def finish(self, size_bytes: int, sha256: str) -> FileEntry:
        """Have it made durable and journalled there, when what arrived is what was sent: the agent hashes it, too."""
        self._stream.say(Kind.END, {"size_bytes": size_bytes, "sha256": sha256})
        entry = links.document(FileEntry, self._stream.next(Kind.RESULT, skipping=Kind.CREDIT).document())
        self._open = False
        if (entry.path, entry.size_bytes, entry.sha256) != (self._entry.path, size_bytes, sha256):
            raise VolumeError(f"the agent finished another file than {self._entry.path}", hint="run it again")
        return entry

    def leave(self) -> None:
        """Nothing of it is kept."""
        self.abandon()

    def abandon(self) -> None:
        """Forget what was written."""
        if not self._open:
            return
        self._open = False
        with suppress(LadingError, OSError):
            self._stream.say(Kind.CANCEL)
            self._stream.next(Kind.RESULT, skipping=Kind.CREDIT)
