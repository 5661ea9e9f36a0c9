"""Taking a server off a cluster: in order, explicitly, and seen to be gone. Nothing is left to owner references.

First what starts pods, then what is around them, then the ReplicaSets and pods themselves, until none is left: a pod that
still holds a GPU or a claim would fail the next server.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from lading.backends.on_cluster_form import Form
from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Kind, Object
from lading.errors import TeardownFailed
from lading.manifests import ours

_PAUSE_S = 0.2
_AT_ONCE_S = 1
Found = list[tuple[Kind, Object]]


async def remove(cluster: Cluster, form: Form, name: str, *, shown: str, within_s: float) -> None:
    """Delete what belongs to the server whose objects are called *name*, and wait until it is gone; silent about none.

    A pod may end by itself for half of the time, then it is ended at once.

    Raises:
        TeardownFailed: Something is still there after *within_s*; says what.
    """
    clock = asyncio.get_running_loop().time
    deadline, patient = clock() + within_s, clock() + within_s / 2
    chosen = f"{ours.MANAGED_BY}={ours.MANAGER},{ours.BACKEND}={form.kind},{ours.SERVER}={name}"

    def of_kind(kind: Kind) -> Callable[[], Awaitable[Found]]:
        async def look() -> Found:
            return [(kind, one) for one in await cluster.list(kind, labels=chosen)]

        return look

    async def made_for_it() -> Found:
        """The Deployment that a controller made for it goes with what it was made for."""
        if kinds.DEPLOYMENT in form.kinds or not asked:
            return []
        found = await cluster.find(kinds.DEPLOYMENT, form.deployment(name))
        return [(kinds.DEPLOYMENT, found)] if found is not None else []

    async def pods() -> Found:
        listed: Found = []
        for kind in (kinds.REPLICA_SET, kinds.POD):
            listed += [(kind, one) for one in await cluster.list(kind, labels=form.pods(name))]
        return listed

    asked = False
    for kind in form.kinds:
        asked = await _gone(cluster, of_kind(kind), shown, deadline, deadline) or asked
    await _gone(cluster, made_for_it, shown, deadline, deadline, delete=False)
    await _gone(cluster, pods, shown, deadline, patient)


async def _gone(
    cluster: Cluster,
    look: Callable[[], Awaitable[Found]],
    shown: str,
    deadline: float,
    patient: float,
    *,
    delete: bool = True,
) -> bool:
    """Delete what *look* finds, until it finds nothing; whether there was anything.

    Raises:
        TeardownFailed: At *deadline*.
    """
    clock = asyncio.get_running_loop().time
    tries = 0
    while found := await look():
        tries += 1
        if clock() >= deadline:
            raise _left(found, shown)
        for kind, one in found if delete else ():
            await _delete(cluster, kind, one, hurry=clock() >= patient)
        if tries > 1:  # most objects are gone with the answer to their deletion
            await asyncio.sleep(min(_PAUSE_S, max(0.0, deadline - clock())))
    return tries > 0


async def _delete(cluster: Cluster, kind: Kind, one: Object, *, hurry: bool) -> None:
    """Delete *one*; what is being deleted already only where it must hurry."""
    metadata = one["metadata"]
    if "deletionTimestamp" in metadata and not (hurry and kind == kinds.POD):
        return
    grace_s = _AT_ONCE_S if hurry and kind == kinds.POD else None
    await cluster.delete(kind, metadata["name"], namespace=metadata["namespace"], uid=metadata["uid"], grace_s=grace_s)


def _left(found: Sequence[tuple[Kind, Object]], shown: str) -> TeardownFailed:
    things = ", ".join(f"{kind.resource}/{one['metadata']['name']}" for kind, one in found)
    held = sorted({str(by) for _, one in found for by in one["metadata"].get("finalizers") or ()})
    return TeardownFailed(
        f"{shown} still has {things}" + (f", held by {', '.join(held)}" if held else ""),
        hint=f"`kubectl -n {found[0][1]['metadata']['namespace']} describe {things.split(', ')[0]}` says what holds it",
    )
