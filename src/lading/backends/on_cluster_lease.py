"""Who is still there, for everybody on a cluster: a `coordination.k8s.io` Lease per run, renewed while the run lives.

The run itself is known by the locked file of `lading.backends.lease`: a Lease is renewed, from a thread of its own, for as
long as that file is held here. Its age is told by the API server's own clock on both ends, so that a laptop whose clock is
wrong neither loses its servers nor keeps those of the dead.
"""

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from lading.backends import lease as local
from lading.backends import record
from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.config import Connection
from lading.cluster.kinds import Object
from lading.cluster.loop import LoopThread
from lading.errors import ClusterError, InvalidInput
from lading.manifests import ours

LOOP = LoopThread("lading-leases")
"""Renewals have a thread of their own: a long measurement must not make a run look dead."""
_RENEWED = 4
"""Times within one duration."""
_renewing: set[tuple[str, str, str]] = set()


def document(lease: str, namespace: str, *, holder: str, duration_s: int) -> Object:
    """The Lease object of the run *lease*, renewed now."""
    return {
        "apiVersion": kinds.LEASE.api_version,
        "kind": kinds.LEASE.kind,
        "metadata": {
            "name": name(lease),
            "namespace": namespace,
            "labels": {ours.MANAGED_BY: ours.MANAGER, ours.LEASE: lease},
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": duration_s,
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }


def name(lease: str) -> str:
    """What the Lease of the run *lease* is called."""
    return f"lading-{lease}"


def identity(home: Path) -> str:
    """Who holds leases of *home*: no other machine, container or folder says the same, and none after another boot.

    Empty where there is no such folder: then nobody does.
    """
    try:
        found = home.stat()
    except FileNotFoundError:
        return ""
    return f"{socket.gethostname()}/{record.boot_id()}/{found.st_dev:x}-{found.st_ino:x}"


async def hold(cluster: Cluster, lease: str, namespace: str, *, home: Path, duration_s: int) -> None:
    """Have the Lease of a run of this machine, and renew it until the run ends; nothing where nobody here holds *lease*.

    Returns once it is written: what is made under it afterwards never looks left behind.
    """
    key = (cluster.connection.server, namespace, lease)
    if not local.held(home, lease):
        return
    wanted = document(lease, namespace, holder=identity(home), duration_s=duration_s)
    await cluster.apply(wanted, force=True)
    if key not in _renewing:
        _renewing.add(key)
        work = _renew(cluster.connection, key, home=home, duration_s=duration_s)
        asyncio.run_coroutine_threadsafe(work, LOOP.loop())


async def _renew(connection: Connection, key: tuple[str, str, str], *, home: Path, duration_s: int) -> None:
    """Renew until nobody here holds it, then delete it. An API server that is away is tried again."""
    _, namespace, lease = key
    try:
        while local.held(home, lease):
            with suppress(ClusterError):
                async with Cluster(connection) as cluster:
                    wanted = document(lease, namespace, holder=identity(home), duration_s=duration_s)
                    await cluster.apply(wanted, force=True)
            await _while_held(home, lease, duration_s / _RENEWED)
    finally:
        _renewing.discard(key)
    with suppress(ClusterError):
        async with Cluster(connection) as cluster:
            await cluster.delete(kinds.LEASE, name(lease), namespace=namespace)


async def _while_held(home: Path, lease: str, wait_s: float) -> None:
    until = asyncio.get_running_loop().time() + wait_s
    while local.held(home, lease) and (left_s := until - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110 - a file tells nobody
        await asyncio.sleep(min(1.0, left_s))


async def dead(cluster: Cluster, wanted: Iterable[str], namespace: str, *, home: Path) -> frozenset[str]:
    """Those of the runs *wanted* that nobody holds any more.

    Not held here, and: no Lease, one of this home, or one that was not renewed for its duration.
    """
    asked = {lease for lease in wanted if not local.held(home, lease)}
    if not asked:
        return frozenset()
    found = {ours_of(one): one for one in await cluster.list(kinds.LEASE, namespace=namespace, labels=ours.LEASE)}
    now = await _server_now(cluster, namespace)
    mine = identity(home)
    return frozenset(
        lease
        for lease in asked
        if lease not in found or holder_of(found[lease]) == mine != "" or expired(found[lease], now)
    )


async def forget_dead(cluster: Cluster, namespace: str, *, home: Path) -> None:
    """Delete the Leases of runs that are gone."""
    listed = [ours_of(one) for one in await cluster.list(kinds.LEASE, namespace=namespace, labels=ours.LEASE)]
    for lease in await dead(cluster, filter(None, listed), namespace, home=home):
        await cluster.delete(kinds.LEASE, name(lease), namespace=namespace)


def ours_of(lease: Object) -> str:
    """The run that a Lease object is of; empty where it does not say."""
    return str((lease["metadata"].get("labels") or {}).get(ours.LEASE) or "")


def holder_of(lease: Object) -> str:
    """Who holds a Lease object, or did."""
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def expired(lease: Object, now: datetime) -> bool:
    """Whether *lease* was not renewed within its duration.

    Args:
        lease: The Lease; what the API server noted of its last change counts, not what the holder's clock said.
        now: By the API server's clock.
    """
    changed = [moment for one in lease["metadata"].get("managedFields") or () if (moment := _moment(one.get("time")))]
    renewed = max(changed, default=None) or _moment((lease.get("spec") or {}).get("renewTime"))
    duration_s = (lease.get("spec") or {}).get("leaseDurationSeconds")
    if renewed is None or not isinstance(duration_s, int):
        return True
    return (now - renewed).total_seconds() > duration_s


async def _server_now(cluster: Cluster, namespace: str) -> datetime:
    """The API server's clock, by an object that is not made."""
    tried = await cluster.create(document("clock", namespace, holder="", duration_s=1), dry_run=True)
    found = _moment(tried["metadata"].get("creationTimestamp"))
    if found is None:
        raise InvalidInput("the API server does not say what time it is")
    return found


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
