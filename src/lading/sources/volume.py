"""A published version on a volume as a source: every file is held to the manifest, and where it came from stays known.

The volume is a folder here, a claim that a pod mounts, or one elsewhere, through an agent: a source of claims reads all of
them by `ports.Volume`.
"""

import asyncio
from dataclasses import replace
from io import BufferedReader

from lading.errors import InvalidReference, NotPublished, SourceDenied, SourceError, SourceMissing
from lading.ports.volume import Volume
from lading.sources.per_thread import PerThread
from lading.spec.ref import ClaimRef, Reference, SourceRef
from lading.weights import listing
from lading.weights.listing import Entry, Listing
from lading.weights.manifest import FileEntry, Manifest


class VolumeSource:
    """Reads the models of *volume*, which is the claim that references name.

    Args:
        model, version: What a reference to a folder of this machine names on it.
    """

    def __init__(self, volume: Volume, *, model: str | None = None, version: str | None = None) -> None:
        self._volume = volume
        self._named = (model, version)
        self._open: PerThread[_OpenFile] = PerThread()

    async def resolve(self, ref: Reference) -> Listing:
        """The files of a version, the current one by default, as its manifest has them."""
        model, version = (ref.model, ref.version) if isinstance(ref, ClaimRef) else self._named
        if model is None or isinstance(ref, SourceRef):
            raise InvalidReference(f"{ref} names no model on a claim", hint="such as pvc://claim/model@version")
        found = await asyncio.to_thread(self._published, ref, model, version)
        entries = [_entry(found, file) for file in found.files]
        listed = listing.listing(ref, found.model, entries, revision=found.source.revision)
        return replace(listed, version=found.version, format=found.format, origin=found.source.ref)

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """See `lading.ports.source.Source.read_into`."""
        del end  # a range costs nothing here
        held = self._open.get()
        if held is None or held.key != entry.key:
            held = self._open.put(self._opened(entry))
        try:
            if held.file.tell() != offset:
                held.file.seek(offset)
            return held.file.readinto(buffer)
        except OSError as error:
            self._open.drop()
            raise _cannot(entry, error) from error

    def close(self) -> None:
        """Close all files; the volume is its owner's."""
        self._open.close()

    def _published(self, ref: Reference, model: str, version: str | None) -> Manifest:
        try:
            return self._volume.manifest(model, version)
        except NotPublished as missing:
            if not isinstance(ref, ClaimRef):
                raise SourceMissing(missing.message, hint=missing.hint) from missing
            here, named = str(self._volume.root), str(ClaimRef(claim=ref.claim, namespace=ref.namespace))
            hint = missing.hint.replace(here, named) if missing.hint else None
            raise SourceMissing(f"{ref}: {missing.message.replace(here, named)}", hint=hint) from missing

    def _opened(self, entry: Entry) -> "_OpenFile":
        try:
            return _OpenFile(entry.key, self._volume.open_plain(entry.key))
        except OSError as error:
            raise _cannot(entry, error) from error


def _entry(manifest: Manifest, file: FileEntry) -> Entry:
    return Entry(
        path=file.path,
        size_bytes=file.size_bytes,
        etag=file.etag,
        sha256=file.sha256,
        key=manifest.file_path(file.path),
    )


class _OpenFile:
    def __init__(self, key: str, file: BufferedReader) -> None:
        self.key = key
        self.file = file

    def close(self) -> None:
        self.file.close()


def _cannot(entry: Entry, error: OSError) -> SourceError:
    match error:
        case FileNotFoundError():
            return SourceMissing(f"{entry.key} is gone from the claim, though its manifest has it")
        case PermissionError():
            return SourceDenied(f"{entry.key} of the claim may not be read by this user")
        case _:
            return SourceError(f"{entry.key} of the claim cannot be read: {error.strerror or error}")
