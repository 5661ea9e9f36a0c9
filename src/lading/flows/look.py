"""Look at what models a source has, before anything is fetched: names and sizes by its listing, heads of files by ranges."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from lading import transfer
from lading.flows import threads
from lading.ports.source import Source
from lading.spec.ref import Reference
from lading.weights import folders
from lading.weights.folders import ModelFolder
from lading.weights.listing import Listing

AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A model at a source, and what keeps a server from loading it; None: nothing that was seen."""

    folder: ModelFolder
    problem: str | None


async def look(source: Source, ref: Reference) -> tuple[Listing, tuple[Seen, ...]]:
    """What is at *ref*, and the models in it, by path. A few kilobytes of each are read, its tensors never.

    Raises:
        SourceError: As the source raises it of its listing; what cannot be read of a model is that model's problem.
    """
    listing = await source.resolve(ref)
    cancel = threading.Event()
    found = folders.models(listing.entries)
    return listing, await threads.in_thread(lambda: tuple(_seen(source, found, cancel)), cancel)


def _seen(source: Source, found: Iterable[ModelFolder], cancel: threading.Event) -> Iterable[Seen]:
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="lading-look") as pool:
        return list(pool.map(partial(_judged, source, cancel), found))


def _judged(source: Source, cancel: threading.Event, folder: ModelFolder) -> Seen:
    files = folder.files

    def read(path: str, offset: int, size_bytes: int) -> bytes:
        return transfer.part(source, files[path], offset, size_bytes, cancel=cancel)

    return Seen(folder=folder, problem=folders.problem(folder, read))
