"""Room for one copy only: the versions that are there go before the new one comes, but for the files both have.

Going back then means pulling again; so nothing is removed before the source was seen to be whole, and to fit.
"""

from collections.abc import Mapping, Sequence

from lading.errors import VolumeFull
from lading.events import Emit, OldRemoved
from lading.ports import KeepsFiles, Staging, Volume
from lading.spec import units
from lading.weights import plan as planning
from lading.weights.listing import Entry, Listing
from lading.weights.manifest import FileEntry, Manifest
from lading.weights.plan import TransferPlan


def make(
    listing: Listing, model: str, todo: TransferPlan, *, volume: Volume, staging: Staging, emit: Emit
) -> TransferPlan:
    """What is still to be fetched of *todo* once all pulled versions of *model* are gone; an adopted folder stays.

    Raises:
        VolumeFull: It would not fit even then; nothing was removed.
    """
    old = [one for one in volume.manifests() if one.model == model and not one.is_adopted]
    if not old:
        return todo
    _check_fits(todo, old, volume)
    kept = _keep(todo, old, staging)
    current = volume.current(model)
    for manifest in sorted(old, key=lambda one: one.version == current):  # the current one last: others may not be left
        volume.remove(model, manifest.version)
    size_bytes = sum(manifest.size_bytes for manifest in old) - sum(file.size_bytes for file in kept.values())
    emit(OldRemoved(model=model, versions=tuple(one.version for one in old), size_bytes=size_bytes))
    return planning.plan(listing, staging.finished)


def _check_fits(todo: TransferPlan, old: Sequence[Manifest], volume: Volume) -> None:
    old_bytes, free_bytes = sum(manifest.size_bytes for manifest in old), volume.free_bytes()
    if todo.fetch_bytes > free_bytes + old_bytes:
        raise VolumeFull(
            f"{units.show_bytes(todo.fetch_bytes)} are to come; the volume has {units.show_bytes(free_bytes)} free, and the "
            f"versions that would go have {units.show_bytes(old_bytes)}",
            hint="resize the claim; nothing was removed",
        )


def _keep(todo: TransferPlan, old: Sequence[Manifest], staging: Staging) -> Mapping[str, FileEntry]:
    """The files that old versions have as they are to be, taken over; those whose content a source tells by its mark."""
    kept: dict[str, FileEntry] = {}
    if not isinstance(staging, KeepsFiles):
        return kept
    for entry in todo.fetch:
        for manifest in old:
            file = _same(entry, manifest)
            if file is not None and staging.take(manifest, file):
                kept[entry.path] = file
                break
    return kept


def _same(entry: Entry, manifest: Manifest) -> FileEntry | None:
    file = next((one for one in manifest.files if one.path == entry.path), None)
    marked = entry.sha256 is not None or entry.etag is not None
    return file if file is not None and marked and planning.matches(entry, file) else None
