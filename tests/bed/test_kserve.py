"""KServe's real controller beside the cluster: what a test sees of it is what users have."""

import pytest
from tests.testbed.api import ApiError, wait

pytestmark = pytest.mark.real("kserve")

_ROOT = "/apis/serving.kserve.io/v1beta1"


def runtime(image):
    """A runtime that answers HTTP and has the model at /mnt/models, like any."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "files"},
        "spec": {
            "supportedModelFormats": [{"name": "any", "version": "1", "autoSelect": True}],
            "containers": [
                {
                    "name": "kserve-container",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-m", "http.server", "8080", "--directory", "/mnt/models"],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "1", "memory": "256Mi"},
                    },
                }
            ],
        },
    }


def service(**annotations):
    """An InferenceService on the claim `models`."""
    model = {"modelFormat": {"name": "any"}, "runtime": "files", "storageUri": "pvc://models/tiny/v1"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "tiny", "annotations": annotations},
        "spec": {"predictor": {"terminationGracePeriodSeconds": 1, "model": model}},
    }


def is_ready(namespace):
    conditions = namespace.get("inferenceservices", "tiny", root=_ROOT).get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def test_a_service_on_a_claim_gets_ready_stops_and_comes_back(kserve, namespace):
    """The pod mounts the claim; `serving.kserve.io/stop` ends it, and without the annotation it is back."""
    claim = namespace.claim("models")
    (claim.path / "tiny" / "v1").mkdir(parents=True)
    namespace.apply(runtime(kserve.image))
    namespace.apply(service())
    wait("it is ready", lambda: is_ready(namespace))
    [pod] = namespace.get("pods")
    mounted = [
        volume["persistentVolumeClaim"] for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume
    ]
    assert [claim["claimName"] for claim in mounted] == ["models"]
    namespace.apply(service(**{"serving.kserve.io/stop": "true"}))
    wait("its pod is gone", lambda: not namespace.get("pods"))
    namespace.apply(service(**{"serving.kserve.io/stop": "false"}))
    wait("it is back", lambda: namespace.get("pods") and is_ready(namespace))


def test_its_webhook_refuses_what_kserve_refuses(kserve, namespace):
    """A name that is none for a Service is refused by KServe's own validator, not only by the schema."""
    document = service()
    document["metadata"]["name"] = "Not.A.Name"
    with pytest.raises(ApiError):
        namespace.apply(document)
    document["metadata"]["name"] = "1-starts-with-a-digit"
    with pytest.raises(ApiError, match="webhook"):
        namespace.apply(document)
