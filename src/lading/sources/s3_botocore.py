"""A store as botocore reaches it.

It finds the credentials (environment, profile, SSO, web identity, instance metadata), resolves endpoints, and makes the
few requests that list.
"""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.session
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, CredentialRetrievalError, ProfileNotFound
from botocore.httpsession import get_cert_path
from urllib3.exceptions import InsecureRequestWarning

from lading.errors import InvalidInput
from lading.sources.connection import SOCKET_TIMEOUT_S, Trust
from lading.sources.s3_faults import not_given
from lading.sources.s3_signing import Keys
from lading.spec.credentials import ADDRESSING_VARIABLE, ANONYMOUS_VARIABLE, VERIFY_TLS_VARIABLE
from lading.spec.pull import Choices

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/")


class Store:
    """One store, with one user's configuration.

    Attributes:
        client: botocore's; its faults are to be met by `lading.sources.s3_faults`.
        trust: Which servers are believed.

    Raises:
        InvalidInput: The endpoint, the profile or another part of the configuration cannot be used.
        SourceDenied: The configuration names where credentials come from, and none came.
    """

    def __init__(self, choices: Choices) -> None:
        with _configured():
            session = botocore.session.get_session()
            # Times are of no use here, and reading them takes as long as all else of a listing.
            session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
            verify = choices.verify_tls and os.environ.get(VERIFY_TLS_VARIABLE) != "false"
            self.trust = Trust(cafile=_authorities(session), verify=verify)
            self._credentials = None if os.environ.get(ANONYMOUS_VARIABLE) == "true" else session.get_credentials()
            signed = self._credentials is not None
            self.client = _client(session, choices.endpoint, self.trust, signed=signed)
        self._region = ""
        self.client.meta.events.register("before-send.s3", self._note_region)

    @property
    def signed(self) -> bool:
        """Whether requests are somebody's; without credentials they are anyone's."""
        return self._credentials is not None

    def keys(self) -> Keys | None:
        """Those to sign with now; botocore fetches new ones where they are near their end."""
        return None if self._credentials is None else _keys(self._credentials)

    def renew(self) -> None:
        """Look for credentials anew, also where botocore holds those it has good."""
        self._credentials = botocore.session.get_session().get_credentials() or self._credentials

    def address(self, bucket: str) -> tuple[str, str]:
        """What comes before the bucket's keys in an address, and the region that signatures name."""
        url = self.client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "x"})
        return url.partition("?")[0].removesuffix("x"), self._region or self.client.meta.region_name

    def _note_region(self, request: Any, **_: object) -> None:
        """Remember which region a request of `client` was signed for: the store says which, where it is another."""
        if scope := _SCOPE.search(_text(request.headers.get("Authorization", ""))):
            self._region = scope[1]


def _keys(credentials: Any) -> Keys:
    found = credentials.get_frozen_credentials()
    return Keys(access_key=found.access_key, secret_key=found.secret_key, token=found.token)


def _text(header: str | bytes) -> str:
    return header.decode() if isinstance(header, bytes) else header


@contextmanager
def _configured() -> Iterator[None]:
    try:
        yield
    except CredentialRetrievalError as error:
        raise not_given("the store", error) from None
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
