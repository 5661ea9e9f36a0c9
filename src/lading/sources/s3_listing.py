"""What lies in a bucket below a prefix, page by page; in a bucket that keeps versions, which version of each it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from botocore.exceptions import ClientError

from lading.errors import SourceDenied, SourceError, SourceMissing
from lading.sources.s3_access import Access
from lading.weights import beside

_KEEPS_VERSIONS = frozenset({"Enabled", "Suspended"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One object, as its listing tells of it; *version* None where the bucket keeps none, or does not show them."""

    key: str
    size_bytes: int
    etag: str
    version: str | None = None


def below(access: Access, bucket: str, prefix: str) -> Iterator[Stored]:
    """All objects whose keys begin with *prefix*, by key, without directory markers.

    Raises:
        SourceError: A marker has bytes in it: they could not be written, and must not be lost silently.
        ClientError, BotoCoreError: As botocore raises them (`Access.faults`).
    """
    listed = _versions if _are_versions_read(access, bucket, prefix) else _plain
    for item in listed(access, bucket, prefix):
        if not item.key.endswith("/"):
            yield item
        elif item.size_bytes:
            raise SourceError(f"the object {item.key!r} has {item.size_bytes} bytes under a directory's name")


def exactly(access: Access, bucket: str, key: str, version: str | None = None) -> Iterator[Stored]:
    """The object of that very *key*, of that *version* if there is one given; nothing where there is none."""
    if version is None:
        first = islice(below(access, bucket, key), 1)  # in the order of a listing, the first of its prefix
        yield from (item for item in first if item.key == key)
        return
    found = access.client.head_object(Bucket=bucket, Key=key, VersionId=version, **access.paid)
    yield Stored(key=key, size_bytes=found["ContentLength"], etag=found["ETag"], version=version)


def folders(access: Access, bucket: str, prefix: str) -> list[str]:
    """What follows *prefix* up to the next ``/``; of the first thousand."""
    page = access.client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/", MaxKeys=1000, **access.paid)
    return [item["Prefix"] for item in page.get("CommonPrefixes", ())]


def buckets(access: Access) -> list[str]:
    """The buckets that this user may see."""
    return [item["Name"] for item in access.client.list_buckets().get("Buckets", ())]


def manifest_beside(access: Access, bucket: str, prefix: str) -> bytes | None:
    """The manifest that a push left beside *prefix*; None where there is none, or where it may not be read."""
    key = beside.manifest_key(prefix)
    try:
        with access.faults(f"s3://{bucket}/{key}", missing=SourceMissing):
            found = access.client.get_object(Bucket=bucket, Key=key, **access.paid)
            text: bytes = found["Body"].read()
            return text
    except (SourceMissing, SourceDenied):
        return None  # a store that may not be listed says "denied" of what is not there


def _plain(access: Access, bucket: str, prefix: str) -> Iterator[Stored]:
    pages = access.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **access.paid)
    for page in pages:
        for item in page.get("Contents", ()):
            yield Stored(key=item["Key"], size_bytes=item["Size"], etag=item["ETag"])


def _versions(access: Access, bucket: str, prefix: str) -> Iterator[Stored]:
    """The current version of each; what was deleted has none."""
    pages = access.client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix, **access.paid)
    for page in pages:
        for item in page.get("Versions", ()):
            if item["IsLatest"]:
                yield Stored(
                    key=item["Key"], size_bytes=item["Size"], etag=item["ETag"], version=item["VersionId"]
                )  # fmt: skip


def _are_versions_read(access: Access, bucket: str, prefix: str) -> bool:
    """Whether the bucket keeps versions, and this user may list and read them: three rights beside those of plain objects."""
    try:
        status = access.client.get_bucket_versioning(Bucket=bucket).get("Status")
        if status not in _KEEPS_VERSIONS:
            return False
        for first in islice(_versions(access, bucket, prefix), 1):
            access.client.head_object(Bucket=bucket, Key=first.key, VersionId=first.version, **access.paid)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchBucket":
            raise
        return False
    return True
