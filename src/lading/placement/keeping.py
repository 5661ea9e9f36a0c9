"""Volumes that outlive their claims: a class that makes such, the patch of one that is bound, and the way back of one that was kept.

Classes and volumes belong to nobody's namespace. Where the rights are missing, what an administrator has to do is told
whole, as documents and commands, instead of half done.
"""

import json
import shlex
from dataclasses import dataclass

from lading.cluster import kinds
from lading.cluster.access import Right
from lading.cluster.client import Cluster
from lading.cluster.kinds import Kind, Object
from lading.errors import ClaimUnusable, ClusterDenied, InvalidInput, ObjectMissing
from lading.manifests import claims as documents
from lading.placement import claims
from lading.spec.nearest import nearest

BOUND_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A merge patch of one object."""

    kind: Kind
    name: str
    change: Object

    @property
    def command(self) -> str:
        """The same by kubectl, for an administrator."""
        words = [
            "kubectl",
            "patch",
            self.kind.kind.lower(),
            self.name,
            "--type",
            "merge",
            "--patch",
            json.dumps(self.change),
        ]
        return shlex.join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What makes something kept: documents to be created, then patches, in this order.

    Attributes:
        said: What it comes to, for people; a past tense once it is done.
        done: Nothing is to be done: it is so already.
        claim: The claim that is bound by it, with its namespace.
    """

    said: str
    documents: tuple[Object, ...] = ()
    patches: tuple[Patch, ...] = ()
    done: bool = False
    notes: tuple[str, ...] = ()
    claim: tuple[str, str] | None = None

    def rights(self) -> tuple[Right, ...]:
        """What carrying it out needs."""
        created = [Right("create", kinds.of(document), namespace=_namespace(document)) for document in self.documents]
        return (*created, *(Right("patch", patch.kind, name=patch.name) for patch in self.patches))


async def kept_class(cluster: Cluster, name: str) -> Change:
    """What makes ``<name>-retain``: *name* in all but its reclaim policy.

    Raises:
        InvalidInput: There is no such class.
        ClaimUnusable: ``<name>-retain`` is there, and is something else.
        ClusterDenied: Classes may not be read, so nothing can be copied.
    """
    try:
        found = await cluster.find(kinds.STORAGE_CLASS, name)
    except ClusterDenied as error:
        raise ClusterDenied(
            f"storage classes may not be read with these rights: {name} cannot be copied",
            hint=f"an administrator runs: lading claim retain {name}",
            status=error.status,
        ) from error
    if found is None:
        names = [one["metadata"]["name"] for one in await cluster.list(kinds.STORAGE_CLASS)]
        near = nearest(name, names)
        there = f"there are: {', '.join(sorted(names)) or 'none'}"
        raise InvalidInput(f"there is no storage class {name}", hint=f"did you mean {near}?" if near else there)
    if found.get("reclaimPolicy") == "Retain":
        return Change(said=f"class {name} keeps its volumes already", done=True)
    wanted = documents.retained_class(found)
    there_is = await cluster.find(kinds.STORAGE_CLASS, wanted["metadata"]["name"])
    return class_change(wanted, there_is, name)


def class_change(wanted: Object, existing: Object | None, name: str) -> Change:
    """What makes the class *wanted* where *existing* is; a class cannot be changed, only be right or wrong."""
    copy = wanted["metadata"]["name"]
    if existing is None:
        return Change(said=f"class {copy} is {name} with volumes that outlive their claims", documents=(wanted,))
    other = [key for key in documents.CLASS_FIELDS if _plain(existing, key) != _plain(wanted, key)]
    if existing.get("reclaimPolicy") != "Retain":
        other.append("reclaimPolicy")
    if other:
        raise ClaimUnusable(
            f"class {copy} exists and is not {name} with Retain: it differs in {', '.join(other)}",
            hint=f"an administrator compares them: kubectl get storageclass {name} {copy} -o yaml",
        )
    return Change(said=f"class {copy} is there already", done=True)


async def kept_volume(cluster: Cluster, name: str, *, of: str | None = None) -> Change:
    """What keeps the volume *name* when its claim (*of*, for people) goes; told also where it may not be read.

    Raises:
        InvalidInput: There is no such volume.
    """
    patch = Patch(kind=kinds.VOLUME, name=name, change=documents.keep_patch())
    held = f" of pvc://{of}" if of else ""
    change = Change(said=f"volume {name}{held} outlives its claim", patches=(patch,))
    try:
        found = await cluster.find(kinds.VOLUME, name)
    except ClusterDenied:
        return change
    if found is None:
        raise InvalidInput(f"there is no volume {name}", hint="kubectl get pv")
    if found["spec"].get("persistentVolumeReclaimPolicy") == "Retain":
        return Change(said=f"volume {name}{held} outlives its claim already", done=True)
    return change


async def kept_volume_of(cluster: Cluster, claim: str, *, namespace: str | None = None) -> Change:
    """As `kept_volume`, of the volume that *claim* is bound to.

    Raises:
        ClaimUnusable: There is no such claim, or it has no volume yet.
    """
    document = await claims.existing(cluster, claim, namespace=namespace)
    volume = document["spec"].get("volumeName")
    if not volume:
        chosen = document["spec"].get("storageClassName")
        raise ClaimUnusable(
            f"claim {claim} has no volume yet",
            hint=f"`lading claim retain {chosen}` makes a class that keeps volumes" if chosen else None,
        )
    return await kept_volume(cluster, volume, of=claim)


