"""The journal of a push: a file of JSON lines, beside the journals of pulls on a volume, else among this user's state.

::

    {"push": {"destination": "s3://bucket/granite/"}}                          the first line
    {"begun": {"path": "model.safetensors", "upload": …, "mark": …}}
    {"sent": {"path": …, "etag": …, "crc64nvme": …}}                           a part of it is there
    {"completed": {"path": …, "size_bytes": …, "sha256": …, "etag": …}}        the file is there
    {"forgotten": {"path": …}}                                                 its upload was aborted

What it says is compared with the destination and with the source before it counts. So it need not be durable: a line that a
power cut took is work done again.
"""

import fcntl
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from lading.errors import ModelBusy, VolumeError
from lading.ports.destination import SentPart, Unfinished
from lading.weights.manifest import FileEntry


@dataclass(slots=True)
class _Facts:
    """A journal, folded."""

    destination: str | None = None
    unfinished: dict[str, Unfinished] = field(default_factory=dict)
    crcs: dict[str, dict[str, int]] = field(default_factory=dict)
    finished: dict[str, FileEntry] = field(default_factory=dict)

    def fold(self, line: object) -> None:
        match line:
            case {"push": {"destination": str(destination)}}:
                self.destination = destination
            case {"begun": {"path": str(path), "upload": str(upload), "mark": str(mark)}}:
                self.crcs[path] = {}
                self.unfinished[path] = Unfinished(upload=upload, mark=mark, crcs=self.crcs[path])
            case {"sent": {"path": str(path), "etag": str(etag), "crc64nvme": int(crc)}} if path in self.crcs:
                self.crcs[path][etag] = crc
            case {"completed": {"path": str(path), **entry}}:
                self.unfinished.pop(path, None)
                with suppress(ValidationError):
                    self.finished[path] = FileEntry.model_validate({"path": path, **entry})
            case {"forgotten": {"path": str(path)}}:
                self.unfinished.pop(path, None)
                self.finished.pop(path, None)
            case _:
                pass  # torn, or of a newer version


class JournalOfUploads:
    """A journal that is written to (`lading.ports.destination.UploadJournal`); made by `Journals.opened`."""

    def __init__(self, file: TextIO, facts: _Facts) -> None:
        self._file = file
        self._facts = facts
        self._lock = threading.Lock()

    @property
    def unfinished(self) -> Mapping[str, Unfinished]:
        """Uploads that were neither completed nor forgotten when it was opened."""
        return dict(self._facts.unfinished)

    @property
    def finished(self) -> Mapping[str, FileEntry]:
        """Files that were completed."""
        return dict(self._facts.finished)

    def begin(self, destination: str) -> None:
        """Say where it goes."""
        self._say({"push": {"destination": destination}})

    def begun(self, path: str, upload: str, mark: str) -> None:
        """An upload was begun."""
        self._say({"begun": {"path": path, "upload": upload, "mark": mark}})

    def sent(self, path: str, part: SentPart) -> None:
        """A part of it is there."""
        self._say({"sent": {"path": path, "etag": part.etag, "crc64nvme": part.crc64nvme}})

    def completed(self, file: FileEntry) -> None:
        """The file is there."""
        self._say({"completed": file.model_dump(mode="json", exclude_none=True)})

    def forgotten(self, path: str) -> None:
        """The upload was aborted."""
        self._say({"forgotten": {"path": path}})

    def _say(self, fact: Mapping[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(fact) + "\n")
            self._file.flush()
            self._facts.fold(fact)


class Journals:
    """The journals in *folder* (`lading.ports.destination.UploadJournals`), which is made with the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def finished(self, transfer: str) -> Mapping[str, FileEntry]:
        """See `lading.ports.destination.UploadJournals.finished`."""
        with suppress(FileNotFoundError), self._path(transfer).open(encoding="utf-8") as file:
            return _read(file).finished
        return {}

    @contextmanager
    def opened(self, transfer: str, destination: str) -> Iterator[JournalOfUploads]:
        """See `lading.ports.destination.UploadJournals.opened`; it stays for the next attempt."""
        with self._made(transfer) as file:
            if not _held(file):
                raise ModelBusy(f"another push of this to {destination} is running", hint="wait for it to end")
            facts = _read(file)
            journal = JournalOfUploads(file, facts)
            if facts.destination is None:
                journal.begin(destination)
            yield journal

    def stale(self, transfer: str, destination: str) -> Iterator[tuple[str, Mapping[str, Unfinished]]]:
        """See `lading.ports.destination.UploadJournals.stale`."""
        for path in sorted(self._folder.glob("*.jsonl")):
            if path.stem == transfer:
                continue
            with suppress(FileNotFoundError), path.open("a+", encoding="utf-8") as file:
                if _held(file) and (facts := _read(file)).destination == destination:
                    yield path.stem, facts.unfinished

    def remove(self, transfer: str) -> None:
        """See `lading.ports.destination.UploadJournals.remove`."""
        self._path(transfer).unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()  # the last one

    def _made(self, transfer: str) -> TextIO:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return self._path(transfer).open("a+", encoding="utf-8")
        except OSError as error:
            raise VolumeError(
                f"the journal {self._path(transfer)} cannot be written: {error.strerror}",
                hint="LADING_HOME names a folder for what is kept between two runs, if the volume takes none",
            ) from error

    def _path(self, transfer: str) -> Path:
        return self._folder / f"{transfer}.jsonl"


def _held(file: TextIO) -> bool:
    """Whether nobody else has it; the lock goes with the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read(file: TextIO) -> _Facts:
    facts = _Facts()
    file.seek(0)
    for line in file:
        with suppress(ValueError, RecursionError):
            facts.fold(json.loads(line))
    return facts
