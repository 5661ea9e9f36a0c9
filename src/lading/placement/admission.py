"""Whether the API server would take our Job and its pods: quota, limits, PodSecurity, webhooks all speak in a dry run."""

import asyncio
from typing import Any

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.errors import ClusterConflict, ClusterDenied, ClusterError, ClusterUnreachable
from lading.placement.problems import Problem
from lading.spec.credentials import Credentials
from lading.spec.documents import nearest
from lading.spec.placement import Placement

_REGISTRY = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")
_REMEDIES = (
    ("exceeded quota", "quota", "free some of the namespace's quota, or have it raised: kubectl describe quota"),
    ("violates PodSecurity", "pod-security", "the namespace forbids what our pods need: ask its administrator"),
    ("maximum", "limit-range", "the namespace's LimitRange refuses it: kubectl describe limitrange"),
    ("minimum", "limit-range", "the namespace's LimitRange refuses it: kubectl describe limitrange"),
    ("failed quota", "quota", "the namespace's quota wants what our pods do not say: kubectl describe quota"),
)


async def check(cluster: Cluster, job: Object, placement: Placement, credentials: Credentials) -> tuple[Problem, ...]:
    """What is wrong with *job* in the eyes of the API server, and with the objects its pods name."""
    found = await asyncio.gather(
        _dry(cluster, job),
        _dry(cluster, _pod(job)),
        *(_registry(cluster, name) for name in placement.pull_secrets),
        _authority(
            cluster,
            placement.ca_config_map or credentials.ca_config_map,
            "ca.crt" if placement.ca_config_map else credentials.ca_key,
        ),
    )
    kept = {one.message: one for one in found if one is not None}
    return tuple(kept.values())


def _pod(job: Object) -> dict[str, Any]:
    """A pod as the Job will make it: quota and PodSecurity look at pods, not at Jobs."""
    template = job["spec"]["template"]
    head = {**template["metadata"], "name": job["metadata"]["name"], "namespace": job["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": template["spec"]}


async def _dry(cluster: Cluster, document: Object) -> Problem | None:
    try:
        await cluster.create(document, dry_run=True)
    except ClusterConflict:
        return None  # it is there already: a rerun, which finds it
    except ClusterUnreachable:
        raise
    except ClusterError as error:
        return _told(error, document["kind"])
    return None


def _told(error: ClusterError, kind: str) -> Problem:
    said = error.message.rpartition(" is forbidden: ")[2]
    for words, code, hint in _REMEDIES:
        if words in said:
            return Problem(code=code, message=f"the cluster refuses our {kind}: {said}", hint=hint)
    return Problem(code="admission", message=f"the cluster refuses our {kind}: {said}", hint=error.hint)


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
