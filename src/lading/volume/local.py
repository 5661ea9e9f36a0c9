"""A directory of this machine as a volume: how a version comes to be published there (`docs/manifest.md`).

Every change goes through `volume.fs.Fs`, in an order in which a crash after any one call leaves each version either
wholly published or not there, and leaves enough for the next writer to go on.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lading.errors import InvalidReference, LadingError, VolumeError, VolumeNotWritable
from lading.spec import ref
from lading.volume import faults, leftovers, manifests
from lading.volume import fs as files
from lading.volume.lock import Held
from lading.volume.mending import Mending
from lading.volume.reading import Progress
from lading.volume.staging import LocalStaging
from lading.weights import layout, names
from lading.weights.inventory import Adoption
from lading.weights.manifest import Manifest

if TYPE_CHECKING:  # all seams of the program hang on it: reading a volume does without
    from lading.ports.volume import Staging


class LocalVolume(Mending):
    """A volume at *root* (`Volume`). Made by `volume.find` and its siblings, which read *document*."""

    @contextmanager
    def stage(self, model: str, version: str, transfer: str) -> Iterator[LocalStaging]:
        """The staging of *transfer*, under the model's lock."""
        ref.check_model(model)
        ref.check_version(version)
        with faults.translated(self._root, f"stage {model}@{version}"):
            self._check_apart(model)
        with self._locked(layout.lock(model), model) as held:
            staging = self._staging(model, version, transfer, held)
            if staging.published is None:
                with faults.translated(self._root, f"stage {model}@{version}"):
                    self._finish_removal(model, version)
                    leftovers.take_back(self._fs, self._root, model, version)
                    self._check_way(model, version)
            try:
                yield staging
            finally:
                with suppress(LadingError):  # where it fails, that comes again in the next attempt
                    staging.settle()
                self._forget_empty(staging)

    def publish(self, staging: "Staging", manifest: Manifest, *, use: bool = True) -> Path:
        """Make the staged files the version of *manifest*."""
        assert isinstance(staging, LocalStaging), "a staging of another volume"
        assert (staging.model, staging.version) == (manifest.model, manifest.version), "a manifest of another staging"
        names.check_all(file.path for file in manifest.files)
        published = self._published(manifest.model, manifest.version)
        if published is not None and not published.same_content(manifest):
            raise VolumeError(
                f"{manifest.model}@{manifest.version} is published with other content; a version never changes",
                hint="give another --version",
            )
        with faults.translated(self._root, f"publish {manifest.model}@{manifest.version}"):
            if published is None:
                self._seal(staging, manifest)
            with self._switching(manifest.model):
                if published is None:
                    self._reveal(staging, manifest)
                if use:
                    self._switch(manifest.model, manifest.version)
            self._drop_journal(staging.journal.path)
        return self.directory(manifest)

    def _seal(self, staging: LocalStaging, manifest: Manifest) -> None:
        """Leave exactly the manifest's files in the staging directory, and make all its names durable."""
        staging.lock.check()
        finished = staging.finished
        for file in manifest.files:
            if finished.get(file.path) != file:
                raise VolumeError(
                    f"{file.path} of {manifest.model}@{manifest.version} is not finished: nothing is published",
                    hint="run the pull again",
                )
        wanted = {staging.directory / file.path for file in manifest.files}
        for path in files.tree_files(staging.directory):
            if path not in wanted:
                self._fs.unlink(path)
        for directory in files.tree_directories(staging.directory):
            if directory != staging.directory and not any(directory.iterdir()):
                self._fs.rmdir(directory)
            else:
                self._fs.sync_directory(directory)

    def _reveal(self, staging: LocalStaging, manifest: Manifest) -> None:
        """Rename, then write the manifest; the intent between them tells a later writer whose directory it is."""
        final = self._root / layout.version(manifest.model, manifest.version)
        self._clear_way(manifest.model, manifest.version)
        files.make_directories(self._fs, final.parent, mode=staging.modes.directory)
        staging.journal.publishing(manifest.path, staging.directory.stat().st_ino)
        staging.lock.check()
        files.move(self._fs, staging.directory, final)
        self._write_manifest(manifest)
        self._note("publish", manifest.model, manifest.version)

    # ----------------------------------------------------------------------------------------------------- adopting

    def adopt(self, adoption: Adoption, *, progress: Progress) -> Manifest:
        """Hash a folder where it lies, and list it as a version."""
        from lading.volume import adopting

        model = ref.check_model(adoption.model)
        if adoption.version is not None:
            ref.check_version(adoption.version)
        with self._locked(layout.lock(model), model) as held, faults.translated(self._root, f"adopt {adoption.path}"):
            before = [one for one in self.manifests() if (one.model, one.path) == (model, adoption.path)]
            if not before:
                self._check_apart(model)
            others = (one for one in self.manifests() if one not in before)
            found = adopting.folder(self._root, adoption, others)
            manifest = adopting.manifest(self._root, adoption, found, progress)
            if before:
                return _the_same(before[0], manifest)
            held.check()
            with self._switching(model):
                self._list(manifest)
        return manifest

    def _list(self, manifest: Manifest) -> None:
        """Write the manifest of what lies there already."""
        path = self._manifest_path(manifest.model, manifest.version)
        if path.exists():
            raise VolumeError(
                f"{manifest.model}@{manifest.version} is published already, from elsewhere",
                hint="give another --version",
            )
        self._write_manifest(manifest)
        self._note("adopt", manifest.model, manifest.version)

    # ------------------------------------------------------------------------------------- what stands at a final path

    def _check_way(self, model: str, version: str) -> None:
        """See that nothing foreign is at the final path; an empty directory may be."""
        final = self._root / layout.version(model, version)
        if final.is_symlink() or (final.exists() and not final.is_dir()):
            what = "something that is no directory"
        elif final.is_dir() and (found := sorted(path.name for path in final.iterdir())):
            what = f"a directory that Lading did not publish ({len(found)} entries: {', '.join(found[:3])} …)"
        else:
            return
        raise VolumeError(f"{final} is taken by {what}", hint="move it away, or give another --version")

    def _clear_way(self, model: str, version: str) -> None:
        """Remove an empty directory at the final path: kubelet makes one for a pod that is older than the pull."""
        self._check_way(model, version)
        final = self._root / layout.version(model, version)
        if not final.is_dir():
            return
        try:
            self._fs.rmdir(final)
        except PermissionError as error:
            raise VolumeNotWritable(
                f"{final} is an empty directory that this user may not remove: kubelet made it for a pod that mounts it "
                f"and started before the pull",
                hint=f"delete that pod, then as its owner: rmdir {final}; what was fetched is kept",
            ) from error

    def _staging(self, model: str, version: str, transfer: str, held: Held) -> LocalStaging:
        return self._staging_at(model, version, transfer, held, self._published(model, version))

    def _check_apart(self, model: str) -> None:
        """No model's name begins another's: `a/b` would be a version of `a`."""
        parents = PurePosixPath(model).parents
        above = next((str(name) for name in parents if manifests.versions(self._root, str(name))), None)
        below = next((self._root / layout.manifests(model)).glob("*/**/*.json"), None)
        other = above if above != "." else None
        if below is not None:
            other = below.parent.relative_to(self._root / layout.MANIFESTS).as_posix()
        if other is None:
            self._check_beside_adopted(model)
        else:
            raise InvalidReference(
                f"{model!r} and {other!r} cannot both be models of {self._root}: one name begins the other",
                hint="choose another name with --model",
            )

    def _check_beside_adopted(self, model: str) -> None:
        """A model's directory must not lie in a folder that was adopted: servers read all of that."""
        for manifest in self.manifests():
            if manifest.is_adopted and (manifest.path == "." or f"{model}/".startswith(f"{manifest.path}/")):
                raise InvalidReference(
                    f"{model!r} would lie inside {manifest.model}@{manifest.version}, which was adopted at {self.place(manifest)}",
                    hint="choose another name with --model",
                )


def _the_same(before: Manifest, now: Manifest) -> Manifest:
    """*before*, when *now* has the same content."""
    if before.same_content(now):
        return before
    raise VolumeError(
        f"{before.model}@{before.version} was adopted, and its files changed since; a version never changes",
        hint="`lading verify` says which; to list them as they are, `lading rm` it (the files stay) and adopt again",
    )
