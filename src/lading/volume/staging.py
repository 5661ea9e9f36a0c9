"""A transfer's own directory, and the files written to it: part by part, journalled when durable."""

import os
import stat
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from lading.errors import LadingError, VolumeError, VolumeFull
from lading.spec import units
from lading.volume import faults, reading, sharing
from lading.volume import fs as files
from lading.volume import journal as journals
from lading.volume.fs import Fs
from lading.volume.journal import Journal, Started
from lading.volume.lock import Held
from lading.volume.reading import Progress
from lading.volume.together import SMALL_BYTES, Together, Waiting
from lading.volume.writing import OpenFile, Ways
from lading.weights import layout, names
from lading.weights import plan as planning
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry, Manifest
from lading.weights.parts import Part

ALLOCATE_FROM_BYTES = 16 << 20
"""Bigger files get their blocks at once: a volume that is too full says so before the bulk comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """Permission bits of what Lading writes, whatever the umask."""

    file: int
    directory: int

    @classmethod
    def of(cls, root: Path) -> "Modes":
        """Readable by all; group-writable with setgid where *root* is group-writable."""
        shared = root.stat().st_mode & 0o020
        return cls(file=0o664, directory=0o2775) if shared else cls(file=0o644, directory=0o755)


class LocalStaging:
    """The staging of one transfer, while its model's lock is held (`Staging`).

    Nothing is made on disk before the first file is opened. Where *published* is given the version exists already: its
    files count as finished, and nothing can be staged over them.
    """

    def __init__(
        self,
        fs: Fs,
        root: Path,
        directory: Path,
        journal: Journal,
        *,
        model: str,
        version: str,
        lock: Held,
        modes: Modes,
        published: Manifest | None = None,
    ) -> None:
        self.fs = fs
        self.root = root
        self.directory = directory
        self.journal = journal
        self.model = model
        self.version = version
        self.lock = lock
        self.modes = modes
        self.published = published
        self.ways = Ways(fs, directory)
        self.together = Together(self._commit)
        self._begin = threading.Lock()
        self._begun = False
        self._earlier: Mapping[str, Started] = {}
        self._made: set[Path] = set()

    @property
    def finished(self) -> Mapping[str, FileEntry]:
        """Finished files by path; those of the journal whose size on disk is still right. All are durable."""
        if self.published is not None:
            return {file.path: file for file in self.published.files}
        self.together.flush()
        found = journals.read(self.journal.path).finished
        return {path: file for path, file in found.items() if _has_size(self.directory / path, file.size_bytes)}

    @property
    def in_order(self) -> bool:
        """Whether a file takes its bytes only from its start to its end."""
        return False

    @property
    def partial_bytes(self) -> int:
        """What unfinished files have taken of the volume already."""
        facts = journals.read(self.journal.path)
        unfinished = (item for item in facts.started.items() if item[0] not in facts.finished)
        found = (_standing(self.directory / names.check(path), started) for path, started in unfinished)
        return sum(one.st_blocks * 512 for one in found if one is not None)

    def open(self, entry: Entry) -> "LocalStagedFile":
        """A file for *entry*: the one whose parts were journalled, else a new one in place of what is there."""
        names.check(entry.path)
        if self.published is not None:
            raise VolumeError(f"{self.model}@{self.version} is published; a version never changes")
        with faults.translated(self.root, f"stage {entry.path}"):
            path = self.directory / entry.path
            with self._begin:
                self._prepare(path)
            started = self._resumable(entry)
            self._check_room(entry, started is not None)
            if started is not None:
                return LocalStagedFile(self, entry, path, self.fs.reopen(path), kept=started.parts)
            self._clear(path)
            return LocalStagedFile(self, entry, path, self.fs.create(path))

    def _clear(self, path: Path) -> None:
        """Remove what stands at *path*."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            for directory in files.tree_directories(path):
                self.fs.rmdir(directory)  # empty: what was in it was abandoned
            self._made.clear()
        else:
            self.together.flush_one(path)  # finished by this attempt, and begun anew
            self.fs.unlink(path)  # of an attempt that may still write to it: give it a file of its own

    def take_over(self, transfer: str, entries: Sequence[Entry]) -> None:
        """Give finished files and journalled parts of another transfer of this model a place in this one."""
        there, facts = self.root / layout.incoming(transfer), journals.read(self.root / layout.journal(transfer))
        with faults.translated(self.root, f"go on with {transfer}"):
            for entry in (one for one in entries if one.sha256 or one.etag):
                file, started = facts.finished.get(entry.path), facts.started.get(entry.path)
                source, target = there / names.check(entry.path), self.directory / entry.path
                if target.exists():
                    continue
                if file is not None and planning.matches(entry, file) and _has_size(source, file.size_bytes):
                    self._move_here(source, target)
                    self.journal.file(file)
                elif started is not None and _is_of(source, started, entry):
                    self._move_here(source, target)
                    self.journal.parts(entry.path, started)
                    self._earlier = {**self._earlier, entry.path: started}

    def _move_here(self, source: Path, target: Path) -> None:
        with self._begin:
            self._prepare(target)
        files.move(self.fs, source, target)

    def take(self, manifest: Manifest, file: FileEntry, *, progress: Progress) -> bool:
        """Take *file* of a published version over as finished, without its bytes; they are hashed again first.

        False where it is not what the manifest says, or the file system has neither reflinks nor hard links.
        """
        source, target = self.root / manifest.file_path(names.check(file.path)), self.directory / file.path
        with faults.translated(self.root, f"keep {file.path}"):
            if not _has_content(self.root, manifest, file, progress):
                return False
            with self._begin:
                self._prepare(target)
            if not sharing.share(self.fs, source, target, mode=self.modes.file, may_link=not manifest.is_adopted):
                return False
            self.fs.sync_directory(target.parent)
            self.journal.file(file)
        return True

    def settle(self) -> None:
        """Make durable and journal what still waits for that."""
        self.together.flush()

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Up to *size_bytes* of a finished file from *offset* on."""
        with faults.translated(self.root, f"read {path}"), (self.directory / names.check(path)).open("rb") as file:
            file.seek(offset)
            return file.read(size_bytes)

    def _commit(self, batch: Sequence[Waiting]) -> None:
        """Make files durable, then their names, then journal them."""
        try:
            for one in batch:
                one.file.begin_sync()
            for one in batch:
                with faults.translated(self.root, f"finish {one.entry.path}"):
                    one.file.sync()
        finally:
            for one in batch:
                one.file.close()
        for one in batch:
            check_ours(one)
        with faults.translated(self.root, f"finish {batch[-1].entry.path}"):
            for directory in {one.path.parent for one in batch}:
                self.fs.sync_directory(directory)
            self.journal.files([one.entry for one in batch])

    def _resumable(self, entry: Entry) -> Started | None:
        """What the journal has of *entry*, when the file on disk is that file still, and the content that content."""
        started = self._earlier.get(entry.path)
        return started if started and _is_of(self.directory / entry.path, started, entry) else None

    def _check_room(self, entry: Entry, resumed: bool) -> None:
        """That a big file fits, before its bytes come; of a small one its writing tells."""
        if entry.size_bytes is not None and entry.size_bytes <= SMALL_BYTES:
            return
        free_bytes = faults.free_bytes(self.root)
        if entry.size_bytes is not None and not resumed and entry.size_bytes > free_bytes:
            raise VolumeFull(
                f"{entry.path} needs {units.show_bytes(entry.size_bytes)}, the volume {self.root} has "
                f"{units.show_bytes(free_bytes)} free",
                hint=faults.room_hint(self.root),
            )

    def _prepare(self, path: Path) -> None:
        """The journal says what is staged before anything is: so whatever is found there has an owner's name."""
        if not self._begun:
            facts = journals.read(self.journal.path)
            if facts.model is None:
                self.journal.begin(self.model, self.version)
            self._earlier = facts.started
        self._begun = True
        if path.parent not in self._made:
            files.make_directories(self.fs, path.parent, mode=self.modes.directory)
            self._made.add(path.parent)


