"""One form for the credentials that a pod of ours is given: botocore's own variables, whatever convention they came in.

Runs inside the pod alone. KServe's, OpenShift AI's and `storage-config`'s spellings end here: `settled` reads them all.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from lading.errors import InvalidInput
from lading.spec.credentials import (
    ADDRESSING_VARIABLE,
    ANONYMOUS_VARIABLE,
    STORAGE_CONFIG_VARIABLE,
    VERIFY_TLS_VARIABLE,
)

_FIELDS = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
    "endpoint_url": "S3_ENDPOINT",
    "region": "AWS_DEFAULT_REGION",
    "verify_ssl": "S3_VERIFY_SSL",
    "anonymous": "awsAnonymousCredential",
}


def settled(environment: Mapping[str, str]) -> dict[str, str]:
    """What is to be set in *environment* so that an S3 source finds what it was given.

    Raises:
        InvalidInput: The connection from `storage-config` is no JSON object; its text is not shown.
    """
    given = {**environment, **_stored(environment.get(STORAGE_CONFIG_VARIABLE))}
    identity = {
        "AWS_ACCESS_KEY_ID": _first(given, "AWS_ACCESS_KEY_ID", "awsAccessKeyID"),
        "AWS_SECRET_ACCESS_KEY": _first(given, "AWS_SECRET_ACCESS_KEY", "awsSecretAccessKey"),
        "AWS_SESSION_TOKEN": _first(given, "AWS_SESSION_TOKEN"),
    }
    made = {
        **identity,
        "AWS_ENDPOINT_URL": _endpoint(given),
        "AWS_DEFAULT_REGION": _first(given, "AWS_DEFAULT_REGION", "AWS_REGION"),
        VERIFY_TLS_VARIABLE: "false" if _no(given.get("S3_VERIFY_SSL")) else None,
        ADDRESSING_VARIABLE: "virtual" if _yes(given.get("S3_USER_VIRTUAL_BUCKET")) else None,
        ANONYMOUS_VARIABLE: "true" if _yes(given.get("awsAnonymousCredential")) else None,
    }
    return {name: value for name, value in made.items() if value and environment.get(name) != value}


def _stored(text: str | None) -> dict[str, str]:
    """The fields of one connection, by KServe's variables."""
    if not text:
        return {}
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = None  # its text may be a secret: neither it nor where it is wrong is told
    if not isinstance(document, dict):
        raise InvalidInput("the connection in the storage-config Secret is no JSON object")
    said = {name: document[field] for field, name in _FIELDS.items() if document.get(field) not in (None, "")}
    return {name: str(value) for name, value in said.items()}


def _endpoint(given: Mapping[str, str]) -> str | None:
    """With its scheme: KServe's endpoints have none, and say by `S3_USE_HTTPS` which it is."""
    named = _first(given, "S3_ENDPOINT", "AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if named is None or "://" in named:
        return named
    return f"{'http' if _no(given.get('S3_USE_HTTPS')) else 'https'}://{named}"


def _first(given: Mapping[str, str], *names: str) -> str | None:
    return next((given[name].strip() for name in names if given.get(name, "").strip()), None)


def _no(text: str | None) -> bool:
    return _in(text, ("0", "false", "no"))


def _yes(text: str | None) -> bool:
    return _in(text, ("1", "true", "yes"))


def _in(text: str | None, words: Iterable[str]) -> bool:
    return (text or "").strip().lower() in words
