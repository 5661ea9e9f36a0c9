"""What an older version of a model has already is taken over from it, not fetched: once on the disk, listed twice.

Its bytes are hashed before that, so bit rot is not handed on; a file that does not pass is fetched like any other.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lading import transfer
from lading.errors import Cancelled
from lading.events import Emit, FilesShared
from lading.ports.volume import KeepsFiles, Progress, Staging, Volume
from lading.weights import plan as planning
from lading.weights.listing import Entry, Listing
from lading.weights.manifest import FileEntry, Manifest
from lading.weights.plan import TransferPlan

WORTH_BYTES = 1 << 20
"""A smaller file is fetched in the time that it takes to make its second name durable."""


def share(
    listing: Listing,
    model: str,
    todo: TransferPlan,
    *,
    volume: Volume,
    staging: Staging,
    cancel: threading.Event,
    emit: Emit,
) -> TransferPlan:
    """What is still to be fetched of *todo* once all that published versions of *model* have was taken over.

    Raises:
        Cancelled: *cancel* was set.
    """
    big = [entry for entry in todo.fetch if entry.size_bytes is not None and entry.size_bytes >= WORTH_BYTES]
    if not isinstance(staging, KeepsFiles) or not big:
        return todo
    published = [one for one in volume.manifests() if one.model == model]
    meter = transfer.Meter(todo.total_bytes, done_bytes=todo.kept_bytes, emit=emit)

    def tell(count: int) -> None:
        if cancel.is_set():
            raise Cancelled("interrupted")
        meter.add(count)

    taken = take(big, published, staging, progress=tell, threads=volume.cores)
    if not taken:
        return todo
    giving = {manifest.version for manifest, _ in taken}
    emit(
        FilesShared(
            model=model,
            versions=tuple(one.version for one in published if one.version in giving),
            files=len(taken),
            size_bytes=sum(file.size_bytes for _, file in taken),
        )
    )
    return planning.plan(listing, staging.finished)


def take(
    entries: Sequence[Entry],
    published: Sequence[Manifest],
    staging: KeepsFiles,
    *,
    progress: Progress,
    threads: int = 1,
) -> list[tuple[Manifest, FileEntry]]:
    """The files of *published* versions that were taken over for *entries*, each with its version; the newest is asked first."""
    by_path: dict[str, list[tuple[Manifest, FileEntry]]] = {entry.path: [] for entry in entries}
    for manifest in reversed(published):
        for file in manifest.files:
            by_path.get(file.path, []).append((manifest, file))

    def one(entry: Entry) -> tuple[Manifest, FileEntry] | None:
        for manifest, file in by_path[entry.path]:
            if _is(entry, file) and _taken(staging, manifest, file, progress):
                return manifest, file
        return None

    with ThreadPoolExecutor(threads, thread_name_prefix="lading-share") as pool:
        return [found for found in pool.map(one, entries) if found is not None]


def _taken(staging: KeepsFiles, manifest: Manifest, file: FileEntry, progress: Progress) -> bool:
    """Whether it was; what was told of a file that was not does not count."""
    told = _Told(progress)
    if staging.take(manifest, file, progress=told):
        return True
    progress(-told.size_bytes)
    return False


class _Told:
    def __init__(self, progress: Callable[[int], None]) -> None:
        self.size_bytes = 0
        self._progress = progress

    def __call__(self, count: int) -> None:
        self.size_bytes += count
        self._progress(count)


def _is(entry: Entry, file: FileEntry) -> bool:
    """Whether *file* is what *entry* stands for, where the source tells its content by a digest or a mark of its own."""
    marked = entry.archive is None and (entry.sha256 is not None or entry.etag is not None)
    return marked and planning.matches(entry, file)
