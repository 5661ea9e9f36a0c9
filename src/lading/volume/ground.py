"""The ground that a volume on this machine stands on: where it is, its locks and modes, and how its small documents are written.

Every change goes through `volume.fs.Fs`, and is made under a lock. What the changes are is said in `changing` and `local`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from lading.errors import VolumeFull
from lading.spec import units
from lading.volume import faults, history, lock, manifests
from lading.volume import fs as files
from lading.volume.fs import Fs
from lading.volume.lock import Held, Process
from lading.volume.staging import Modes
from lading.weights import layout
from lading.weights.layout import VolumeDocument
from lading.weights.manifest import Manifest

_SWITCH_WAIT_S = 10.0


class Ground:
    """A volume's root with its document, its locks and its modes.

    Args:
        root: Absolute.
        fs: Makes all changes.
        me: The process that locks name as their owner; None: this one.
    """

    def __init__(
        self, root: Path, document: VolumeDocument, *, fs: Fs | None = None, me: Process | None = None
    ) -> None:
        self._root = root
        self._document = document
        self._fs = fs or Fs()
        self._me = me

    @property
    def root(self) -> Path:
        """The directory that is the volume."""
        return self._root

    @property
    def id(self) -> str:
        """The volume's own id."""
        return self._document.id

    @property
    def document(self) -> VolumeDocument:
        """Its ``.lading/volume.json``."""
        return self._document

    @property
    def shown(self) -> str:
        """The volume as a person names it."""
        return str(self._root)

    @property
    def cores(self) -> int:
        """How many files are worth hashing at once."""
        return os.cpu_count() or 1

    def free_bytes(self) -> int:
        """Bytes an ordinary user may still write."""
        return faults.free_bytes(self._root)

    def require_free(self, size_bytes: int) -> None:
        """Return when *size_bytes* more fit."""
        free_bytes = self.free_bytes()
        if size_bytes > free_bytes:
            raise VolumeFull(
                f"{units.show_bytes(size_bytes)} are needed, the volume {self._root} has "
                f"{units.show_bytes(free_bytes)} free",
                hint=faults.room_hint(self._root),
            )

    # ------------------------------------------------------------------------------------------------------ small parts

    @property
    def _modes(self) -> Modes:
        return Modes.of(self._root)

    def _locked(self, path: PurePosixPath, what: str, *, wait_s: float = 0.0) -> AbstractContextManager[Held]:
        return _translating(
            lambda: lock.held(self._fs, self._root / path, what, me=self._me or Process.this(), wait_s=wait_s),
            prepare=lambda: make_skeleton(self._fs, self._root),
            root=self._root,
            what=what,
        )

    def _switching(self, model: str) -> AbstractContextManager[Held]:
        """The lock under which a model's names change: held for moments, so worth waiting for."""
        return self._locked(layout.switch_lock(model), model, wait_s=_SWITCH_WAIT_S)

    def _manifest_path(self, model: str, version: str) -> Path:
        return self._root / layout.manifest(model, version)

    def _record(self, model: str, version: str) -> Path:
        """Where a manifest goes when its version is removed."""
        going = self._root / layout.removing(model, version)
        return going.with_name(f"{going.name}.json")

    def _published(self, model: str, version: str) -> Manifest | None:
        with faults.translated(self._root, f"read the manifest of {model}@{version}"):
            return manifests.one(self._root, model, version)

    def _replace(self, path: Path, data: bytes, temporary: str) -> None:
        place = self._root / layout.TEMPORARY / temporary
        files.replace(self._fs, path, data, temporary=place, mode=self._modes.file)

    def _write_manifest(self, manifest: Manifest) -> None:
        path = self._manifest_path(manifest.model, manifest.version)
        files.make_directories(self._fs, path.parent, mode=self._modes.directory)
        text = manifest.model_dump_json(indent=2, exclude_none=True) + "\n"
        self._replace(path, text.encode(), f"{layout.flat(manifest.model)}.json")

    def _note(self, what: str, model: str, version: str, *, previous: str | None = None) -> None:
        history.note(
            self._fs, self._root / layout.HISTORY, what, model, version, previous=previous, mode=self._modes.file
        )

    def _drop_journal(self, path: Path) -> None:
        if path.exists():
            files.unlink(self._fs, path)


def make_skeleton(fs: Fs, root: Path) -> None:
    """Make the directories of `.lading` that are missing."""
    modes = Modes.of(root)
    for folder in layout.FOLDERS:
        files.make_directories(fs, root / folder, mode=modes.directory)


@contextmanager
def _translating(
    enter: Callable[[], AbstractContextManager[Held]], *, prepare: Callable[[], None], root: Path, what: str
) -> Iterator[Held]:
    """Enter with errors translated, but run the body as it is."""
    with ExitStack() as stack:
        with faults.translated(root, f"lock {what}"):
            prepare()
            held = stack.enter_context(enter())
        yield held
