"""A few bytes of a file, for who looks at heads and indexes before anything is moved."""

import threading
from functools import partial

from lading.errors import Cancelled, RangesRefused
from lading.ports.source import Source
from lading.transfer.patience import PATIENT, Attempts, Patience
from lading.weights.listing import Entry


def part(
    source: Source, entry: Entry, offset: int, size_bytes: int, *, cancel: threading.Event, patience: Patience = PATIENT
) -> bytes:
    """Up to *size_bytes* of *entry* from *offset* on; fewer only at its end. For heads and indexes: it is all in memory.

    Raises:
        Cancelled, SourceError: As `run`.
    """
    attempts = Attempts(patience, cancel)
    left = size_bytes if entry.size_bytes is None else max(0, min(size_bytes, entry.size_bytes - offset))
    data = memoryview(bytearray(left))
    got = 0
    end: int | None = offset + left
    while got < len(data):
        if cancel.is_set():
            raise Cancelled("interrupted")
        try:
            count = attempts.until_progress(partial(source.read_into, entry, offset + got, data[got:], end=end))
        except RangesRefused:
            end = None  # a server that gives whole files only is read up to there
            continue
        if count == 0:
            break
        got += count
    return bytes(data[:got])
