"""Google Cloud Storage and Azure Blob Storage as sources, by `obstore`; an extra, and an example of a source by entry point.

``gs://bucket/prefix``
    Credentials as Google's tools find them (``GOOGLE_APPLICATION_CREDENTIALS``, the machine's own); an emulator, or a
    public bucket of it, by ``STORAGE_EMULATOR_HOST``.
``az://container/prefix``
    The account and its credentials by ``AZURE_STORAGE_ACCOUNT_NAME`` and ``AZURE_STORAGE_*``; an emulator by
    ``AZURE_STORAGE_ENDPOINT``.

Every request for bytes names the ETag that was listed. `obstore` retries nothing here: that is the mover's to do, which
knows what was written.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from lading.errors import (
    InvalidReference,
    MissingExtra,
    SourceBusy,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceMissing,
    SourceTransient,
)
from lading.sources.per_thread import PerThread
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import Reference, SourceRef
from lading.weights import listing
from lading.weights.listing import Entry, Listing

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import ObjectStore

READ_TIMEOUT_S = 5
FILL_S = 1.0
"""A read gives what it has after this long, so that a slow store cannot keep a caller from its cancel flag."""
_STATUS = re.compile(r"status code: (\d{3})|\b(?:status|Status): (\d{3})")

Connect = Callable[[str], "ObjectStore"]
"""The store of a bucket or container."""


class ObjectSource:
    """Objects below a prefix of any store that `obstore` reads.

    The prefix is a directory, exactly, or one object.

    Args:
        scheme: What its references begin with.
        connect: Called once for each bucket.
    """

    def __init__(self, scheme: str, connect: Connect) -> None:
        if find_spec("obstore") is None:
            raise MissingExtra(f"{scheme}://", extra="obstore")
        self._scheme = scheme
        self._connect = connect
        self._stores: dict[str, ObjectStore] = {}
        self._open: PerThread[_Body] = PerThread()

    async def resolve(self, ref: Reference) -> Listing:
        """The objects below the prefix, or the one object of that key."""
        if not isinstance(ref, SourceRef) or ref.scheme != self._scheme:
            raise InvalidReference(f"{ref} is not {self._scheme}://BUCKET/PREFIX")
        return await asyncio.to_thread(self._resolve, ref)

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """See `lading.ports.source.Source.read_into`."""
        size_bytes = entry.size_bytes or 0
        end = size_bytes if end is None else min(end, size_bytes)
        if offset >= end:
            return 0
        body = self._open.get()
        if body is None or (body.key, body.position) != (entry.key, offset):
            body = self._open.put(self._body(entry, offset, end))
        try:
            with _faults(self._shown(entry)):
                return body.fill(buffer[: end - offset])
        except SourceError:
            self._open.drop()
            raise

    def close(self) -> None:
        """Let go of all connections."""
        self._open.close()
        self._stores.clear()

    def _resolve(self, ref: SourceRef) -> Listing:
        import obstore

        bucket, _, key = ref.location.partition("/")
        prefix = key.rstrip("/")
        with _faults(ref.shown):
            store = self._store(bucket)
            found = [item for batch in obstore.list(store, prefix or None) for item in batch]
            if not found and prefix:
                with suppress(FileNotFoundError):
                    found = [obstore.head(store, prefix)]
                    prefix = prefix.rpartition("/")[0]
        if not found:
            raise SourceMissing(f"{ref.shown} has no objects", hint="check the name")
        entries = [_entry(bucket, item, prefix) for item in _without_markers(found)]
        name = entries[0].path if key and len(entries) == 1 and key.endswith(entries[0].path) else None
        return listing.listing(ref, PurePosixPath(name).stem if name else _last(key) or bucket, entries)

    def _store(self, bucket: str) -> "ObjectStore":
        return self._stores.get(bucket) or self._stores.setdefault(bucket, self._connect(bucket))

    def _body(self, entry: Entry, offset: int, end: int) -> "_Body":
        import obstore

        bucket, _, path = entry.key.partition("/")
        shown = self._shown(entry)
        options: GetOptions = {"range": (offset, end)}
        if entry.etag and entry.etag.startswith('"'):
            options["if_match"] = entry.etag
        with _faults(shown):
            answer = obstore.get(self._store(bucket), path, options=options)
        if (_mark(answer.meta), answer.meta["size"]) != (entry.etag, entry.size_bytes):
            raise _changed(shown)
        if answer.range[0] != offset:
            raise SourceError(
                f"{shown} was asked for bytes from {offset} and answered with bytes from {answer.range[0]}"
            )
        return _Body(entry.key, offset, map(memoryview, answer.stream(min_chunk_size=1)))

    def _shown(self, entry: Entry) -> str:
        return f"{self._scheme}://{entry.key}"


class GoogleSource(ObjectSource):
    """Reads ``gs://bucket/prefix``."""

    understands: ClassVar = frozenset({"endpoint", "verify_tls"})

    def __init__(self, *, choices: Choices = PLAIN) -> None:
        super().__init__("gs", partial(_google, choices=choices, environment=os.environ))


class AzureSource(ObjectSource):
    """Reads ``az://container/prefix``."""

    understands: ClassVar = frozenset({"endpoint", "verify_tls"})

    def __init__(self, *, choices: Choices = PLAIN) -> None:
        super().__init__("az", partial(_azure, choices=choices, environment=os.environ))


