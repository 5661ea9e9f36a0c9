"""What the API knows of a claim: the claim itself, and of its class and volume what may be read."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.errors import ClaimUnusable
from lading.manifests import claims as documents
from lading.placement import evidence, mounts
from lading.placement import users as pointing
from lading.placement.classes import StorageClass
from lading.placement.evidence import Evidence
from lading.placement.mounts import Mount
from lading.placement.users import Users
from lading.spec.nearest import nearest

_RESIZES = {
    "Resizing": "the driver makes the volume bigger",
    "FileSystemResizePending": "the volume is bigger; its file system grows when a pod mounts it next",
    "ControllerResizeError": "the driver could not make the volume bigger",
    "NodeResizeError": "the node could not make the file system bigger",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundVolume:
    """The PersistentVolume behind a claim.

    Attributes:
        phase: ``Bound``, ``Released``, ``Available`` or ``Failed``.
        driver: What made or mounts it: a CSI driver, or a kind such as ``nfs`` or ``local``.
        nodes: Whether it can be mounted on some nodes only.
    """

    name: str
    phase: str
    reclaim_policy: str
    capacity_bytes: int | None
    driver: str
    nodes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFacts:
    """A claim, as far as the API tells.

    Attributes:
        phase: ``Bound``, ``Pending`` or ``Lost``.
        capacity_bytes: Of the bound volume; None while there is none.
        requested_bytes: What the claim asks for.
        class_name: None: the claim takes whatever; ``""``: only volumes without a class.
        resize: What a resize in progress waits for, in words.
        storage_class: A value of None that is known: the claim has no class, or one that is gone.
        volume: A value of None that is known: not bound.
        mounts: Pods that mount it, those that still wait for a node too (`Mount.node` None).
        document: The claim itself.
    """

    name: str
    namespace: str
    phase: str
    capacity_bytes: int | None
    requested_bytes: int | None
    access_modes: tuple[str, ...]
    class_name: str | None
    volume_name: str | None
    volume_mode: str
    resize: str | None
    leaving: bool
    storage_class: Evidence[StorageClass]
    volume: Evidence[BoundVolume]
    mounts: tuple[Mount, ...] = ()
    users: Users = field(default_factory=Users)
    document: Object = field(repr=False, default_factory=dict)

    @property
    def reclaim_policy(self) -> str | None:
        """What becomes of the volume with the claim: its own policy, else its class's; None where neither is known."""
        if self.volume.value:
            return self.volume.value.reclaim_policy
        if self.storage_class.value and not self.volume_name:
            return self.storage_class.value.reclaim_policy
        return None

    @property
    def holders(self) -> tuple[Mount, ...]:
        """The pods that hold it now."""
        return tuple(mount for mount in self.mounts if mount.node)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What could not be looked at, a sentence each."""
        told = (self.storage_class.unknown, self.volume.unknown, *self.users.unknown)
        return tuple(dict.fromkeys(sentence for sentence in told if sentence))


async def facts(cluster: Cluster, claim: str, *, namespace: str | None = None) -> ClaimFacts:
    """All that the API tells of *claim*.

    Raises:
        ClaimUnusable: There is none of that name; the hint names the nearest, or how to make one.
        ClusterDenied: Claims or pods may not be read.
    """
    document = await existing(cluster, claim, namespace=namespace)
    place = document["metadata"]["namespace"]
    spec, status = document["spec"], document.get("status") or {}
    class_name = spec.get("storageClassName")
    return ClaimFacts(
        name=claim,
        namespace=place,
        phase=status.get("phase", "Pending"),
        capacity_bytes=documents.size_bytes((status.get("capacity") or {}).get("storage")),
        requested_bytes=documents.size_bytes(_requested(document)),
        access_modes=tuple(status.get("accessModes") or spec.get("accessModes") or ()),
        class_name=class_name,
        volume_name=spec.get("volumeName") or None,
        volume_mode=spec.get("volumeMode") or "Filesystem",
        resize=_resize(document),
        leaving="deletionTimestamp" in document["metadata"],
        storage_class=await _class(cluster, class_name),
        volume=await _volume(cluster, spec.get("volumeName")),
        mounts=await mounts.unfinished(cluster, claim, namespace=place),
        users=await pointing.users(cluster, claim, namespace=place),
        document=document,
    )


async def existing(cluster: Cluster, claim: str, *, namespace: str | None = None) -> Object:
    """The claim's document.

    Raises:
        ClaimUnusable: There is none of that name; the hint names the nearest, or how to make one.
    """
    found = await cluster.find(kinds.CLAIM, claim, namespace=namespace)
    if found is not None:
        return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **found}
    place = namespace or cluster.namespace
    names = [one["metadata"]["name"] for one in await cluster.list(kinds.CLAIM, namespace=place)]
    near = nearest(claim, names)
    others = f"claims there: {', '.join(sorted(names)[:8])}" if names else f"`lading claim create {claim}` makes it"
    raise ClaimUnusable(
        f"there is no claim {claim} in namespace {place}",
        hint=f"did you mean pvc://{near}?" if near else others,
    )


def retain_warning(known: ClaimFacts) -> str | None:
    """That the models on this claim will be deleted with it, and what keeps them; None where they will not, or it is unknown."""
    return _ending(known.name, known.volume_name, known.reclaim_policy)


async def retain_note(cluster: Cluster, document: Object) -> str | None:
    """As `retain_warning`, of a claim's *document* alone; a denied volume or class is no error."""
    spec = document["spec"]
    name = spec.get("volumeName") or None
    if name:
        volume = (await _volume(cluster, name)).value
        return _ending(document["metadata"]["name"], name, volume.reclaim_policy if volume else None)
    kind = (await _class(cluster, spec.get("storageClassName"))).value
    return _ending(document["metadata"]["name"], None, kind.reclaim_policy if kind else None)


