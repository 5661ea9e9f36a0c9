"""A store about which the environment says all there is to know: where it is, and whose keys sign.

So it is for a pod with a Secret's keys, in a workbench with a data connection, and in most shells. Nothing is guessed: where
anything else could have a say (a profile, a file of settings, a variable that is not known here) there is no plain store.
"""

import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lading.sources.connection import Trust
from lading.sources.s3_signing import Keys
from lading.spec.credentials import ADDRESSING_VARIABLE, ANONYMOUS_VARIABLE, VERIFY_TLS_VARIABLE
from lading.spec.pull import Choices

#: What is read here, and what has no say in how a store is reached.
_KNOWN = frozenset(
    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_CA_BUNDLE",
     "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT", "AWS_S3_BUCKET", "AWS_EC2_METADATA_DISABLED",
     "AWS_PAGER", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}
)  # fmt: skip
#: Files that may set a region, a style, an authority; where they are unless a variable says it.
_SETTINGS = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A store with its buckets in the path.

    Attributes:
        endpoint: Without a ``/`` at its end.
        keys: None: requests are anyone's.
    """

    endpoint: str
    region: str
    keys: Keys | None
    trust: Trust


def found(choices: Choices) -> Plain | None:
    """The store that *choices* and the environment name; None where they do not tell all."""
    value = os.environ.get
    endpoint = choices.endpoint or value("AWS_ENDPOINT_URL_S3") or value("AWS_ENDPOINT_URL")
    if not endpoint or not _is_plain(endpoint) or _others_have_a_say():
        return None
    cafile: str | None = value("AWS_CA_BUNDLE") or ssl.get_default_verify_paths().cafile
    if cafile is None or not Path(cafile).exists():
        return None
    access_key, secret_key = value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY")
    anonymous = value(ANONYMOUS_VARIABLE) == "true"
    if not anonymous and not (access_key and secret_key):
        return None
    keys = Keys(access_key=access_key or "", secret_key=secret_key or "", token=value("AWS_SESSION_TOKEN") or None)
    return Plain(
        endpoint=endpoint.rstrip("/"),
        region=value("AWS_DEFAULT_REGION") or _DEFAULT_REGION,
        keys=None if anonymous else keys,
        trust=Trust(cafile=cafile, verify=choices.verify_tls and value(VERIFY_TLS_VARIABLE) != "false"),
    )


def is_bucket(name: str) -> bool:
    """Whether *name* can stand in a path as it is: no ARN, no access point, nothing to encode."""
    return _BUCKET.fullmatch(name) is not None


def _is_plain(endpoint: str) -> bool:
    """Whether a store of another maker than AWS is at the root of this address."""
    try:
        parts = urlsplit(endpoint)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    plain = parts.scheme in {"http", "https"} and parts.path in {"", "/"} and not (parts.query or parts.fragment)
    return named and plain and "@" not in parts.netloc and ".amazonaws." not in endpoint.lower()


def _others_have_a_say() -> bool:
    unknown = {name for name in os.environ if name.startswith("AWS_") and os.environ[name]} - _KNOWN
    in_host_name = os.environ.get(ADDRESSING_VARIABLE, "path") != "path"
    return bool(unknown) or in_host_name or _has_settings()


def _has_settings() -> bool:
    """Whether one of the files has anything in it."""
    for variable, usual in _SETTINGS.items():
        try:
            if Path(os.environ.get(variable, usual)).expanduser().stat().st_size:
                return True
        except (RuntimeError, OSError):  # no home, no file
            continue
    return False
