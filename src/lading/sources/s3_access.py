"""How an S3 store is reached: by whose keys, at which address, believing which certificates; what its refusals mean.

botocore finds the credentials (environment, profile, SSO, web identity, instance metadata), resolves endpoints, and makes
the few requests that list; requests for bytes are signed here, one by one, so that keys which end are followed by new ones.
"""

import os
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import botocore.session
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    ProfileNotFound,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.httpsession import get_cert_path
from urllib3.exceptions import InsecureRequestWarning

from lading.errors import InvalidInput, SourceBusy, SourceDenied, SourceError, SourceMissing, SourceTransient
from lading.sources import s3_signing as signing
from lading.sources.connection import SOCKET_TIMEOUT_S, Get, Trust, without_secrets
from lading.sources.get import skewed
from lading.spec.credentials import ADDRESSING_VARIABLE, ANONYMOUS_VARIABLE, VERIFY_TLS_VARIABLE
from lading.spec.pull import PLAIN, Choices

_DENIED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidTokenId",
     "AuthorizationHeaderMalformed", "401", "403"}
)  # fmt: skip
_MISSING = frozenset({"NoSuchBucket", "NoSuchKey", "NoSuchVersion", "InvalidBucketName", "404"})
_BUSY = frozenset({"SlowDown", "SlowDownRead", "ServiceUnavailable", "TooManyRequests", "429", "503"})
#: Requests that botocore makes of itself, to services that change one identity for another.
_GIVES_KEYS = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "GetSessionToken"})
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/")
_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to an account that may list and read it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One object; of one version, where its bucket keeps versions."""

    bucket: str
    key: str
    version: str | None = None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def text(self) -> str:
        """As one line, for `Place.of`."""
        return f"{self.bucket}/{quote(self.key)}" + (f"?{quote(self.version)}" if self.version else "")

    @classmethod
    def of(cls, text: str) -> "Place":
        """What `text` was made from."""
        path, _, version = text.partition("?")
        bucket, _, key = path.partition("/")
        return cls(bucket=bucket, key=unquote(key), version=unquote(version) or None)


class Access:
    """A store, as one user reaches it. Thread-safe.

    ``choices.endpoint`` is that of another store than AWS, ``http://127.0.0.1:9000``; buckets are then in the path, not the
    host name. Without it botocore's configuration decides (``AWS_ENDPOINT_URL``, profiles).

    Attributes:
        client: botocore's, for listing; its faults are to be met by `faults`.
        trust: Which servers are believed.
        paid: What every call of `client` is given besides, where the requester pays.

    Raises:
        InvalidInput: The endpoint, the profile or another part of the configuration cannot be used.
        SourceDenied: The configuration names where credentials come from, and none came.
    """

    def __init__(self, choices: Choices = PLAIN) -> None:
        _check_endpoint(choices.endpoint)
        self._headers = {"x-amz-request-payer": "requester"} if choices.requester_pays else {}
        self.paid = {"RequestPayer": "requester"} if choices.requester_pays else {}
        self._lock = threading.Lock()
        self._addresses: dict[str, _Address] = {}
        self._used = threading.local()
        with _configured():
            session = botocore.session.get_session()
            # Times are of no use here, and reading them takes as long as all else of a listing.
            session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
            verify = choices.verify_tls and os.environ.get(VERIFY_TLS_VARIABLE) != "false"
            self.trust = Trust(cafile=_authorities(session), verify=verify)
            self._credentials = None if os.environ.get(ANONYMOUS_VARIABLE) == "true" else session.get_credentials()
            self.client = _client(session, choices.endpoint, self.trust, signed=self.signed)
        self._region = ""
        self.client.meta.events.register("before-send.s3", self._note_region)

    @property
    def signed(self) -> bool:
        """Whether requests are somebody's; without credentials they are anyone's."""
        return self._credentials is not None

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
            if self._credentials is not None:
                self._used.keys = _keys(self._credentials)
                sent = signing.signed(
                    method, url, sent, keys=self._used.keys, region=address.region, at=datetime.now(UTC),
                    payload_sha256=payload_sha256,
                )  # fmt: skip
        return Get(url=url, shown=str(place), headers=sent, method=method)

    def renew(self) -> bool:
        """Look for credentials anew, where the store refused those of this thread's last request; whether others were found.

        Also where botocore holds them good: a file that another program writes, a token that was revoked.
        """
        if self._credentials is None:
            return False
        with self._lock, self.faults("the store"):
            if _keys(self._credentials) != self._used.keys:
                return True  # botocore, or another thread, did meanwhile
            found = botocore.session.get_session().get_credentials()
            if found is None or _keys(found) == self._used.keys:
                return False
            self._credentials = found
            return True

    def close(self) -> None:
        """Close all connections of `client`."""
        self.client.close()

    @contextmanager
    def faults(self, shown: str, *, missing: Callable[[str], SourceError] | None = None) -> Iterator[None]:
        """What botocore raises, in our words; *shown* is what was asked for, *missing* tells of what is not there by its code."""
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            if error.operation_name in _GIVES_KEYS:
                raise SourceDenied(
                    f"{shown}: {error.operation_name} gave no keys ({code})", hint=_CREDENTIALS
                ) from error
            if missing is not None and code in _MISSING:
                raise missing(code) from error
            raise _told(shown, code, error.response, signed=self.signed) from error
        except NoCredentialsError as error:
            raise SourceDenied(f"no credentials for {shown} were found", hint=_CREDENTIALS) from error
        except (SSOError, TokenRetrievalError) as error:
            profile = os.environ.get("AWS_PROFILE", "default")
            raise SourceDenied(f"{shown}: {error}", hint=f"aws sso login --profile {profile}") from error
        except CredentialRetrievalError as error:
            raise _not_given(shown, error) from None
        except SSLError as error:
            raise SourceError(
                f"the certificate of {without_secrets(self.client.meta.endpoint_url)} cannot be trusted",
                hint="name your CA bundle in AWS_CA_BUNDLE",
            ) from error
        except (HTTPClientError, BotoConnectionError) as error:
            raise SourceTransient(
                f"{without_secrets(self.client.meta.endpoint_url)} cannot be reached: {_reason(error)}",
                hint="is --endpoint right, is the server up?",
            ) from error
        except BotoCoreError as error:
            raise SourceError(f"{shown}: {error}") from error

    def _note_region(self, request: Any, **_: object) -> None:
        """Remember which region a request of `client` was signed for: the store says which, where it is another."""
        if scope := _SCOPE.search(_text(request.headers.get("Authorization", ""))):
            self._region = scope[1]

    def _address(self, bucket: str) -> "_Address":
        """Where the bucket's objects are: botocore is asked once, and knows endpoints and styles."""
        known = self._addresses.get(bucket)
        if known is None:
            with self._lock:
                url = self.client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "x"})
            known = _Address(
                base=url.partition("?")[0].removesuffix("x"), region=self._region or self.client.meta.region_name
            )
            self._addresses[bucket] = known
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """What comes before a bucket's keys, and the region that signatures name."""

    base: str
    region: str


