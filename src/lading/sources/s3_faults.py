"""What botocore raises, in our words."""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from lading.errors import SourceBusy, SourceDenied, SourceError, SourceMissing, SourceTransient
from lading.sources.get import skewed

_DENIED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidTokenId",
     "AuthorizationHeaderMalformed", "401", "403"}
)  # fmt: skip
_MISSING = frozenset({"NoSuchBucket", "NoSuchKey", "NoSuchVersion", "InvalidBucketName", "404"})
_BUSY = frozenset({"SlowDown", "SlowDownRead", "ServiceUnavailable", "TooManyRequests", "429", "503"})
#: Requests that botocore makes of itself, to services that change one identity for another.
_GIVES_KEYS = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "GetSessionToken"})
_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to an account that may list and read it"
)


def told(
    error: Exception,
    shown: str,
    *,
    endpoint: str,
    signed: bool,
    missing: Callable[[str], SourceError] | None = None,
) -> SourceError:
    """What *error* of botocore means.

    *shown* is what was asked for, of the store at *endpoint*; *missing* tells of what is not there by its code.
    """
    match error:
        case ClientError():
            means = _answered(error, shown, signed=signed, missing=missing)
        case NoCredentialsError():
            means = SourceDenied(f"no credentials for {shown} were found", hint=_CREDENTIALS)
        case SSOError() | TokenRetrievalError():
            profile = os.environ.get("AWS_PROFILE", "default")
            means = SourceDenied(f"{shown}: {error}", hint=f"aws sso login --profile {profile}")
        case CredentialRetrievalError():
            means = not_given(shown, error)
        case SSLError():
            means = SourceError(
                f"the certificate of {endpoint} cannot be trusted", hint="name your CA bundle in AWS_CA_BUNDLE"
            )
        case HTTPClientError() | BotoConnectionError():
            means = SourceTransient(
                f"{endpoint} cannot be reached: {_reason(error)}", hint="is --endpoint right, is the server up?"
            )
        case _:
            means = SourceError(f"{shown}: {error}")
    return means


def may_hold_a_secret(error: Exception) -> bool:
    """Whether *error* has the words of a program that gives credentials: they are not shown, in a traceback neither."""
    return isinstance(error, CredentialRetrievalError)


def _answered(
    error: ClientError, shown: str, *, signed: bool, missing: Callable[[str], SourceError] | None
) -> SourceError:
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    if error.operation_name in _GIVES_KEYS:
        return SourceDenied(f"{shown}: {error.operation_name} gave no keys ({code})", hint=_CREDENTIALS)
    if missing is not None and code in _MISSING:
        return missing(code)
    return _refused(shown, code, error.response, signed=signed)


def not_given(shown: str, error: CredentialRetrievalError) -> SourceDenied:
    """Without what the provider said: it may be a program's own words, and hold a secret."""
    provider = error.kwargs.get("provider", "their provider")
    return SourceDenied(
        f"{shown}: no credentials could be had from {provider}", hint="`aws sts get-caller-identity` says more"
    )


def _refused(shown: str, code: str, response: Mapping[str, Any], *, signed: bool) -> SourceError:
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


def _reason(error: BotoCoreError) -> str:
    """Botocore's own kind of fault, as words: ``EndpointConnectionError`` → ``endpoint connection error``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
