"""How an S3 store is reached: by whose keys, at which address, believing which certificates; what its refusals mean.

Requests for bytes are signed here, one by one, so that keys which end are followed by new ones. Where the environment says
all there is to know of a store (`lading.sources.s3_plain`) nothing else is asked; else, and where such a store refuses
something, botocore is (`lading.sources.s3_botocore`): it knows more, and takes half a second of a processor to load.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lading.errors import InvalidInput, SourceError
from lading.sources import s3_plain
from lading.sources import s3_signing as signing
from lading.sources.connection import Get, without_secrets
from lading.sources.s3_place import Place
from lading.spec.pull import PLAIN, Choices

if TYPE_CHECKING:
    from lading.sources.s3_botocore import Store


class Access:
    """A store, as one user reaches it. Thread-safe.

    ``choices.endpoint`` is that of another store than AWS, ``http://127.0.0.1:9000``; buckets are then in the path, not the
    host name. Without it botocore's configuration decides (``AWS_ENDPOINT_URL``, profiles).

    Attributes:
        trust: Which servers are believed.
        paid: What every call of `client` is given besides, where the requester pays.

    Raises:
        InvalidInput: The endpoint, the profile or another part of the configuration cannot be used.
        SourceDenied: The configuration names where credentials come from, and none came.
    """

    def __init__(self, choices: Choices = PLAIN) -> None:
        _check_endpoint(choices.endpoint)
        self._choices = choices
        self._headers = {"x-amz-request-payer": "requester"} if choices.requester_pays else {}
        self.paid = {"RequestPayer": "requester"} if choices.requester_pays else {}
        self._lock = threading.RLock()
        self._addresses: dict[str, _Address] = {}
        self._used = threading.local()
        self._plain = s3_plain.found(choices)
        self.trust = self._plain.trust if self._plain else self._store.trust

    @cached_property
    def _store(self) -> "Store":
        from lading.sources.s3_botocore import Store

        return Store(self._choices)

    @property
    def client(self) -> Any:
        """botocore's; its faults are to be met by `faults`."""
        with self._lock:
            return self._store.client

    @property
    def signed(self) -> bool:
        """Whether requests are somebody's; without credentials they are anyone's."""
        return self._plain.keys is not None if self._plain else self._store.signed

    def is_plain(self, bucket: str) -> bool:
        """Whether requests for *bucket* can be made without botocore's help."""
        return self._plain is not None and s3_plain.is_bucket(bucket)

    def ask_botocore(self) -> None:
        """From now on: the store refused something, and may be in another region, or want other keys."""
        with self._lock:
            self._plain = None
            self._addresses.clear()

    def request(
        self,
        method: str,
        place: Place,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        payload_sha256: str = signing.EMPTY_SHA256,
    ) -> Get:
        """A request for *place*, signed now; headers that do not begin with ``x-amz-`` may be added later.

        Raises:
            SourceDenied, SourceTransient: There are no credentials any more, or they cannot be fetched now.
        """
        with self.faults(str(place)):
            address = self._address(place.bucket)
            url = address.base + signing.encoded_path(place.key)
            asked = {**(query or {}), **({"versionId": place.version} if place.version else {})}
            if asked:
                url += f"?{signing.encoded_query(asked)}"
            sent = {**self._headers, **(headers or {})}
            keys = self._keys()
            if keys is not None:
                self._used.keys = keys
                sent = signing.signed(
                    method, url, sent, keys=keys, region=address.region, at=datetime.now(UTC),
                    payload_sha256=payload_sha256,
                )  # fmt: skip
        return Get(url=url, shown=str(place), headers=sent, method=method)

    def renew(self) -> bool:
        """Look for credentials anew, where the store refused those of this thread's last request; whether others were found.

        Also where botocore holds them good: a file that another program writes, a token that was revoked.
        """
        if not self.signed:
            return False
        with self._lock, self.faults("the store"):
            if self._keys() != self._used.keys:
                return True  # botocore, or another thread, did meanwhile
            if self._plain is not None:
                self._plain = s3_plain.found(self._choices)  # None: what there is now, botocore has to find
            else:
                self._store.renew()
            return self._keys() not in {None, self._used.keys}

    def close(self) -> None:
        """Close all connections of `client`."""
        if "_store" in vars(self):
            self._store.client.close()

    @contextmanager
    def faults(self, shown: str, *, missing: Callable[[str], SourceError] | None = None) -> Iterator[None]:
        """What botocore raises, in our words; *shown* is what was asked for, *missing* tells of what is not there by its code."""
        try:
            yield
        except _of_botocore() as error:
            from lading.sources import s3_faults

            endpoint = without_secrets(self.client.meta.endpoint_url)
            told = s3_faults.told(error, shown, endpoint=endpoint, signed=self.signed, missing=missing)
            raise told from (None if s3_faults.may_hold_a_secret(error) else error)

    def _keys(self) -> signing.Keys | None:
        return self._plain.keys if self._plain else self._store.keys()

    def _address(self, bucket: str) -> "_Address":
        """Where the bucket's objects are: botocore is asked once, and knows endpoints and styles."""
        known = self._addresses.get(bucket)
        if known is None:
            with self._lock:
                if self._plain is not None and s3_plain.is_bucket(bucket):
                    base, region = f"{self._plain.endpoint}/{bucket}/", self._plain.region
                else:
                    base, region = self._store.address(bucket)
            known = _Address(base=base, region=region)
            self._addresses[bucket] = known
        return known


def _of_botocore() -> tuple[type[Exception], ...]:
    """What botocore raises; looked up when something was raised, and nothing before botocore was loaded."""
    if "botocore" not in sys.modules:
        return ()
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """What comes before a bucket's keys, and the region that signatures name."""

    base: str
    region: str


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is not None and "@" in endpoint:
        raise InvalidInput(
            "--endpoint has a user or password in it",
            hint="give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or as a profile",
        )
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise InvalidInput(f"--endpoint {endpoint!r} is not an address", hint=f"write `--endpoint http://{endpoint}`")
