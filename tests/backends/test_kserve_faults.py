"""What KServe is not, or says wrongly, each provoked for real: its own word never makes a server ready."""

import dataclasses
import json

import pytest
import yaml
from tests.backends.on_cluster_places import FILE, FOLDER, SMALL, DeploymentPlace, UncheckedLlamaServer
from tests.testbed import crds, golden, kube, pki, require
from tests.testbed.api import ApiError, wait
from tests.testbed.own_plane import OwnPlane

from lading.backends.kserve import KServeBackend
from lading.cluster import session
from lading.cluster.retry import Patience
from lading.diagnosis import serving_rollout
from lading.errors import InvalidInput, NotReady, ServerDied, ServingError, TeardownFailed
from lading.ports.backend import OnClaim, ServeRequest
from lading.spec.study import BackendChoice

SERVING = "/apis/serving.kserve.io/v1beta1"
RUNTIMES = "/apis/serving.kserve.io/v1alpha1"
WITHIN_S = 90.0
#: The first process of a container ends at SIGTERM only by a handler of its own.
_LISTENS = """
import http.server, os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.test(http.server.SimpleHTTPRequestHandler, port=8000)
"""


@pytest.fixture
async def place(kserve, namespace, engine_image, lading_home):
    place = DeploymentPlace(namespace, lading_home, engine_image, KServeBackend)
    yield place
    backend = place.backend()
    for name in await backend.names():
        await backend.remove(name)
    place.close()


def service(namespace, name):
    return namespace.get("inferenceservices", name, root=SERVING)


def says_ready(namespace, name):
    found = service(namespace, name) or {}
    conditions = found.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def files_runtime(namespace, image):
    """A runtime that listens whatever it finds, as sklearnserver does."""
    container = {
        "name": "kserve-container", "image": image, "imagePullPolicy": "IfNotPresent", "ports": [{"containerPort": 8000, "protocol": "TCP"}],
        "command": ["python3", "-c", _LISTENS],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
    }  # fmt: skip
    spec = {"supportedModelFormats": [{"name": "gguf", "autoSelect": False}], "containers": [container]}
    namespace.apply({"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime", "metadata": {"name": "files"}, "spec": spec})  # fmt: skip


@pytest.mark.real("kserve")
async def test_a_mistyped_directory_of_which_kserve_says_ready_is_told_as_the_empty_folder_it_is(place, namespace):
    files_runtime(namespace, place.image)
    backend = place.backend(runtime="files", image=None)
    request = place.request("typo")
    mistyped = dataclasses.replace(request, claim=dataclasses.replace(request.claim, path="tiny/v11"))
    await backend.apply(backend.plan(mistyped))
    with pytest.raises(ServingError) as refused:
        await backend.ready("typo", within_s=WITHIN_S)
    wait("KServe says Ready", lambda: says_ready(namespace, "typo"))
    assert "empty folder" in refused.value.message
    assert "tiny/v11" in refused.value.message
    assert refused.value.hint


@pytest.mark.real("kserve")
async def test_a_mistyped_directory_with_an_engine_ends_the_wait_with_its_last_words(place):
    backend = place.backend()
    request = place.request("typo")
    mistyped = dataclasses.replace(request, claim=dataclasses.replace(request.claim, path="tiny/v11"))
    await backend.apply(backend.plan(mistyped))
    with pytest.raises((ServerDied, ServingError)) as refused:
        await backend.ready("typo", within_s=WITHIN_S)
    assert not isinstance(refused.value, NotReady)
    assert refused.value.log


@pytest.mark.real("kserve")
async def test_a_stuck_rollout_of_which_kserve_says_ready_is_not_ready(kserve, namespace, engine_image, lading_home):
    """On a claim for one pod the new pod waits for the old one, which is kept until the new one is ready."""
    place = DeploymentPlace(namespace, lading_home, engine_image, KServeBackend, modes=("ReadWriteOncePod",))
    backend = place.backend()
    await backend.apply(backend.plan(place.request("stuck")))
    await backend.ready("stuck", within_s=WITHIN_S)
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    change = {"spec": {"predictor": {"deploymentStrategy": strategy, "labels": {"changed": "by-hand"}}}}
    path = f"{SERVING}/namespaces/{namespace.name}/inferenceservices/stuck"
    namespace.api.request("PATCH", path, change, content="application/merge-patch+json")
    chosen = "pods?labelSelector=serving.kserve.io%2Finferenceservice%3Dstuck"
    pods = f"/api/v1/namespaces/{namespace.name}/{chosen}"
    wait("a second pod", lambda: len(namespace.api.get(pods)["items"]) == 2)
    assert says_ready(namespace, "stuck")
    with pytest.raises(ServingError) as refused:
        await backend.ready("stuck", within_s=8)
    assert says_ready(namespace, "stuck"), "for ever"
    assert "old" in refused.value.message
    assert "Recreate" in (refused.value.hint or "")
    await backend.remove("stuck")
    assert namespace.api.get(pods)["items"] == []
    place.close()