async def recovery(cluster: Cluster, volume: str, *, claim: str | None = None, namespace: str | None = None) -> Change:
    """What binds the Released *volume* again: to a new claim, of the name and namespace it had unless said otherwise.

    Raises:
        InvalidInput: There is no such volume, or no name for the claim.
        ClaimUnusable: It is bound, or another claim is in the way.
        ClusterDenied: Volumes may not be read.
    """
    try:
        found = await cluster.get(kinds.VOLUME, volume)
    except ObjectMissing:
        names = [one["metadata"]["name"] for one in await cluster.list(kinds.VOLUME)]
        near = nearest(volume, names)
        raise InvalidInput(
            f"there is no volume {volume}", hint=f"did you mean {near}?" if near else "kubectl get pv"
        ) from None
    except ClusterDenied as error:
        raise ClusterDenied(
            "persistent volumes may not be read with these rights: it is unknown what was on it and whose it was",
            hint=f"an administrator runs: lading claim recover {volume}",
            status=error.status,
        ) from error
    before = found["spec"].get("claimRef") or {}
    name, place = claim or before.get("name"), namespace or before.get("namespace") or cluster.namespace
    if not name:
        raise InvalidInput(f"volume {volume} had no claim: its new one needs a name", hint="--claim NAME")
    existing = await cluster.find(kinds.CLAIM, name, namespace=place)
    return recovery_of(found, name, place, existing=existing)


def recovery_of(volume: Object, claim: str, namespace: str, *, existing: Object | None) -> Change:
    """What binds *volume* to *claim*, which is *existing* where it is there.

    The claim comes first: a quota refuses it before anything of the volume was changed. Then the volume is kept, and
    reserved for that claim and no other; the patch holds only for the volume as it was read.

    Raises:
        ClaimUnusable: As `recovery`.
    """
    name, spec = volume["metadata"]["name"], volume["spec"]
    phase = (volume.get("status") or {}).get("phase", "Pending")
    if phase == "Bound":
        before = spec.get("claimRef") or {}
        held = (before.get("namespace"), before.get("name")) == (namespace, claim)
        whose = f"{before.get('namespace')}:{before.get('name')}"
        if held:
            return Change(said=f"volume {name} is bound to claim {claim} already", done=True)
        raise ClaimUnusable(f"volume {name} is not free: it is bound to pvc://{whose}", hint="delete that claim first, if it is not wanted; the volume stays where its reclaim policy is Retain")  # fmt: skip
    taken = existing["spec"].get("volumeName") if existing else None
    if existing is not None and taken != name:
        what = f"is bound to volume {taken}" if taken else "waits for another volume"
        raise ClaimUnusable(
            f"claim {claim} exists in namespace {namespace}, and {what}",
            hint="give the new claim another name: --claim NAME",
        )
    new = documents.claim(
        claim,
        namespace=namespace,
        size_bytes=documents.size_bytes(spec["capacity"]["storage"]) or 1,
        storage_class=spec.get("storageClassName") or "",
        access_modes=spec.get("accessModes") or (),
        volume=name,
    )
    if spec.get("volumeMode") == "Block":
        new["spec"]["volumeMode"] = "Block"
    reserve = {**documents.reserve_patch(namespace=namespace, claim=claim)["spec"], **documents.keep_patch()["spec"]}
    read_as = {"metadata": {"resourceVersion": volume["metadata"]["resourceVersion"]}}
    notes = [f"its data stays as it is; it was of {_whose(spec)}"] if spec.get("claimRef") else []
    return Change(
        said=f"volume {name} is bound to claim {claim} in namespace {namespace}",
        documents=() if existing is not None else (new,),
        patches=(Patch(kind=kinds.VOLUME, name=name, change={**read_as, "spec": reserve}),),
        notes=tuple(notes),
        claim=(claim, namespace),
    )


async def carry_out(cluster: Cluster, change: Change, *, dry_run: bool = False) -> None:
    """Do it: documents, then patches; as a dry run first of all, so that nothing is left half done.

    Raises:
        ClusterDenied: A right is missing; nothing was done.
        ClusterConflict: Something was changed meanwhile.
    """
    for trial in (True,) if dry_run else (True, False):
        for document in change.documents:
            await cluster.create(document, dry_run=trial)
        for patch in change.patches:
            await cluster.patch(patch.kind, patch.name, patch.change, dry_run=trial)


async def await_bound(cluster: Cluster, change: Change) -> None:
    """Return when the claim of *change* is bound; at once where there is none.

    Raises:
        StillRunning: It is not within a minute.
    """
    if change.claim is None:
        return
    claim, namespace = change.claim
    await cluster.wait(
        kinds.CLAIM,
        claim,
        lambda found: (found or {}).get("status", {}).get("phase") == "Bound" or None,
        within_s=BOUND_WITHIN_S,
        what=f"claim {claim} to be bound",
        namespace=namespace,
    )


def _plain(document: Object, key: str) -> object:
    """A field with the API server's default where it is left out."""
    return document.get(key) or {"volumeBindingMode": "Immediate"}.get(key)


def _whose(spec: Object) -> str:
    held = spec["claimRef"]
    return f"pvc://{held.get('namespace')}:{held.get('name')}"


def _namespace(document: Object) -> str | None:
    namespace: str | None = document["metadata"].get("namespace")
    return namespace
