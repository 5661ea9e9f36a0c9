"""Whether a service can have its claim: who holds it, and its access mode against replicas, updates and nodes."""

from collections.abc import Mapping, Sequence
from typing import Any

from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.errors import ClusterDenied
from lading.manifests import ours, serving_pod
from lading.manifests.serving_pod import Rollout
from lading.placement import holding, mounts
from lading.placement.mounts import Mount
from lading.placement.problems import Problem
from lading.ports.backend import Deployment

SHARED = frozenset({"ReadWriteMany", "ReadOnlyMany"})


async def problems(
    cluster: Cluster, claim: Object | None, deployment: Deployment, pod: Mapping[str, Any] | None
) -> tuple[Problem, ...]:
    """What of the claim's access mode, and of those that hold it, is in the way."""
    if claim is None or pod is None:
        return ()
    name = claim["metadata"]["name"]
    try:
        held = await mounts.mounting(cluster, name)
    except ClusterDenied:
        held = ()
    others = tuple(mount for mount in held if not _own(mount, deployment))
    return decided(name, holding.modes(claim), serving_pod.rollout(deployment.objects), others)


def decided(name: str, modes: Sequence[str], rollout: Rollout, others: Sequence[Mount]) -> tuple[Problem, ...]:
    """As `problems`, from values alone.

    Args:
        name: Of the claim.
        modes: Its access modes.
        rollout: Of the service.
        others: Who holds it and is not this service.
    """
    found = []
    if SHARED.isdisjoint(modes) and rollout.replicas > 1:
        found.append(_replicas(name, modes, rollout.replicas))
    if "ReadWriteOncePod" in modes:
        staying = [mount for mount in others if not mount.leaving]
        if staying:
            found.append(_held(name, staying[0]))
        if rollout.together:
            found.append(_stuck(name))
    return tuple(found)


def node(claim: Object | None, others: Sequence[Mount]) -> str | None:
    """The node that already holds *claim*, where one node alone may mount it."""
    if claim is None or not SHARED.isdisjoint(holding.modes(claim)):
        return None
    return next((mount.node for mount in others if mount.node and not mount.leaving), None)


def _own(mount: Mount, deployment: Deployment) -> bool:
    """Whether it is a pod of this very service, or one of ours that ends by itself."""
    names = {str(one["metadata"]["name"]) for one in deployment.objects}
    return any(owner.name in names for owner in mount.owners) or mount.purpose in ours.PURPOSES


def _replicas(name: str, modes: Sequence[str], replicas: int) -> Problem:
    return Problem(
        code="access-mode",
        message=f"{replicas} replicas cannot be sure of claim {name}, which one node may mount ({', '.join(modes)})",
        hint="one replica, or a claim that is ReadWriteMany or ReadOnlyMany: lading claim create NAME --size SIZE --access-mode ReadWriteMany",
    )


def _held(name: str, mount: Mount) -> Problem:
    return Problem(
        code="claim-held",
        message=f"claim {name} is ReadWriteOncePod, and {holding.who(mount)} holds it",
        hint=f"stop {mount.workload or f'pod {mount.pod}'} first, or serve from a claim that several pods may mount",
    )


def _stuck(name: str) -> Problem:
    return Problem(
        code="rollout-stuck",
        message=f"claim {name} is ReadWriteOncePod, and the service would be updated with the old pod still there: the new one waits for ever",
        hint="deploymentStrategy: {type: Recreate}; under Knative there is none: --mode Standard",
    )
