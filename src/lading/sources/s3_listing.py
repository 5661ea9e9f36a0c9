"""What lies in a bucket below a prefix, page by page; in a bucket that keeps versions, which version of each it is."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from lading.errors import SourceDenied, SourceError, SourceMissing
from lading.sources import s3_pages as pages
from lading.sources.s3_access import Access
from lading.sources.s3_place import Place, Stored
from lading.weights import beside

_KEEPS_VERSIONS = frozenset({"Enabled", "Suspended"})


def below(access: Access, bucket: str, prefix: str, *, most: int | None = None) -> Iterator[Stored]:
    """All objects whose keys begin with *prefix*, or the first *most*, by key, without directory markers.

    Raises:
        SourceError: A marker has bytes in it: they could not be written, and must not be lost silently.
        ClientError, BotoCoreError: As botocore raises them (`Access.faults`).
    """
    for item in _listed(access, bucket, prefix, most):
        if not item.key.endswith("/"):
            yield item
        elif item.size_bytes:
            raise SourceError(f"the object {item.key!r} has {item.size_bytes} bytes under a directory's name")


def exactly(access: Access, bucket: str, key: str, version: str | None = None) -> Iterator[Stored]:
    """The object of that very *key*, of that *version* if there is one given; nothing where there is none."""
    if version is None:
        first = below(access, bucket, key, most=1)  # in the order of a listing, the first of its prefix
        yield from (item for item in first if item.key == key)
        return
    found = access.client.head_object(Bucket=bucket, Key=key, VersionId=version, **access.paid)
    yield Stored(key=key, size_bytes=found["ContentLength"], etag=found["ETag"], version=version)


def folders(access: Access, bucket: str, prefix: str) -> list[str] | None:
    """What follows *prefix* up to the next ``/``; of the first thousand. None where it may not be listed."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        page = access.client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/", MaxKeys=1000, **access.paid)
    except (BotoCoreError, ClientError):
        return None
    return [item["Prefix"] for item in page.get("CommonPrefixes", ())]


def buckets(access: Access) -> list[str]:
    """The buckets that this user may see."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return [item["Name"] for item in access.client.list_buckets().get("Buckets", ())]
    except (BotoCoreError, ClientError):
        return []


def manifest_beside(access: Access, bucket: str, prefix: str) -> bytes | None:
    """The manifest that a push left beside *prefix*; None where there is none, or where it may not be read."""
    key = beside.manifest_key(prefix)
    if access.is_plain(bucket):
        with _else_botocore(access):
            return pages.read(access, Place(bucket=bucket, key=key))
    try:
        with access.faults(f"s3://{bucket}/{key}", missing=SourceMissing):
            found = access.client.get_object(Bucket=bucket, Key=key, **access.paid)
            text: bytes = found["Body"].read()
            return text
    except (SourceMissing, SourceDenied):
        return None  # a store that may not be listed says "denied" of what is not there


def _listed(access: Access, bucket: str, prefix: str, most: int | None) -> Iterable[Stored]:
    """By the shortest way there is."""
    if access.is_plain(bucket):
        with _else_botocore(access):
            return list(islice(pages.below(access, bucket, prefix), most))
    listed = _versions if _are_versions_read(access, bucket, prefix) else _current
    return islice(listed(access, bucket, prefix), most)


@contextmanager
def _else_botocore(access: Access) -> Iterator[None]:
    try:
        yield
    except pages.Refused:
        access.ask_botocore()


def _current(access: Access, bucket: str, prefix: str) -> Iterator[Stored]:
    found = access.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **access.paid)
    with _readable(bucket):
        for page in found:
            for item in page.get("Contents", ()):
                yield Stored(key=item["Key"], size_bytes=item["Size"], etag=item["ETag"])


def _versions(access: Access, bucket: str, prefix: str) -> Iterator[Stored]:
    """The current version of each; what was deleted has none."""
    found = access.client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix, **access.paid)
    with _readable(bucket):
        for page in found:
            for item in page.get("Versions", ()):
                if item["IsLatest"]:
                    yield Stored(
                        key=item["Key"], size_bytes=item["Size"], etag=item["ETag"], version=item["VersionId"]
                    )  # fmt: skip


@contextmanager
def _readable(bucket: str) -> Iterator[None]:
    """What botocore, and we, cannot read as a listing, told as that: a proxy's page, another store's dialect."""
    try:
        yield
    except (KeyError, ValueError) as error:
        raise SourceError(
            f"what was answered as the listing of s3://{bucket} cannot be read",
            hint="is --endpoint an S3 store, without a proxy's page before it?",
        ) from error


def _are_versions_read(access: Access, bucket: str, prefix: str) -> bool:
    """Whether the bucket keeps versions, and this user may list and read them: three rights beside those of plain objects."""
    from botocore.exceptions import ClientError

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
