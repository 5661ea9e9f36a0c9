"""A transfer's own directory, and the files written to it: hashed while written, journalled when durable."""

import errno
import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lading.errors import VolumeError, VolumeFull
from lading.spec import units
from lading.volume import faults
from lading.volume import fs as files
from lading.volume import journal as journals
from lading.volume.fs import Fs
from lading.volume.journal import Journal
from lading.volume.lock import Held
from lading.weights import names
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry, Manifest

#: What a file system says that has no hard links, or not for this file.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


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
        self._begin = threading.Lock()
        self._begun = False

    @property
    def finished(self) -> Mapping[str, FileEntry]:
        """Finished files by path; those of the journal whose size on disk is still right."""
        if self.published is not None:
            return {file.path: file for file in self.published.files}
        found = journals.read(self.journal.path).finished
        return {path: file for path, file in found.items() if _has_size(self.directory / path, file.size_bytes)}

    def open(self, entry: Entry) -> "LocalStagedFile":
        """A new file for *entry*, in place of an unfinished one."""
        names.check(entry.path)
        if self.published is not None:
            raise VolumeError(f"{self.model}@{self.version} is published; a version never changes")
        with faults.translated(self.root, f"stage {entry.path}"):
            self._check_room(entry)
            path = self.directory / entry.path
            with self._begin:
                self._prepare(path)
            if (
                path.is_symlink() or path.exists()
            ):  # of an attempt that may still write to it: give it a file of its own
                self.fs.unlink(path)
            return LocalStagedFile(self, entry, path)

    def take(self, manifest: Manifest, file: FileEntry) -> bool:
        """Take *file* of a published version over as finished, by a second name; its bytes are hashed again first.

        False where it is not what the manifest says, or the file system has no second names.
        """
        source, target = self.root / manifest.file_path(names.check(file.path)), self.directory / file.path
        with faults.translated(self.root, f"keep {file.path}"):
            if not _has_content(source, file):
                return False
            with self._begin:
                self._prepare(target)
            try:
                self.fs.link(source, target)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return False
            self.fs.sync_directory(target.parent)
            self.journal.file(file)
        return True

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Up to *size_bytes* of a finished file from *offset* on."""
        with faults.translated(self.root, f"read {path}"), (self.directory / names.check(path)).open("rb") as file:
            file.seek(offset)
            return file.read(size_bytes)

    def _check_room(self, entry: Entry) -> None:
        free_bytes = faults.free_bytes(self.root)
        if entry.size_bytes is not None and entry.size_bytes > free_bytes:
            raise VolumeFull(
                f"{entry.path} needs {units.show_bytes(entry.size_bytes)}, the volume {self.root} has "
                f"{units.show_bytes(free_bytes)} free",
                hint=faults.room_hint(self.root),
            )

    def _prepare(self, path: Path) -> None:
        """The journal says what is staged before anything is: so whatever is found there has an owner's name."""
        if not self._begun and journals.read(self.journal.path).model is None:
            self.journal.begin(self.model, self.version)
        self._begun = True
        files.make_directories(self.fs, path.parent, mode=self.modes.directory)


class LocalStagedFile:
    """One file being written by one thread, from its start (`StagedFile`)."""

    def __init__(self, staging: LocalStaging, entry: Entry, path: Path) -> None:
        self._staging = staging
        self._entry = entry
        self._path = path
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._descriptor: int | None = staging.fs.create(path)

    @property
    def size_bytes(self) -> int:
        """How much was written."""
        return self._size_bytes

    @property
    def sha256(self) -> str:
        """64 hex digits of what was written."""
        return self._hash.hexdigest()

    def write(self, data: memoryview) -> None:
        """Append *data*, and hash it."""
        assert self._descriptor is not None, "written to after its end"
        with faults.translated(self._staging.root, f"write {self._entry.path}"):
            files.write_all(self._staging.fs, self._descriptor, data)
        self._hash.update(data)
        self._size_bytes += len(data)

    def finish(self) -> FileEntry:
        """Make it durable, then its name, then journal it."""
        assert self._descriptor is not None, "finished twice"
        staging = self._staging
        entry = FileEntry(
            path=self._entry.path,
            size_bytes=self._size_bytes,
            sha256=self._hash.hexdigest(),
            etag=self._entry.etag,
        )
        with faults.translated(staging.root, f"finish {entry.path}"):
            staging.fs.chmod(self._path, staging.modes.file)
            staging.fs.sync(self._descriptor)
            self._close()
            staging.fs.sync_directory(self._path.parent)
            staging.journal.file(entry)
        return entry

    def abandon(self) -> None:
        """Forget what was written."""
        if self._descriptor is None:
            return
        self._close()
        with faults.translated(self._staging.root, f"abandon {self._entry.path}"):
            self._staging.fs.unlink(self._path)

    def drop(self) -> None:
        """Leave what was written as it is: whoever has the lock by now may have begun it again."""
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._staging.fs.close(descriptor)


def _has_content(path: Path, file: FileEntry) -> bool:
    if not _has_size(path, file.size_bytes):
        return False
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest() == file.sha256


def _has_size(path: Path, size_bytes: int) -> bool:
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return files.is_regular(found) and found.st_size == size_bytes
