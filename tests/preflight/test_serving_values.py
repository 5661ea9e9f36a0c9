"""Decisions of a service's preflight, from values alone."""

import pytest

from lading.diagnosis import serving_lookup, serving_runtimes
from lading.manifests import serving_pod
from lading.manifests.serving_pod import Rollout
from lading.placement import room, serving_claim, serving_nodes


@pytest.mark.parametrize(
    ("image", "model_format", "files", "causes"),
    [
        ("docker.io/kserve/sklearnserver:v0.20.0", "sklearn", ["model.joblib", "notes_metadata.json"], []),
        ("docker.io/kserve/sklearnserver:v0.20.0", "sklearn", ["any.pkl"], []),
        ("docker.io/kserve/sklearnserver:v0.20.0", "sklearn", ["model.joblib", ".tmp.pkl"], ["model-ambiguous"]),
        ("docker.io/kserve/sklearnserver:v0.20.0", "sklearn", ["iris/model.joblib"], ["model-not-found"]),
        ("docker.io/kserve/sklearnserver:v0.20.0", "sklearn", [], ["model-not-found"]),
        ("docker.io/kserve/xgbserver:v0.20.0", "xgboost", ["model.bst", "metadata.json"], ["model-ambiguous"]),
        ("docker.io/kserve/lgbserver:v0.20.0", "lightgbm", ["model.bst", "metadata.json"], []),
        ("docker.io/seldonio/mlserver:1.7.1", "sklearn", ["iris.joblib"], ["model-not-found"]),
        ("docker.io/seldonio/mlserver:1.7.1", "sklearn", ["model.joblib", "model.pkl"], []),
        ("docker.io/kserve/huggingfaceserver:v0.20.0", "huggingface", ["model.safetensors"], ["model-not-found"]),
        ("vllm/vllm-openai:v0.33.0", "vLLM", ["config.json", "model.safetensors"], []),
        ("ghcr.io/ggml-org/llama.cpp:server", "gguf", ["config.json"], ["model-not-found"]),
        ("registry.example.com/our/own:1", "sklearn", ["a.pkl", "b.pkl"], []),
    ],
)
def test_a_folder_is_held_to_the_rules_of_its_server(image, model_format, files, causes):
    found = serving_lookup.problems(files, image=image, model_format=model_format)
    assert [one.cause for one in found] == causes
    assert all(one.remedy for one in found)


def test_the_one_file_that_a_server_is_given_must_be_there():
    given = {"image": "x/llama.cpp:1", "model_format": "gguf"}
    assert serving_lookup.problems(["a.gguf"], file="a.gguf", **given) == ()
    assert "a.gguf" in serving_lookup.problems(["a.gguf"], file="b.gguf", **given)[0].sentence


def test_a_runtime_without_kserves_container_is_refused():
    runtime = {"metadata": {"name": "r"}, "spec": {"supportedModelFormats": [{"name": "f"}], "containers": [{"name": "main"}]}}  # fmt: skip
    found = serving_runtimes.problems(runtime, model_format="f", protocol="", served_name="m", name="m")
    assert [one.cause for one in found] == ["runtime-invalid"]


@pytest.mark.parametrize(
    ("modes", "rollout", "codes"),
    [
        (["ReadWriteOnce"], Rollout(replicas=1, together=True), []),
        (["ReadWriteOnce"], Rollout(replicas=2, together=False), ["access-mode"]),
        (["ReadWriteMany"], Rollout(replicas=2, together=True), []),
        (["ReadWriteOncePod"], Rollout(replicas=1, together=False), []),
        (["ReadWriteOncePod"], Rollout(replicas=1, together=True), ["rollout-stuck"]),
    ],
)
def test_an_access_mode_is_held_against_replicas_and_updates(modes, rollout, codes):
    assert [one.code for one in serving_claim.decided("models", modes, rollout, ())] == codes


def node(name, zone, gpus="0", images=()):
    labels = {"topology.kubernetes.io/zone": zone}
    status = {"allocatable": {"pods": "10", "memory": "64Gi", "nvidia.com/gpu": gpus}, "images": [{"names": [*images]}]}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


VOLUME = {
    "metadata": {"name": "pv-1"},
    "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["b"]}]}]}}},
}  # fmt: skip
WITH_GPU = {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}


def test_only_nodes_count_that_can_mount_the_volume():
    rooms = room.by_node([node("a", "a", gpus="8"), node("b", "b")], [])
    problems = serving_nodes.fitting(WITH_GPU, rooms, VOLUME)
    assert [one.code for one in problems] == ["no-room-on-nodes"]
    assert "mounted on b alone" in problems[0].message
    assert serving_nodes.fitting(WITH_GPU, rooms, None) == ()


def test_a_claim_for_one_node_binds_the_pod_to_that_node():
    rooms = room.by_node([node("a", "a", gpus="8"), node("b", "b")], [])
    assert [one.code for one in serving_nodes.fitting(WITH_GPU, rooms, None, on="b")] == ["no-room-on-nodes"]


def test_a_volume_that_no_node_can_mount_is_named():
    problems = serving_nodes.fitting(WITH_GPU, room.by_node([node("a", "a", gpus="8")], []), VOLUME)
    assert [one.code for one in problems] == ["volume-elsewhere"]
    assert "pv-1" in problems[0].message


def test_the_pod_of_an_inference_service_is_its_runtimes_with_what_the_service_says():
    runtime = {"kind": "ServingRuntime", "metadata": {"name": "r"}, "spec": {"containers": [{"name": "kserve-container", "image": "i", "env": [{"name": "A", "value": "1"}], "resources": {"limits": {"memory": "1Gi"}}}], "tolerations": [{"key": "x"}]}}  # fmt: skip
    model = {"runtime": "r", "storageUri": "pvc://models/granite/v1", "env": [{"name": "A", "value": "2"}], "resources": {"limits": {"nvidia.com/gpu": "1"}}}  # fmt: skip
    service = {"kind": "InferenceService", "metadata": {"name": "s"}, "spec": {"predictor": {"model": model, "nodeSelector": {"k": "v"}, "minReplicas": 0, "maxReplicas": 3}}}  # fmt: skip
    pod = serving_pod.pod((runtime, service))
    assert pod["containers"][0]["resources"] == {"limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}}
    assert pod["containers"][0]["env"] == [{"name": "A", "value": "2"}]
    assert pod["containers"][0]["volumeMounts"][0]["subPath"] == "granite/v1"
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"k": "v"}, [{"key": "x"}])
    assert serving_pod.rollout((service,)) == Rollout(replicas=3, together=True)
