"""What points into a claim: services, runtimes, models and workloads that will mount it when they start.

A pod holds a claim now (`placement.mounts`); a user refers to it, running or not: what it names must stay where it is.
Objects are read by the keys that all their kinds share (a ``storageUri`` or ``uri`` of ``pvc://``, a pod template with
the claim among its volumes), so that a new place for one in a newer version is found too.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Kind, Object
from lading.placement import evidence, mounts

_URI = re.compile(r"pvc://(?:([a-z0-9-]+):)?([^/:]+)(?:/(.*))?", re.DOTALL)
_URI_KEYS = frozenset({"storageUri", "uri"})
_LLM_V1ALPHA1 = Kind("serving.kserve.io", "v1alpha1", "LLMInferenceService", "llminferenceservices")
#: Whoever may point into a claim, services first.
KINDS: tuple[Kind, ...] = (
    kinds.INFERENCE_SERVICE,
    kinds.LLM_INFERENCE_SERVICE,
    _LLM_V1ALPHA1,
    kinds.OME_INFERENCE_SERVICE,
    kinds.OME_BASE_MODEL,
    kinds.OME_CLUSTER_BASE_MODEL,
    kinds.SERVING_RUNTIME,
    kinds.CLUSTER_SERVING_RUNTIME,
    kinds.OME_SERVING_RUNTIME,
    kinds.OME_CLUSTER_SERVING_RUNTIME,
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.CRON_JOB,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One reference into a claim.

    Attributes:
        kind: Kind of the object, such as ``InferenceService``.
        group: API group of the kind: OME and KServe share names.
        namespace: None where the object belongs to none.
        path: The place on the claim, without slashes around; ``""`` is the whole claim.
        field: Where the object says so: ``predictor.model.storageUri``, ``template.spec.containers[0]``.
        uri: As it is written there; None for a mount.
        writes: A mount that may write; references by URI are read-only.
        replicas: How many pods of it want the claim at once, where the object says so.
    """

    kind: str
    group: str
    name: str
    namespace: str | None
    path: str
    field: str
    uri: str | None = None
    writes: bool = False
    replicas: int | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """What points into a claim, and what could not be looked at.

    Attributes:
        unknown: A sentence that names the kinds of objects that may not be read, if there are any.
    """

    found: tuple[User, ...] = ()
    unknown: tuple[str, ...] = ()


async def users(cluster: Cluster, claim: str, *, namespace: str | None = None) -> Users:
    """Everything that points into *claim*; kinds the cluster does not have are silent, denied ones are said."""
    place = namespace or cluster.namespace
    answers = await asyncio.gather(
        *(evidence.gathered(kind.resource, cluster.list(kind, namespace=place)) for kind in KINDS)
    )
    # by uid: a kind may be served in two versions
    found = {document["metadata"]["uid"]: document for answer in answers for document in answer.value or ()}
    denied = dict.fromkeys(kind.resource for kind, answer in zip(KINDS, answers, strict=True) if not answer.known)
    unknown = (f"{', '.join(denied)} may not be read with these rights",) if denied else ()
    return Users(found=pointing(found.values(), claim, namespace=place), unknown=unknown)


def pointing(documents: Iterable[Object], claim: str, *, namespace: str) -> tuple[User, ...]:
    """What of *documents* points into *claim* of *namespace*, in their order, each place once.

    Left out is what another object made (its maker points already), what has ended, and what is ours.
    """
    found: dict[tuple[str, str, str, str, bool], User] = {}
    for document in documents:
        if not _derived(document) and not _over(document):
            for user in _of(document, claim, namespace):
                found.setdefault((user.group, user.kind, user.name, user.path, user.uri is None), user)
    return tuple(found.values())


def _of(document: Object, claim: str, namespace: str) -> Iterator[User]:
    head, spec = document["metadata"], document.get("spec") or {}
    own = head.get("namespace")
    group, _, _ = document["apiVersion"].rpartition("/")

    def user(path: str, field: str, *, uri: str | None = None, writes: bool = False) -> User:
        return User(
            kind=document["kind"], group=group, name=head["name"], namespace=own, path=path, field=field, uri=uri,
            writes=writes, replicas=_replicas(spec),
        )  # fmt: skip

    for field, uri in _uris(spec, ""):
        match = _URI.fullmatch(uri)
        if match and match[2] == claim and (match[1] or own) == namespace:
            yield user((match[3] or "").strip("/"), field, uri=uri)
    if own == namespace:
        for field, path, writes in _mounts(spec, "", claim):
            yield user(path, field, writes=writes)


def _uris(tree: Any, field: str) -> Iterator[tuple[str, str]]:
    """Every ``pvc://`` under a key that holds one, with the field's path."""
    for key, value in _below(tree, field):
        if isinstance(value, str):
            if value.startswith("pvc://") and key.rpartition(".")[2].partition("[")[0] in _URI_KEYS:
                yield key, value
        else:
            yield from _uris(value, key)


def _mounts(tree: Any, field: str, claim: str) -> Iterator[tuple[str, str, bool]]:
    """Every place where a pod template in *tree* mounts *claim*: field, sub-path, whether it may write."""
    if isinstance(tree, Mapping) and isinstance(tree.get("volumes"), list):
        volumes = mounts.volumes_on(claim, tree)
        places = list(mounts.seen(_containers(tree), volumes)) if volumes else []
        for path, read_only in places:
            yield f"{field}.volumes".strip("."), path, not read_only
        if volumes and not places:  # a runtime adds the container
            yield f"{field}.volumes".strip("."), "", not all(volumes.values())
    for key, value in _below(tree, field):
        if not isinstance(value, str):
            yield from _mounts(value, key, claim)


def _containers(spec: Mapping[str, Any]) -> dict[str, Any]:
    """*spec* with KServe's own container of a predictor (``model``) among its containers."""
    model = spec.get("model")
    own = [model] if isinstance(model, Mapping) and "volumeMounts" in model else []
    return {**spec, "containers": [*(spec.get("containers") or ()), *own]}


def _below(tree: Any, field: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if isinstance(value, str | Mapping | list):
                yield f"{field}.{key}".strip("."), value
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            if isinstance(value, str | Mapping | list):
                yield f"{field}[{number}]", value


def _derived(document: Object) -> bool:
    """Whether another object made it."""
    return any(reference.get("controller") for reference in document["metadata"].get("ownerReferences") or ())


def _over(document: Object) -> bool:
    """Whether it is a Job that has ended; it mounts nothing again."""
    conditions = (document.get("status") or {}).get("conditions") or ()
    ended = {condition["type"] for condition in conditions if condition.get("status") == "True"}
    return document["kind"] == kinds.JOB.kind and bool(ended & {"Complete", "Failed"})


def _replicas(spec: Mapping[str, Any]) -> int | None:
    """How many pods want to run at once, at most."""
    predictor = spec.get("predictor")
    told = [spec.get("replicas"), spec.get("parallelism")]
    if isinstance(predictor, Mapping):
        told += [predictor.get("minReplicas"), predictor.get("maxReplicas")]
    return max((number for number in told if isinstance(number, int)), default=None)
