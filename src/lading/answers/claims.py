"""Answers of `lading claim`."""

from typing import Any, Literal

from lading.spec.base import Answer
from lading.weights.inventory import Unmanaged, VersionUsage


class ClassListed(Answer):
    """One storage class, as `lading claim classes` lists it."""

    name: str
    default: bool
    provisioner: str
    reclaim_policy: str
    """What becomes of a volume with its claim: ``Delete`` or ``Retain``."""
    binding_mode: str
    """``Immediate``, or ``WaitForFirstConsumer``: bound when the first pod mounts it."""
    expandable: bool
    """Whether its claims can be made bigger."""
    shared: bool | None = None
    """Whether several nodes may mount one volume of it; null: its provisioner is not known here."""


class ClaimCreated(Answer):
    """What `lading claim create` did, or would do."""

    name: str
    namespace: str
    outcome: Literal["create", "grow", "unchanged"]
    dry_run: bool
    """Whether it was only tried on the API server."""
    phase: str | None = None
    """``Bound`` or ``Pending``; null: it is not there."""
    size: str
    """As Kubernetes writes it: ``100Gi``."""
    class_name: str | None = None
    """Null: the cluster's default."""
    access_modes: tuple[str, ...]
    sizing: str | None = None
    """How the size came about, with ``--for``."""
    waits: str | None = None
    """Why it is Pending."""
    warnings: tuple[str, ...] = ()
    document: dict[str, Any]
    """The claim as it was applied, or would be."""


class ClaimKept(Answer):
    """What `lading claim retain` or `recover` did, or would do."""

    said: str
    """What it comes to."""
    done: bool
    """Whether it is so now."""
    dry_run: bool
    documents: tuple[dict[str, Any], ...] = ()
    """What is created, in order."""
    commands: tuple[str, ...] = ()
    """Then: the patches, as kubectl takes them."""
    notes: tuple[str, ...] = ()


class MountSeen(Answer):
    """A pod that mounts a claim."""

    pod: str
    node: str | None = None
    """Null: it waits for one."""
    phase: str
    read_only: bool
    sub_paths: tuple[str, ...]
    """Directories of the claim that it sees; an empty one is all of it."""
    workload: str | None = None
    """What keeps it: ``Deployment granite``."""
    leaving: bool


class UserSeen(Answer):
    """An object that points into a claim, running or not."""

    kind: str
    group: str
    """API group: OME and KServe share names."""
    name: str
    namespace: str | None = None
    path: str
    """On the claim; an empty one is all of it."""
    field: str
    """Where the object says so."""
    uri: str | None = None
    """As written there; null: a mount."""
    model: str | None = None
    version: str | None = None
    """What is published there; null where nothing is, or the claim was not looked into."""
    unmanaged: bool = False
    """Whether a model without a manifest is there."""
    problem: str | None = None
    """Why a server finds no model there."""


class ClaimInspected(Answer):
    """Everything there is to know of a claim."""

    name: str
    namespace: str
    phase: str
    capacity_bytes: int | None = None
    """Of its volume, as Kubernetes was told; null: not bound."""
    requested_bytes: int | None = None
    used_bytes: int | None = None
    """All files on it; null: it was not looked into."""
    free_bytes: int | None = None
    access_modes: tuple[str, ...]
    class_name: str | None = None
    provisioner: str | None = None
    binding_mode: str | None = None
    expandable: bool | None = None
    volume: str | None = None
    driver: str | None = None
    """What mounts the volume: a CSI driver, or such as ``nfs`` or ``local``."""
    reclaim_policy: str | None = None
    """What becomes of the volume with the claim; null: unknown."""
    resize: str | None = None
    """What a resize in progress waits for."""
    mounts: tuple[MountSeen, ...] = ()
    users: tuple[UserSeen, ...] = ()
    models: tuple[VersionUsage, ...] | None = None
    """What is published on it; null: it was not looked into."""
    unmanaged: tuple[Unmanaged, ...] | None = None
    """Folders with a model and no manifest."""
    warnings: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    """What could not be looked at, and why."""
