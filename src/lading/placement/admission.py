"""Whether the API server would take our Job and its pods: quota, limits, PodSecurity, webhooks all speak in a dry run."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.cluster.retry import Waits
from lading.diagnosis.admission import refused
from lading.errors import ClusterConflict, ClusterDenied, ClusterError, ClusterUnreachable
from lading.placement import problems
from lading.placement.problems import Problem
from lading.spec.credentials import Credentials
from lading.spec.nearest import nearest
from lading.spec.placement import Placement

_REGISTRY = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is in the way.

    Attributes:
        refusals: By the API server: no pod like the Job's would be admitted.
        lacking: Objects that its pods name and that are not there, or are not what they should be.
    """

    refusals: tuple[Problem, ...] = ()
    lacking: tuple[Problem, ...] = ()


async def check(cluster: Cluster, job: Object, placement: Placement, credentials: Credentials) -> Answers:
    """What is wrong with *job* in the eyes of the API server, and with the objects its pods name."""
    config_map = placement.ca_config_map or credentials.ca_config_map
    key = "ca.crt" if placement.ca_config_map else credentials.ca_key
    tried = await asyncio.gather(dry(cluster, job), dry(cluster, _pod(job)))
    named = await asyncio.gather(
        *(_registry(cluster, name) for name in placement.pull_secrets), _authority(cluster, config_map, key)
    )
    return Answers(refusals=_once(tried), lacking=_once(named))


def _once(found: Sequence[Problem | None]) -> tuple[Problem, ...]:
    kept = {one.message: one for one in found if one is not None}
    return tuple(kept.values())


def _pod(job: Object) -> dict[str, Any]:
    """A pod as the Job will make it: quota and PodSecurity look at pods, not at Jobs."""
    template = job["spec"]["template"]
    head = {**template["metadata"], "name": job["metadata"]["name"], "namespace": job["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": template["spec"]}


async def dry(cluster: Cluster, document: Object, *, waits: Waits | None = None) -> Problem | None:
    """Why the API server would not take *document*; None where it would, or has one of that name."""
    try:
        await cluster.create(document, dry_run=True, waits=waits)
    except ClusterConflict:
        return None  # it is there already: a rerun, which finds it
    except ClusterUnreachable:
        raise
    except ClusterError as error:
        return told(error, document["kind"])
    return None


def told(error: ClusterError, kind: str) -> Problem:
    """The API server's refusal of our *kind*."""
    found = refused(error.message, subject=f"our {kind}")
    if found.cause == "unknown":
        return Problem(code="admission", message=f"the cluster refuses our {kind}: {error.message}", hint=error.hint)
    return problems.found(found)


async def _registry(cluster: Cluster, name: str) -> Problem | None:
    """Whether the Secret *name* holds credentials of a registry."""
    try:
        found = await cluster.find(kinds.SECRET, name)
    except ClusterDenied:
        return None
    if found is None:
        return Problem(
            code="secret-missing",
            message=f"there is no Secret {name} in {cluster.namespace} (--pull-secret)",
            hint=f"make it: kubectl -n {cluster.namespace} create secret docker-registry {name} --docker-server=…",
        )
    if found.get("type") not in _REGISTRY:
        return Problem(
            code="secret-key",
            message=f"Secret {name} (--pull-secret) is of type {found.get('type')}, not {_REGISTRY[0]}",
            hint="name one that `kubectl create secret docker-registry` made",
        )
    return None


async def _authority(cluster: Cluster, name: str | None, key: str) -> Problem | None:
    """Whether the ConfigMap *name* has certificates under *key*."""
    if name is None:
        return None
    try:
        found = await cluster.find(kinds.CONFIG_MAP, name)
    except ClusterDenied:
        return None
    if found is None:
        return Problem(
            code="ca-missing",
            message=f"there is no ConfigMap {name} in {cluster.namespace}, whose certificates are to be trusted",
            hint=f"make it: kubectl -n {cluster.namespace} create configmap {name} --from-file={key}=…",
        )
    keys = sorted({**(found.get("data") or {}), **(found.get("binaryData") or {})})
    if key in keys:
        return None
    near = nearest(key, keys)
    return Problem(
        code="ca-missing",
        message=f"ConfigMap {name} has no key {key}; its keys: {', '.join(keys) or 'none'}",
        hint=f"is {near} meant? It has to be called {key}" if near else f"put the certificates under {key}",
    )
