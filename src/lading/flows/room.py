"""Room for one copy only: the versions that are there go before the new one comes, but for the files both have.

Going back then means pulling again; so nothing is removed before the source was seen to be whole, and to fit.
"""

from collections.abc import Sequence

from lading.errors import VolumeFull
from lading.events import Emit, OldRemoved
from lading.flows import sharing
from lading.ports.volume import KeepsFiles, Staging, Volume
from lading.spec import units
from lading.weights import plan as planning
from lading.weights.listing import Listing
from lading.weights.manifest import Manifest
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
    kept = sharing.take(todo.fetch, old, staging, progress=_ignore) if isinstance(staging, KeepsFiles) else []
    current = volume.current(model)
    for manifest in sorted(old, key=lambda one: one.version == current):  # the current one last: others may not be left
        volume.remove(model, manifest.version)
    size_bytes = sum(manifest.size_bytes for manifest in old) - sum(file.size_bytes for _, file in kept)
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


def _ignore(count: int) -> None:
    del count
