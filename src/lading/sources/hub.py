"""Models of a Hugging Face hub, or of a mirror of it, as a source: ``hf://org/name[@revision][/path]``.

A revision is resolved to its commit, and every file is asked for at that commit: what a branch does meanwhile is no concern. The hub
gives the SHA-256 of big files and git's name for small ones, and the bytes are held to these. Big files (LFS, Xet) come from where the
hub's links lead; a link is used for all ranges of its file until it ends. What Hugging Face's own cache has is read from there.
"""

import asyncio
import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

from lading.errors import InvalidReference, SourceDenied, SourceError, SourceMissing, SourceTransient
from lading.sources import hub_api, hub_home
from lading.sources.connection import SOCKET_TIMEOUT_S, Get, Trust
from lading.sources.get import RangeReader
from lading.sources.hub_api import Api, Link, Place
from lading.sources.per_thread import PerThread
from lading.spec.nearest import nearest
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import Reference, SourceRef
from lading.weights import listing
from lading.weights.listing import Entry, Listing


class HubSource:
    """Reads ``hf://``; where and as whom says the environment (`lading.sources.hub_home`)."""

    understands: ClassVar = frozenset({"endpoint", "verify_tls"})

    def __init__(self, *, choices: Choices = PLAIN) -> None:
        self._settings = hub_home.settings(choices.endpoint)
        self._trust = Trust(verify=choices.verify_tls)
        self._links = Links(self._settings, self._trust)
        self._small = RangeReader(self._from_hub, trust=self._trust)
        self._big = RangeReader(self._links.get, trust=self._trust)
        self._cached: PerThread[_Cached] = PerThread()
        self._begun: set[str] = set()
        self._doubted: set[str] = set()

    async def resolve(self, ref: Reference) -> Listing:
        """The files of the repository, or of a folder in it, or one file; pinned to a commit."""
        if not isinstance(ref, SourceRef) or ref.scheme != "hf":
            raise InvalidReference(f"{ref} is not hf://org/name")
        place = hub_api.parse(ref)
        return await asyncio.to_thread(self._resolve, place)

    def digests(self, entry: Entry) -> Mapping[str, str]:
        """Nothing more than the listing says. Asked for a second time, what was read before was wrong: not the cache's again."""
        if entry.key in self._begun:
            self._doubted.add(entry.key)
        self._begun.add(entry.key)
        return {}

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """See `lading.ports.source.Source.read_into`."""
        count = self._from_cache(entry, offset, buffer if end is None else buffer[: max(0, end - offset)])
        if count is not None:
            return count
        if self._settings.offline:
            raise SourceMissing(
                f"HF_HUB_OFFLINE is set, and {entry.key} is not, or not whole, in {self._settings.cache}"
            )
        unmarked = replace(entry, etag=None)  # mirrors and CDNs mark in their own ways; commit and digest pin it
        if entry.sha256 is None:
            return self._small.read_into(unmarked, offset, buffer, end=end)
        try:
            return self._big.read_into(unmarked, offset, buffer, end=end)
        except (SourceDenied, SourceMissing):
            if not self._links.forget(entry):
                raise
            return self._big.read_into(unmarked, offset, buffer, end=end)

    def close(self) -> None:
        """Close all connections and files."""
        for thing in (self._cached, self._small, self._big, self._links):
            thing.close()

    def _resolve(self, place: Place) -> Listing:
        if self._settings.offline:
            commit = hub_home.cached_commit(self._settings.cache, place.repo, place.revision)
            return _listing(place, commit, list(hub_home.cached_entries(self._settings.cache, place.repo, commit)))
        api = Api(self._settings, self._trust)
        try:
            commit, gated = api.commit(place)
            pinned = Place(repo=place.repo, revision=commit)
            found = replace(_listing(place, commit, list(api.files(pinned))), notes=self._notes())
            if gated:  # everybody may see the list: whether the files may be read is known now, not after half of them
                api.link(hub_api.parse(_reference(found.entries[0].key)), found.entries[0])
            return found
        finally:
            api.close()

    def _from_cache(self, entry: Entry, offset: int, buffer: memoryview) -> int | None:
        """Bytes of the cache's file of *entry*; None where there is none that can be read."""
        if entry.key in self._doubted:
            return None
        held = self._cached.get()
        if held is None or held.key != entry.key:
            held = self._cached.put(_Cached.of(entry, self._settings.cache))
        try:
            return None if held.descriptor is None else os.preadv(held.descriptor, [buffer], offset)
        except OSError:
            self._doubted.add(entry.key)
            return None

    def _notes(self) -> tuple[str, ...]:
        if self._trust.verify:
            return ()
        return (
            f"the certificate of {self._settings.endpoint} is not checked: anyone on the way can answer in its place",
        )

    def _from_hub(self, entry: Entry) -> Get:
        return Api(self._settings, self._trust).get(hub_api.parse(_reference(entry.key)))


