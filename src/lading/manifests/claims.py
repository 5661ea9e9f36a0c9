"""Claims, classes that keep what they made, and the two patches of a volume: as plain documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from lading.manifests import ours

#: What makes a class: all else is the server's, or marks that other owners (a package manager, a sync) find it by.
_CLASS_FIELDS = ("provisioner", "parameters", "mountOptions", "allowVolumeExpansion", "volumeBindingMode", "allowedTopologies")  # fmt: skip
_UNITS = (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20))


def claim(
    name: str,
    *,
    namespace: str,
    size_bytes: int,
    storage_class: str | None = None,
    access_modes: Sequence[str] = ("ReadWriteOnce",),
    volume: str | None = None,
) -> dict[str, Any]:
    """A PersistentVolumeClaim.

    Args:
        name: Its name.
        namespace: Its namespace.
        size_bytes: At least so much.
        storage_class: None: the cluster's default; empty: no class, for a volume made by hand.
        access_modes: Such as ``ReadWriteMany``.
        volume: The one PersistentVolume it is to be bound to.
    """
    spec: dict[str, Any] = {
        "accessModes": list(access_modes),
        "resources": {"requests": {"storage": quantity(size_bytes)}},
    }
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    if volume:
        spec["volumeName"] = volume
    metadata = {"name": name, "namespace": namespace, "labels": {ours.MANAGED_BY: ours.MANAGER}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def quantity(size_bytes: int) -> str:
    """*size_bytes* as Kubernetes writes sizes, rounded up to whole MiB: ``200Gi``."""
    whole = -(-size_bytes // 2**20) * 2**20
    unit, factor = next((one for one in _UNITS if whole % one[1] == 0), _UNITS[-1])
    return f"{whole // factor}{unit}"


def retained_class(existing: Mapping[str, Any], name: str | None = None) -> dict[str, Any]:
    """A copy of the StorageClass *existing* whose volumes outlive their claims; ``<class>-retain`` by default.

    It is not the default class, whatever *existing* is, and carries no label or annotation of it: by those a package
    manager or a sync would take the copy for its own, and remove it.
    """
    metadata = {"name": name or f"{existing['metadata']['name']}-retain", "labels": {ours.MANAGED_BY: ours.MANAGER}}
    kept = {key: existing[key] for key in _CLASS_FIELDS if existing.get(key) is not None}
    head = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata}
    return {**head, "reclaimPolicy": "Retain", **kept}


def keep_patch() -> dict[str, Any]:
    """What makes a bound volume outlive its claim: a merge patch of the PersistentVolume."""
    return {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}


def reserve_patch(*, namespace: str, claim: str) -> dict[str, Any]:
    """What hands a Released volume to the claim of that name, and to no other: a merge patch of the PersistentVolume.

    Without the uid of the claim that is gone, the volume waits for the new one.
    """
    held = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim}
    return {"spec": {"claimRef": {**held, "uid": None, "resourceVersion": None}}}
