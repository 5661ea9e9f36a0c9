"""KServe's objects of every format and mode: as approved, and taken strictly by the real API server and KServe's webhooks."""

import json
import urllib.parse

import pytest
from tests.manifests.conftest import documents, llamacpp, vllm
from tests.testbed import golden
from tests.testbed.api import ApiError

from lading.errors import InvalidInput
from lading.manifests import kserve, kserve_llm, kserve_service
from lading.manifests.kserve_servers import CONTAINER, SERVERS, security
from lading.manifests.kserve_service import Runtime, Service
from lading.manifests.serving import Server
from lading.manifests.yaml import render

ON_CLAIM = {"claim": "models", "namespace": "demo"}
MODES = ("Standard", "Knative")


def serving(model_format, path=None, **more):
    name = more.pop("name", f"{model_format}-model".replace("_", "-"))
    values = {"name": name, "served_name": name, "model_format": model_format, "path": path or f"{model_format}/v3"}
    return kserve.server_service(**{**ON_CLAIM, **values, **more})


def custom(mode):
    container = {
        "image": "registry.example/server:1", "args": ["--model=/mnt/models", "--name={{.Name}}"],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}], "securityContext": security(root=False),
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
    }  # fmt: skip
    return Service(
        name="custom", path="mine/v1", model_format="custom", mode=mode, access_modes=("ReadWriteMany",), replicas=2,
        runtime=Runtime(container=container, protocols=("v1",)), protocol="v1", service_account="loader", **ON_CLAIM,
        node_selector={"zone": "a"}, tolerations=({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},),
        resources={"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
        labels={"team": "ml"}, notes={"sidecar.istio.io/inject": "false"}, display_name="Mine, for all",
    )  # fmt: skip


def tiny(mode, **more):
    target = llamacpp(namespace="demo", image="docker.io/testbed/engine:1")
    return kserve.engine_service(target, mode=mode, **{"claim": "models", "access_modes": ("ReadWriteOnce",), **more})


#: Case → the service in a mode.
CASES = {
    "sklearn-v1": lambda mode: serving("sklearn", mode=mode, access_modes=("ReadWriteMany",)),
    "sklearn-v2": lambda mode: serving("sklearn", protocol="v2", mode=mode, access_modes=("ReadWriteOnce",)),
    "sklearn-mlserver": lambda mode: serving("sklearn", server_name="mlserver", served_name="iris", mode=mode),
    "xgboost": lambda mode: serving("xgboost", mode=mode),
    "xgboost-mlserver": lambda mode: serving("xgboost", server_name="mlserver", mode=mode),
    "lightgbm": lambda mode: serving("lightgbm", mode=mode),
    "lightgbm-mlserver": lambda mode: serving("lightgbm", server_name="mlserver", mode=mode),
    "huggingface-openai": lambda mode: serving("huggingface", served_name="a/b {{x}}", mode=mode, gpus=1),
    "huggingface-v1": lambda mode: serving("huggingface", protocol="v1", mode=mode),
    "huggingface-v2": lambda mode: serving("huggingface", protocol="v2", mode=mode),
    "triton": lambda mode: serving("triton", mode=mode),
    "vllm": lambda mode: kserve.engine_service(vllm(), mode=mode, access_modes=("ReadOnlyMany",)),
    "vllm-on-a-runtime-of-the-cluster": lambda mode: kserve.engine_service(vllm(), runtime="kserve-vllmserver", mode=mode),
    "llamacpp": tiny,
    "sklearn-on-a-runtime-of-the-cluster": lambda mode: Service(
        name="iris", path="iris/v3", model_format="sklearn", runtime="kserve-sklearnserver", protocol="v1", mode=mode,
        **ON_CLAIM,
    ),
    "custom": custom,
}  # fmt: skip
LLMS = {
    "llm-vllm": lambda: kserve.llm_objects(vllm(), access_modes=("ReadWriteMany",)),
    "llm-llamacpp": lambda: kserve.llm_objects(llamacpp(namespace="demo"), claim="models", access_modes=("ReadWriteOnce",)),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_the_objects_are_the_approved_ones(case, mode):
    made = kserve_service.objects(CASES[case](mode))
    assert made == kserve_service.objects(CASES[case](mode))
    golden.check(f"manifests/kserve/{mode}", f"{case}.yaml", render(made, head=()))


@pytest.mark.parametrize("case", LLMS)
def test_the_llm_objects_are_the_approved_ones(case):
    golden.check("manifests/kserve/LLMInferenceService", f"{case}.yaml", render(LLMS[case](), head=()))


def strictly(namespace, document):
    """Created on a real API server without staying there: unknown fields refused, all webhooks asked."""
    mine = {**document, "metadata": {**document["metadata"], "namespace": namespace.name}}
    query = urllib.parse.urlencode({"dryRun": "All", "fieldValidation": "Strict"})
    folder = namespace.api.path(mine).rpartition("/")[0]
    return namespace.api.request("POST", f"{folder}?{query}", mine)


@pytest.mark.real("kserve")
def test_every_format_in_every_mode_is_taken_strictly_by_the_real_api_server(kserve, namespace):
    for mode in MODES:
        for case, make in CASES.items():
            for document in kserve_service.objects(make(mode)):
                taken, where = strictly(namespace, document), f"{case} {mode} {document['kind']}"
                assert_kept(document["spec"], taken["spec"], where)


@pytest.mark.real("kserve")
@pytest.mark.parametrize("case", LLMS)
def test_every_llm_object_is_taken_strictly_by_the_real_api_server(kserve, namespace, case):
    (document,) = LLMS[case]()
    assert_kept(document["spec"], strictly(namespace, document)["spec"], case)


@pytest.mark.real("kserve")
def test_the_strict_server_refuses_what_it_does_not_know_and_the_webhook_what_kserve_does_not_take(kserve, namespace):
    _, document = kserve_service.objects(CASES["llamacpp"]("Standard"))
    with pytest.raises(ApiError, match=r"unknown field .*volumeMounts"):
        strictly(namespace, {**document, "spec": {"predictor": {**document["spec"]["predictor"], "volumeMounts": []}}})
    knative = {**document, "metadata": {**document["metadata"], "annotations": {kserve_service.MODE: "Knative"}}}
    with pytest.raises(ApiError, match="only supported for raw deployment"):
        strictly(namespace, knative)


def assert_kept(ours, taken, where):
    """What we wrote is what is stored: webhooks added, and changed nothing of ours."""
    if isinstance(ours, dict):
        for key, value in ours.items():
            assert key in taken, f"{where}: {key}"
            assert_kept(value, taken[key], f"{where}.{key}")
    elif isinstance(ours, list):
        assert len(ours) == len(taken), where
        for mine, theirs in zip(ours, taken, strict=True):
            assert_kept(mine, theirs, where)
    else:
        assert ours == taken, where


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_one_storage_uri_that_is_a_folder_and_the_mode_and_full_names_are_always_written(case, mode):
    *_, service = kserve_service.objects(CASES[case](mode))
    model = service["spec"]["predictor"]["model"]
    assert model["storageUri"].startswith("pvc://models/")
    assert "storageUris" not in json.dumps(service)
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == mode
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert model["runtime"], "never left to KServe's choice"


@pytest.mark.parametrize("case", CASES)
def test_openshift_ai_s_dashboard_shows_each_object(case):
    for document in kserve_service.objects(CASES[case]("Standard")):
        assert document["metadata"]["labels"]["opendatahub.io/dashboard"] == "true"
        assert document["metadata"]["annotations"]["openshift.io/display-name"]


@pytest.mark.parametrize(
    ("modes", "gpus", "expected"),
    [
        ((), 0, True), (("ReadWriteOnce",), 0, True), (("ReadWriteOncePod",), 0, True),
        (("ReadWriteOnce", "ReadOnlyMany"), 0, False), (("ReadWriteMany",), 0, False), (("ReadWriteMany",), 1, True),
    ],
)  # fmt: skip
def test_the_old_pod_goes_first_where_the_claim_or_a_gpu_demands_it(modes, gpus, expected):
    *_, service = kserve_service.objects(tiny("Standard", access_modes=modes, gpus=gpus))
    assert (service["spec"]["predictor"].get("deploymentStrategy") == {"type": "Recreate"}) is expected
    *_, service = kserve_service.objects(tiny("Knative", access_modes=("ReadWriteOnce",), gpus=gpus))
    assert "deploymentStrategy" not in service["spec"]["predictor"], "KServe's validator refuses it there"


def test_the_shipped_sklearn_runtime_is_called_as_its_users_call_it():
    runtime, service = kserve_service.objects(serving("sklearn", name="iris"))
    (container,) = runtime["spec"]["containers"]
    assert container["name"] == CONTAINER
    assert container["args"] == ["--model_name={{.Name}}", "--model_dir=/mnt/models", "--http_port=8080"]
    assert not container["image"].endswith(":latest")
    assert ":" in container["image"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/v1/models/{{.Name}}", "503 or 404 until it has the model"
    assert service["spec"]["predictor"]["model"]["protocolVersion"] == "v1"


def test_arguments_for_a_runtime_of_the_cluster_are_those_of_the_parameters_alone():
    """KServe concatenates: the runtime's own flags would come twice."""
    (service,) = kserve_service.objects(kserve.engine_service(vllm(), runtime="shared"))
    args = service["spec"]["predictor"]["model"]["args"]
    assert args == ["--kv-cache-dtype", "fp8_e4m3", "--max-model-len", "8192", "--max-num-seqs", "128",
                    "--tensor-parallel-size", "2"]  # fmt: skip


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_has_a_pinned_image(name):
    tag = SERVERS[name].image.rpartition(":")[2]
    assert tag not in {"latest", "main", "master"}
    assert any(one.isdigit() for one in tag)


@pytest.mark.parametrize(
    ("claim", "path"),
    [
        ("models", "../up"), ("models", "a//b"), ("models", "a/./b"), ("models", "iris/model.pkl"), ("models", "tiny.gguf"),
        ("models", "iris/*"), ("models", "iris/v*"), ("", "iris"), ("other/claim", "iris"), ("Models", "iris"),
        ("models", "a\nb"), ("models", "pvc://models/iris"),
    ],
)  # fmt: skip
def test_what_kserve_silently_breaks_is_refused(claim, path):
    with pytest.raises(InvalidInput):
        kserve_service.storage_uri(claim, path)


def test_a_folder_and_the_root_of_a_claim_are_written_as_kserve_reads_them():
    assert kserve_service.storage_uri("models", "granite-7b/v1.2/") == "pvc://models/granite-7b/v1.2"
    assert kserve_service.storage_uri("models", "") == "pvc://models"


@pytest.mark.parametrize("name", ["1abc", "a_b", "Granite", "a" * 41, "-a", ""])
def test_a_name_that_kserve_does_not_take_is_refused_with_one_that_it_takes(name):
    with pytest.raises(InvalidInput, match="KServe takes no service") as refused:
        kserve_service.objects(tiny("Standard", name=name))
    assert refused.value.hint.startswith("--name ")


def test_replicas_over_a_claim_for_one_node_are_refused():
    with pytest.raises(InvalidInput, match="3 replicas"):
        kserve_service.objects(tiny("Standard", replicas=3, access_modes=("ReadWriteOnce",)))


def test_knative_with_a_claim_for_one_pod_is_refused():
    with pytest.raises(InvalidInput, match="ReadWriteOncePod"):
        kserve_service.objects(tiny("Knative", access_modes=("ReadWriteOncePod",)))


def test_a_format_over_a_protocol_that_nothing_speaks_is_refused():
    with pytest.raises(InvalidInput, match="triton"):
        serving("triton", protocol="v1")
    with pytest.raises(InvalidInput, match="no model server"):
        serving("pmml")
    with pytest.raises(InvalidInput) as refused:
        serving("sklearn", server_name="sklearnservr")
    assert "sklearnserver" in refused.value.hint


def test_the_llm_service_listens_where_kserve_s_preset_looks():
    (document,) = LLMS["llm-llamacpp"]()
    (container,) = document["spec"]["template"]["containers"]
    assert (container["name"], container["ports"][0]["containerPort"]) == (kserve_llm.CONTAINER, kserve_llm.PORT)
    assert container["args"][container["args"].index("--port") + 1] == str(kserve_llm.PORT)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert list(container[probe]["httpGet"]) == ["path", "port", "scheme"], "merged with the preset's HTTPS"
    assert document["spec"]["rolloutStrategy"] == {"maxSurge": 0, "maxUnavailable": 1}
    (shared,) = LLMS["llm-vllm"]()
    assert shared["spec"]["rolloutStrategy"] == {"maxSurge": 0, "maxUnavailable": 1}, "it has GPUs"
    assert documents(render([shared], head=()))[0] == shared


def a_server(**more):
    values = {
        "name": "one", "namespace": "demo", "image": "engine:1", "entry": ("/app/server",), "args": ("--x", "$(A) {{b}}"),
        "claim": "models", "path": "tiny/v1", "env": {"K": "{{v}}"}, "passed_env": ("HF_TOKEN",), "gpus": 2,
        "resources": {"cpu": "1", "memory": "2Gi"},
    }  # fmt: skip
    return Server(**{**values, **more})


def test_a_server_s_container_is_a_runtime_s_that_kserve_gives_the_weights_and_does_not_expand():
    service = kserve.of_server(a_server(), model_format="gguf", engine="sglang")
    runtime, made = kserve_service.objects(service)
    (container,) = runtime["spec"]["containers"]
    assert container["args"] == ["--x", "$$(A) {{`{{`}}b}}"]
    assert {"name": "K", "value": "{{`{{`}}v}}"} in container["env"]
    assert {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "lading-env", "key": "HF_TOKEN"}}} in container[
        "env"
    ]
    assert [one["mountPath"] for one in container["volumeMounts"]] == ["/dev/shm"], "the weights are KServe's"
    assert "resources" not in container
    model = made["spec"]["predictor"]["model"]
    assert model["resources"]["limits"] == {"memory": "2Gi", "nvidia.com/gpu": "2"}
    assert model["modelFormat"]["name"] == runtime["spec"]["supportedModelFormats"][0]["name"] == "gguf"


def test_knative_gets_no_startup_probe_and_a_pod_without_gpus_no_shared_memory():
    service = kserve.of_server(a_server(gpus=0), model_format="", engine="llama.cpp", mode="Knative")
    (container,) = kserve_service.objects(service)[0]["spec"]["containers"]
    assert "startupProbe" not in container
    assert "volumeMounts" not in container
    assert "readinessProbe" in container


def test_what_a_runtime_of_the_cluster_has_already_is_not_said_twice():
    plain = ("/mnt/models", "--port", "8080", "--slots", "--parallel", "1")
    whole = ("/mnt/models", "--port", "8080", "--slots", "--parallel", "4", "--temp", "-1")
    assert kserve.added(plain, whole) == ("--parallel", "4", "--temp", "-1")
    assert kserve.added(plain, plain) == ()


def test_on_a_runtime_of_the_cluster_variables_are_written_or_come_from_the_secret():
    service = kserve.of_server_on("shared", a_server(), model_format="gguf", engine="llama.cpp", added=("--x", "{{y}}"))
    (made,) = kserve_service.objects(service)
    model = made["spec"]["predictor"]["model"]
    assert (model["runtime"], model["args"]) == ("shared", ["--x", "{{`{{`}}y}}"])
    assert model["env"][0] == {"name": "K", "value": "{{`{{`}}v}}"}
    assert model["env"][1]["valueFrom"]["secretKeyRef"]["key"] == "HF_TOKEN"
