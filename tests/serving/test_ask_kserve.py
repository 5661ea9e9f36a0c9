"""A scikit-learn model on a claim, served by KServe's real controller from an image built here, answers V1 and V2."""

import json

import pytest
from tests.testbed import require, sklearn_server
from tests.testbed.api import wait

from lading.manifests import kserve as manifests
from lading.manifests import kserve_service

pytestmark = [pytest.mark.real("kserve"), pytest.mark.real("sklearnserver"), pytest.mark.slow, pytest.mark.timeout(400)]
SMALL = {"requests": {"cpu": "50m", "memory": "200Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
SERVING = "/apis/serving.kserve.io/v1beta1"


@pytest.fixture
def on_a_claim(kserve, namespace):
    """The service `iris` on the claim `models`, as our manifests have it; where its pod is asked."""
    missing = sklearn_server.missing_image()
    require("sklearnserver image", missing is None, missing or "")
    sklearn_server.ensure()
    sklearn_server.in_node()
    claim = namespace.claim("models")
    sklearn_server.train(claim.path / "iris" / "v1")
    service = manifests.server_service(
        name="iris", served_name="iris", model_format="sklearn", image=sklearn_server.NAME, namespace=namespace.name,
        claim="models", path="iris/v1", access_modes=("ReadWriteOnce",), resources=SMALL,
    )  # fmt: skip
    for document in kserve_service.objects(service):
        namespace.apply(document)
    wait("KServe says Ready", lambda: says_ready(namespace), within_s=120)
    [pod] = namespace.get("pods")
    return f"http://{pod['status']['podIP']}:8080"


def says_ready(namespace):
    found = namespace.get("inferenceservices", "iris", root=SERVING) or {}
    conditions = found.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def test_a_sklearn_model_on_a_claim_answers_v1_and_v2_behind_kserve(lading, on_a_claim):
    """By the shipped runtime's arguments, without a storage initializer: the claim is mounted."""
    by_v1 = lading("ask", on_a_claim, "[[0, 0, 0, 0], [4, 6, 2, 1]]", "--protocol", "v1", "--format", "json")
    assert json.loads(by_v1.stdout)["document"] == {"predictions": [0, 1]}, by_v1.stderr
    by_v2 = lading("ask", on_a_claim, "[[0, 0, 0, 0], [4, 6, 2, 1]]", "--protocol", "v2")
    assert by_v2.stdout == "output-0 INT64 [2]: [0, 1]\n", by_v2.stderr
    sample = lading("ask", on_a_claim)
    assert (sample.returncode, sample.stdout) == (0, "0\n")
    assert "zeros for the 4 features that the model asks for" in sample.stderr
