"""Watches that outlast what breaks them: a list, then each change, resumed where it stopped or from a new list.

The API server ends every watch by its own clock, drops it when it restarts, and forgets history after minutes (410).
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import aiohttp

from lading.cluster import lines, refusals
from lading.cluster.kinds import Kind, Object
from lading.cluster.refusals import Gone, ServerFault
from lading.cluster.retry import LONG, Patience, Waits
from lading.cluster.session import NoAnswer
from lading.errors import StillRunning

if TYPE_CHECKING:
    from lading.cluster.client import Cluster

T = TypeVar("T")
#: The server ends a watch after that long; one that is silent for longer has lost its connection without a word.
_LASTS_S = 50
_SILENT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_LASTS_S + 20)
_BRIEF_S = 1.0

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it is now; a deleted one as it was last."""

    type: Literal["added", "modified", "deleted"]
    object: Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which objects are watched."""

    kind: Kind
    namespace: str | None
    labels: str | None = None
    fields: str | None = None


@dataclass(slots=True)
class Known:
    """What of the watched objects has been told, and the point in history up to which it is true."""

    objects: dict[Key, Object] = field(default_factory=dict)
    version: str = ""

    def relist(self, items: Iterable[Object], version: str) -> tuple[Change, ...]:
        """Take a whole list; what is new in it. An object of the same name but another uid was deleted in between."""
        now = {_key(item): item for item in items}
        gone = [
            Change("deleted", before)
            for key, before in self.objects.items()
            if key not in now or _uid(now[key]) != _uid(before)
        ]
        for change in gone:
            del self.objects[_key(change.object)]
        changed = [change for item in now.values() for change in self._set(item)]
        self.version = version
        return (*gone, *changed)

    def take(self, kind: str, item: Object) -> tuple[Change, ...]:
        """Take one event of a watch; empty where it was told before.

        Raises:
            Gone, ServerFault: The event is an error.
        """
        if kind == "ERROR":
            raise _failure(item)
        self.version = _version(item) or self.version
        match kind:
            case "ADDED" | "MODIFIED":
                return self._set(item)
            case "DELETED" if self.objects.pop(_key(item), None) is not None:
                return (Change("deleted", item),)
            case _:  # a bookmark
                return ()

    def _set(self, item: Object) -> tuple[Change, ...]:
        before = self.objects.get(_key(item))
        if before is not None and _version(before) == _version(item):
            return ()
        self.objects[_key(item)] = item
        return (Change("added" if before is None else "modified", item),)


async def changes(
    cluster: "Cluster", kind: Kind, *, namespace: str | None, labels: str | None, fields: str | None
) -> AsyncGenerator[Change]:
    """See `Cluster.watch`."""
    selection = Selection(kind=kind, namespace=namespace, labels=labels, fields=fields)
    async with aclosing(_batches(cluster, selection, Waits(LONG))) as batches:
        async for batch in batches:
            for change in batch:
                yield change


async def wait(
    cluster: "Cluster",
    kind: Kind,
    name: str,
    until: Callable[[Object | None], T | None],
    *,
    within_s: float,
    what: str,
    namespace: str | None,
) -> T:
    """See `Cluster.wait`."""
    waits = Waits(Patience(total_s=float("inf")))
    selection = Selection(kind=kind, namespace=namespace, fields=f"metadata.name={name}")
    batches = _batches(cluster, selection, waits)
    try:
        async with asyncio.timeout(within_s) as deadline, aclosing(batches):
            states: tuple[Object | None, ...] = (None,)
            async for batch in batches:
                states = tuple(None if change.type == "deleted" else change.object for change in batch) or states
                for state in states:
                    reached = until(state)
                    if reached is not None and reached is not False:
                        return reached
                states = ()
    except TimeoutError:
        if not deadline.expired():
            raise
    outage = f"; {waits.last.message}" if waits.last else ""
    raise StillRunning(f"waited {within_s:g} s for {what}: not yet{outage}")


async def _batches(cluster: "Cluster", selection: Selection, waits: Waits) -> AsyncGenerator[tuple[Change, ...]]:
    """The changes of each list (also where there are none) and of each event."""
    known = Known()
    while True:
        found = await cluster.snapshot(
            selection.kind, namespace=selection.namespace, labels=selection.labels, fields=selection.fields,
            waits=waits,
        )  # fmt: skip
        yield known.relist(*found)
        try:
            async with aclosing(_followed(cluster, selection, known, waits)) as followed:
                async for batch in followed:
                    yield batch
        except Gone as gone:
            await waits.bear(gone)


async def _followed(
    cluster: "Cluster", selection: Selection, known: Known, waits: Waits
) -> AsyncGenerator[tuple[Change, ...]]:
    """Each event's changes, from one watch after another; ends by `Gone` alone."""
    clock = asyncio.get_running_loop().time
    while True:
        opened_s: float | None = None
        query = {
            "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(_LASTS_S),
            "resourceVersion": known.version, "labelSelector": selection.labels, "fieldSelector": selection.fields,
        }  # fmt: skip
        request = cluster.request("watch", selection.kind, namespace=selection.namespace, query=query)
        try:
            async with cluster.session.open(request, limits=_SILENT) as answer:
                opened_s = clock()
                async for line in lines.split(answer.content.iter_any()):
                    event = _event(line)
                    batch = known.take(*event)
                    waits.progress()
                    if batch:
                        yield batch
            fault: NoAnswer | ServerFault = NoAnswer("the API server ends watches at once", sent=True)
        except (NoAnswer, ServerFault) as error:
            fault = error
        if opened_s is None or clock() - opened_s < _BRIEF_S:
            await waits.bear(fault)
        else:
            waits.progress()


def _event(line: bytes) -> tuple[str, Object]:
    try:
        event = json.loads(line)
        kind, item = event["type"], event["object"]
    except (ValueError, KeyError, TypeError) as error:
        raise NoAnswer("a watch sent what is no event", sent=True) from error
    if not isinstance(item, dict):
        raise NoAnswer("a watch sent an event without an object", sent=True)
    return str(kind), item


def _failure(status: Mapping[str, Any]) -> Gone | ServerFault:
    """An error inside a watch: 410 has its own way on, everything else is worth another watch."""
    message = str(status.get("message") or status.get("reason") or "no reason")[:500]
    if status.get("code") == 410 or status.get("reason") in {"Expired", "Gone"}:
        return Gone(f"the watch was ended: {message}", status=410)
    return refusals.ServerFault(f"the watch was ended: {message}", status=status.get("code"))


def _metadata(item: Object) -> Mapping[str, Any]:
    metadata = item.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _key(item: Object) -> Key:
    return str(_metadata(item).get("namespace") or ""), str(_metadata(item).get("name") or "")


def _uid(item: Object) -> Any:
    return _metadata(item).get("uid")


def _version(item: Object) -> str:
    return str(_metadata(item).get("resourceVersion") or "")
