"""What of an interrupted pull is on disk: one append-only file of JSON lines per transfer.

::

    {"staging": {"model": "tiny", "version": "v1"}}               the first line, before anything is staged
    {"parts": {"path": "a.bin", "inode": 12, "size_bytes": …, "etag": …, "done": [[0, 2097152, 1234], …]}}   when they were written
    {"file": {"path": "config.json", "size_bytes": …, "sha256": …}}   after the file's bytes and name are durable
    {"publishing": {"path": "tiny/v1", "inode": 1234}}             before the rename: whose directory that is

A torn last line is ignored: what it told is then done again.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lading.volume import fs as files
from lading.volume.fs import Fs
from lading.weights.manifest import FileEntry
from lading.weights.parts import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A file that was not finished, with the parts of it that are durable: offset, size and CRC of each."""

    inode: int
    size_bytes: int | None
    etag: str | None
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A journal, folded.

    Attributes:
        model, version: What is staged; None when not even the first line is whole.
        finished: Files by path, the last word on each.
        started: Files of which parts are on disk, by path; the last inode of each.
        published_path, inode: Where the staged directory was about to be renamed to, and which directory that is.
    """

    model: str | None = None
    version: str | None = None
    finished: Mapping[str, FileEntry] = field(default_factory=dict)
    started: Mapping[str, "Started"] = field(default_factory=dict)
    published_path: str | None = None
    inode: int | None = None


def read(path: Path) -> Facts:
    """The facts in the journal at *path*; none for a missing one."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return Facts()
    model: str | None = None
    version: str | None = None
    published_path: str | None = None
    inode: int | None = None
    finished: dict[str, FileEntry] = {}
    started: dict[str, Started] = {}
    for line in lines:
        match _parsed(line):
            case {"staging": {"model": str(model), "version": str(version)}}:
                pass
            case {"file": Mapping() as entry}:
                _keep(finished, entry)
            case {"parts": {"path": str(of), "inode": int(number), "done": list(done)} as told}:
                started[of] = _started(started.get(of), number, told, done)
            case {"publishing": {"path": str(published_path), "inode": int(inode)}}:
                pass
    return Facts(
        model=model,
        version=version,
        finished=finished,
        started=started,
        published_path=published_path,
        inode=inode,
    )


class Journal:
    """A journal to be written to; thread-safe."""

    def __init__(self, fs: Fs, path: Path, *, temporary: Path, mode: int) -> None:
        self._fs = fs
        self.path = path
        self._temporary = temporary
        self._mode = mode
        self._lock = threading.Lock()
        self._ends_well = False

    def begin(self, model: str, version: str) -> None:
        """Say what is staged. No journal is ever seen without this line, so nothing staged is without a name."""
        line = json.dumps({"staging": {"model": model, "version": version}}) + "\n"
        files.replace(self._fs, self.path, line.encode(), temporary=self._temporary, mode=self._mode)

    def file(self, entry: FileEntry) -> None:
        """Say that a file is finished; the caller made it durable."""
        self._append({"file": entry.model_dump(mode="json", exclude_none=True)})

    def files(self, entries: Sequence[FileEntry]) -> None:
        """Say it of several, by one write."""
        self._append(*({"file": entry.model_dump(mode="json", exclude_none=True)} for entry in entries))

    def parts(self, path: str, started: Started) -> None:
        """Say that more parts of a file were written; without waiting for the disk, as their CRCs tell what got there."""
        done = [[part.offset, part.size_bytes, part.crc] for part in started.parts]
        size_bytes, etag = started.size_bytes, started.etag
        told = {"path": path, "inode": started.inode, "size_bytes": size_bytes, "etag": etag, "done": done}
        self._append({"parts": told}, durable=False)

    def publishing(self, path: str, inode: int) -> None:
        """Say which directory is about to be renamed to *path*."""
        self._append({"publishing": {"path": path, "inode": inode}})

    def _append(self, *facts: Mapping[str, object], durable: bool = True) -> None:
        lines = "\n".join(json.dumps(fact) for fact in facts)
        with self._lock:
            ends_well, self._ends_well = self._ends_well, False
            files.append_line(
                self._fs, self.path, lines.encode(), mode=self._mode, durable=durable, ends_well=ends_well
            )
            self._ends_well = True


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _started(before: Started | None, inode: int, told: Mapping[str, object], done: Sequence[object]) -> Started:
    """What is known of a file after one more line; another inode is another file, of which nothing else is there."""
    size_bytes, etag = told.get("size_bytes"), told.get("etag")
    parts = tuple(
        Part(offset=offset, size_bytes=size, crc=crc)
        for one in done
        if isinstance(one, list) and len(one) == 3 and all(isinstance(number, int) and number >= 0 for number in one)
        for offset, size, crc in [one]
    )
    new = Started(
        inode=inode,
        size_bytes=size_bytes if isinstance(size_bytes, int) else None,
        etag=etag if isinstance(etag, str) else None,
        parts=parts,
    )
    if before is None or (before.inode, before.size_bytes, before.etag) != (new.inode, new.size_bytes, new.etag):
        return new
    return replace(new, parts=(*before.parts, *parts))


def _keep(finished: dict[str, FileEntry], document: Mapping[str, object]) -> None:
    try:
        entry = FileEntry.model_validate(document)
    except ValidationError:
        return
    finished[entry.path] = entry
