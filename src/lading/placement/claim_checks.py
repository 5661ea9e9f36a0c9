"""Whether a claim can be written to at all: there, not going, bound or about to be, a file system."""

from dataclasses import dataclass

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.diagnosis import claims as diagnosing
from lading.errors import ClusterDenied, ObjectMissing
from lading.placement import problems
from lading.placement.problems import Problem
from lading.spec.nearest import nearest
from lading.spec.placement import Toleration


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A claim, None where there is none, and what is wrong with it."""

    claim: Object | None
    problems: tuple[Problem, ...] = ()


async def check(cluster: Cluster, name: str) -> Checked:
    """The claim called *name* in the cluster's namespace."""
    claim = await cluster.find(kinds.CLAIM, name)
    if claim is None:
        return Checked(claim=None, problems=(await _absent(cluster, name),))
    block = claim["spec"].get("volumeMode") == "Block"
    found = diagnosing.findings(claim, await _events(cluster, name), storage_class=await _class(cluster, claim))
    told = [problems.found(one) for one in found if one.fatal]
    return Checked(claim=claim, problems=(*((_block(name),) if block else ()), *told))


def tolerations(pod: Object) -> tuple[Toleration, ...]:
    """The taints that *pod* tolerates by its own word; those that every pod is given are left out."""
    return tuple(
        Toleration(key=one["key"], value=one.get("value"), effect=one.get("effect"))
        for one in pod["spec"].get("tolerations") or ()
        if one.get("key") and not one["key"].startswith("node.kubernetes.io/")
    )


async def _absent(cluster: Cluster, name: str) -> Problem:
    try:
        others = [one["metadata"]["name"] for one in await cluster.list(kinds.CLAIM)]
    except ClusterDenied:
        others = []
    near = nearest(name, others)
    return Problem(
        code="claim-missing",
        message=f"there is no claim {name} in {cluster.namespace}",
        hint=f"did you mean pvc://{near}?" if near else f"make it: lading claim create {name} --size SIZE",
    )


def _block(name: str) -> Problem:
    return Problem(
        code="claim-block",
        message=f"claim {name} is a raw block device (volumeMode Block): there are no files on it",
        hint="use a claim with volumeMode Filesystem",
    )


async def _events(cluster: Cluster, name: str) -> tuple[Object, ...]:
    try:
        fields = f"involvedObject.name={name},involvedObject.kind=PersistentVolumeClaim"
        return await cluster.list(kinds.EVENT, fields=fields)
    except ClusterDenied:
        return ()


async def _class(cluster: Cluster, claim: Object) -> Object | None:
    name = claim["spec"].get("storageClassName")
    if not name:
        return None
    try:
        return await cluster.get(kinds.STORAGE_CLASS, name)
    except (ClusterDenied, ObjectMissing):
        return None
