"""Objects of a cluster as plain documents: read, list, create, apply, patch, delete.

One `Cluster` is one connection pool on one event loop. Every method names what it did not get in its error.
"""

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from lading.cluster.config import Connection
from lading.cluster.kinds import Kind, Object, of
from lading.errors import ClusterConflict, ClusterDenied, ClusterError, ClusterUnreachable, ObjectMissing
from lading.manifests.ours import MANAGER

_MESSAGE_BYTES = 16 << 20
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)


class Cluster:
    """A cluster, in one namespace unless told otherwise. An async context manager."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._session: aiohttp.ClientSession | None = None

    @property
    def namespace(self) -> str:
        """Where names without a namespace are looked up."""
        return self.connection.namespace

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=dict(self.connection.headers),
            connector=aiohttp.TCPConnector(ssl=self.connection.tls or True, limit=0),
            middlewares=(_refusal,),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    # ------------------------------------------------------------------------------------------------------ objects

    async def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object:
        """One object.

        Raises:
            ObjectMissing, ClusterDenied, ClusterError: As named.
        """
        return await self._request("GET", kind.path(self._place(kind, namespace), name))

    async def find(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object | None:
        """As `get`; None where there is none."""
        try:
            return await self.get(kind, name, namespace=namespace)
        except ObjectMissing:
            return None

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: str | None = None, fields: str | None = None
    ) -> tuple[Object, ...]:
        """All objects of *kind* that the selectors choose; empty where the cluster does not know the kind."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        try:
            found = await self._request("GET", kind.path(self._place(kind, namespace)), query=query)
        except ObjectMissing:
            return ()
        head = {"apiVersion": kind.api_version, "kind": kind.kind}
        return tuple({**head, **item} for item in found.get("items") or ())

    async def create(self, document: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create an object.

        Raises:
            ClusterConflict: There is one of that name.
        """
        kind = of(document)
        path = kind.path(self._place(kind, document["metadata"].get("namespace")))
        query = {"fieldManager": MANAGER, "dryRun": "All" if dry_run else None}
        return await self._request("POST", path, query=query, body=document)

    async def apply(self, document: Mapping[str, Any], *, dry_run: bool = False, force: bool = False) -> Object:
        """Server-side apply: the fields in *document* are ours from then on.

        Raises:
            ClusterConflict: Another manager owns one of them, and not *force*.
        """
        kind = of(document)
        path = kind.path(self._place(kind, document["metadata"].get("namespace")), document["metadata"]["name"])
        query = {"fieldManager": MANAGER, "force": str(force).lower(), "dryRun": "All" if dry_run else None}
        return await self._request("PATCH", path, query=query, body=document, content="application/apply-patch+yaml")

    async def patch(
        self, kind: Kind, name: str, change: Mapping[str, Any], *, namespace: str | None = None, dry_run: bool = False
    ) -> Object:
        """JSON merge patch of one object."""
        query = {"fieldManager": MANAGER, "dryRun": "All" if dry_run else None}
        path = kind.path(self._place(kind, namespace), name)
        return await self._request("PATCH", path, query=query, body=change, content="application/merge-patch+json")

    async def delete(
        self, kind: Kind, name: str, *, namespace: str | None = None, grace_s: int | None = None, uid: str | None = None
    ) -> None:
        """Delete one object and, in the background, what it owns; a missing one is silent. Does not wait."""
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self._request("DELETE", kind.path(self._place(kind, namespace), name), body=body)
        except ObjectMissing:
            return

    # ------------------------------------------------------------------------------------------------------- streams

    async def websocket(
        self, path: str, *, query: Sequence[tuple[str, str]], protocols: Sequence[str]
    ) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket with the first of *protocols* that the server speaks; no compression, pings left to the caller.

        Raises:
            ObjectMissing, ClusterDenied, ClusterUnreachable, ClusterError: As named; nothing was started.
        """
        assert self._session is not None
        try:
            return await self._session.ws_connect(
                self.connection.server + path,
                params=query,
                protocols=protocols,
                autoping=False,
                max_msg_size=_MESSAGE_BYTES,
                proxy=self.connection.proxy,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        except aiohttp.WSServerHandshakeError as error:
            raise ClusterError(f"{path} opens no WebSocket: {error.message}", status=error.status) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterUnreachable(f"{self.connection.server} does not answer: {error}") from error

    # ------------------------------------------------------------------------------------------------------ requests

    def _place(self, kind: Kind, namespace: str | None) -> str | None:
        return (namespace or self.namespace) if kind.namespaced else None

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | None] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> Object:
        assert self._session is not None
        parameters = {key: value for key, value in (query or {}).items() if value is not None}
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "Content-Type": content}
        try:
            async with self._session.request(
                method, self.connection.server + path, params=parameters, data=data, headers=headers, timeout=_TIMEOUT
            ) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterUnreachable(f"{self.connection.server} does not answer: {error}") from error
        if answer.status >= 400:
            raise _meaning(answer.status, text)
        document: Object = json.loads(text)
        return document


async def _refusal(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Read why an upgrade is refused: aiohttp's own error keeps only the number."""
    answer = await handler(request)
    if "Upgrade" in request.headers and answer.status >= 400:
        raise _meaning(answer.status, await answer.text())
    return answer


def _meaning(status: int, text: str) -> ClusterError:
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text.strip()[:500] or f"HTTP {status}"
    kind = {401: ClusterDenied, 403: ClusterDenied, 404: ObjectMissing, 409: ClusterConflict}.get(status, ClusterError)
    return kind(message, status=status)
