"""The Kubernetes objects: valid against the real CRDs with no unknown key, and complete."""

import dataclasses
import shlex

import pytest
import yaml
from tests.manifests.conftest import TARGETS, documents, llamacpp, vllm

from lading.manifests.deployment import deployment
from lading.manifests.kserve import inference_service
from lading.manifests.target import CLAIM_PLACEHOLDER, container_command


def strict(schema):
    """A structural schema that refuses unknown keys, as the API server does for us with strict field validation."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if (
        isinstance(schema.get("properties"), dict)
        and "additionalProperties" not in schema
        and not schema.get("x-kubernetes-preserve-unknown-fields")
    ):
        made["additionalProperties"] = False
    return made


@pytest.fixture(scope="session")
def crd(crds):
    """(File, version) → the strict schema of that kind."""
    loaded = {}

    def schema(file, version):
        if file not in loaded:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # these files have megabytes
            loaded[file] = yaml.load((crds / "kserve" / file).read_bytes(), Loader=loader)
        found = next(one for one in loaded[file]["spec"]["versions"] if one["name"] == version)["schema"][
            "openAPIV3Schema"
        ]
        return strict({**found, "properties": {**found["properties"], "metadata": {}}})

    return schema


def check(document, schema):
    import jsonschema

    problems = [
        f"{'/'.join(map(str, one.absolute_path))}: {one.message}"
        for one in jsonschema.Draft202012Validator(schema).iter_errors(document)
    ]
    assert problems == []


@pytest.mark.real("crds")
@pytest.mark.parametrize("engine", TARGETS)
@pytest.mark.parametrize("claim", [None, "models"])
def test_the_kserve_objects_fit_the_schemas_of_the_real_controller(crd, engine, claim):
    target = TARGETS[engine]()
    target = dataclasses.replace(target, model=dataclasses.replace(target.model, claim=claim))
    runtime, service = documents(inference_service(target))
    check(runtime, crd("serving.kserve.io_servingruntimes.yaml", "v1alpha1"))
    check(service, crd("serving.kserve.io_inferenceservices.yaml", "v1beta1"))


@pytest.mark.real("crds")
@pytest.mark.parametrize("engine", TARGETS)
def test_the_pod_of_the_deployment_fits_the_pod_of_the_api(crd, engine):
    """LLMInferenceService carries the whole PodSpec: a plain Deployment's template is held against it."""
    spec = crd("serving.kserve.io_llminferenceservices.yaml", "v1alpha2")["properties"]["spec"]["properties"][
        "template"
    ]
    made, _ = documents(deployment(TARGETS[engine]()))
    check(made["spec"]["template"]["spec"], spec)


@pytest.mark.real("crds")
def test_the_check_itself_refuses_an_unknown_key(crd):
    _, service = documents(inference_service(vllm()))
    service["spec"]["predictor"]["volumeMounts"] = []
    with pytest.raises(AssertionError, match="volumeMounts"):
        check(service, crd("serving.kserve.io_inferenceservices.yaml", "v1beta1"))


DEPLOYMENT_KEYS = {"apiVersion", "kind", "metadata", "spec"}


@pytest.mark.parametrize("engine", TARGETS)
def test_the_deployment_and_its_service_select_the_same_pods(engine):
    made, service = documents(deployment(TARGETS[engine]()))
    assert set(made) == set(service) == DEPLOYMENT_KEYS
    assert (made["apiVersion"], service["apiVersion"]) == ("apps/v1", "v1")
    assert set(made["spec"]) == {"replicas", "strategy", "selector", "template"}
    labels = made["spec"]["template"]["metadata"]["labels"]
    for selector in (made["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
        assert selector.items() <= labels.items()
    port = made["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"]
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": port, "protocol": "TCP"}]


@pytest.mark.parametrize("engine", TARGETS)
def test_the_weights_are_mounted_read_only_where_the_server_looks_for_them(engine):
    target = TARGETS[engine]()
    made, _ = documents(deployment(target))
    pod = made["spec"]["template"]["spec"]
    mount = pod["containers"][0]["volumeMounts"][0]
    assert mount == {
        "name": "weights",
        "mountPath": "/mnt/models",
        "readOnly": True,
        "subPath": target.model.claim_path,
    }
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == target.claim
    assert target.model.in_container in pod["containers"][0]["args"]


@pytest.mark.parametrize("engine", TARGETS)
def test_all_arguments_of_the_engine_are_there_once(engine):
    target = TARGETS[engine]()
    runtime, service = documents(inference_service(target))
    assert runtime["spec"]["containers"][0]["args"] == list(container_command(target).argv)
    assert "args" not in service["spec"]["predictor"]["model"], "KServe would add them to the runtime's"
    assert service["spec"]["predictor"]["model"]["runtime"] == runtime["metadata"]["name"]
    formats = [one["name"] for one in runtime["spec"]["supportedModelFormats"]]
    assert service["spec"]["predictor"]["model"]["modelFormat"]["name"] in formats


def test_a_claim_that_is_not_known_is_a_placeholder_explained_at_the_top():
    text = inference_service(llamacpp())
    head = text[: text.index("apiVersion")]
    assert f"CHANGE {CLAIM_PLACEHOLDER}" in head
    assert f"storageUri: pvc://{CLAIM_PLACEHOLDER}/tiny-llama/v1" in text
    assert "CHANGE" not in inference_service(vllm())


def test_defaults_in_which_the_programs_differ_are_pinned():
    """xllamacpp serves with one slot, llama-server with four, when neither is told: the image must do what was measured."""
    args = documents(deployment(llamacpp()))[0]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--parallel") + 1] == "1"
    same = documents(deployment(llamacpp(program="llama-server")))[0]["spec"]["template"]["spec"]["containers"][0][
        "args"
    ]
    assert "--parallel" not in same


def test_gpus_follow_the_parameters():
    def limits(target):
        return (
            documents(deployment(target))[0]["spec"]["template"]["spec"]["containers"][0]
            .get("resources", {})
            .get("limits", {})
        )

    assert limits(vllm())["nvidia.com/gpu"] == "2"
    assert limits(vllm(params={}))["nvidia.com/gpu"] == "1"
    assert limits(vllm(gpus=4))["nvidia.com/gpu"] == "4"
    assert "nvidia.com/gpu" not in limits(llamacpp())
    assert limits(llamacpp(params={"n_gpu_layers": 99}))["nvidia.com/gpu"] == "1"


def test_what_kubernetes_and_kserve_would_expand_is_escaped():
    """``$(NAME)`` is Kubernetes' own, ``{{…}}`` is KServe's: both arrive as they are."""
    target = vllm(env={"A": "$(HOME) {{ bos_token }}"})
    plain = documents(deployment(target))[0]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "A", "value": "$$(HOME) {{ bos_token }}"} in plain
    runtime = documents(inference_service(target))[0]["spec"]["containers"][0]["env"]
    assert {"name": "A", "value": "$$(HOME) {{`{{`}} bos_token }}"} in runtime


def test_the_startup_probe_is_one_shell_command_with_a_hostile_name_inside():
    target = vllm(served_name="a'b\"; touch /tmp/x #")
    probe = documents(deployment(target))[0]["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    words = shlex.split(probe["exec"]["command"][2])
    assert sum("touch /tmp/x" in word for word in words) == 2, "inside the two bodies, nowhere else"