def _keys(credentials: Any) -> signing.Keys:
    """Those to sign with now; botocore fetches new ones where they are near their end."""
    found = credentials.get_frozen_credentials()
    return signing.Keys(access_key=found.access_key, secret_key=found.secret_key, token=found.token)


def _text(header: str | bytes) -> str:
    return header.decode() if isinstance(header, bytes) else header


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is not None and "@" in endpoint:
        raise InvalidInput(
            "--endpoint has a user or password in it",
            hint="give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or as a profile",
        )
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        raise InvalidInput(f"--endpoint {endpoint!r} is not an address", hint=f"write `--endpoint http://{endpoint}`")


@contextmanager
def _configured() -> Iterator[None]:
    try:
        yield
    except CredentialRetrievalError as error:
        raise _not_given("the store", error) from None
    except ProfileNotFound as error:
        raise InvalidInput(str(error), hint="AWS_PROFILE names a profile of ~/.aws/config") from error
    except (BotoCoreError, ValueError) as error:
        raise InvalidInput(f"the S3 configuration cannot be used: {error}") from error


def _authorities(session: Any) -> str:
    """The certificates to believe, for listing and for bytes alike: those named, else this system's, else botocore's."""
    named = session.get_config_variable("ca_bundle")
    if named and not Path(named).exists():
        raise InvalidInput(
            f"the CA bundle {named} is not there", hint="AWS_CA_BUNDLE names it, or ca_bundle of a profile"
        )
    return named or ssl.get_default_verify_paths().cafile or get_cert_path(True)


def _client(session: Any, endpoint: str | None, trust: Trust, *, signed: bool) -> Any:
    """A client of botocore, unsigned where there are no credentials; path style for every store but AWS, unless told otherwise."""
    style = os.environ.get(ADDRESSING_VARIABLE) or (session.get_scoped_config().get("s3") or {}).get("addressing_style")
    client = _made(session, endpoint, _config(style or "auto", signed=signed), trust)
    if style or ".amazonaws." in client.meta.endpoint_url:
        return client
    return _made(session, endpoint, _config("path", signed=signed), trust)


def _made(session: Any, endpoint: str | None, config: Config, trust: Trust) -> Any:
    if not trust.verify:
        urllib3.disable_warnings(InsecureRequestWarning)  # it is said once, in our words
    region = session.get_config_variable("region") or "us-east-1"
    verify = trust.cafile if trust.verify else False
    return session.create_client("s3", region_name=region, endpoint_url=endpoint, config=config, verify=verify)


def _config(style: str, *, signed: bool) -> Config:
    return Config(
        signature_version="s3v4" if signed else UNSIGNED,
        s3={"addressing_style": style},
        connect_timeout=SOCKET_TIMEOUT_S,
        read_timeout=SOCKET_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": 3},
        user_agent_extra="lading",
    )


def _told(shown: str, code: str, response: Mapping[str, Any], *, signed: bool) -> SourceError:
    """What a store's refusal means."""
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    said = f"{shown}: the store answered {status} {code}"
    if code in _MISSING:
        return SourceMissing(f"{shown} does not exist ({code})")
    if code == "RequestTimeTooSkewed":
        return skewed(shown, metadata.get("HTTPHeaders", {}).get("date"))
    if code in _DENIED or status in {401, 403}:
        what = "refused the credentials" if signed else "wants credentials, and none were found"
        return SourceDenied(f"{shown}: the store {what} ({code})", hint=_CREDENTIALS)
    if code in _BUSY or status in {429, 503}:
        return SourceBusy(said, hint="it asks for fewer requests; try again later")
    if status >= 500 or code == "RequestTimeout":
        return SourceTransient(said, hint="try again later")
    return SourceError(said)


def _not_given(shown: str, error: CredentialRetrievalError) -> SourceDenied:
    """Without what the provider said: it may be a program's own words, and hold a secret."""
    provider = error.kwargs.get("provider", "their provider")
    return SourceDenied(
        f"{shown}: no credentials could be had from {provider}", hint="`aws sts get-caller-identity` says more"
    )


def _reason(error: BotoCoreError) -> str:
    """Botocore's own kind of fault, as words: ``EndpointConnectionError`` → ``endpoint connection error``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
