"""KServe's sklearn server on a claim, as its users have it: by KServe's real controller, from an image built here."""

import json
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from tests.testbed import require
from tests.testbed import sklearn_server as sklearn
from tests.testbed.api import wait

from lading.manifests import kserve as manifests
from lading.manifests import kserve_service

pytestmark = pytest.mark.real("kserve")
ROOT = "/apis/serving.kserve.io/v1beta1"
SMALL = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
ROW = [5, 1, 1, 1]
_ASK = """
import sys, urllib.request
url, body = sys.argv[1:]
asked = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(asked, timeout=10).read().decode())
"""


@pytest.fixture
def claim(kserve, namespace):
    missing = sklearn.missing_image()
    require("sklearnserver", missing is None, missing or "")
    sklearn.ensure()
    sklearn.in_node()
    made = namespace.claim("models", modes=("ReadWriteMany",))
    sklearn.train(made.path / "iris" / "v3").chmod(0o644)
    return made


def served(namespace, path, protocol):
    """What is applied by `lading`'s own objects."""
    service = manifests.server_service(
        name="iris", served_name="iris", model_format="sklearn", protocol=protocol, image=sklearn.NAME, claim="models",
        path=path, namespace=namespace.name, access_modes=("ReadWriteMany",), resources=SMALL,
    )  # fmt: skip
    for document in kserve_service.objects(service):
        namespace.apply(document)


def service(namespace):
    return namespace.get("inferenceservices", "iris", root=ROOT).get("status", {})


def says_ready(namespace):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in service(namespace).get("conditions", ()))


def ask(namespace, path, body):
    """By the address that KServe gives its clients; its name is resolved here, where no DNS is."""
    host = urlsplit(service(namespace)["address"]["url"]).hostname.split(".")[0]
    address = namespace.get("services", host)["spec"]["clusterIP"]
    argv = [sys.executable, "-c", _ASK, f"http://{address}{path}", json.dumps(body)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else None


def test_it_answers_v1_and_v2_under_the_service_s_own_name(namespace, claim):
    served(namespace, "iris/v3", "v1")
    wait("KServe says Ready", lambda: says_ready(namespace), within_s=150)
    v1 = wait("V1 answers", lambda: ask(namespace, "/v1/models/iris:predict", {"instances": [ROW]}))
    assert v1 == {"predictions": [1]}
    tensor = {"name": "rows", "shape": [1, 4], "datatype": "FP64", "data": [ROW]}
    v2 = ask(namespace, "/v2/models/iris/infer", {"inputs": [tensor]})
    assert (v2["model_name"], v2["outputs"][0]["data"]) == ("iris", [1])


def test_of_an_empty_folder_kserve_does_not_say_ready_because_the_model_itself_is_probed(namespace, claim):
    """The server runs there without any model, and says that it is ready: only its word on the model tells."""
    served(namespace, "iris/v33", "v1")

    def refused():
        messages = (one.get("message") or "" for one in namespace.get("events"))
        return any("Startup probe failed" in one and "404" in one for one in messages)

    wait("the model is not there", refused, within_s=150)
    assert not says_ready(namespace)
    assert list((claim.path / "iris" / "v33").iterdir()) == [], "made by the kubelet"