@pytest.mark.real("kserve")
async def test_removed_means_the_service_its_runtime_what_kserve_made_and_the_pods_are_gone(place, namespace):
    backend = place.backend()
    await backend.apply(backend.plan(place.request("gone")))
    await backend.ready("gone", within_s=WITHIN_S)
    assert namespace.get("servingruntimes", "gone-runtime", root=RUNTIMES)
    await backend.remove("gone")
    assert service(namespace, "gone") is None
    assert namespace.get("servingruntimes", "gone-runtime", root=RUNTIMES) is None
    assert namespace.get("deployments", "gone-predictor", root="/apis/apps/v1") is None
    assert namespace.get("pods") == []


@pytest.mark.real("kserve")
async def test_the_pod_of_a_runtime_of_the_cluster_is_proved_and_its_port_found(place, namespace):
    """With a ServingRuntime that somebody made: our parameters come behind its own arguments."""
    plan = place.backend().plan(place.request("mine"))
    container = {**plan.objects[0]["spec"]["containers"][0]}
    container["args"] = [*container["args"][:-2], "--ctx-size", "512"]
    metadata = {"name": "shared"}
    namespace.apply(
        {**plan.objects[0], "metadata": metadata, "spec": {**plan.objects[0]["spec"], "containers": [container]}}
    )
    backend = place.backend(runtime="shared", image=None)
    planned = backend.plan(place.request("mine", parallel=2))
    assert [one["kind"] for one in planned.objects] == ["InferenceService"]
    assert planned.objects[0]["spec"]["predictor"]["model"]["args"] == ["--parallel", "2"]
    await backend.apply(planned)
    ready = await backend.ready("mine", within_s=WITHIN_S)
    assert ready.argv[-2:] == ("--parallel", "2")
    await backend.remove("mine")
    assert namespace.get("servingruntimes", "shared", root=RUNTIMES), "somebody's: it stays"


@pytest.mark.real("kserve")
async def test_knative_mode_on_a_cluster_without_it_is_refused_before_anything_is_made(place, namespace):
    backend = place.backend(mode="Knative")
    with pytest.raises(ServingError, match="no Knative Serving"):
        await backend.apply(backend.plan(place.request("one")))
    assert await backend.names() == ()


@pytest.mark.real("kserve")
async def test_what_kserve_s_validator_refuses_is_said_in_its_words(place, namespace):
    files_runtime(namespace, place.image)
    backend = place.backend(runtime="files", image=None, env={"PYTHONPATH": "/tmp"})
    with pytest.raises(ServingError, match=r"KServe refuses one: .*PYTHONPATH"):
        await backend.apply(backend.plan(place.request("one")))
    assert await backend.names() == ()


