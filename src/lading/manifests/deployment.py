"""Plain Kubernetes: a Deployment and its Service, with the claim mounted read-only."""

from typing import Any

from lading.manifests import pod
from lading.manifests.target import MOUNT, Target
from lading.manifests.yaml import render


def deployment(target: Target) -> str:
    """Both objects in one file.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    return render(
        [_deployment(target), _service(target)],
        head=pod.head(target, "A plain Deployment and its Service.", "deployment.yaml"),
        notes=[
            {
                ("spec", "strategy"): "a claim for one node, or a GPU, is free only once the old pod is gone",
                ("spec", "template", "spec", "containers", 0, "startupProbe"): pod.PROBE_NOTE,
            }
        ],
    )


def _deployment(target: Target) -> dict[str, Any]:
    chosen = {"app.kubernetes.io/name": target.name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": pod.metadata(target, target.name),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": chosen},
            "template": {"metadata": {"labels": pod.labels(target)}, "spec": _pod(target)},
        },
    }


def _pod(target: Target) -> dict[str, Any]:
    container = pod.container(target, "server")
    weights = {"name": "weights", "mountPath": MOUNT, "readOnly": True}
    if target.model.claim_path:
        weights["subPath"] = target.model.claim_path
    container["volumeMounts"] = [weights, *container.get("volumeMounts", [])]
    resources = pod.resources(target)
    if resources:
        container["resources"] = resources
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    claim = {"name": "weights", "persistentVolumeClaim": {"claimName": target.claim, "readOnly": True}}
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 60,
        "containers": [container],
        "volumes": [claim, *pod.volumes(target)],
    }


def _service(target: Target) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": pod.metadata(target, target.name),
        "spec": {
            "selector": {"app.kubernetes.io/name": target.name},
            "ports": [{"name": "http", "port": 80, "targetPort": target.port, "protocol": "TCP"}],
        },
    }
