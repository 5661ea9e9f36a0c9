"""`lading claim inspect` against real objects of KServe and OME, a real pod that mounts, and real files."""

import json

import pytest
from tests.claim.conftest import answer
from tests.testbed.api import wait
from tests.testbed.namespaces import pod

pytestmark = pytest.mark.real("cluster")


def service(name, **predictor):
    """A KServe InferenceService."""
    model = {"modelFormat": {"name": "sklearn"}, **predictor.pop("model", {})}
    spec = {"predictor": {"model": model, **predictor}}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": spec,
    }


def pointing(claim):
    """Objects that point into *claim*, each in its own way."""
    llm = {"model": {"uri": f"pvc://{claim}/granite/current", "name": "granite"}}
    base = {"storage": {"storageUri": f"pvc://{claim}/loose"}}
    return [
        service("pinned", model={"storageUri": f"pvc://{claim}/granite/v1"}, maxReplicas=3),
        service("gone", model={"storageUri": f"pvc://{claim}/granite/v9"}),
        service("file", model={"storageUri": f"pvc://{claim}/granite/v1/model.pkl"}),
        service("other", model={"storageUri": "pvc://another/granite/v1"}),
        service("dropped", storageUris=[{"uri": f"pvc://{claim}/granite/v1", "mountPath": "/mnt/models"}]),
        {
            "apiVersion": "serving.kserve.io/v1alpha2",
            "kind": "LLMInferenceService",
            "metadata": {"name": "llm"},
            "spec": llm,
        },
        {"apiVersion": "ome.io/v1beta1", "kind": "BaseModel", "metadata": {"name": "base"}, "spec": base},
    ]


@pytest.fixture
def filled(namespace, lading, tmp_path):
    """A claim with granite@v1, and a folder that nobody vouches for; deleted with its volume."""
    claim = namespace.claim("models", retain=False)
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.pkl").write_bytes(b"\x80\x04." * 100)
    done = lading("pull", source, claim.path, "--model", "granite", "--version", "v1")
    assert done.returncode == 0, done.stderr
    (claim.path / "loose").mkdir()
    (claim.path / "loose" / "model.pkl").write_bytes(b"\x80\x04.")
    return claim


def test_everything_that_points_into_a_claim_is_found_and_judged(namespace, lading, filled):
    """Each kind of reference, as the namespace's user: what is published there, what is dangling, what KServe would drop."""
    for document in pointing("models"):
        namespace.apply(document)
    reader = pod("reader", "docker.io/testbed/pause:1", ["/pause"])
    reader["spec"]["containers"][0]["volumeMounts"][0].update(subPath="granite/v1", readOnly=True)
    namespace.apply(reader)
    wait("it runs", lambda: namespace.get("pods", "reader")["status"].get("phase") == "Running")

    found = answer(lading("claim", "inspect", "pvc://models", "--format", "json"))
    users = {(user["kind"], user["name"]): user for user in found["users"]}
    assert users["InferenceService", "pinned"]["version"] == "v1"
    assert "no model is there" in users["InferenceService", "gone"]["problem"]
    assert "names a file" in users["InferenceService", "file"]["problem"]
    assert "drops the path" in users["InferenceService", "dropped"]["problem"]
    assert users["LLMInferenceService", "llm"]["version"] == "v1"  # by `current`
    assert users["BaseModel", "base"]["unmanaged"] is True
    assert ("InferenceService", "other") not in users
    assert [(mount["pod"], mount["read_only"], mount["sub_paths"]) for mount in found["mounts"]] == [
        ("reader", True, ["granite/v1"])
    ]
    assert (found["phase"], found["models"][0]["model"], found["unmanaged"][0]["path"]) == ("Bound", "granite", "loose")
    assert found["used_bytes"] >= 303
    assert any("wants up to 3 pods" in warning for warning in found["warnings"])
    assert any("persistent volumes may not be read" in sentence for sentence in found["unknown"])
    pods = {one["metadata"]["name"] for one in namespace.get("pods") if "deletionTimestamp" not in one["metadata"]}
    assert pods == {"reader"}


def test_the_administrator_is_warned_that_models_go_with_the_claim(namespace, admin, filled):
    found = answer(admin("claim", "inspect", "models", "--no-pod", "--format", "json"))
    assert found["reclaim_policy"] == "Delete"
    assert found["models"] is None
    assert any("lading claim retain pvc://models" in warning for warning in found["warnings"])
    assert json.dumps(found["unknown"]) == "[]"


def test_a_pod_of_a_deployment_is_traced_to_it(namespace, lading):
    """The owner chain is followed: what is to be stopped is the Deployment, not its pod."""
    namespace.claim("models")
    template = pod("x", "docker.io/testbed/pause:1", ["/pause"])["spec"]
    labels = {"app": "server"}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {**template, "restartPolicy": "Always"}},
    }
    namespace.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "server"}, "spec": spec})
    wait("a pod holds it", lambda: any(one["spec"].get("nodeName") for one in namespace.get("pods")))
    found = answer(lading("claim", "inspect", "models", "--no-pod", "--format", "json"))
    assert [mount["workload"] for mount in found["mounts"]] == ["Deployment server"]
    assert [(user["kind"], user["name"]) for user in found["users"]] == [("Deployment", "server")]


@pytest.mark.parametrize("given", ["Models", "pvc://models/granite", "s3://b/k"])
def test_what_is_no_claim_is_refused(lading, namespace, given):
    result = lading("claim", "inspect", given)
    assert result.returncode == 2
    assert "claim" in result.stderr


def test_a_pull_says_that_its_volume_goes_with_the_claim(admin, filled):
    """Said before anything is pulled, to whoever may see the volume."""
    result = admin("pull", "https://models.invalid/m/model.gguf", "pvc://models/m", "--dry-run", "--no-preflight")
    assert "is deleted with the claim, and every model on it" in result.stderr, result.stderr
