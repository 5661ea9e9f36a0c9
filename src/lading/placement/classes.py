"""Storage classes: what volumes made by each will be like, and which can be mounted by several nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.placement import evidence
from lading.placement.evidence import Evidence

_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
WAITS = "WaitForFirstConsumer"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
RWX = "ReadWriteMany"
#: Of a command that does without the cluster.
UNASKED: Evidence[tuple["StorageClass", ...]] = Evidence(unknown="no cluster was asked for its storage classes")

#: Drivers of disks: a file system on one cannot be mounted by several nodes at once, whatever the claim asks for. Each
#: driver's own documentation says so; in `Block` mode some can, which is of no use for files.
BLOCK_ONLY: dict[str, str] = {
    "ebs.csi.aws.com": "Amazon EBS",
    "kubernetes.io/aws-ebs": "Amazon EBS",
    "pd.csi.storage.gke.io": "Google persistent disks",
    "kubernetes.io/gce-pd": "Google persistent disks",
    "disk.csi.azure.com": "Azure disks",
    "kubernetes.io/azure-disk": "Azure disks",
    "cinder.csi.openstack.org": "OpenStack Cinder",
    "kubernetes.io/cinder": "OpenStack Cinder",
    "vpc.block.csi.ibm.io": "IBM Cloud block storage",
    "dobs.csi.digitalocean.com": "DigitalOcean volumes",
    "csi.hetzner.cloud": "Hetzner Cloud volumes",
    "linodebs.csi.linode.com": "Linode block storage",
    "blockvolume.csi.oraclecloud.com": "Oracle block volumes",
    "diskplugin.csi.alibabacloud.com": "Alibaba Cloud disks",
    "rbd.csi.ceph.com": "Ceph RBD",
    "kubernetes.io/rbd": "Ceph RBD",
    "topolvm.io": "LVM on the node",
    "topolvm.cybozu.com": "LVM on the node",
    "local.csi.openebs.io": "LVM on the node",
    "rancher.io/local-path": "a directory of one node",
    "openebs.io/local": "a directory of one node",
    "kubevirt.io.hostpath-provisioner": "a directory of one node",
}
#: Drivers of file services: several nodes may mount one volume.
SHARED: dict[str, str] = {
    "efs.csi.aws.com": "Amazon EFS",
    "fsx.csi.aws.com": "Amazon FSx for Lustre",
    "filestore.csi.storage.gke.io": "Google Filestore",
    "file.csi.azure.com": "Azure Files",
    "kubernetes.io/azure-file": "Azure Files",
    "manila.csi.openstack.org": "OpenStack Manila",
    "cephfs.csi.ceph.com": "CephFS",
    "nfs.csi.k8s.io": "NFS",
    "smb.csi.k8s.io": "SMB",
    "cluster.local/nfs-subdir-external-provisioner": "NFS",
    "driver.longhorn.io": "Longhorn",
    "csi.weka.io": "Weka",
    "spectrumscale.csi.ibm.com": "IBM Storage Scale",
    "beegfs.csi.netapp.com": "BeeGFS",
    "juicefs.csi.io": "JuiceFS",
    "lustre.csi.hpe.com": "Lustre",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageClass:
    """A storage class.

    Attributes:
        binding_mode: ``Immediate`` or ``WaitForFirstConsumer``.
        shared: Whether several nodes may mount one volume (None: this driver is not known here).
    """

    name: str
    default: bool
    provisioner: str
    reclaim_policy: str
    binding_mode: str
    expandable: bool
    shared: bool | None

    @classmethod
    def of(cls, document: Object) -> "StorageClass":
        """What *document* says; what it leaves out is as the API server defaults it."""
        annotations = document["metadata"].get("annotations") or {}
        provisioner = document["provisioner"]
        return cls(
            name=document["metadata"]["name"],
            default=any(annotations.get(key) == "true" for key in _DEFAULT),
            provisioner=provisioner,
            reclaim_policy=document.get("reclaimPolicy") or "Delete",
            binding_mode=document.get("volumeBindingMode") or "Immediate",
            expandable=bool(document.get("allowVolumeExpansion")),
            shared=shared(provisioner, document.get("parameters") or {}),
        )


async def classes(cluster: Cluster) -> Evidence[tuple[StorageClass, ...]]:
    """All storage classes by name, the default one first; unknown where they may not be listed."""
    found = await evidence.gathered("storage classes", cluster.list(kinds.STORAGE_CLASS))
    if found.value is None:
        return Evidence(unknown=found.unknown)
    listed = map(StorageClass.of, found.value)
    return Evidence(tuple(sorted(listed, key=lambda one: (not one.default, one.name))))


def shared(provisioner: str, parameters: dict[str, Any]) -> bool | None:
    """Whether several nodes may mount a file system of *provisioner* at once; None where it is not known here.

    OpenShift Data Foundation prefixes Ceph's drivers with its namespace; Trident's name says nothing, its backend does.
    """
    for table, answer in ((BLOCK_ONLY, False), (SHARED, True)):
        if provisioner in table or any(provisioner.endswith(f".{name}") for name in table):
            return answer
    if provisioner == "csi.trident.netapp.io":
        backend = str(parameters.get("backendType", ""))
        return backend.startswith(("ontap-nas", "azure-netapp", "google-cloud-netapp")) if backend else None
    if provisioner == "csi.vsphere.vmware.com":  # vSAN file services, where a policy names them
        return None if parameters.get("csi.storage.k8s.io/fstype") == "nfs4" else False
    return None


def disk_name(provisioner: str) -> str:
    """What volumes of a block-only *provisioner* are, for people."""
    found = (what for name, what in BLOCK_ONLY.items() if provisioner == name or provisioner.endswith(f".{name}"))
    return next(found, "vSphere disks" if "vsphere" in provisioner else "disks")


def rwx_warning(chosen: StorageClass, access_modes: Sequence[str], others: Sequence[StorageClass]) -> str | None:
    """Why a claim of *chosen* with *access_modes* will not come to be, with the classes that can; None: it may."""
    if RWX not in access_modes and "ReadOnlyMany" not in access_modes:
        return None
    if chosen.shared is not False:
        return None
    able = [one.name for one in others if one.shared]
    offer = f"these classes can: {', '.join(able)}" if able else "no class here is known to be able to"
    mode = RWX if RWX in access_modes else "ReadOnlyMany"
    return (
        f"class {chosen.name} makes {disk_name(chosen.provisioner)} ({chosen.provisioner}), whose file systems one node "
        f"mounts at a time: {mode} will not be bound or not be mounted; {offer}"
    )
