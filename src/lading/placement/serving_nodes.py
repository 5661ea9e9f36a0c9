"""Whether a node takes the pod of a service: one that can mount the volume, with the GPUs and memory free, and with the image."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.diagnosis import images, serving_classes
from lading.diagnosis.finding import Finding
from lading.errors import ClusterDenied, ObjectMissing
from lading.placement import choosing_nodes, evidence, mounts, room, serving_claim
from lading.placement import problems as telling
from lading.placement.problems import Problem
from lading.placement.room import NodeRoom


async def problems(cluster: Cluster, claim: Object | None, pod: Mapping[str, Any] | None) -> tuple[Problem, ...]:
    """What of nodes and images is in the way; what may not be read with these rights is left to the scheduler."""
    if pod is None:
        return ()
    rooms, volume, held, pods = await asyncio.gather(
        room.look(cluster), _volume(cluster, claim), _held(cluster, claim), _pods(cluster)
    )
    listed = rooms.value or ()
    found = (*_images(pod, pods, listed), *await _secrets(cluster, pod))
    if not listed:
        return found
    return (*found, *fitting(pod, listed, volume, on=serving_claim.node(claim, held)))


def fitting(
    pod: Mapping[str, Any], rooms: Sequence[NodeRoom], volume: Object | None, *, on: str | None = None
) -> tuple[Problem, ...]:
    """Why no node takes *pod*, from values alone.

    Args:
        pod: Its spec.
        rooms: Of all nodes.
        volume: The claim's PersistentVolume; None: it has none yet, or it may not be read.
        on: The one node that holds the claim now, and alone may mount it.
    """
    affinity = ((volume or {}).get("spec") or {}).get("nodeAffinity", {}).get("required")
    reached = [one for one in rooms if affinity is None or choosing_nodes.selected(affinity, one.node)]
    if not reached:
        return (_nowhere(volume),)
    there = [one for one in reached if on is None or one.name == on]
    try:
        found = room.fit(pod, there or reached)
    except ValueError as error:
        return (Problem(code="resources-invalid", message=f"the pod's resources cannot be read: {error}", hint="--resources cpu=4 --resources memory=16Gi"),)  # fmt: skip
    if found.nodes:
        return ()
    where = f" (the claim can be mounted on {', '.join(one.name for one in there)} alone)" if len(there) < len(rooms) else ""  # fmt: skip
    return (Problem(code="no-room-on-nodes", message=f"{room.told(found, pod)}{where}", hint=room.remedy(found)),)


def _nowhere(volume: Object | None) -> Problem:
    name = (volume or {}).get("metadata", {}).get("name")
    return Problem(
        code="volume-elsewhere",
        message=f"no node of the cluster can mount the volume {name}: its node affinity matches none",
        hint=f"`kubectl get pv {name} -o jsonpath='{{.spec.nodeAffinity}}'` tells which it wants",
    )


async def _volume(cluster: Cluster, claim: Object | None) -> Object | None:
    name = ((claim or {}).get("spec") or {}).get("volumeName")
    if not name:
        return None
    try:
        return await cluster.find(kinds.VOLUME, name)
    except ClusterDenied:
        return None


async def _held(cluster: Cluster, claim: Object | None) -> tuple[mounts.Mount, ...]:
    if claim is None:
        return ()
    try:
        return await mounts.mounting(cluster, claim["metadata"]["name"])
    except ClusterDenied:
        return ()


async def _pods(cluster: Cluster) -> tuple[Object, ...]:
    found = await evidence.gathered("pods", cluster.list(kinds.POD))
    return found.value or ()


# ------------------------------------------------------------------------------------------------------------ images


def _images(pod: Mapping[str, Any], pods: Sequence[Object], rooms: Sequence[NodeRoom]) -> tuple[Problem, ...]:
    """Images that another pod of the namespace waits for in vain, and those that may not be pulled and are on no node."""
    found = []
    there = {name for one in rooms for image in (one.node.get("status") or {}).get("images") or () for name in image.get("names") or ()}  # fmt: skip
    for container in (*(pod.get("initContainers") or ()), *(pod.get("containers") or ())):
        image = str(container.get("image") or "")
        if container.get("imagePullPolicy") == "Never" and rooms and not _is_there(image, there):
            found.append(_absent(image))
        waiting = _in_vain(image, pods)
        if waiting is not None:
            found.append(telling.found(serving_classes.told(waiting, {})))
    return tuple({one.message: one for one in found}.values())


def _in_vain(image: str, pods: Sequence[Object]) -> Finding | None:
    """Why another pod does not get *image*, where one waits for it."""
    for pod in pods:
        asked = {one.get("name"): one.get("image") for one in (pod.get("spec") or {}).get("containers") or ()}
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            state = (status.get("state") or {}).get("waiting") or {}
            if state.get("reason") in images.REASONS and asked.get(status.get("name")) == image:
                return images.waiting(pod, image, str(state["reason"]), str(state.get("message") or ""), ())
    return None


def _is_there(image: str, there: set[str]) -> bool:
    """Whether a node has *image*; nodes write the registry that a short name leaves out."""
    return bool({image, f"docker.io/{image}", f"docker.io/library/{image}"} & there)


def _absent(image: str) -> Problem:
    return Problem(
        code="image-absent",
        message=f"the image {image} is on no node, and may not be pulled (imagePullPolicy: Never)",
        hint="load it onto a node, or name another with --image",
    )


async def _secrets(cluster: Cluster, pod: Mapping[str, Any]) -> tuple[Problem, ...]:
    """The account and the Secrets that must be there: nothing starts without them."""
    account, where = pod.get("serviceAccountName"), cluster.namespace
    wanted = [(kinds.SECRET, name, _no_secret(name, where)) for name in _needed(pod)]
    if account:
        wanted.append((kinds.SERVICE_ACCOUNT, str(account), _no_account(str(account), where)))
    lacking = await asyncio.gather(*(_lacks(cluster, kind, name) for kind, name, _ in wanted))
    return tuple(problem for (_, _, problem), lacks in zip(wanted, lacking, strict=True) if lacks)


def _no_secret(name: str, namespace: str) -> Problem:
    return Problem(
        code="secret-missing",
        message=f"there is no Secret {name} in {namespace}, from which the server gets its environment",
        hint=f"`kubectl -n {namespace} create secret generic {name} --from-env-file=FILE`",
    )


def _no_account(name: str, namespace: str) -> Problem:
    return Problem(
        code="service-account-missing",
        message=f"there is no ServiceAccount {name} in {namespace}",
        hint=f"`kubectl -n {namespace} create serviceaccount {name}`, or leave --service-account out",
    )


def _needed(pod: Mapping[str, Any]) -> tuple[str, ...]:
    """Secrets without which a container does not start."""
    sources = [
        (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
        for container in pod.get("containers") or ()
        for variable in container.get("env") or ()
    ]
    return tuple(sorted({str(one["name"]) for one in sources if one.get("name") and not one.get("optional")}))


async def _lacks(cluster: Cluster, kind: kinds.Kind, name: str) -> bool:
    try:
        return await cluster.find(kind, name) is None
    except (ClusterDenied, ObjectMissing):
        return False
