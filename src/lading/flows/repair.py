"""Bring the broken files of a published version again, from where they came, and nothing else.

A version never changes: what comes is held to the digests of the manifest, so any source that still has these very bytes will do.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from lading import transfer
from lading.errors import Cancelled, SourceChanged, VerificationFailed
from lading.events import Emit, FileBad, Repaired, RepairPlanned, ignore
from lading.flows import pull, threads
from lading.ports.source import Source
from lading.ports.volume import Volume
from lading.spec.ref import Reference
from lading.weights import listing
from lading.weights import plan as planning
from lading.weights.listing import Entry, Listing
from lading.weights.manifest import FileEntry, Manifest

_NAMED = 5
_ELSEWHERE = "name a source that has these: --source SOURCE; or pull what this one has now under another --version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What is to be done to make a version whole: decided before anything is written.

    Attributes:
        listing: The broken files as the source has them, each with the digest it must have.
        extra: Files that do not belong there.
    """

    manifest: Manifest
    listing: Listing
    extra: tuple[str, ...] = ()

    def planned(self) -> RepairPlanned:
        """The event that tells it."""
        return RepairPlanned(
            model=self.manifest.model,
            version=self.manifest.version,
            source=str(self.listing.ref),
            files=tuple(entry.path for entry in self.listing.entries),
            size_bytes=self.listing.size_bytes,
            extra=self.extra,
        )


async def decide(source: Source, ref: Reference, manifest: Manifest, bad: Iterable[FileBad]) -> Repair:
    """What mends the files that `verify` found *bad*, of what *source* has at *ref* now; nothing is written.

    Raises:
        SourceChanged: It does not have these files, or says that their content is another.
        SourceError: As named.
    """
    found = list(bad)
    extra = tuple(event.path for event in found if event.problem == "extra")
    broken = {event.path for event in found if event.problem != "extra"}
    files = [file for file in manifest.files if file.path in broken]
    have = await pull.resolved(source, ref) if files else None
    there = {entry.path: entry for entry in have.entries} if have else {}
    lost = [file.path for file in files if not _may_be(there.get(file.path), file)]
    if lost:
        raise SourceChanged(
            f"{have.ref if have else ref} does not have {_some(lost)} as {manifest.model}@{manifest.version} was published with it any more",
            hint=_ELSEWHERE,
        )
    wanted = [replace(there[file.path], sha256=file.sha256, size_bytes=file.size_bytes) for file in files]
    return Repair(
        manifest=manifest, listing=listing.listing(have.ref if have else ref, manifest.model, wanted), extra=extra
    )


async def fulfil(
    repair: Repair, source: Source, volume: Volume, *, discard: bool = False, emit: Emit = ignore
) -> Repaired:
    """Fetch what is broken, and put it in place when all of it is there; *discard*: remove what does not belong there, too.

    Interrupted, it goes on where it was when it is run again.

    Raises:
        ModelBusy: Another live writer has this model.
        LadingError: As source and volume raise it; what is broken is then as it was.
    """
    cancel = threading.Event()
    across = threads.Across(emit, cancel)
    done = await threads.in_thread(
        partial(_mend, repair, source, volume, discard=discard, cancel=cancel, emit=across), cancel
    )
    emit(done)
    return done


def _mend(
    repair: Repair, source: Source, volume: Volume, *, discard: bool, cancel: threading.Event, emit: Emit
) -> Repaired:
    began, manifest, wanted = time.monotonic(), repair.manifest, repair.listing
    if wanted.entries:
        with volume.mend(manifest, _transfer_id(repair, volume.id)) as staging:
            todo = planning.plan(wanted, staging.finished)
            volume.require_free(max(0, todo.fetch_bytes - staging.partial_bytes))
            meter = transfer.Meter(todo.total_bytes, done_bytes=todo.kept_bytes, emit=emit)
            try:
                transfer.run(todo.fetch, source, staging, cancel=cancel, meter=meter, emit=emit)
            except VerificationFailed as error:
                raise SourceChanged(f"{wanted.ref} has other bytes now: {error.message}", hint=_ELSEWHERE) from error
            if cancel.is_set():
                raise Cancelled("interrupted")
            volume.replace(staging, manifest, [entry.path for entry in wanted.entries])
    if discard and repair.extra:
        volume.discard(manifest, repair.extra)
    return Repaired(
        model=manifest.model,
        version=manifest.version,
        files=tuple(entry.path for entry in wanted.entries),
        size_bytes=wanted.size_bytes,
        removed=repair.extra if discard else (),
        seconds=time.monotonic() - began,
    )


def _may_be(entry: Entry | None, file: FileEntry) -> bool:
    """Whether *entry* has the content of *file*, as far as the source tells: its bytes are held to the digest as they come."""
    if entry is None or entry.archive is not None or entry.size_bytes not in {None, file.size_bytes}:
        return False
    said = entry.sha256 or entry.digests.get("sha256")
    return said in {None, file.sha256}


def _transfer_id(repair: Repair, volume_id: str) -> str:
    """The same for the same repair, so that one that was interrupted is gone on with."""
    manifest = repair.manifest
    place = f"repair of {volume_id}/{manifest.model}@{manifest.version}"
    return planning.transfer_id(str(repair.listing.ref), repair.listing.revision, place)


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more
