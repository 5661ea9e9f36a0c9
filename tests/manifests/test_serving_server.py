"""The Deployment and the Service of a server on a claim, as they are applied."""

import json
from io import StringIO

import pytest
from ruamel.yaml import YAML
from tests.testbed import golden

from lading.backends.deployment import DeploymentBackend
from lading.engines import llamacpp, vllm
from lading.ports.backend import OnClaim, ServeRequest
from lading.spec.study import BackendChoice

GGUF = OnClaim(namespace="demo", claim="models", path="tiny/v1", file="tiny.gguf")
FOLDER = OnClaim(namespace="demo", claim="models", path="granite-7b/0123456789ab")
CASES = {
    "llamacpp": (llamacpp.ENGINE, {"n_ctx": 4096}, GGUF, {"resources": {"cpu": "4", "memory": "16Gi"}}),
    "vllm": (
        vllm.ENGINE, {"tensor_parallel_size": 2, "max_model_len": 8192}, FOLDER,
        {"env": {"HF_TOKEN": None}, "node_selector": {"gpu": "h100"}, "service_account": "server",
         "tolerations": ({"key": "nvidia.com/gpu", "operator": "Exists"},)},
    ),
}  # fmt: skip


def planned(case, tmp_path):
    engine, params, claim, choice = CASES[case]
    request = ServeRequest(
        name=f"{case}-one", model=claim.path, served_name="chat", engine=engine, params=params, claim=claim
    )
    return DeploymentBackend(BackendChoice(kind="deployment", **choice), home=tmp_path).plan(request).objects


@pytest.mark.parametrize("case", CASES)
def test_the_objects_of_a_server_are_these(case, tmp_path):
    """Read-only, its folder alone, one at a time, asked by the kubelet as it starts; no secret, no right, no liveness probe."""
    text = StringIO()
    YAML().dump_all(json.loads(json.dumps(planned(case, tmp_path))), text)
    golden.check("manifests/serving", case, text.getvalue())


@pytest.mark.real("control plane")
@pytest.mark.parametrize("case", CASES)
def test_the_api_server_takes_them_strictly(case, tmp_path, control_plane):
    """No field that it does not know, none of a wrong type."""
    for document in planned(case, tmp_path):
        namespaced = {**document, "metadata": {**document["metadata"], "namespace": "default"}}
        text = json.dumps(namespaced)
        control_plane.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
