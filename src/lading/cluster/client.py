"""Objects of a cluster as plain documents: read, list, create, apply, update, delete, and wait for.

One `Cluster` is one connection pool on one event loop. Every method names what it did not get in its error, and bears
faults of the API server (`lading.cluster.retry`) before it raises one.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from lading.cluster import access, logs, watch
from lading.cluster.access import Right
from lading.cluster.config import Connection
from lading.cluster.kinds import Kind, Object, of
from lading.cluster.logs import LogLine
from lading.cluster.refusals import Gone
from lading.cluster.retry import Waits
from lading.cluster.session import Request, Session
from lading.cluster.watch import Change
from lading.errors import ClusterConflict, ClusterError, ObjectMissing
from lading.manifests.ours import MANAGER

T = TypeVar("T")
_UPDATES = 10


class Cluster:
    """A cluster, in one namespace unless told otherwise. An async context manager.

    Attributes:
        page_items: Objects in one answer to `list`.
    """

    page_items: int = 500

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._open: Session | None = None

    @property
    def namespace(self) -> str:
        """Where names without a namespace are looked up."""
        return self.connection.namespace

    @property
    def session(self) -> Session:
        """The requests themselves, for what is no document: logs, watches, WebSockets."""
        assert self._open is not None, "enter the Cluster first"
        return self._open

    async def __aenter__(self) -> Self:
        self._open = Session(self.connection)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    # ------------------------------------------------------------------------------------------------------ objects

    async def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object:
        """One object.

        Raises:
            ObjectMissing, ClusterDenied, ClusterError: As named.
        """
        return await self.session.send(self._request("GET", "get", kind, name, namespace=namespace))

    async def find(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object | None:
        """As `get`; None where there is none."""
        try:
            return await self.get(kind, name, namespace=namespace)
        except ObjectMissing:
            return None

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: str | None = None, fields: str | None = None
    ) -> tuple[Object, ...]:
        """All objects of *kind* that the selectors choose; empty where the cluster does not know the kind.

        Raises:
            ClusterDenied: They may not be listed.
        """
        try:
            return (await self.snapshot(kind, namespace=namespace, labels=labels, fields=fields))[0]
        except ObjectMissing:
            return ()

    async def snapshot(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        waits: Waits | None = None,
    ) -> tuple[tuple[Object, ...], str]:
        """As `list`, with the resourceVersion it is true for; faults are borne as part of *waits*.

        Raises:
            ObjectMissing: The cluster does not know the kind.
        """
        while True:
            try:
                query = {"labelSelector": labels, "fieldSelector": fields}
                return await self._pages(kind, namespace, query, waits)
            except Gone:  # the pages took longer than history is kept
                continue

    async def create(self, document: Mapping[str, Any], *, dry_run: bool = False, waits: Waits | None = None) -> Object:
        """Create an object. Sent again where the answer was lost and it has a name: it is never created twice.

        Faults are borne as part of *waits*, where given.

        Raises:
            ClusterConflict: There is one of that name, not made by this call.
        """
        kind, metadata = of(document), document.get("metadata") or {}
        # the field manager of this one call tells what it created from what somebody else did
        manager = f"{MANAGER}-{secrets.token_hex(4)}"
        request = self._request(
            "POST", "create", kind, None, namespace=metadata.get("namespace"),
            query={"fieldManager": manager, "dryRun": "All" if dry_run else None}, body=document,
            repeatable="name" in metadata or "generateName" not in metadata,
        )  # fmt: skip
        try:
            return await self.session.send(request, waits=waits)
        except ClusterConflict:
            found = await self._made_by(kind, metadata, manager)
            if found is None:
                raise
            return found

    async def apply(
        self, document: Mapping[str, Any], *, dry_run: bool = False, force: bool = False, waits: Waits | None = None
    ) -> Object:
        """Server-side apply: the fields in *document* are ours from then on. Faults are borne as part of *waits*, where given.

        Raises:
            ClusterConflict: Another manager owns one of them, and not *force*; names manager and field.
        """
        query = {"fieldManager": MANAGER, "force": str(force).lower(), "dryRun": "All" if dry_run else None}
        metadata = document["metadata"]
        return await self.session.send(
            self._request(
                "PATCH", "patch", of(document), metadata["name"], namespace=metadata.get("namespace"),
                query=query, body=document, content="application/apply-patch+yaml",
            ),
            waits=waits,
        )  # fmt: skip

    async def patch(
        self,
        kind: Kind,
        name: str,
        change: Mapping[str, Any],
        *,
        namespace: str | None = None,
        dry_run: bool = False,
        sub: str | None = None,
    ) -> Object:
        """JSON merge patch of one object, or of its subresource *sub* (``scale``)."""
        query = {"fieldManager": MANAGER, "dryRun": "All" if dry_run else None}
        return await self.session.send(
            self._request(
                "PATCH", "patch", kind, name, namespace=namespace, sub=sub,
                query=query, body=change, content="application/merge-patch+json",
            )
        )  # fmt: skip

    async def update(
        self, kind: Kind, name: str, change: Callable[[Object], Object | None], *, namespace: str | None = None
    ) -> Object:
        """Read, *change*, write; read anew where it was changed meanwhile. *change* gives the new object, None: as it is.

        It may be called with what it made itself, where the answer to the writing was lost: it must see that.

        Raises:
            ObjectMissing: As named.
            ClusterConflict: It was changed by others each time.
        """
        for _ in range(_UPDATES):
            found = await self.get(kind, name, namespace=namespace)
            wanted = change(found)
            if wanted is None:
                return found
            try:
                return await self._replace(kind, name, wanted, found, namespace)
            except ClusterConflict as conflict:
                last = conflict
        raise ClusterConflict(f"{last.message} ({_UPDATES} times in a row)", hint=last.hint, status=last.status)

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
            await self.session.send(self._request("DELETE", "delete", kind, name, namespace=namespace, body=body))
        except ObjectMissing:
            return

    # ------------------------------------------------------------------------------------------------------ following

    def watch(
        self, kind: Kind, *, namespace: str | None = None, labels: str | None = None, fields: str | None = None
    ) -> AsyncGenerator[Change]:
        """What is there, then each change as it comes, over dropped connections and restarts of the API server.

        No state is given twice, and the last state of each object always is; states in between may be skipped over an
        outage. Ends only when it is closed.

        Raises:
            ClusterDenied, ObjectMissing: It may not be listed or watched; the cluster does not know the kind.
            ClusterUnreachable: No answer for longer than is borne.
        """
        return watch.changes(self, kind, namespace=namespace, labels=labels, fields=fields)

    async def wait(
        self,
        kind: Kind,
        name: str,
        until: Callable[[Object | None], T | None],
        *,
        within_s: float,
        what: str,
        namespace: str | None = None,
    ) -> T:
        """The first that *until* gives for the object's state (None: there is no such object), but None and False.

        Args:
            kind: Of the object.
            name: Of the object.
            until: Called with each state; what it raises ends the wait.
            within_s: Faults of the API server are borne until then.
            what: What is awaited, for the error: ``claim models to be bound``.
            namespace: The connection's own where None.

        Raises:
            StillRunning: *within_s* passed.
            ClusterDenied, ObjectMissing: It may not be listed or watched; the cluster does not know the kind.
        """
        return await watch.wait(self, kind, name, until, within_s=within_s, what=what, namespace=namespace)

    def logs(
        self,
        pod: str,
        *,
        container: str | None = None,
        since: datetime | None = None,
        follow: bool = True,
        previous: bool = False,
        namespace: str | None = None,
    ) -> AsyncGenerator[LogLine]:
        """The lines of a container's log, each once, over dropped connections; waits for its start.

        Args:
            pod: Its name.
            container: Its name; the pod's only one, or its default, where None.
            since: Leave out what is older (a whole second of it may come along).
            follow: Go on until the container has ended or the pod is gone; else end with what is there now.
            previous: Of the container's run before its last restart.
            namespace: The connection's own where None.

        Raises:
            ObjectMissing: There is no such pod.
            ClusterDenied: Its log may not be read.
            ClusterUnreachable: No answer for longer than is borne.
        """
        return logs.lines(
            self, pod, container=container, since=since, follow=follow, previous=previous, namespace=namespace
        )

    # ------------------------------------------------------------------------------------------------------ rights

    async def missing(self, rights: Iterable[Right]) -> tuple[Right, ...]:
        """Those of *rights* that we do not have, with their namespace filled in; asked of the API server at once."""
        asked = tuple(dict.fromkeys(self._placed(right) for right in rights))
        answers = await asyncio.gather(*(self.create(access.review(right)) for right in asked))
        return tuple(
            right
            for right, answer in zip(asked, answers, strict=True)
            if not (answer.get("status") or {}).get("allowed", False)
        )

    # ------------------------------------------------------------------------------------------------------ requests

    async def websocket(
        self,
        kind: Kind,
        name: str,
        sub: str,
        *,
        query: Mapping[str, str | Sequence[str] | None],
        protocols: Sequence[str],
        namespace: str | None = None,
    ) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket to an object's subresource with the first of *protocols* that the server speaks.

        Without compression; pings are left to the caller.

        Raises:
            ObjectMissing, ClusterDenied, ClusterUnreachable, ClusterError: As named; nothing was started.
        """
        request = self._request("GET", "get", kind, name, sub=sub, namespace=namespace, query=query)
        return await self.session.websocket(request, protocols=protocols)

    def request(
        self,
        verb: str,
        kind: Kind,
        name: str | None = None,
        *,
        sub: str | None = None,
        namespace: str | None = None,
        query: Mapping[str, str | Sequence[str] | None] | None = None,
    ) -> Request:
        """A reading request for `Session.open`."""
        return self._request("GET", verb, kind, name, sub=sub, namespace=namespace, query=query)

    def _request(
        self,
        method: str,
        verb: str,
        kind: Kind,
        name: str | None,
        *,
        sub: str | None = None,
        namespace: str | None = None,
        query: Mapping[str, str | Sequence[str] | None] | None = None,
        **rest: Any,
    ) -> Request:
        right = self._placed(Right(verb, kind, name, sub, namespace))
        for part in (right.name, right.namespace):
            if part is not None and (part in {"", ".", ".."} or "/" in part or "%" in part):
                raise ClusterError(f"{part!r} is no name of an object or a namespace")
        path = kind.path(right.namespace, name, sub=sub)
        given = {key: value for key, value in (query or {}).items() if value is not None}
        return Request(right=right, method=method, path=path, query=given, **rest)

    def _placed(self, right: Right) -> Right:
        namespace = (right.namespace or self.namespace) if right.kind.namespaced else None
        return Right(right.verb, right.kind, right.name, right.sub, namespace)

    async def _pages(
        self, kind: Kind, namespace: str | None, query: Mapping[str, str | None], waits: Waits | None
    ) -> tuple[tuple[Object, ...], str]:
        head = {"apiVersion": kind.api_version, "kind": kind.kind}
        items: list[Object] = []
        after: str | None = None
        while True:
            page = {**query, "limit": str(self.page_items), "continue": after}
            request = self._request("GET", "list", kind, None, namespace=namespace, query=page)
            found = await self.session.send(request, waits=waits)
            items += ({**head, **item} for item in found.get("items") or ())
            metadata = found.get("metadata") or {}
            after = metadata.get("continue") or None
            if after is None:
                return tuple(items), str(metadata.get("resourceVersion") or "")

    async def _replace(self, kind: Kind, name: str, wanted: Object, found: Object, namespace: str | None) -> Object:
        version = found["metadata"]["resourceVersion"]
        body = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": version}}
        query = {"fieldManager": MANAGER}
        request = self._request("PUT", "update", kind, name, namespace=namespace, query=query, body=body)
        return await self.session.send(request)

    async def _made_by(self, kind: Kind, metadata: Mapping[str, Any], manager: str) -> Object | None:
        """The object, where *manager* created it: the answer to an earlier try was lost on the way."""
        try:
            found = await self.get(kind, metadata["name"], namespace=metadata.get("namespace"))
        except (ClusterError, KeyError):
            return None
        entries = (found.get("metadata") or {}).get("managedFields") or ()
        return found if any(entry.get("manager") == manager for entry in entries) else None
