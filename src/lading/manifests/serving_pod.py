"""The pod that objects of a service will have, before any controller made it: what quota, nodes and PodSecurity will see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lading.manifests.target import MOUNT

Objects = Sequence[Mapping[str, Any]]
_VOLUME = "kserve-pvc-source"
_PVC = "pvc://"
_OF_POD = ("nodeSelector", "tolerations", "affinity", "serviceAccountName", "imagePullSecrets", "securityContext", "runtimeClassName", "priorityClassName")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How its pods come and go.

    Attributes:
        replicas: How many there may be.
        together: An old and a new one live side by side during an update.
    """

    replicas: int
    together: bool


def of_kind(objects: Objects, kind: str) -> Mapping[str, Any] | None:
    """The first of *objects* that is a *kind*."""
    return next((one for one in objects if one.get("kind") == kind), None)


def predictor(objects: Objects) -> Mapping[str, Any]:
    """The predictor of the InferenceService among *objects*; empty where there is none."""
    service = of_kind(objects, "InferenceService") or {}
    found: Mapping[str, Any] = (service.get("spec") or {}).get("predictor") or {}
    return found


def model(objects: Objects) -> Mapping[str, Any]:
    """The predictor's model; empty where there is none."""
    found: Mapping[str, Any] = predictor(objects).get("model") or {}
    return found


def rollout(objects: Objects) -> Rollout:
    """Of the Deployment or the InferenceService among *objects*, with Kubernetes' defaults."""
    deployment = of_kind(objects, "Deployment")
    if deployment is not None:
        spec = deployment["spec"]
        return Rollout(replicas=spec.get("replicas", 1), together=_together(spec.get("strategy")))
    of = predictor(objects)
    most = max(of.get("maxReplicas") or 0, of.get("minReplicas", 1) or 0, 1)
    return Rollout(replicas=most, together=_together(of.get("deploymentStrategy")))


def pod(objects: Objects, runtime: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """The spec of the pod; None where *objects* do not say it.

    Args:
        objects: As they will be applied.
        runtime: The ServingRuntime or ClusterServingRuntime that is there and that they name.
    """
    deployment = of_kind(objects, "Deployment")
    if deployment is not None:
        return dict(deployment["spec"]["template"]["spec"])
    own = of_kind(objects, "ServingRuntime") or runtime
    of = predictor(objects)
    if not of or own is None:
        return None
    containers = [dict(one) for one in (own.get("spec") or {}).get("containers") or ()]
    if not containers:
        return None
    served = model(objects)
    containers[0] = _merged(containers[0], served)
    made = {key: (own.get("spec") or {}).get(key) for key in _OF_POD}
    made |= {key: of[key] for key in _OF_POD if key in of}
    volumes = [dict(one) for one in ((own.get("spec") or {}).get("volumes") or ())]
    claim, path = _claim(str(served.get("storageUri") or ""))
    if claim:
        mount = {"name": _VOLUME, "mountPath": MOUNT, "readOnly": True, **({"subPath": path} if path else {})}
        containers[0]["volumeMounts"] = [*(containers[0].get("volumeMounts") or ()), mount]
        volumes.append({"name": _VOLUME, "persistentVolumeClaim": {"claimName": claim}})
    plain = {key: value for key, value in made.items() if value is not None}
    return {**plain, "containers": containers, "volumes": volumes}


def labels(objects: Objects) -> dict[str, str]:
    """The labels of a Deployment's pods: policies and webhooks choose by them."""
    deployment = of_kind(objects, "Deployment")
    if deployment is None:
        return {}
    return dict((deployment["spec"]["template"].get("metadata") or {}).get("labels") or {})


def images(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The images of a pod, each once."""
    listed = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return tuple(dict.fromkeys(str(one["image"]) for one in listed if one.get("image")))


def _merged(container: Mapping[str, Any], served: Mapping[str, Any]) -> dict[str, Any]:
    """The runtime's container with the service's resources and environment, as KServe merges them."""
    resources = {
        part: {
            **((container.get("resources") or {}).get(part) or {}),
            **((served.get("resources") or {}).get(part) or {}),
        }
        for part in ("requests", "limits")
    }
    env = {one["name"]: one for one in (*(container.get("env") or ()), *(served.get("env") or ()))}
    made = {**container, "resources": {part: amounts for part, amounts in resources.items() if amounts}}
    return {**made, "env": list(env.values())} if env else made


def _claim(uri: str) -> tuple[str, str]:
    if not uri.startswith(_PVC):
        return "", ""
    claim, _, path = uri.removeprefix(_PVC).partition("/")
    return claim, path.strip("/")


def _together(strategy: object) -> bool:
    return not (isinstance(strategy, Mapping) and strategy.get("type") == "Recreate")