class LocalStagedFile:
    """One file being written, at any offset, by several threads (`StagedFile`).

    Each part is journalled, without waiting for the disk. A kill takes what was under way; a power cut may take parts that
    the journal has: their CRCs are checked before they count.
    """

    def __init__(
        self, staging: LocalStaging, entry: Entry, path: Path, descriptor: int, *, kept: Sequence[Part] = ()
    ) -> None:
        self._staging = staging
        self._entry = entry
        self._path = path
        self._file: OpenFile | None = OpenFile(
            staging.fs, path, descriptor, direct=staging.ways.direct(entry.size_bytes)
        )
        self.kept = tuple(kept)
        self._kept_any = bool(kept)
        if not kept and entry.size_bytes is not None and entry.size_bytes >= ALLOCATE_FROM_BYTES:
            try:
                with self._translated("allocate"):
                    staging.fs.allocate(descriptor, entry.size_bytes)
            except LadingError:
                self.abandon()
                raise

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Read what was written, past the page cache of nobody: it may be what another process wrote."""
        with self._translated("read"):
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                return os.preadv(descriptor, [buffer], offset)
            finally:
                os.close(descriptor)

    def write(self, data: memoryview, offset: int) -> None:
        """Write *data* at *offset*."""
        with self._translated("write"):
            self._opened().write(data, offset)

    def keep(self, part: Part) -> None:
        """Journal a part that was written; not a small file's only one: it is finished, and journalled, next."""
        entry = self._entry
        if part.size_bytes == entry.size_bytes and part.size_bytes <= SMALL_BYTES:
            return
        self._kept_any = True
        started = Started(inode=self._opened().inode, size_bytes=entry.size_bytes, etag=entry.etag, parts=(part,))
        with self._translated("keep"):
            self._staging.journal.parts(entry.path, started)

    def finish(self, size_bytes: int, sha256: str) -> FileEntry:
        """Make it durable, then its name, then journal it: at once, or a small one together with others."""
        staging, file = self._staging, self._opened()
        entry = FileEntry(path=self._entry.path, size_bytes=size_bytes, sha256=sha256, etag=self._entry.etag)
        if file.mode != staging.modes.file:
            with self._translated("finish"):
                staging.fs.chmod(self._path, staging.modes.file)
        self._file = None
        staging.together.add(Waiting(file, self._path, entry), at_once=size_bytes > SMALL_BYTES)
        return entry

    def leave(self) -> None:
        """Let go of it. A file of which nothing was kept takes no room either."""
        if self._kept_any:
            self._close()
        else:
            self.abandon()

    def abandon(self) -> None:
        """Forget what was written; the file of another attempt, which has the lock by now, is left alone."""
        if self._file is None:
            return
        inode = self._file.inode
        self._close()
        with self._translated("abandon"), suppress(FileNotFoundError):
            if self._path.lstat().st_ino == inode:
                self._staging.fs.unlink(self._path)

    def _translated(self, doing: str) -> AbstractContextManager[None]:
        return faults.translated(self._staging.root, f"{doing} {self._entry.path}")

    def _opened(self) -> OpenFile:
        assert self._file is not None, "used after its end"
        return self._file

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _is_of(path: Path, started: Started, entry: Entry) -> bool:
    """Whether the file at *path* is the one whose parts were journalled, and of that content."""
    same = (started.size_bytes, started.etag) == (entry.size_bytes, entry.etag)
    return same and _standing(path, started) is not None


def _standing(path: Path, started: Started) -> os.stat_result | None:
    """The file on disk, if it is the one whose parts were journalled."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if files.is_regular(found) and found.st_ino == started.inode else None


def check_ours(one: Waiting) -> None:
    """That the name still leads to what was written: not to a file of an attempt that lost its lock."""
    try:
        found = one.path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        found = None
    if found is None or (found.st_ino, found.st_size) != (one.file.inode, one.entry.size_bytes):
        raise VolumeError(
            f"{one.entry.path} was changed while it was written, by another attempt at the same pull",
            hint="run the pull again when no other is running",
        )


def _has_content(root: Path, manifest: Manifest, file: FileEntry, progress: Progress) -> bool:
    try:
        _, sha256 = reading.hash_plain(root, manifest.file_path(file.path), file.size_bytes, progress)
    except OSError:
        return False  # whatever is wrong with it, it is not what is wanted
    return sha256 == file.sha256


def _has_size(path: Path, size_bytes: int) -> bool:
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return files.is_regular(found) and found.st_size == size_bytes
