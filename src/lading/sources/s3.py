"""Objects below a prefix of an S3 bucket as a source.

The prefix is a directory, exactly: `s3://b/granite` is never also ``granite-2/…``. Empty objects are files; keys that end in
``/`` are directory markers and no files. Where the bucket keeps versions, what was listed is what is read, also when it is
replaced meanwhile; elsewhere a replaced object is refused.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import ClassVar

from lading.errors import InvalidReference, SourceMissing
from lading.sources import s3_checksums as checksums
from lading.sources import s3_listing as objects
from lading.sources.connection import Get
from lading.sources.get import RangeReader
from lading.sources.s3_access import Access
from lading.sources.s3_place import Place, Stored
from lading.spec.nearest import nearest
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import Reference, SourceRef
from lading.weights import beside, listing
from lading.weights.digests import PART_BYTES_KEY
from lading.weights.listing import Entry, Listing

SMALL_BYTES = 8 << 20
"""Below this a file is not worth a request that asks for its checksums: its ETag was listed."""
UNCHECKED = "the store's certificate is not checked: anyone on the way can answer in its place"
_VERSION = "?versionId="
_CHECKSUMS = {"x-amz-checksum-mode": "ENABLED"}


class S3Source:
    """Reads ``s3://bucket/prefix``, and ``s3://bucket/key?versionId=…`` of one object. See `Access` for *choices*."""

    understands: ClassVar = frozenset({"endpoint", "requester_pays", "verify_tls"})

    def __init__(self, *, choices: Choices = PLAIN) -> None:
        self._access = Access(choices)
        self._reader = RangeReader(self._get, trust=self._access.trust, renew=self._access.renew)
        self._asked: set[str] = set()
        self._etags_are_md5: bool | None = None
        self._lock = threading.Lock()

    async def resolve(self, ref: Reference) -> Listing:
        """The objects below the prefix, or the one object of that key."""
        if not isinstance(ref, SourceRef) or ref.scheme != "s3":
            raise InvalidReference(f"{ref} is not s3://bucket/prefix")
        return await asyncio.to_thread(self._resolve, ref)

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """See `lading.ports.source.Source.read_into`."""
        return self._reader.read_into(entry, offset, buffer, end=end)

    def digests(self, entry: Entry) -> Mapping[str, str]:
        """See `lading.ports.source.KnowsDigests.digests`.

        Of small files their listed ETag, once one of them showed that ETags are MD5s here; asked again, because the bytes
        differ from it, the store is asked after all.
        """
        small = (entry.size_bytes or 0) < SMALL_BYTES
        with self._lock:
            again = entry.key in self._asked
            self._asked.add(entry.key)
        if small and not again and self._etags_are_md5 is not None:
            return _listed_etag(entry) if self._etags_are_md5 else {}
        headers = self._reader.ask(lambda: self._head(entry))
        if headers is None:
            return {}
        tag = checksums.etag(headers)
        if small:
            self._etags_are_md5 = tag is not None
        return checksums.of_all_bytes(headers) or self._by_etag(entry, tag)

    def manifest(self, ref: Reference) -> bytes | None:
        """See `lading.ports.source.KeepsManifest.manifest`."""
        if not isinstance(ref, SourceRef):
            return None
        bucket, _, key = ref.location.partition("/")
        return objects.manifest_beside(self._access, bucket, key)

    def close(self) -> None:
        """Close all connections."""
        self._reader.close()
        self._access.close()

    def _resolve(self, ref: SourceRef) -> Listing:
        bucket, _, key = ref.location.partition("/")
        key, version = _without_version(key)
        prefix = key if not key or key.endswith("/") else f"{key}/"
        with self._access.faults(ref.shown, missing=lambda code: self._missing(ref, bucket, code)):
            found = [] if version else list(objects.below(self._access, bucket, prefix))
            if not found and key and not key.endswith("/"):
                prefix = key.rpartition("/")[0] + "/" if "/" in key else ""
                found = list(objects.exactly(self._access, bucket, key, version))
        found = [item for item in found if not beside.is_ours(item.key.removeprefix(prefix))]
        if not found:
            raise SourceMissing(f"{ref} has no objects", hint=self._near(ref, bucket, key))
        entries = [_entry(bucket, item, prefix) for item in found]
        notes = () if self._access.trust.verify else (UNCHECKED,)
        return replace(listing.listing(ref, _name(bucket, key, entries), entries), notes=notes)

    def _get(self, entry: Entry) -> Get:
        return self._access.request("GET", Place.of(entry.key))

    def _head(self, entry: Entry, part: int | None = None) -> Get:
        query = {"partNumber": str(part)} if part else {}
        return self._access.request("HEAD", Place.of(entry.key), query=query, headers={} if part else _CHECKSUMS)

    def _by_etag(self, entry: Entry, tag: str | None) -> dict[str, str]:
        """*tag* as a digest; of an upload in parts with the size of these, where the store tells it."""
        if tag is None:
            return {}
        count = checksums.part_count(tag)
        if count is None:
            return {"etag": tag}
        first = self._part_bytes(entry, 1)
        last = self._part_bytes(entry, count) if first and count > 1 else first
        if not first or not last or not checksums.are_even(entry.size_bytes or 0, count, first, last):
            return {}
        return {"etag": tag, PART_BYTES_KEY: str(first)}

    def _part_bytes(self, entry: Entry, number: int) -> int | None:
        headers = self._reader.ask(lambda: self._head(entry, number))
        return None if headers is None else checksums.part_size_bytes(headers)

    def _missing(self, ref: SourceRef, bucket: str, code: str) -> SourceMissing:
        if code not in {"NoSuchBucket", "InvalidBucketName"}:
            return SourceMissing(f"{ref} does not exist ({code})")
        near = _suggestion("s3://", bucket, objects.buckets(self._access))
        return SourceMissing(f"there is no bucket {bucket!r} ({code})", hint=near)

    def _near(self, ref: SourceRef, bucket: str, key: str) -> str | None:
        """The nearest prefixes that are there; nothing where they may not be listed."""
        parent = key.rstrip("/").rpartition("/")[0]
        found = objects.folders(self._access, bucket, f"{parent}/" if parent else "")
        if found is None:
            return None
        near = _suggestion(f"s3://{bucket}/", key.rstrip("/") + "/", found)
        return near or f"the bucket has nothing below {str(ref)!r}"


