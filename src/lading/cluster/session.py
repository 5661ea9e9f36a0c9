"""Requests to the API server over one pool of connections: identity, retries, and errors that say what was asked."""

import json
import os
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from lading.cluster import refusals, retry
from lading.cluster.access import Right
from lading.cluster.config import Connection
from lading.cluster.kinds import Object
from lading.errors import ClusterError, ClusterUnreachable

_FAULTS = (aiohttp.ClientError, TimeoutError, ssl.SSLError, ConnectionError)
_REACH = "does it run, and is it reached from here (VPN, proxy, --context)?"
_MESSAGE_BYTES = 16 << 20
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
_FAULTS = (aiohttp.ClientError, TimeoutError, ssl.SSLError, ConnectionError)
_REACH = "does it run, and is it reached from here (VPN, proxy, --context)?"
_MESSAGE_BYTES = 16 << 20
_CONNECT = aiohttp.ClientTimeout(total=None, sock_connect=10)
#: Before the first answer there may be no server at all: the user should not wait long to read that.
_UNSEEN = retry.Patience(total_s=3)
_SEEN = retry.Patience(total_s=30)


class NoAnswer(ClusterUnreachable):
    """The connection failed.

    Attributes:
        sent: Whether the request may have reached the server.
    """

    def __init__(self, message: str, *, sent: bool, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.sent = sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, and the right it uses.

    Attributes:
        repeatable: Whether sending it again does no harm when the first answer was lost.
    """

    right: Right
    method: str
    path: str
    query: Mapping[str, str | Sequence[str]]
    body: Mapping[str, Any] | None = None
    content: str = "application/json"
    repeatable: bool = True

    def url(self, server: str) -> URL:
        """The address on *server*."""
        query = f"?{urlencode(self.query, doseq=True)}" if self.query else ""
        return URL(f"{server}{quote(self.path, safe='/:')}{query}", encoded=True)


class Session:
    """A pool of connections on the running loop; to be closed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._http = self._pool()
        self._former: list[aiohttp.ClientSession] = []
        self._answered = False

    async def close(self) -> None:
        """Close all connections; idempotent."""
        for pool in (*self._former, self._http):
            await pool.close()

    async def send(self, request: Request, *, waits: retry.Waits | None = None) -> Object:
        """The document that answers *request*; faults are borne, as part of *waits* where longer work has its own.

        Raises:
            ClusterError: As the answer says, or the last fault.
        """
        own = waits or retry.Waits(_UNSEEN)
        while True:
            try:
                async with self.open(request, limits=_TIMEOUT) as answer:
                    document = _document(request.right, await answer.text(errors="replace"))
            except (NoAnswer, refusals.ServerFault) as error:
                if not _again(request, error):
                    raise _doubtful(request, error) from error
                if waits is None and self._answered:
                    own.patience = _SEEN
                await own.bear(error)
            else:
                own.last = None
                return document

    @asynccontextmanager
    async def open(
        self, request: Request, *, limits: aiohttp.ClientTimeout = _CONNECT
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The successful answer to *request*, its body to be read; nothing is retried but a refused identity.

        Raises:
            NoAnswer: The connection failed, also while the body is read.
            ClusterError: As the answer says.
        """
        try:
            for renew in (False, True):
                headers = await self._headers(request, renew=renew)
                async with self._http.request(
                    request.method,
                    request.url(self.connection.server),
                    data=None if request.body is None else json.dumps(request.body).encode(),
                    headers=headers,
                    timeout=limits,
                    allow_redirects=False,
                    **self._way(),
                ) as answer:
                    self._answered = True
                    if answer.status == 401 and not renew:
                        continue
                    await _accept(request.right, answer)
                    yield answer
                    return
        except _FAULTS as error:
            raise self._fault(request, error) from error

    async def websocket(self, request: Request, *, protocols: Sequence[str]) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket with the first of *protocols* that the server speaks; no compression, pings left to the caller.

        Raises:
            NoAnswer: The connection failed.
            ClusterError: As the answer says; nothing was started.
        """
        try:
            return await self._upgraded(request, protocols, renew=False)
        except _Refused as refused:
            if refused.status != 401:
                raise refusals.error(request.right, refused.status, refused.text) from refused
        try:
            return await self._upgraded(request, protocols, renew=True)
        except _Refused as refused:
            raise refusals.error(request.right, refused.status, refused.text) from refused

    # ------------------------------------------------------------------------------------------------------- inside

    def _pool(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.connection.tls or True, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_keep_refusal,),
        )

    async def _upgraded(
        self, request: Request, protocols: Sequence[str], *, renew: bool
    ) -> aiohttp.ClientWebSocketResponse:
        headers = await self._headers(request, renew=renew)
        try:
            opened: aiohttp.ClientWebSocketResponse = await self._http.ws_connect(
                request.url(self.connection.server),
                protocols=protocols,
                headers={**headers, "Accept": "*/*"},  # a kubelet that is asked for JSON refuses (406)
                autoping=False,
                max_msg_size=_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
                **self._way(),
            )
        except aiohttp.WSServerHandshakeError as error:
            raise ClusterError(f"{request.right}: opens no WebSocket: {error.message}", status=error.status) from error
        except _FAULTS as error:
            raise self._fault(request, error) from error
        return opened

    async def _headers(self, request: Request, *, renew: bool) -> dict[str, str]:
        own = await self.connection.identity.headers(renew=renew)
        if renew:  # a connection goes on showing the certificate that it was made with
            self._former.append(self._http)
            self._http = self._pool()
        return {**own, "Accept": "application/json", "Content-Type": request.content, "User-Agent": "lading"}

    def _way(self) -> dict[str, Any]:
        """Through which proxy, and whose certificate is expected."""
        way = {"proxy": self.connection.proxy, "server_hostname": self.connection.tls_server_name}
        return {key: value for key, value in way.items() if value is not None}

    def _fault(self, request: Request, error: Exception) -> ClusterUnreachable:
        """What a failed connection means; the proxy's address is not told, it may hold a password."""
        match error:
            case aiohttp.ClientConnectorCertificateError():
                return ClusterUnreachable(
                    f"{self._who()} shows a certificate that is not trusted: {error.certificate_error}",
                    hint="the kubeconfig's certificate-authority must be the one that signed it",
                )
            case aiohttp.ClientHttpProxyError():
                said = f"the proxy before it refuses: HTTP {error.status} {error.message}"
                return ClusterUnreachable(f"{self._who()} cannot be reached: {said}")
            case aiohttp.ClientConnectorError():
                number = error.os_error.errno
                reason = os.strerror(number) if number is not None and number > 0 else str(error.os_error)
                proxy = "the proxy before it: " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
                return NoAnswer(f"{self._who()} cannot be reached: {proxy}{reason}", sent=False, hint=_REACH)
            case aiohttp.ConnectionTimeoutError():
                return NoAnswer(f"{self._who()} does not answer", sent=False, hint=_REACH)
            case _:
                said = str(error) or type(error).__name__
                return NoAnswer(f"{self._who()} broke off ({request.right}): {said}", sent=True)

    def _who(self) -> str:
        context = f" (context {self.connection.context})" if self.connection.context else ""
        return f"the API server {self.connection.server}{context}"


class _Refused(Exception):
    """An upgrade was refused; aiohttp's own error does not say why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status)
        self.status, self.text = status, text


async def _keep_refusal(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    answer = await handler(request)
    if "Upgrade" in request.headers and answer.status >= 400:
        raise _Refused(answer.status, await answer.text(errors="replace"))
    return answer


async def _accept(right: Right, answer: aiohttp.ClientResponse) -> None:
    if answer.status >= 300:
        text = await answer.text(errors="replace")
        raise refusals.error(right, answer.status, text, asked_s=retry.asked_s(answer.headers))


def _document(right: Right, text: str) -> Object:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ClusterError(f"{right}: the answer is no JSON: {' '.join(text.split())[:200]}") from error
    if not isinstance(document, dict):
        raise ClusterError(f"{right}: the answer is no object")
    return document


def _again(request: Request, error: ClusterError) -> bool:
    if isinstance(error, NoAnswer) and not error.sent:
        return True
    return request.repeatable or error.status in retry.NOT_DONE


def _doubtful(request: Request, error: ClusterError) -> ClusterError:
    return ClusterError(
        f"{error.message}; whether it was done is not known",
        hint=f"look before trying again: kubectl get {request.right.kind.resource}",
        status=error.status,
    )
