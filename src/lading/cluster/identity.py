"""Who we are to the API server: the headers of a request, renewed where what they are made of changes.

Nothing here is shown: no token is in a repr, an error or a log.
"""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from lading.cluster import tls
from lading.errors import ClusterUnreachable

#: kubelet writes a new token long before the old one ends.
_REREAD_S = 60.0
#: A login in a browser takes its time.
_LOGIN_S = 300.0


class Identity(Protocol):
    """What says who we are."""

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        """The headers of a request, secret; *renew*: the last ones were refused.

        Raises:
            ClusterUnreachable: They cannot be got, and why.
        """


@dataclass(frozen=True, slots=True)
class Fixed:
    """Headers that do not change: a token in the kubeconfig, a password, or none beside a client certificate."""

    given: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:  # noqa: ARG002 - there is nothing to renew
        """See `Identity`."""
        return self.given


@dataclass(slots=True)
class TokenFile:
    """A token in a file that somebody else renews: a pod's own, or a kubeconfig's ``tokenFile``."""

    path: Path
    clock: Callable[[], float] = time.monotonic
    _token: str | None = field(default=None, repr=False)
    _read_at_s: float = 0.0

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        """See `Identity`."""
        if self._token is None or renew or self.clock() - self._read_at_s > _REREAD_S:
            self._token = self._read()
            self._read_at_s = self.clock()
        return bearer(self._token)

    def _read(self) -> str:
        try:
            token = self.path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise ClusterUnreachable(f"the token file {self.path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise ClusterUnreachable(f"the token file {self.path} holds no token") from None
        if not token:
            raise ClusterUnreachable(f"the token file {self.path} is empty")
        return token


@dataclass(slots=True)
class Login:
    """A program that logs in (an exec credential plugin): asked once, and again when what it gave has expired.

    Attributes:
        argv: Program and arguments.
        env: Added to ours.
        interactive: Whether it may ask a person.
        cluster: What it is told of the cluster, where it wants that.
        into: Takes the client certificate it may give.
    """

    argv: Sequence[str]
    api_version: str
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    install_hint: str | None = None
    interactive: bool = False
    cluster: Mapping[str, Any] | None = field(default=None, repr=False)
    into: ssl.SSLContext | None = field(default=None, repr=False)
    clock: Callable[[], float] = time.time
    _headers: Mapping[str, str] | None = field(default=None, repr=False)
    _until_s: float = float("inf")
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def headers(self, *, renew: bool = False) -> Mapping[str, str]:
        """See `Identity`."""
        refused = self._headers if renew else None
        async with self._asking:  # many requests wait for one login
            if self._headers is None or self._headers is refused or self.clock() >= self._until_s:
                self._take(await asyncio.to_thread(self._ask))
            assert self._headers is not None
            return self._headers

    def _take(self, status: Mapping[str, Any]) -> None:
        token, certificate = status.get("token"), status.get("clientCertificateData")
        key = status.get("clientKeyData")
        if certificate and key and self.into is not None:
            try:
                tls.show(self.into, str(certificate).encode(), str(key).encode())
            except ValueError as error:
                raise self._failed(f"gave a client certificate that cannot be used: {error}") from error
        elif not token:
            raise self._failed("gave neither a token nor a client certificate")
        self._until_s = self._expiry(status.get("expirationTimestamp"))
        self._headers = bearer(str(token)) if token else {}

    def _expiry(self, text: object) -> float:
        if text is None:
            return float("inf")
        try:
            return datetime.fromisoformat(str(text)).timestamp()
        except ValueError:
            raise self._failed("gave an expirationTimestamp that is no time") from None

    def _ask(self) -> Mapping[str, Any]:
        """Run the program; the status of what it prints. What it asks a person comes on stderr."""
        asks = self.interactive and sys.stdin.isatty()
        try:
            done = subprocess.run(
                list(self.argv),
                env={**os.environ, **self.env, "KUBERNETES_EXEC_INFO": self._told(interactive=asks)},
                stdin=None if asks else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if asks else subprocess.PIPE,
                timeout=_LOGIN_S,
                check=False,
            )
        except FileNotFoundError:
            raise ClusterUnreachable(
                f"the kubeconfig logs in with the program {self.argv[0]}, which is not here",
                hint=self.install_hint or "install it, or give another --context",
            ) from None
        except OSError as error:
            raise self._failed(f"cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired:
            raise self._failed(f"did not end within {_LOGIN_S:g} s") from None
        if done.returncode != 0:
            said = (done.stderr or b"").decode(errors="replace").strip().splitlines()
            raise self._failed(f"ended with status {done.returncode}" + (f": {said[-1][:300]}" if said else ""))
        return self._status(done.stdout)

    def _told(self, *, interactive: bool) -> str:
        asked: dict[str, Any] = {"interactive": interactive}
        if self.cluster is not None:
            asked["cluster"] = dict(self.cluster)
        return json.dumps({"apiVersion": self.api_version, "kind": "ExecCredential", "spec": asked})

    def _status(self, printed: bytes) -> Mapping[str, Any]:
        try:
            document = json.loads(printed)
        except ValueError:
            raise self._failed("printed no JSON") from None
        if not isinstance(document, dict) or document.get("kind") != "ExecCredential":
            raise self._failed("printed no ExecCredential")
        if document.get("apiVersion") != self.api_version:
            raise self._failed(
                f"speaks {str(document.get('apiVersion'))[:80]}, the kubeconfig asks for {self.api_version}"
            )
        status = document.get("status")
        if not isinstance(status, dict):
            raise self._failed("gave no credentials")
        return status

    def _failed(self, what: str) -> ClusterUnreachable:
        hint = "log in to the cluster again; `kubectl version` shows whether that helped"
        return ClusterUnreachable(f"the kubeconfig's login program {self.argv[0]} {what}", hint=hint)


def bearer(token: str) -> Mapping[str, str]:
    """The header that shows *token*."""
    return {"Authorization": f"Bearer {token}"}
