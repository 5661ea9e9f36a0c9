"""Files from a source to a staging: in ranges over several connections, hashed in order while they arrive.

Big files first, and beside them a crew for the small ones (`transfer.crew`).
"""

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from lading.errors import Cancelled, LadingError
from lading.events import Emit, ignore
from lading.ports.source import Source
from lading.ports.volume import Staging
from lading.transfer.crew import Crew, Hashes, Shape, Shared
from lading.transfer.hashing import FileHash
from lading.transfer.meter import Meter
from lading.transfer.pace import Rate
from lading.transfer.patience import PATIENT, Patience
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry

NO_LIMIT = Rate(None)
PLAIN = Shape()


def run(
    entries: Iterable[Entry],
    source: Source,
    staging: Staging,
    *,
    cancel: threading.Event,
    meter: Meter,
    emit: Emit = ignore,
    patience: Patience = PATIENT,
    rate: Rate = NO_LIMIT,
    shape: Shape = PLAIN,
    hashes: Hashes = FileHash,
) -> tuple[FileEntry, ...]:
    """Write all *entries*, the biggest first, to *staging*; what was written, sorted by path.

    When a file fails nothing new is begun; pieces under way are finished and kept for the next run. *emit* is called from
    several threads. *hashes* makes what hashes a file.

    Raises:
        Cancelled: *cancel* was set; seen within a buffer or a socket's time-out.
        LadingError: The first file's failure.
    """
    ordered = sorted(entries, key=lambda entry: -(entry.size_bytes or 0))
    small = [entry for entry in ordered if entry.size_bytes is not None and entry.size_bytes <= shape.small_bytes]
    big = [entry for entry in ordered if entry.size_bytes is None or entry.size_bytes > shape.small_bytes]
    shared = Shared(
        source=source,
        staging=staging,
        cancel=cancel,
        meter=meter,
        emit=emit,
        patience=patience,
        rate=rate,
        shape=shape,
        hashes=hashes,
    )
    crews = (
        Crew(shared, big, threads=shape.workers, first=shape.first_workers, buffer_bytes=shape.part_bytes),
        Crew(
            shared, small, threads=shape.small_workers, first=shape.first_small_workers, buffer_bytes=shape.small_bytes
        ),
    )
    try:
        _together(crews)
    finally:
        for crew in crews:
            crew.close()
    if shared.failures:
        raise _worst(shared.failures)
    if any(crew.queue for crew in crews) or cancel.is_set():
        raise Cancelled("interrupted")
    return tuple(sorted(shared.written, key=lambda file: file.path))


def _together(crews: Sequence["Crew"]) -> None:
    """Run all threads of all crews to their end; what crashed one of them is raised when all have ended."""
    with ThreadPoolExecutor(sum(crew.size for crew in crews) or 1, thread_name_prefix="lading-transfer") as pool:
        threads: list[Future[None]] = [pool.submit(crew.work) for crew in crews for _ in range(crew.size)]
    for thread in threads:
        thread.result()


def _worst(failures: Sequence[LadingError]) -> LadingError:
    """The failure to tell: the first that is not merely the stop."""
    return next((error for error in failures if not isinstance(error, Cancelled)), failures[0])
