"""A claim made as asked for, or found made: decided from what is there, tried on the API server, then applied."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.errors import ClaimUnusable, ClusterDenied, InvalidInput
from lading.manifests import claims as documents
from lading.placement import classes as storage
from lading.placement.classes import StorageClass
from lading.placement.evidence import Evidence
from lading.spec import units
from lading.spec.nearest import nearest

Outcome = Literal["create", "grow", "unchanged"]

#: What a file system keeps for itself, and what a pull needs beside the files: journals, manifests, a report.
ROOM_SHARE = 0.05
ROOM_BYTES = 1 << 30
_GIB = 1 << 30
_MODES = {
    "rwo": "ReadWriteOnce", "rwx": "ReadWriteMany", "rox": "ReadOnlyMany", "rwop": "ReadWriteOncePod",
}  # fmt: skip
_QUOTA = re.compile(r"exceeded quota: ([\w.-]+), requested: (.*?), used: (.*?), limited: (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """How big a claim has to be, and how that came about."""

    size_bytes: int
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A claim as it was asked for.

    Attributes:
        size_bytes: None: only allowed where the claim is there already.
        class_name: None: the cluster's default.
    """

    name: str
    namespace: str
    size_bytes: int | None
    class_name: str | None = None
    access_modes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """What is to be done.

    Attributes:
        document: The claim as it will be applied; as it is where nothing is to be done.
        warnings: What will go wrong later, each with its remedy.
    """

    outcome: Outcome
    document: Object
    warnings: tuple[str, ...] = ()


def sizing(size_bytes: int, copies: int, *, source: str) -> Sizing:
    """Room for *copies* of *size_bytes*, rounded up to whole GiB."""
    needed = size_bytes * copies
    room = round(needed * ROOM_SHARE) + ROOM_BYTES
    whole = -(-(needed + room) // _GIB) * _GIB
    times = f"{copies} × " if copies > 1 else ""
    said = (
        f"{times}{units.show_bytes(size_bytes)} ({source}) + {units.show_bytes(room)} of room "
        f"({ROOM_SHARE:.0%} and 1 GiB), in whole GiB: {documents.quantity(whole)}"
    )
    return Sizing(size_bytes=whole, said=said)


def access_modes(texts: Sequence[str]) -> tuple[str, ...]:
    """``RWX`` or ``ReadWriteMany``, as Kubernetes writes it.

    Raises:
        InvalidInput: One is none.
    """
    known = {**_MODES, **{mode.lower(): mode for mode in _MODES.values()}}
    bad = next((text for text in texts if text.lower() not in known), None)
    if bad is not None:
        raise InvalidInput(f"{bad} is no access mode", hint="RWO, RWX, ROX or RWOP")
    return tuple(dict.fromkeys(known[text.lower()] for text in texts))


def plan(wanted: Wanted, *, classes: Evidence[tuple[StorageClass, ...]], there: Object | None) -> Creation:
    """What makes the claim as it is *wanted*; one that exists is left as it is, or made bigger, never smaller.

    Raises:
        InvalidInput: There is no such class; neither a size nor a claim.
        ClaimUnusable: A claim of that name differs in what can no longer change.
    """
    chosen = _chosen(wanted.class_name, classes.value)
    if there is not None:
        return _onto(there, wanted)
    if not wanted.size_bytes:
        raise InvalidInput(
            f"claim {wanted.name} needs a size", hint="--size 100Gi, or --for SOURCE to have it worked out"
        )
    modes = wanted.access_modes or ("ReadWriteOnce",)
    document = documents.claim(
        wanted.name,
        namespace=wanted.namespace,
        size_bytes=wanted.size_bytes,
        storage_class=wanted.class_name,
        access_modes=modes,
    )
    return Creation(outcome="create", document=document, warnings=_warnings(wanted, modes, chosen, classes.value))


def _chosen(name: str | None, known: Sequence[StorageClass] | None) -> StorageClass | None:
    """The class that the claim will have; None where it has none, or classes are unknown."""
    if known is None or name == "":
        return None
    if name is None:
        return next((one for one in known if one.default), None)
    found = next((one for one in known if one.name == name), None)
    if found is None:
        names = [one.name for one in known]
        near = nearest(name, names)
        there = f"there are: {', '.join(names)}" if names else "the cluster has none"
        raise InvalidInput(f"there is no storage class {name}", hint=f"did you mean {near}?" if near else there)
    return found


def _warnings(
    wanted: Wanted, modes: Sequence[str], chosen: StorageClass | None, known: Sequence[StorageClass] | None
) -> tuple[str, ...]:
    told: list[str | None] = []
    if known is not None and wanted.class_name is None and chosen is None:
        names = ", ".join(one.name for one in known)
        offer = f"name one: --class, there are {names}" if names else "the cluster has no class at all"
        told.append(
            f"no storage class is the default: the claim stays Pending unless a volume without a class fits; {offer}"
        )
    if chosen is not None:
        told.append(storage.rwx_warning(chosen, modes, known or ()))
        if chosen.reclaim_policy == "Delete":
            told.append(
                f"class {chosen.name} deletes the volume, and every model on it, with the claim; "
                f"`lading claim retain {chosen.name}` makes a class that keeps it"
            )
    return tuple(sentence for sentence in told if sentence)


def _onto(existing: Object, wanted: Wanted) -> Creation:
    """What brings the claim that is there to what is wanted."""
    spec = existing["spec"]
    differences = []
    if wanted.class_name is not None and spec.get("storageClassName", "") != wanted.class_name:
        differences.append(f"class {spec.get('storageClassName') or 'none'}, not {wanted.class_name or 'none'}")
    if wanted.access_modes and set(spec.get("accessModes") or ()) != set(wanted.access_modes):
        differences.append(
            f"access mode {', '.join(spec.get('accessModes') or ())}, not {', '.join(wanted.access_modes)}"
        )
    if differences:
        raise ClaimUnusable(
            f"claim {wanted.name} exists with {' and '.join(differences)}: neither can be changed",
            hint=f"use it as it is (`lading claim inspect pvc://{wanted.name}`), or choose another name",
        )
    requested = documents.size_bytes(_request(existing)) or 0
    if wanted.size_bytes is None or wanted.size_bytes <= requested:
        smaller = wanted.size_bytes is not None and wanted.size_bytes < requested
        note = f"it has {_request(existing)}, more than asked for: a claim cannot shrink, it stays as it is"
        return Creation(outcome="unchanged", document=existing, warnings=(note,) if smaller else ())
    if (existing.get("status") or {}).get("phase") != "Bound":
        raise ClaimUnusable(
            f"claim {wanted.name} waits for a volume of {_request(existing)}: its size cannot change before it is bound",
            hint=f"nothing is on it: delete it (kubectl delete pvc {wanted.name}) and make it anew",
        )
    document = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": wanted.name, "namespace": wanted.namespace},
        "spec": {"resources": {"requests": {"storage": documents.quantity(wanted.size_bytes)}}},
    }
    return Creation(outcome="grow", document=document)