def _ending(claim: str, volume: str | None, policy: str | None) -> str | None:
    if policy != "Delete":
        return None
    what = f"its volume {volume}" if volume else "the volume it will get"
    return (
        f"{what} is deleted with the claim, and every model on it "
        f"(reclaim policy Delete); `lading claim retain pvc://{claim}` keeps it"
    )


def bound_volume(document: Object) -> BoundVolume:
    """What a PersistentVolume says of itself."""
    spec = document["spec"]
    csi = spec.get("csi") or {}
    return BoundVolume(
        name=document["metadata"]["name"],
        phase=(document.get("status") or {}).get("phase", "Pending"),
        reclaim_policy=spec.get("persistentVolumeReclaimPolicy") or "Retain",
        capacity_bytes=documents.size_bytes((spec.get("capacity") or {}).get("storage")),
        driver=csi.get("driver") or next(_sources(spec), "unknown"),
        nodes="nodeAffinity" in spec,
    )


def _sources(spec: Object) -> Iterator[str]:
    """The keys that name an in-tree volume's kind."""
    known = {"nfs", "local", "hostPath", "iscsi", "fc", "rbd", "cephfs", "awsElasticBlockStore", "gcePersistentDisk",
             "azureDisk", "azureFile", "cinder", "vsphereVolume", "portworxVolume", "glusterfs"}  # fmt: skip
    return (key for key in spec if key in known)


async def _class(cluster: Cluster, name: str | None) -> Evidence[StorageClass]:
    if not name:
        return Evidence()
    read = await evidence.gathered("storage classes", cluster.find(kinds.STORAGE_CLASS, name))
    return Evidence(StorageClass.of(read.value) if read.value else None, read.unknown)


async def _volume(cluster: Cluster, name: str | None) -> Evidence[BoundVolume]:
    if not name:
        return Evidence()
    read = await evidence.gathered("persistent volumes", cluster.find(kinds.VOLUME, name))
    return Evidence(bound_volume(read.value) if read.value else None, read.unknown)


def _requested(document: Object) -> str | None:
    found: str | None = (document["spec"].get("resources") or {}).get("requests", {}).get("storage")
    return found


def _resize(document: Object) -> str | None:
    """What a resize waits for; None where none is under way."""
    status = document.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("status") == "True" and condition["type"] in _RESIZES:
            detail = condition.get("message")
            return _RESIZES[condition["type"]] + (f" ({detail})" if detail else "")
    asked = documents.size_bytes(_requested(document))
    has = documents.size_bytes((status.get("capacity") or {}).get("storage"))
    if status.get("phase") == "Bound" and asked and has and asked > has:
        return f"{_requested(document)} asked for, not begun"
    return None
