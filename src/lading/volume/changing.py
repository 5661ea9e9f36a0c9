"""What is done to published versions: `current` switched, versions removed, what killed runs left swept away.

Each is an order of calls of which a crash after any one leaves the version either listed and whole, or not listed.
"""

from pathlib import Path

from lading.errors import ModelBusy, VolumeError
from lading.spec import ref
from lading.volume import faults, leftovers, manifests
from lading.volume import fs as files
from lading.volume.readable import Readable
from lading.weights import layout
from lading.weights.layout import Leftover


class Changing(Readable):
    """A volume whose versions are switched and removed."""

    def use(self, model: str, version: str) -> None:
        """Switch `current`; silent when it is so already."""
        with self._switching(model), faults.translated(self._root, f"switch {model}"):
            self._switch(model, self.manifest(model, version).version)

    def remove(self, model: str, version: str) -> None:
        """Remove a version, its manifest first."""
        ref.check_model(model)
        ref.check_version(version)
        with self._switching(model), faults.translated(self._root, f"remove {model}@{version}"):
            if self._manifest_path(model, version).exists():
                self._unlist(model, version)
            self._finish_removal(model, version)

    def _switch(self, model: str, version: str) -> None:
        link = self._root / layout.current(model)
        previous = self.current(model)
        if previous == version:
            return
        found = self._published(model, version)
        if found is not None and found.is_adopted:
            raise VolumeError(
                f"{model}@{version} was adopted where it lies, at {self.place(found)}: there is no `current` beside it",
                hint=f"name the version: {self._root}/{model}@{version}",
            )
        temporary = self._root / layout.TEMPORARY / f"{layout.flat(model)}.link"
        if temporary.is_symlink():
            self._fs.unlink(temporary)
        files.make_directories(self._fs, link.parent, mode=self._modes.directory)
        self._fs.symlink(version, temporary)
        self._fs.rename(temporary, link)
        self._fs.sync_directory(link.parent)
        self._note("use", model, version, previous=previous)

    def _unlist(self, model: str, version: str) -> None:
        """Move the manifest to ``removing/``: from then on the version does not exist, and the rest is cleaning."""
        link = self._root / layout.current(model)
        if link.is_symlink() and link.readlink() == Path(version):
            others = [name for name in manifests.versions(self._root, model) if name != version]
            if others:
                raise VolumeError(
                    f"{model}@{version} is the current version of {model}",
                    hint=f"switch first: lading use {self._root}/{model}@{max(others)}",
                )
            files.unlink(self._fs, link)
        files.move(self._fs, self._manifest_path(model, version), self._record(model, version))
        self._note("remove", model, version)

    def _finish_removal(self, model: str, version: str) -> None:
        """Delete what `_unlist` left; silent where it left nothing."""
        record = self._record(model, version)
        if not record.exists():
            return
        going, final = self._root / layout.removing(model, version), self._root / layout.version(model, version)
        if final.is_dir() and not going.exists() and not manifests.is_adopted(record):
            files.move(self._fs, final, going)
        files.remove_tree(self._fs, going)
        files.unlink(self._fs, record)
        self._drop_empty(model)

    def _drop_empty(self, model: str) -> None:
        """Remove directories that only existed for a model that has no version any more."""
        for top in (self._root / layout.MANIFESTS, self._root):
            directory = top / model
            while directory != top and directory.is_dir() and not any(directory.iterdir()):
                self._fs.rmdir(directory)
                directory = directory.parent

    def sweep(self, *, idle_s: float = 0.0) -> tuple[Path, ...]:
        """Remove what killed runs left, stagings only where nothing changed for *idle_s*."""
        old = (left for left in self.leftovers() if left.kind == "removal" or left.idle_s >= idle_s)
        swept = tuple(left.path for left in old if self._remove_leftover(left))
        with faults.translated(self._root, "clean up"):
            leftovers.sweep_litter(self._fs, self._root)
        return swept

    def _remove_leftover(self, left: Leftover) -> bool:
        """Remove it, unless somebody began to work on it since."""
        try:
            with self._locked(layout.lock(left.model or "unknown"), left.model or "an unknown model"):
                self._remove_now(left)
        except ModelBusy:
            return False
        return True

    def _remove_now(self, left: Leftover) -> None:
        with self._switching(left.model or "unknown"), faults.translated(self._root, f"remove {left.path}"):
            if left.kind == "removal":
                self._finish_removal(left.model or "", left.version or "")
            else:
                self._remove_staging(left)

    def _remove_staging(self, left: Leftover) -> None:
        if left.model and left.version and left.path == self._root / layout.version(left.model, left.version):
            leftovers.take_back(self._fs, self._root, left.model, left.version)
        for transfer in leftovers.transfers_of(self._root, left.model, left.version):
            files.remove_tree(self._fs, self._root / layout.incoming(transfer))
            self._drop_journal(self._root / layout.journal(transfer))
        if left.model:
            self._drop_empty(left.model)
