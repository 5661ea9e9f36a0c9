"""Placement copied from what runs already: nodes, tolerations and account of a service that will serve the model."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lading.cluster.client import Cluster
from lading.cluster.kinds import DEPLOYMENT, INFERENCE_SERVICE, OME_INFERENCE_SERVICE, POD, STATEFUL_SET, Kind
from lading.diagnosis.finding import at, objects, text
from lading.errors import InvalidInput, ObjectMissing
from lading.spec.placement import Placement, Toleration

#: What may be named, and where its pods' spec lies.
_KINDS: Mapping[str, tuple[Kind, tuple[str, ...]]] = {
    "isvc": (INFERENCE_SERVICE, ("spec", "predictor")),
    "inferenceservice": (INFERENCE_SERVICE, ("spec", "predictor")),
    "ome": (OME_INFERENCE_SERVICE, ("spec", "engine")),
    "deployment": (DEPLOYMENT, ("spec", "template", "spec")),
    "statefulset": (STATEFUL_SET, ("spec", "template", "spec")),
    "pod": (POD, ("spec",)),
}


async def like(cluster: Cluster, named: str, asked: Placement) -> Placement:
    """*asked*, completed by how the object *named* (``isvc/granite``) runs; what was asked for wins.

    Raises:
        InvalidInput: *named* is of no such kind.
        ObjectMissing: There is none.
    """
    word, slash, name = named.partition("/")
    if not slash or not name or word.lower() not in _KINDS:
        known = ", ".join(f"{kind}/NAME" for kind in ("isvc", "deployment", "statefulset", "pod"))
        raise InvalidInput(f"--like {named} names nothing to copy from", hint=f"one of {known}")
    kind, path = _KINDS[word.lower()]
    found = await cluster.find(kind, name)
    if found is None:
        raise ObjectMissing(f"there is no {kind.kind} {name} in {cluster.namespace} to be like")
    return merged(asked, at(found, *path))


def merged(asked: Placement, spec: Any) -> Placement:
    """*asked* with what it leaves open taken from a pod's *spec*."""
    selector = at(spec, "nodeSelector")
    tolerated = tuple(
        Toleration(key=text(one, "key"), value=text(one, "value") or None, effect=text(one, "effect") or None)
        for one in objects(spec, "tolerations")
        if text(one, "key") and not text(one, "key").startswith("node.kubernetes.io/")  # the cluster adds these itself
    )
    return replace(
        asked,
        node_selector={**(selector if isinstance(selector, Mapping) else {}), **asked.node_selector},
        tolerations=(*asked.tolerations, *(one for one in tolerated if one not in asked.tolerations)),
        service_account=asked.service_account or text(spec, "serviceAccountName") or None,
    )
