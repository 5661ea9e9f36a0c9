"""Who holds a claim now: pods, the nodes they are on, and the workloads that keep them.

A claim that one node may mount (ReadWriteOnce) is reached only beside the pod that holds it, and a workload is stopped
by what owns its pods, not by deleting them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.errors import ClusterDenied, ObjectMissing
from lading.manifests import ours

_OVER = frozenset({"Succeeded", "Failed"})
_DEPTH = 6  # pod, ReplicaSet, Deployment, InferenceService: never so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """An object that keeps a pod alive."""

    api_version: str
    kind: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One pod that mounts a claim.

    Attributes:
        node: Where it is, or will be; None: not scheduled, so it holds nothing yet.
        phase: ``Pending``, ``Running`` or ``Unknown``.
        read_only: No container of it writes there.
        sub_paths: Directories of the claim that its containers see, sorted; ``""`` is the whole claim.
        leaving: It was told to end, and holds the claim until it has.
        owners: What keeps it, nearest first: ReplicaSet, Deployment, InferenceService.
        fs_group: The group that its volumes are made accessible to.
        purpose: Of a pod of ours, what it is for; None: somebody else's.
    """

    pod: str
    namespace: str
    node: str | None
    phase: str
    read_only: bool
    sub_paths: tuple[str, ...] = ()
    leaving: bool = False
    owners: tuple[Owner, ...] = ()
    fs_group: int | None = None
    purpose: str | None = None

    @property
    def workload(self) -> Owner | None:
        """The last of its owners: what a person made, and what is to be stopped."""
        return self.owners[-1] if self.owners else None


async def mounting(cluster: Cluster, claim: str, *, namespace: str | None = None) -> tuple[Mount, ...]:
    """The pods that hold *claim* now, by name: scheduled to a node and not ended.

    Raises:
        ClusterDenied: Pods may not be listed.
    """
    return tuple(mount for mount in await unfinished(cluster, claim, namespace=namespace) if mount.node)


async def unfinished(cluster: Cluster, claim: str, *, namespace: str | None = None) -> tuple[Mount, ...]:
    """As `mounting`, with the pods that wait for a node."""
    found = mounts(await cluster.list(kinds.POD, namespace=namespace), claim)
    return tuple([replace(mount, owners=await _chain(cluster, mount)) for mount in found])


def mounts(pods: Iterable[Object], claim: str) -> tuple[Mount, ...]:
    """The *pods* that mount *claim* and have not ended, by name, each with its nearest owner only."""
    found = (_mount(pod, claim) for pod in pods if pod.get("status", {}).get("phase") not in _OVER)
    return tuple(sorted((mount for mount in found if mount), key=lambda mount: mount.pod))


def volumes_on(claim: str, spec: Mapping[str, Any], *, pod: str | None = None) -> dict[str, bool]:
    """Names of the volumes of a pod's *spec* that are *claim*, each with whether it is mounted read-only as a whole."""
    found = {}
    for volume in spec.get("volumes") or ():
        source = volume.get("persistentVolumeClaim")
        if source and source.get("claimName") == claim:
            found[volume["name"]] = bool(source.get("readOnly"))
        elif "ephemeral" in volume and pod and f"{pod}-{volume['name']}" == claim:
            found[volume["name"]] = False
    return found


def seen(spec: Mapping[str, Any], volumes: Mapping[str, bool]) -> Iterator[tuple[str, bool]]:
    """For each place where a container of *spec* mounts one of *volumes*: the sub-path, and whether read-only."""
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(group) or ():
            for place in container.get("volumeMounts") or ():
                if place["name"] in volumes:
                    path = place.get("subPath") or place.get("subPathExpr") or ""
                    yield path.strip("/"), bool(place.get("readOnly")) or volumes[place["name"]]


def _mount(pod: Object, claim: str) -> Mount | None:
    head, spec = pod["metadata"], pod.get("spec", {})
    volumes = volumes_on(claim, spec, pod=head["name"])
    if not volumes:
        return None
    places = list(seen(spec, volumes))
    labels = head.get("labels") or {}
    return Mount(
        pod=head["name"],
        namespace=head.get("namespace", ""),
        node=spec.get("nodeName"),
        phase=pod.get("status", {}).get("phase", "Unknown"),
        read_only=all(read_only for _, read_only in places),
        sub_paths=tuple(sorted({path for path, _ in places})),
        leaving="deletionTimestamp" in head,
        owners=tuple(_owner(pod)),
        fs_group=(spec.get("securityContext") or {}).get("fsGroup"),
        purpose=labels.get(ours.PURPOSE) if labels.get(ours.MANAGED_BY) == ours.MANAGER else None,
    )


def _owner(document: Object) -> Iterator[Owner]:
    """The controller of *document*, if it has one."""
    for reference in document["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            yield Owner(
                api_version=reference["apiVersion"],
                kind=reference["kind"],
                name=reference["name"],
                uid=reference["uid"],
            )
            return


async def _chain(cluster: Cluster, mount: Mount) -> tuple[Owner, ...]:
    """The owners of *mount* upwards, as far as they may be read."""
    chain = list(mount.owners)
    while chain and len(chain) < _DEPTH:
        above = await _above(cluster, chain[-1], mount.namespace)
        if above is None:
            break
        chain.append(above)
    return tuple(chain)


async def _above(cluster: Cluster, owner: Owner, namespace: str) -> Owner | None:
    try:
        kind = kinds.of({"apiVersion": owner.api_version, "kind": owner.kind})
        document = await cluster.get(kind, owner.name, namespace=namespace or None)
    except (LookupError, ClusterDenied, ObjectMissing):
        return None
    return next(_owner(document), None)
