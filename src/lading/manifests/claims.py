"""Claims, classes that keep what they made, and the two patches of a volume: as plain documents."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from lading.manifests import ours

#: What makes a class: all else is the server's, or marks that other owners (a package manager, a sync) find it by.
CLASS_FIELDS = ("provisioner", "parameters", "mountOptions", "allowVolumeExpansion", "volumeBindingMode", "allowedTopologies")  # fmt: skip
_QUANTITY = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?)(?:([numkMGTPE]|[KMGTPE]i)|[eE]\+?(-?[0-9]{1,3}))?")
_FACTORS = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    **{unit: Decimal(10 ** (3 * power)) for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(2 ** (10 * power)) for power, unit in enumerate("KMGTPE", 1)},
}  # fmt: skip
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


def size_bytes(quantity: object) -> int | None:
    """The bytes of a size as Kubernetes writes it (``200Gi``, ``1e12``, ``1500M``); None where it is none.

    Not `units.parse_bytes`: here ``m`` is a thousandth, and sizes go up to ``Ei``.
    """
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        return None
    exponent = int(match[3] or 0)
    if exponent > 30:  # more than any volume, and slow to compute
        return None
    return int(Decimal(match[1]).scaleb(exponent) * _FACTORS[match[2] or ""])


def retained_class(existing: Mapping[str, Any], name: str | None = None) -> dict[str, Any]:
    """A copy of the StorageClass *existing* whose volumes outlive their claims; ``<class>-retain`` by default.

    It is not the default class, whatever *existing* is, and carries no label or annotation of it: by those a package
    manager or a sync would take the copy for its own, and remove it.
    """
    metadata = {"name": name or f"{existing['metadata']['name']}-retain", "labels": {ours.MANAGED_BY: ours.MANAGER}}
    kept = {key: existing[key] for key in CLASS_FIELDS if existing.get(key) is not None}
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
