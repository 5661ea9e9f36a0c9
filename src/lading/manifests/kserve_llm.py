"""KServe's LLMInferenceService: an engine on a claim, where the cluster has that kind.

Facts of its controller that shaped this: its preset is merged under ours, command and arguments as wholes, probes field
by field (a second handler is refused, so ours are HTTP GETs with their scheme written); its Service goes to port 8000;
there is no Recreate, so a claim of one node lets the old pod go first by `rolloutStrategy`; the preset demands a user
that is not root.
"""

from typing import Any

from lading.manifests import kserve_service
from lading.manifests.kserve_service import GROUP, Service

CONTAINER = "main"
PORT = 8000
#: The user of the pod: the preset refuses root, and an image may not say who else it runs as.
USER = 65532
_HEALTH = "/health"


def llm_inference_service(service: Service, container: dict[str, Any], *, served_name: str) -> dict[str, Any]:
    """The LLMInferenceService of *service*, whose *container* (with its resources) listens on `PORT`.

    Raises:
        InvalidInput: KServe would refuse it, or take it and do something else.
    """
    kserve_service.check(service)
    uri = kserve_service.storage_uri(service.claim, service.path)
    spec: dict[str, Any] = {
        "model": {"uri": uri, "name": served_name},
        "replicas": service.replicas,
    }
    if kserve_service.recreate(service):
        spec["rolloutStrategy"] = {"maxSurge": 0, "maxUnavailable": 1}
    spec["template"] = _pod(service, container)
    return {
        "apiVersion": f"{GROUP}/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": kserve_service.metadata(service, service.name, service.notes),
        "spec": spec,
    }


def _pod(service: Service, container: dict[str, Any]) -> dict[str, Any]:
    made = {
        **container,
        "name": CONTAINER,
        "startupProbe": _probe(180),
        "readinessProbe": _probe(3),
        "livenessProbe": _probe(6),
    }
    made.pop("volumeMounts", None)  # the preset brings shared memory of its own
    wanted = kserve_service.resources(service)
    if wanted:
        made["resources"] = wanted
    pod: dict[str, Any] = {"securityContext": {"runAsNonRoot": True, "runAsUser": USER}, "containers": [made]}
    if service.service_account:
        pod["serviceAccountName"] = service.service_account
    if service.node_selector:
        pod["nodeSelector"] = dict(service.node_selector)
    if service.tolerations:
        pod["tolerations"] = [dict(one) for one in service.tolerations]
    return pod


def _probe(failures: int) -> dict[str, Any]:
    asked = {"path": _HEALTH, "port": PORT, "scheme": "HTTP"}
    return {"httpGet": asked, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": failures}