async def existing(cluster: Cluster, wanted: Wanted) -> Object | None:
    """The claim of that name, where it is there."""
    return await cluster.find(kinds.CLAIM, wanted.name, namespace=wanted.namespace)


async def carry_out(cluster: Cluster, creation: Creation, *, dry_run: bool) -> Object:
    """The claim as the API server has it, or would have it.

    Raises:
        ClaimUnusable: A quota forbids it, or its class cannot make it bigger.
        ClusterDenied, ClusterConflict, ClusterError: As named.
    """
    head = creation.document["metadata"]
    if creation.outcome == "unchanged":
        return creation.document
    try:
        await _send(cluster, creation, dry_run=True)
        if not dry_run:
            return await _send(cluster, creation, dry_run=False)
    except ClusterDenied as error:
        raise _refused(error, head["name"], head["namespace"]) from error
    return creation.document


async def _send(cluster: Cluster, creation: Creation, *, dry_run: bool) -> Object:
    """Applied where it is made; where it is grown the one field is patched, whoever made the claim."""
    document, head = creation.document, creation.document["metadata"]
    if creation.outcome == "create":
        return await cluster.apply(document, dry_run=dry_run)
    change: dict[str, Any] = {"spec": document["spec"]}
    return await cluster.patch(kinds.CLAIM, head["name"], change, namespace=head["namespace"], dry_run=dry_run)


def _refused(error: ClusterDenied, claim: str, namespace: str) -> Exception:
    """What a 403 means: a quota, or a class that cannot grow; else *error* itself."""
    quota = _QUOTA.search(error.message)
    if quota:
        return ClaimUnusable(
            f"claim {claim} goes beyond the quota {quota[1]} of namespace {namespace}: asked for {quota[2]}; "
            f"used {quota[3]}; limit {quota[4]}",
            hint=f"ask for less, or have it raised: kubectl -n {namespace} describe quota {quota[1]}",
        )
    if "only dynamically provisioned pvc can be resized" in error.message:
        return ClaimUnusable(
            f"claim {claim} cannot be made bigger: its storage class does not allow it, or its volume was made by hand",
            hint="`lading claim classes` lists which classes do; or make a bigger claim and pull onto it",
        )
    return error


def _request(claim: Object) -> str:
    return str((claim["spec"].get("resources") or {}).get("requests", {}).get("storage", "0"))