def _without_version(key: str) -> tuple[str, str | None]:
    """A key, and the version that follows it; keys may have other question marks."""
    plain, found, version = key.rpartition(_VERSION)
    return (plain, version) if found and plain and version else (key, None)


def _entry(bucket: str, item: Stored, prefix: str) -> Entry:
    return Entry(
        path=item.key.removeprefix(prefix),
        size_bytes=item.size_bytes,
        etag=item.etag,
        key=Place(bucket=bucket, key=item.key, version=item.version).text,
    )


def _name(bucket: str, key: str, entries: Sequence[Entry]) -> str:
    """The prefix's last part, a single object's without its suffix, else the bucket."""
    last = PurePosixPath(key).name or bucket
    return PurePosixPath(last).stem if [entry.path for entry in entries] == [last] else last


def _listed_etag(entry: Entry) -> dict[str, str]:
    tag = (entry.etag or "").strip('"')
    return {"etag": tag} if checksums.part_count(tag) is None and checksums.is_etag(tag) else {}


def _suggestion(start: str, wanted: str, found: list[str]) -> str | None:
    """The found name most like the wanted one, else the first few."""
    if not found:
        return None
    near = nearest(wanted, found)
    if near:
        return f"did you mean {start}{near}?"
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return "there are: " + ", ".join(f"{start}{name}" for name in found[:5]) + more