class Links:
    """Where the bytes of big files are: one question to the hub for each file, until its link ends. Thread-safe."""

    def __init__(self, settings: hub_home.Settings, trust: Trust) -> None:
        self._settings = settings
        self._trust = trust
        self._apis: PerThread[Api] = PerThread()
        self._known: dict[str, Link] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def get(self, entry: Entry) -> Get:
        """The request for *entry*; where several threads want the same link, one asks.

        Raises:
            SourceTransient: Another thread waits for it still.
            As `Api.link`.
        """
        lock = self._locks[entry.key]
        if not lock.acquire(timeout=SOCKET_TIMEOUT_S):
            raise SourceTransient(f"{entry.key}: the hub has not said yet where it is")
        try:
            link = self._known.get(entry.key)
            if link is None or time.monotonic() >= link.until:
                api = self._apis.get() or self._apis.put(Api(self._settings, self._trust))
                link = self._known[entry.key] = api.link(hub_api.parse(_reference(entry.key)), entry)
        finally:
            lock.release()
        return Get(url=link.url, shown=entry.key, headers=link.headers)

    def forget(self, entry: Entry) -> bool:
        """Ask anew the next time, as the link was refused; False where there was none."""
        return self._known.pop(entry.key, None) is not None

    def close(self) -> None:
        """Close all connections."""
        self._apis.close()


@dataclass(frozen=True, slots=True)
class _Cached:
    """A file of the cache, open; without a descriptor: it is not there."""

    key: str
    descriptor: int | None

    @classmethod
    def of(cls, entry: Entry, cache: Path) -> "_Cached":
        place = hub_api.parse(_reference(entry.key))
        file = hub_home.cached_file(cache, place.repo, place.revision, place.path, entry)
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC) if file is not None else None
        except OSError:
            descriptor = None
        return cls(entry.key, descriptor)

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)


def _reference(key: str) -> SourceRef:
    return SourceRef(scheme="hf", location=key.removeprefix("hf://"))


def _listing(place: Place, commit: str, entries: Sequence[Entry]) -> Listing:
    """What of *entries*, all files of *commit*, *place* names; its reference has the commit, so that it stays the same."""
    pinned = replace(place, revision=commit)
    folder = f"{place.path}/" if place.path else ""
    inside = [entry for entry in entries if entry.path.startswith(folder)]
    if not inside:
        inside = [entry for entry in entries if entry.path == place.path]
        folder = place.path.removesuffix(PurePosixPath(place.path).name)
    if not inside:
        raise _nothing(place, entries)
    keyed = [
        replace(entry, path=entry.path.removeprefix(folder), key=str(replace(pinned, path=entry.path)))
        for entry in inside
    ]
    ref = SourceRef(scheme="hf", location=str(pinned).removeprefix("hf://"))
    return listing.listing(ref, _name(place, keyed), keyed, revision=commit)


def _name(place: Place, entries: Sequence[Entry]) -> str:
    """The repository's own name, with the folder's behind it; of a single file, its own without suffix."""
    last = PurePosixPath(place.path)
    if place.path and [entry.path for entry in entries] == [last.name]:
        return last.stem
    return "-".join([place.repo.rpartition("/")[2], *last.parts])


def _nothing(place: Place, entries: Sequence[Entry]) -> SourceError:
    if not place.path:
        return SourceMissing(f"{place} has no files", hint="another revision: hf://org/name@revision")
    near = nearest(place.path, [entry.path for entry in entries])
    return SourceMissing(
        f"{place.repo} has no file or folder {place.path!r} at {place.revision}",
        hint=f"did you mean hf://{place.repo}@{place.revision}/{near}?" if near else None,
    )
