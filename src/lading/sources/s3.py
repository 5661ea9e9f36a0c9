"""Objects below a prefix of an S3 bucket as a source.

botocore finds the credentials, lists and signs; the bytes go through `get`. The prefix is a directory, exactly: `s3://b/granite` is
never also ``granite-2/…``. Empty objects are files; keys that end in ``/`` are directory markers and no files.
"""

import asyncio
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, ClassVar

import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ProfileNotFound,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from lading.errors import (
    InvalidInput,
    InvalidReference,
    SourceDenied,
    SourceError,
    SourceMissing,
    SourceTransient,
)
from lading.sources.connection import SOCKET_TIMEOUT_S, Get, Trust, without_secrets
from lading.sources.get import RangeReader
from lading.spec.credentials import ADDRESSING_VARIABLE, ANONYMOUS_VARIABLE, VERIFY_TLS_VARIABLE
from lading.spec.documents import nearest
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import Reference, SourceRef
from lading.weights import listing
from lading.weights.listing import Entry, Listing

SIGNATURE_LIFE_S = 900
_DENIED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed",
     "AuthorizationHeaderMalformed", "401", "403"}
)  # fmt: skip
_MISSING = frozenset({"NoSuchBucket", "NoSuchKey", "InvalidBucketName", "404"})


class S3Source:
    """Reads ``s3://bucket/prefix``.

    ``choices.endpoint`` is that of another store than AWS, ``http://127.0.0.1:9000``; buckets are then in the path, not the
    host name. Without it botocore's configuration decides (``AWS_ENDPOINT_URL``, profiles).
    """

    understands: ClassVar = frozenset({"endpoint", "requester_pays", "verify_tls"})

    def __init__(self, *, choices: Choices = PLAIN) -> None:
        self._client = _client(choices.endpoint)
        self._signed = self._client.meta.config.signature_version is not UNSIGNED
        self._bucket = ""
        self._signing = threading.Lock()
        self._reader = RangeReader(
            self._get, trust=Trust(cafile=os.environ.get("AWS_CA_BUNDLE") or None, verify=_verified())
        )

    async def resolve(self, ref: Reference) -> Listing:
        """The objects below the prefix, or the one object of that key."""
        if not isinstance(ref, SourceRef) or ref.scheme != "s3":
            raise InvalidReference(f"{ref} is not s3://bucket/prefix")
        return await asyncio.to_thread(self._resolve, ref)

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """See `lading.ports.Source.read_into`."""
        return self._reader.read_into(entry, offset, buffer, end=end)

    def close(self) -> None:
        """Close all connections."""
        self._reader.close()
        self._client.close()

    def _resolve(self, ref: SourceRef) -> Listing:
        self._bucket, _, key = ref.location.partition("/")
        prefix = key if not key or key.endswith("/") else f"{key}/"
        with self._faults(ref):
            entries = [self._entry(item, prefix) for item in self._objects(prefix) if _is_file(item)]
            if not entries and key and not key.endswith("/"):
                entries = [self._entry(item, key.rpartition("/")[0] + "/") for item in self._exactly(key)]
        if not entries:
            raise SourceMissing(f"{ref} has no objects", hint=self._near(ref, key))
        return listing.listing(ref, self._name(key, entries), entries)

    def _name(self, key: str, entries: Sequence[Entry]) -> str:
        """The prefix's last part, a single object's without its suffix, else the bucket."""
        last = PurePosixPath(key).name or self._bucket
        return PurePosixPath(last).stem if [entry.path for entry in entries] == [last] else last

    def _objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            yield from page.get("Contents", ())

    def _exactly(self, key: str) -> list[dict[str, Any]]:
        """The object of that very key: in the order of a listing it is the first of its prefix."""
        page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
        return [item for item in page.get("Contents", ()) if item["Key"] == key]

    def _entry(self, item: dict[str, Any], prefix: str) -> Entry:
        path = item["Key"].removeprefix(prefix)
        return Entry(path=path, size_bytes=item["Size"], etag=item["ETag"], key=f"{self._bucket}/{item['Key']}")

    def _get(self, entry: Entry) -> Get:
        """A signed request; the signature is for this object alone and a quarter of an hour."""
        bucket, _, key = entry.key.partition("/")
        with self._signing:
            url = self._client.generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=SIGNATURE_LIFE_S
            )
        return Get(url=url, shown=f"s3://{entry.key}")

    def _near(self, ref: SourceRef, key: str) -> str | None:
        """The nearest prefixes that are there; nothing where they may not be listed."""
        parent = key.rstrip("/").rpartition("/")[0]
        parent = f"{parent}/" if parent else ""
        try:
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=parent, Delimiter="/", MaxKeys=1000)
        except (ClientError, BotoCoreError):
            return None
        found = [item["Prefix"] for item in page.get("CommonPrefixes", ())]
        return (
            _suggestion(f"s3://{self._bucket}/", key.rstrip("/") + "/", found)
            or f"the bucket has nothing below {str(ref)!r}"
        )

    def _near_bucket(self) -> str | None:
        try:
            found = [item["Name"] for item in self._client.list_buckets().get("Buckets", ())]
        except (ClientError, BotoCoreError):
            return None
        return _suggestion("s3://", self._bucket, found)

    @contextmanager
    def _faults(self, ref: SourceRef) -> Iterator[None]:
        """What botocore raises, in our words."""
        try:
            yield
        except ClientError as error:
            raise self._told(ref, error) from error
        except NoCredentialsError as error:
            raise SourceDenied(f"no credentials for {ref} were found", hint=_CREDENTIALS) from error
        except SSLError as error:
            raise SourceError(
                f"the certificate of {without_secrets(self._client.meta.endpoint_url)} cannot be trusted",
                hint="name your CA bundle in AWS_CA_BUNDLE",
            ) from error
        except (HTTPClientError, BotoConnectionError) as error:
            raise SourceTransient(
                f"{without_secrets(self._client.meta.endpoint_url)} cannot be reached: {_reason(error)}",
                hint="is --endpoint right, is the server up?",
            ) from error
        except BotoCoreError as error:
            raise SourceError(f"{ref}: {error}") from error

    def _told(self, ref: SourceRef, error: ClientError) -> SourceError:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _MISSING:
            return SourceMissing(f"there is no bucket {self._bucket!r} ({code})", hint=self._near_bucket())
        if code in _DENIED or status in {401, 403}:
            what = "refused the credentials" if self._signed else "wants credentials, and none were found"
            return SourceDenied(f"{ref}: the store {what} ({code})", hint=_CREDENTIALS)
        if status >= 500 or code in {"SlowDown", "RequestTimeout", "ServiceUnavailable"}:
            return SourceTransient(f"{ref}: the store answered {status} {code}", hint="try again later")
        return SourceError(f"{ref}: the store answered {status} {code}")