def _google(bucket: str, *, choices: Choices, environment: Mapping[str, str]) -> "ObjectStore":
    from obstore.store import GCSStore

    emulator = environment.get("STORAGE_EMULATOR_HOST")
    config: dict[str, Any] = {}
    if emulator:
        config = {"base_url": emulator if "://" in emulator else f"http://{emulator}", "skip_signature": True}
    if choices.endpoint:
        config["base_url"] = choices.endpoint
    return GCSStore(bucket, **config, **_client(choices, config.get("base_url")))


def _azure(container: str, *, choices: Choices, environment: Mapping[str, str]) -> "ObjectStore":
    from obstore.store import AzureStore

    endpoint = choices.endpoint or environment.get("AZURE_STORAGE_ENDPOINT")
    config: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    return AzureStore(container, **config, **_client(choices, endpoint))


def _client(choices: Choices, endpoint: str | None) -> dict[str, Any]:
    """How requests are sent: tried once, given up when nothing comes, and plain only where an address says so."""
    options = {
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
        "allow_invalid_certificates": not choices.verify_tls,
        "connect_timeout": timedelta(seconds=READ_TIMEOUT_S),
        "read_timeout": timedelta(seconds=READ_TIMEOUT_S),
        "timeout": timedelta(days=1),  # of a whole answer, however long it is; silence ends it before
    }
    return {
        "client_options": options,
        "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=READ_TIMEOUT_S)},
    }


@dataclass(slots=True)
class _Body:
    """The body of one answer, read in order; *position* is the offset in the object of the next byte."""

    key: str
    position: int
    chunks: Iterator[memoryview]
    piece: memoryview = field(default_factory=lambda: memoryview(b""))

    def fill(self, buffer: memoryview) -> int:
        got, until = 0, time.monotonic() + FILL_S
        while got < len(buffer) and time.monotonic() < until:
            if not self.piece:
                self.piece = next(self.chunks, memoryview(b""))
                if not self.piece:
                    break
            count = min(len(self.piece), len(buffer) - got)
            buffer[got : got + count] = self.piece[:count]
            self.piece = self.piece[count:]
            got += count
        if got == 0:
            raise SourceTransient("the store ended an answer before its end")
        self.position += got
        return got

    def close(self) -> None:
        """Let go of the answer."""
        self.chunks = iter(())


@contextmanager
def _faults(shown: str) -> Iterator[None]:
    """What a store can say, in our words: its own have the whole request in them, and so what is secret of it."""
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError:
        raise SourceMissing(f"{shown} does not exist", hint="check the name") from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
        raise _denied(shown) from None
    except (exceptions.PreconditionError, exceptions.NotModifiedError):
        raise _changed(shown) from None
    except exceptions.InvalidPathError:
        raise InvalidReference(f"{shown} has a name that this store cannot have") from None
    except exceptions.GenericError as error:
        raise _meaning(str(error), shown) from None
    except exceptions.BaseError as error:
        raise SourceError(f"{shown} cannot be read ({type(error).__name__})") from None


def _meaning(text: str, shown: str) -> SourceError:
    """The error that a store's general one is, by the status in its text."""
    found = _STATUS.search(text)
    status = int(found[1] or found[2]) if found else None
    if status in {401, 403}:
        return _denied(shown)
    if status in {429, 503}:
        return SourceBusy(f"{shown} answered {status}", hint="the store asks for fewer requests; try again later")
    if status is not None and status < 500 and status != 408:
        return SourceError(f"{shown} answered {status}")
    if "must be specified" in text or "Missing" in text.partition("\n")[0]:
        return SourceDenied(f"{shown}: nothing says whose it is, or by which credentials", hint=_CREDENTIALS)
    said = f"answered {status}" if status else "cannot be reached"
    return SourceTransient(f"{shown} {said}", hint="is the address right, is the store up?")


_CREDENTIALS = "Google: GOOGLE_APPLICATION_CREDENTIALS; Azure: AZURE_STORAGE_ACCOUNT_NAME and a key, token or identity"


def _denied(shown: str) -> SourceDenied:
    return SourceDenied(f"{shown} refused the request", hint="check the credentials and what they may read")


def _changed(shown: str) -> SourceChanged:
    return SourceChanged(
        f"{shown} changed while it was read", hint="run the same command again: it takes the source as it is then"
    )


def _mark(meta: "ObjectMeta") -> str:
    """The store's mark of a content: its ETag, else when it was last changed."""
    return meta["e_tag"] or meta["last_modified"].isoformat()


def _without_markers(found: "list[ObjectMeta]") -> "list[ObjectMeta]":
    """*found* without the empty objects that some tools write to show a directory."""
    folders = {parent for item in found for parent in _parents(item["path"])}
    return [item for item in found if item["size"] or item["path"] not in folders]


def _parents(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


def _entry(bucket: str, item: "ObjectMeta", prefix: str) -> Entry:
    path = item["path"].removeprefix(f"{prefix}/") if prefix else item["path"]
    return Entry(path=path, size_bytes=item["size"], etag=_mark(item), key=f"{bucket}/{item['path']}")


def _last(key: str) -> str:
    return key.rstrip("/").rpartition("/")[2]
