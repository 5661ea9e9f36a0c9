"""Which group owns the volume to our pod: said, assigned by OpenShift, copied from who mounts the claim, or ours.

A pod writes to a volume by its group: kubelet gives the volume's files to `fsGroup`. A group that differs from that of
the servers would take the files away from them, and one that a namespace's SCC does not allow keeps the pod from existing.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.errors import ClusterDenied
from lading.manifests import ours
from lading.placement.mounts import Mount

_GROUPS = "openshift.io/sa.scc.supplemental-groups"
_UIDS = "openshift.io/sa.scc.uid-range"
_RANGE = re.compile(r"(\d+)(?:/(\d+)|-(\d+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a pod of ours is to the volume.

    Attributes:
        fs_group: None: left out of the pod, so that OpenShift assigns it.
        because: Why, for people: a clause.
    """

    fs_group: int | None
    because: str


async def identity(cluster: Cluster, mounts: Sequence[Mount], *, asked: int | None = None) -> Identity:
    """As `decide`, for the cluster's namespace."""
    if asked is not None:
        return decide(asked=asked, annotations=None, mounts=mounts)
    try:
        namespace = await cluster.get(kinds.NAMESPACE, cluster.namespace)
        annotations = namespace["metadata"].get("annotations") or {}
    except ClusterDenied:
        annotations = await _openshift(cluster)
    return decide(asked=asked, annotations=annotations, mounts=mounts)


async def _openshift(cluster: Cluster) -> Mapping[str, str] | None:
    """What the pods of a namespace say of it that may not be read itself: OpenShift writes the SCC on each."""
    try:
        pods = await cluster.list(kinds.POD)
    except ClusterDenied:
        return None
    assigned = any("openshift.io/scc" in (pod["metadata"].get("annotations") or {}) for pod in pods)
    return {_UIDS: ""} if assigned else None


def decide(*, asked: int | None, annotations: Mapping[str, str] | None, mounts: Sequence[Mount] = ()) -> Identity:
    """The identity for a namespace with these *annotations* (None: unknown), where *mounts* use the claim.

    On OpenShift the SCC assigns the namespace's group, unless those that mount the claim have another one that it allows.
    """
    if asked is not None:
        return Identity(fs_group=asked, because="as asked")
    copied = _copied(mounts)
    if annotations and (_GROUPS in annotations or _UIDS in annotations):
        if copied is not None and _allowed(copied[0], annotations.get(_GROUPS) or annotations.get(_UIDS) or ""):
            return Identity(fs_group=copied[0], because=f"as pod {copied[1]} has it, which mounts the claim")
        return Identity(fs_group=None, because="assigned by OpenShift")
    if copied is not None:
        return Identity(fs_group=copied[0], because=f"as pod {copied[1]} has it, which mounts the claim")
    return Identity(fs_group=ours.GROUP, because="no pod that mounts the claim has one")


def _copied(mounts: Iterable[Mount]) -> tuple[int, str] | None:
    """The group of the first pod, by name, that has one; those that write before those that read, others' before ours."""
    having = [mount for mount in mounts if mount.fs_group is not None]
    having.sort(key=lambda mount: (mount.purpose is not None, mount.read_only, mount.pod))
    return next(((mount.fs_group, mount.pod) for mount in having if mount.fs_group is not None), None)


def _allowed(group: int, ranges: str) -> bool:
    """Whether *group* is in one of the ranges of an SCC annotation: ``1001130000/10000``, ``1000-2000``; comma-separated."""
    for match in _RANGE.finditer(ranges):
        first = int(match[1])
        last = first + int(match[2]) - 1 if match[2] else int(match[3])
        if first <= group <= last:
            return True
    return False
