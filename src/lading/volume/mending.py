"""A published version made what its manifest says again: broken files replaced, files that do not belong there removed.

The manifest never changes. A file is staged, hashed and durable before a rename puts it in the place of the broken one: a reader
sees the old bytes or the right ones, and a server that has the old file open keeps it until it is started again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lading.errors import LadingError, VolumeError
from lading.volume import faults
from lading.volume import fs as files
from lading.volume import journal as journals
from lading.volume.changing import Changing
from lading.volume.journal import Journal
from lading.volume.lock import Held
from lading.volume.staging import LocalStaging
from lading.weights import layout, names
from lading.weights.manifest import Manifest

if TYPE_CHECKING:
    from lading.ports.volume import Staging


class Mending(Changing):
    """A volume whose broken versions can be mended."""

    @contextmanager
    def mend(self, manifest: Manifest, transfer: str) -> Iterator[LocalStaging]:
        """A staging for broken files of a published version, under its model's lock."""
        with self._locked(layout.lock(manifest.model), manifest.model) as held:
            self._check_published(manifest)
            staging = self._staging_at(manifest.model, manifest.version, transfer, held, None)
            try:
                yield staging
            finally:
                with suppress(LadingError):  # where it fails, that comes again in the next attempt
                    staging.settle()
                self._forget_empty(staging)

    def replace(self, staging: "Staging", manifest: Manifest, paths: Sequence[str]) -> None:
        """Put staged files in the place of a version's broken ones."""
        assert isinstance(staging, LocalStaging), "a staging of another volume"
        known, finished = {file.path: file for file in manifest.files}, staging.finished
        for path in paths:
            file, staged = known.get(path), finished.get(path)
            if file is None or staged is None or (file.size_bytes, file.sha256) != (staged.size_bytes, staged.sha256):
                raise VolumeError(f"{path} is not staged as the manifest of {manifest.model}@{manifest.version} has it")
        with self._switching(manifest.model), faults.translated(self._root, f"repair {manifest.model}"):
            self._check_published(manifest)
            staging.lock.check()
            for path in paths:
                self._put(staging.directory / path, manifest, path)
            files.remove_tree(self._fs, staging.directory)
            self._drop_journal(staging.journal.path)
            self._note("repair", manifest.model, manifest.version)

    def discard(self, manifest: Manifest, paths: Sequence[str]) -> None:
        """Remove files that lie in a version's directory and are not in its manifest."""
        if manifest.is_adopted:
            raise VolumeError(
                f"{manifest.model}@{manifest.version} was adopted: what else lies in {self.place(manifest)} is not Lading's",
                hint="remove it by hand, if it does not belong there",
            )
        model = manifest.model
        with self._locked(layout.lock(model), model), faults.translated(self._root, f"clean {model}"):
            self._check_published(manifest)
            directory = self.directory(manifest)
            for path in sorted({*paths} & {*self.extra_files(manifest)}):
                files.unlink(self._fs, directory / path)
                self._drop_emptied((directory / path).parent, directory)

    def _put(self, staged: Path, manifest: Manifest, path: str) -> None:
        """Rename one staged file over the broken one."""
        directory = self.directory(manifest)
        target = directory / names.check(path)
        self._check_no_link(directory, target)
        files.make_directories(self._fs, target.parent, mode=self._modes.directory)
        if target.is_dir() and not target.is_symlink():
            self._fs.rmdir(target)  # fails where something is in it: that is not ours to delete
        files.move(self._fs, staged, target)

    def _check_no_link(self, directory: Path, target: Path) -> None:
        """No folder on the way to *target* is a link: it would lead out of the version."""
        for parent in (target.parent, *target.parent.parents):
            if parent == directory:
                return
            if parent.is_symlink():
                raise VolumeError(f"{parent} is a link; a version has none", hint=f"remove it: rm {parent}")

    def _drop_emptied(self, folder: Path, top: Path) -> None:
        while folder != top and not any(folder.iterdir()):
            self._fs.rmdir(folder)
            folder = folder.parent

    def _check_published(self, manifest: Manifest) -> None:
        """It is listed, with this content.

        Raises:
            NotPublished: It is not there any more.
        """
        found = self.manifest(manifest.model, manifest.version)
        if not found.same_content(manifest):
            raise VolumeError(f"{manifest.model}@{manifest.version} was published anew meanwhile", hint="run it again")

    def _staging_at(
        self, model: str, version: str, transfer: str, held: Held, published: Manifest | None
    ) -> LocalStaging:
        modes = self._modes
        return LocalStaging(
            self._fs,
            self._root,
            self.directory(published) if published else self._root / layout.incoming(transfer),
            Journal(
                self._fs,
                self._root / layout.journal(transfer),
                temporary=self._root / layout.TEMPORARY / f"{transfer}.jsonl",
                mode=modes.file,
            ),
            model=model,
            version=version,
            lock=held,
            modes=modes,
            published=published,
        )

    def _forget_empty(self, staging: LocalStaging) -> None:
        """Leave nothing of a staging in which nothing was kept; another's, who took the lock over, is not touched."""
        if staging.published or not staging.journal.path.exists() or not staging.lock.is_ours():
            return
        if staging.finished or staging.partial_bytes or journals.read(staging.journal.path).inode is not None:
            return  # the last: its directory may have got its final name, but no manifest; the next writer takes it back
        with faults.translated(self._root, "clean up"):
            files.remove_tree(self._fs, staging.directory)
            self._drop_journal(staging.journal.path)
