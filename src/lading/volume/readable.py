"""What a volume on this machine tells of itself: versions, files, folders, and what all of it takes. Changes nothing."""

import os
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path

from lading.errors import NotPublished
from lading.volume import faults, leftovers, manifests, network, reading
from lading.volume import fs as files
from lading.volume.ground import Ground
from lading.volume.reading import Progress
from lading.weights import layout, names
from lading.weights.inventory import Seen, Unmanaged, Usage
from lading.weights.layout import Leftover
from lading.weights.manifest import Manifest


class Readable(Ground):
    """A volume as it is read."""

    def place(self, manifest: Manifest) -> str:
        """Where a version lies, as a person names it."""
        return layout.place(self.shown, manifest.path)

    def manifests(self) -> Iterator[Manifest]:
        """All published versions, by model, then by time of publication."""
        with faults.translated(self._root, "read the manifests"):
            found = list(manifests.every(self._root))
        yield from sorted(found, key=lambda manifest: (manifest.model, manifest.published_at, manifest.version))

    def manifest(self, model: str, version: str | None = None) -> Manifest:
        """One version's manifest; None: the current one."""
        found = network.awaited(self._root, lambda: self._named(model, version))
        if found is None:
            raise self._not_published(model, version)
        return found

    def _named(self, model: str, version: str | None) -> Manifest | None:
        chosen = version or self.current(model)
        return self._published(model, chosen) if chosen else None

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

    def look(self, manifest: Manifest) -> tuple[Seen, ...]:
        """Each file of a version as it lies there: opened, not read."""
        return reading.look(self._root, manifest)

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

    def leftovers(self) -> tuple[Leftover, ...]:
        """What `sweep` would remove."""
        return tuple(leftovers.every(self._root))

    def _not_published(self, model: str, version: str | None) -> NotPublished:
        from lading.spec.nearest import nearest

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
