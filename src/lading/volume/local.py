"""A directory of this machine as a volume: what is published there, and how it comes to be (`docs/manifest.md`).

Every change goes through `volume.fs.Fs`, in an order in which a crash after any one call leaves each version either
wholly published or not there, and leaves enough for the next writer to go on.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lading.errors import (
    InvalidReference,
    ModelBusy,
    NotPublished,
    VolumeError,
    VolumeFull,
    VolumeNotWritable,
)
from lading.spec import ref, units
from lading.volume import faults, history, leftovers, lock, manifests, reading
from lading.volume import fs as files
from lading.volume.fs import Fs
from lading.volume.journal import Journal
from lading.volume.lock import Held, Process
from lading.volume.reading import Progress
from lading.volume.staging import LocalStaging, Modes
from lading.weights import layout, names
from lading.weights.inventory import Adoption, Unmanaged, Usage
from lading.weights.layout import Leftover, VolumeDocument
from lading.weights.manifest import Manifest

if TYPE_CHECKING:  # all seams of the program hang on it: reading a volume does without
    from lading.ports import Staging

_SWITCH_WAIT_S = 10.0


class LocalVolume:
    """A volume at *root* (`Volume`). Made by `volume.find` and its siblings, which read *document*.

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

    # ------------------------------------------------------------------------------------------------------ reading

    @property
    def shown(self) -> str:
        """The volume as a person names it."""
        return str(self._root)

    @property
    def cores(self) -> int:
        """How many files are worth hashing at once."""
        return os.cpu_count() or 1

    def place(self, manifest: Manifest) -> str:
        """Where a version lies, as a person names it."""
        return layout.place(self.shown, manifest.path)

    def manifests(self) -> Iterator[Manifest]:
        """All published versions, by model, then by time of publication."""
        yield from sorted(
            manifests.every(self._root), key=lambda manifest: (manifest.model, manifest.published_at, manifest.version)
        )

    def manifest(self, model: str, version: str | None = None) -> Manifest:
        """One version's manifest; None: the current one."""
        chosen = version or self.current(model)
        found = self._published(model, chosen) if chosen else None
        if found is None:
            raise self._not_published(model, version)
        return found

    def directory(self, manifest: Manifest) -> Path:
        """Where the files of a published version lie."""
        if manifest.path == ".":
            return self._root
        return self._root / names.check(manifest.path)

    def current(self, model: str) -> str | None:
        """The version `current` names, or the only one, when it was adopted; None without."""
        try:
            version = os.readlink(f"{self._root}/{model}/{layout.CURRENT}")  # noqa: PTH115  # `ls` asks it of thousands
        except OSError:
            return self._only_adopted(model)
        if "/" in version or not os.path.isfile(f"{self._root}/{layout.MANIFESTS}/{model}/{version}.json"):  # noqa: PTH113
            return None
        return version

    def _only_adopted(self, model: str) -> str | None:
        """The only version of a model, when it was adopted: there is no place for a link then."""
        versions = manifests.versions(self._root, model)
        found = self._published(model, versions[0]) if len(versions) == 1 else None
        return found.version if found is not None and found.is_adopted else None

    def currents(self, models: Sequence[str]) -> Mapping[str, str | None]:
        """The current version of each of *models*."""
        return {model: self.current(model) for model in models}

    def open_file(self, manifest: Manifest, path: str) -> BufferedReader:
        """A file of a published version; OSError when it is none, or cannot be read."""
        return self.open_plain(manifest.file_path(names.check(path)))

    def open_plain(self, path: str) -> BufferedReader:
        """A plain file anywhere on the volume but in ``.lading``, by its path from the root."""
        return reading.open_plain(self._root, path)

    def hash_plain(self, path: str, size_bytes: int, progress: Progress) -> tuple[int, str]:
        """Size and SHA-256 of a plain file; the hash is empty where its size is not *size_bytes*."""
        return reading.hash_plain(self._root, path, size_bytes, progress)

    def extra_files(self, manifest: Manifest) -> tuple[str, ...]:
        """Paths in the version's directory that its manifest does not have; NFS's own leftovers do not count."""
        directory = self.directory(manifest)
        known = {file.path for file in manifest.files}
        found = (path.relative_to(directory).as_posix() for path in files.tree_files(directory))
        return tuple(path for path in found if path not in known and not _never_counts(path))

    def unmanaged(self, known: Sequence[Manifest] | None = None) -> tuple[Unmanaged, ...]:
        """Folders that look like a model and have no manifest, by path."""
        from lading.volume import unmanaged  # `ls` waits for what it needs

        published = self.manifests() if known is None else known
        return unmanaged.every(self._root, {manifest.path for manifest in published})

    def usage(self) -> Usage:
        """What all that lies there takes."""
        from lading.volume import usage

        with faults.translated(self._root, "look at all"):
            published = list(self.manifests())
            return usage.of(self._root, published, self.unmanaged(published), self.current)

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

    def prunable(self, model: str | None, keep: int) -> tuple[Manifest, ...]:
        """Versions older than the newest *keep* of each model, never a current one."""
        by_model: dict[str, list[Manifest]] = {}
        for manifest in self.manifests():
            if model in {None, manifest.model}:
                by_model.setdefault(manifest.model, []).append(manifest)
        return tuple(
            manifest
            for name, versions in by_model.items()
            for manifest in versions[: max(0, len(versions) - keep)]
            if manifest.version != self.current(name) and not manifest.is_adopted  # which would free nothing
        )

    # --------------------------------------------------------------------------------------------------- publishing

    @contextmanager
    def stage(self, model: str, version: str, transfer: str) -> Iterator[LocalStaging]:
        """The staging of *transfer*, under the model's lock."""
        ref.check_model(model)
        ref.check_version(version)
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

    def _forget_empty(self, staging: LocalStaging) -> None:
        """Leave nothing of a staging in which nothing was finished; another's, who took the lock over, is not touched."""
        if staging.published or not staging.journal.path.exists() or staging.finished or not staging.lock.is_ours():
            return
        with faults.translated(self._root, "clean up"):
            files.remove_tree(self._fs, staging.directory)
            self._drop_journal(staging.journal.path)

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

    # ---------------------------------------------------------------------------------------------- using, removing

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

    # ---------------------------------------------------------------------------------------------------- leftovers

    def leftovers(self) -> tuple[Leftover, ...]:
        """What `sweep` would remove."""
        return tuple(leftovers.every(self._root))

    def sweep(self) -> tuple[Path, ...]:
        """Remove what killed runs left."""
        swept = tuple(left.path for left in self.leftovers() if self._remove_leftover(left))
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

    def _staging(self, model: str, version: str, transfer: str, held: Held) -> LocalStaging:
        published = self._published(model, version)
        directory = layout.incoming(transfer)
        modes = self._modes
        return LocalStaging(
            self._fs,
            self._root,
            self.directory(published) if published else self._root / directory,
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

    def _manifest_path(self, model: str, version: str) -> Path:
        return self._root / layout.manifest(model, version)

    def _record(self, model: str, version: str) -> Path:
        """Where a manifest goes when its version is removed."""
        going = self._root / layout.removing(model, version)
        return going.with_name(f"{going.name}.json")

    def _published(self, model: str, version: str) -> Manifest | None:
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

    def _not_published(self, model: str, version: str | None) -> NotPublished:
        from lading.spec.documents import nearest  # brings a YAML parser

        versions = [manifest.version for manifest in self.manifests() if manifest.model == model]
        if not versions:
            models = sorted({manifest.model for manifest in self.manifests()})
            near = nearest(model, models)
            hint = f"did you mean `{self._root}/{near}`?" if near else f"see `lading ls {self._root}`"
            return NotPublished(f"no model {model!r} is published on {self._root}", hint=hint)
        if version is None:
            return NotPublished(
                f"{model} has no current version on {self._root}",
                hint=f"choose one: lading use {self._root}/{model}@{versions[-1]}",
            )
        near = nearest(version, versions) or versions[-1]
        return NotPublished(
            f"{model} has no version {version!r} on {self._root}; it has {', '.join(versions[-5:])}",
            hint=f"did you mean `{self._root}/{model}@{near}`?",
        )


def _never_counts(path: str) -> bool:
    """Whether a path in a version's directory is not extra: NFS's own leftovers, and ours where the root was adopted."""
    return path.rpartition("/")[2].startswith(".nfs") or path.startswith(f"{layout.OURS}/")


def _the_same(before: Manifest, now: Manifest) -> Manifest:
    """*before*, when *now* has the same content."""
    if before.same_content(now):
        return before
    raise VolumeError(
        f"{before.model}@{before.version} was adopted, and its files changed since; a version never changes",
        hint="`lading verify` says which; to list them as they are, `lading rm` it (the files stay) and adopt again",
    )


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