# ------------------------------------------------------------------------------------------ clusters that are otherwise


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """An API server of these tests' own, without any controller; each test has it know what it needs."""
    missing = kube.missing() or pki.missing()
    require("control plane", missing is None, missing or "")
    require("crds", crds.folder(), "LADING_TEST_CRDS names no folder with kserve/*.yaml")
    made = OwnPlane(tmp_path_factory.mktemp("plane"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def alone(plane, planned, monkeypatch):
    """The backend there, with a request."""
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    return planned


@pytest.fixture
def planned(lading_home):
    """A backend that needs no cluster to plan, with a request."""
    backend = KServeBackend(BackendChoice(kind="kserve", image="engine:1", resources=SMALL), home=lading_home)
    claim = OnClaim(namespace="default", claim="models", path=FOLDER, file=FILE)
    request = ServeRequest(name="tiny", model="m", served_name="tiny", engine=UncheckedLlamaServer(), params={}, claim=claim, format="gguf")  # fmt: skip
    return backend, request


KINDS = {"servingruntimes": "v1alpha1", "inferenceservices": "v1beta1"}
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def define(plane, change=lambda spec: None):
    """KServe's kinds as they are, after *change* of each one's schema."""
    undefine(plane)
    for plural, version in KINDS.items():
        path = crds.folder() / "kserve" / f"serving.kserve.io_{plural}.yaml"
        document = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        change(document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])
        plane.api.apply(document)
        path = f"/apis/serving.kserve.io/{version}/namespaces/default/{plural}"
        wait(f"{plural} are served", lambda path=path: found(plane, path))


def undefine(plane):
    """No kind of KServe's."""
    for plural in KINDS:
        path = f"{DEFINITIONS}/{plural}.serving.kserve.io"
        plane.api.delete(path)
        wait(f"{plural} are gone", lambda path=path: found(plane, path) is None)


def found(plane, path):
    """What is at *path*; None while there is nothing, or a kind is being made."""
    try:
        return plane.api.find(path)
    except ApiError as error:
        if error.status != 429:
            raise
        return None


def told(error):
    return f"{error.message}\nhint: {error.hint}\n"


@pytest.mark.real("control plane")
async def test_a_cluster_without_kserve_is_told(plane, alone):
    undefine(plane)
    backend, request = alone
    with pytest.raises(ServingError) as refused:
        await backend.apply(backend.plan(request))
    golden.check("kserve", "not-installed", told(refused.value))
    assert await backend.names() == ()


@pytest.mark.real("control plane")
async def test_an_older_kserve_is_told_with_the_field_it_lacks(plane, alone):
    def older(spec):
        spec.get("predictor", {"properties": {}})["properties"].pop("deploymentStrategy", None)

    define(plane, change=older)
    backend, request = alone
    with pytest.raises(ServingError) as refused:
        await backend.apply(backend.plan(request))
    golden.check("kserve", "older", told(refused.value))
    assert await backend.names() == (), "the runtime was only tried"


@pytest.mark.real("control plane")
async def test_a_webhook_that_does_not_answer_a_controller_that_never_comes_and_a_finalizer_that_stays(
    plane, alone, monkeypatch
):
    """One after the other on one API server: they differ by what runs beside it."""
    define(plane)
    monkeypatch.setattr(session, "_SEEN", Patience(total_s=1))  # a webhook that is away for a moment is waited for
    monkeypatch.setattr(serving_rollout, "RECONCILED_WITHIN_S", 0.5)
    backend, request = alone
    await backend.apply(backend.plan(request))
    with pytest.raises(ServingError) as refused:
        await backend.ready("tiny", within_s=20)
    assert not await backend.alive("tiny")
    assert "InferenceService tiny" in refused.value.message
    assert "kserve-controller-manager" in refused.value.hint
    path = f"{SERVING}/namespaces/default/inferenceservices/tiny"
    held = {"metadata": {"finalizers": ["inferenceservice.finalizers"]}}
    plane.api.request("PATCH", path, held, content="application/merge-patch+json")
    with pytest.raises(TeardownFailed, match=r"held by inferenceservice\.finalizers"):
        await backend.remove("tiny", within_s=1)
    assert await backend.names() == ("tiny",)
    plane.api.request("PATCH", path, {"metadata": {"finalizers": None}}, content="application/merge-patch+json")
    await backend.remove("tiny")
    assert await backend.names() == ()
    hook = {
        "name": "inferenceservice.kserve-webhook-server.validator", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://127.0.0.1:9/validate"}, "timeoutSeconds": 1,
        "rules": [{"apiGroups": ["serving.kserve.io"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["inferenceservices"]}],
    }  # fmt: skip
    plane.api.apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "kserve"}, "webhooks": [hook]})  # fmt: skip

    async def applied():
        with pytest.raises(ServingError) as refused:
            await backend.apply(backend.plan(request))
        return refused.value

    error = await applied()
    golden.check("kserve", "webhook-down", told(error))
    assert await backend.names() == ()


def test_an_image_beside_a_runtime_of_the_cluster_is_refused(planned, lading_home):
    _, request = planned
    choice = BackendChoice(kind="kserve", image="x", runtime="files")
    with pytest.raises(InvalidInput, match="runtime files"):
        KServeBackend(choice, home=lading_home).plan(request)


def test_a_plan_has_no_secret_and_every_object_says_whose_it_is(planned):
    backend, request = planned
    plan = backend.plan(dataclasses.replace(request, lease="run-1"))
    for document in plan.objects:
        assert document["metadata"]["labels"]["lading.dev/lease"] == "run-1"
        assert document["metadata"]["labels"]["lading.dev/backend"] == "kserve"
    assert plan.argv[0] == "/app/llama-server"
    assert json.loads(json.dumps(plan.objects)) == list(plan.objects)