_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to an account that may list and read it"
)


def _client(endpoint: str | None) -> Any:
    """A client of botocore: path style for every store that is not AWS, unsigned where there are no credentials."""
    if endpoint is not None and "@" in endpoint:
        raise InvalidInput(
            "--endpoint has a user or password in it",
            hint="give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or as a profile",
        )
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise InvalidInput(f"--endpoint {endpoint!r} is not an address", hint=f"write `--endpoint http://{endpoint}`")
    try:
        session = botocore.session.get_session()
        signed = os.environ.get(ANONYMOUS_VARIABLE) != "true" and session.get_credentials() is not None
        style = os.environ.get(ADDRESSING_VARIABLE, "auto")
        client = _made(session, endpoint, _config(style, signed=signed))
        if style != "auto" or ".amazonaws." in client.meta.endpoint_url:
            return client
        return _made(session, endpoint, _config("path", signed=signed))
    except ProfileNotFound as error:
        raise InvalidInput(str(error), hint="AWS_PROFILE names a profile of ~/.aws/config") from error
    except (BotoCoreError, ValueError) as error:
        raise InvalidInput(f"the S3 configuration cannot be used: {error}") from error


def _made(session: botocore.session.Session, endpoint: str | None, config: Config) -> Any:
    region = session.get_config_variable("region") or "us-east-1"
    unchecked = {} if _verified() else {"verify": False}
    return session.create_client("s3", region_name=region, endpoint_url=endpoint, config=config, **unchecked)


def _verified() -> bool:
    return os.environ.get(VERIFY_TLS_VARIABLE) != "false"


def _config(style: str, *, signed: bool) -> Config:
    return Config(
        signature_version="s3v4" if signed else UNSIGNED,
        s3={"addressing_style": style},
        connect_timeout=SOCKET_TIMEOUT_S,
        read_timeout=SOCKET_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 3},
        user_agent_extra="lading",
    )


def _is_file(item: dict[str, Any]) -> bool:
    """Whether a listed object is a file: a key that ends in ``/`` marks a directory.

    Raises:
        SourceError: Such a key with bytes in it: they could not be written, and must not be lost silently.
    """
    if not item["Key"].endswith("/"):
        return True
    if item["Size"]:
        raise SourceError(f"the object {item['Key']!r} has {item['Size']} bytes under a directory's name")
    return False


def _suggestion(start: str, wanted: str, found: list[str]) -> str | None:
    """The found name most like the wanted one, else the first few."""
    if not found:
        return None
    near = nearest(wanted, found)
    if near:
        return f"did you mean {start}{near}?"
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return "there are: " + ", ".join(f"{start}{name}" for name in found[:5]) + more


def _reason(error: BotoCoreError) -> str:
    """Botocore's own kind of fault, as words: ``EndpointConnectionError`` → ``endpoint connection error``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
