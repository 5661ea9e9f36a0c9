"""Decisions about servers on a cluster, from values alone: plans, proofs from a pod, the address of a Service."""

import copy
import dataclasses

import pytest
from tests.backends.on_cluster_places import UncheckedLlamaServer

from lading.backends import on_cluster_plan, on_cluster_proof, on_cluster_route
from lading.backends.deployment import DeploymentBackend
from lading.engines import llamacpp, vllm
from lading.errors import InvalidInput, ServingError
from lading.ports.backend import OnClaim, ServeRequest
from lading.spec.study import BackendChoice

CLAIM = OnClaim(namespace="demo", claim="models", path="tiny/v1", file="tiny.gguf")


def request(**changed):
    made = ServeRequest(
        name="one", model="tiny", served_name="tiny", engine=UncheckedLlamaServer(), params={}, claim=CLAIM
    )
    return dataclasses.replace(made, **changed)


def plan(tmp_path, asked=None, **choice):
    return DeploymentBackend(BackendChoice(kind="deployment", **choice), home=tmp_path).plan(asked or request())


def pod_of(planned):
    (deployment,) = (one for one in planned.objects if one["kind"] == "Deployment")
    return copy.deepcopy(deployment["spec"]["template"])


# ---------------------------------------------------------------------------------------------------------- plans


def test_every_object_says_whose_it_is_and_what_it_serves(tmp_path):
    """So that any later process finds it, and knows it again."""
    for one in plan(tmp_path, request(lease="abc")).objects:
        labels, notes = one["metadata"]["labels"], one["metadata"]["annotations"]
        assert labels["lading.dev/backend"] == "deployment"
        assert (labels["lading.dev/server"], labels["lading.dev/lease"]) == ("one", "abc")
        assert (notes["lading.dev/served-from"], notes["lading.dev/served-name"]) == ("models/tiny/v1", "tiny")
    assert "lading.dev/lease" not in plan(tmp_path).objects[0]["metadata"]["labels"]


def test_a_name_that_kubernetes_does_not_take_names_its_objects_otherwise_and_is_kept(tmp_path):
    """`names` gives the name back as it was written."""
    for one in plan(tmp_path, request(name="1.study_trial-3")).objects:
        assert one["metadata"]["name"] == "model-1-study-trial-3"
        assert on_cluster_plan.name_of(one) == "1.study_trial-3"


def test_a_model_that_lies_on_this_machine_is_refused_with_the_pull_that_helps(tmp_path):
    """A cluster cannot mount it."""
    with pytest.raises(InvalidInput, match="lies on this machine") as raised:
        plan(tmp_path, request(claim=None))
    assert "lading pull tiny pvc://CLAIM" in raised.value.hint


def test_a_claim_of_another_namespace_is_refused(tmp_path):
    """Pods mount claims of their own namespace only."""
    with pytest.raises(InvalidInput, match="claim models is in namespace demo, and a pod of other cannot mount it"):
        plan(tmp_path, namespace="other")


def test_a_secret_is_never_written_into_a_pod(tmp_path):
    """Neither with its value, nor by passing it on: it comes from a Secret."""
    with pytest.raises(InvalidInput, match="HF_TOKEN looks secret"):
        plan(tmp_path, env={"HF_TOKEN": "hf_abcdefghijklmnop"})
    planned = plan(tmp_path, env={"HF_TOKEN": None, "OMP_NUM_THREADS": "2"})
    env = pod_of(planned)["spec"]["containers"][0]["env"]
    assert {"name": "OMP_NUM_THREADS", "value": "2"} in env
    assert {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "lading-env", "key": "HF_TOKEN"}}} in env
    assert "HF_TOKEN" not in planned.env


def test_gpus_follow_the_parameters_unless_they_are_given(tmp_path):
    """With shared memory for processes that share several."""
    spread = request(
        engine=vllm.ENGINE, params={"tensor_parallel_size": 2}, claim=dataclasses.replace(CLAIM, file=None)
    )
    pod = pod_of(plan(tmp_path, spread))["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert [one["emptyDir"]["medium"] for one in pod["volumes"] if "emptyDir" in one] == ["Memory"]
    one = pod_of(plan(tmp_path, spread, gpus=1))["spec"]
    assert one["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert len(one["volumes"]) == 1
    assert "resources" not in pod_of(plan(tmp_path))["spec"]["containers"][0]


def test_what_the_choice_says_is_in_the_pod(tmp_path):
    """Image, resources, nodes, tolerations, account; a processor is requested and not limited."""
    planned = plan(
        tmp_path, request(engine=llamacpp.ENGINE), image="mine:1", resources={"cpu": "2", "memory": "4Gi"},
        node_selector={"disk": "ssd"}, tolerations=({"key": "gpu", "operator": "Exists"},), service_account="server",
    )  # fmt: skip
    pod = pod_of(planned)["spec"]
    container = pod["containers"][0]
    assert (planned.image, container["image"]) == ("mine:1", "mine:1")
    assert container["resources"] == {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}}
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert pod["serviceAccountName"] == "server"
    assert "automountServiceAccountToken" not in pod


def test_another_image_or_resource_is_another_server(tmp_path):
    """Though its command is the same: a name that runs something else is refused."""
    (first, *_) = plan(tmp_path, image="a").objects
    for other in (plan(tmp_path, image="b"), plan(tmp_path, image="a", resources={"cpu": "1"})):
        with pytest.raises(ServingError, match="one already runs in namespace demo with another command, image or"):
            on_cluster_plan.refuse_other(first, other.objects[0], other)
    on_cluster_plan.refuse_other(first, plan(tmp_path, request(lease="x"), image="a").objects[0], plan(tmp_path))


def test_two_names_that_kubernetes_cannot_tell_apart_are_two_servers(tmp_path):
    """`a.b` and `a-b` would be called the same; the second is refused."""
    first, second = (plan(tmp_path, request(name=name)) for name in ("a.b", "a-b"))
    assert first.objects[0]["metadata"]["name"] == second.objects[0]["metadata"]["name"]
    with pytest.raises(ServingError, match="not of a-b"):
        on_cluster_plan.refuse_other(first.objects[0], second.objects[0], second)


# ---------------------------------------------------------------------------------------------------------- proofs


def test_the_planned_pod_is_proved_and_its_argv_is_the_planned_one(tmp_path):
    """A `$(` is unescaped, as the program gets it."""
    planned = plan(tmp_path, request(served_name="$(HOME) x"))
    pod = pod_of(planned)
    assert "$$(HOME) x" in pod["spec"]["containers"][0]["args"]
    assert on_cluster_proof.argv(pod, "server") == planned.argv
    assert on_cluster_proof.doubts(pod, "server", CLAIM) == ()
    assert on_cluster_proof.argv(pod, "other") is None


def test_the_root_of_a_claim_is_mounted_without_a_sub_path(tmp_path):
    """And is proved as such."""
    root = dataclasses.replace(CLAIM, path="")
    pod = pod_of(plan(tmp_path, request(claim=root)))
    assert "subPath" not in pod["spec"]["containers"][0]["volumeMounts"][0]
    assert on_cluster_proof.doubts(pod, "server", root) == ()
    assert on_cluster_proof.doubts(pod, "server", CLAIM) == ("/mnt/models is the root of the claim, not tiny/v1",)


def _mount(pod):
    return pod["spec"]["containers"][0]["volumeMounts"][0]


def _writable(pod):
    del _mount(pod)["readOnly"]


def _elsewhere(pod):
    _mount(pod)["subPath"] = "tiny/v2"


def _another_claim(pod):
    pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "others"


def _empty_dir(pod):
    pod["spec"]["volumes"][0] = {"name": "weights", "emptyDir": {}}


def _host_path(pod):
    pod["spec"]["volumes"][0] = {"name": "weights", "hostPath": {"path": "/models"}}


def _unmounted(pod):
    pod["spec"]["containers"][0]["volumeMounts"] = []


def _covered(pod):
    pod["spec"]["volumes"].append({"name": "cache", "emptyDir": {}})
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "cache", "mountPath": "/mnt/models/sub"})


def _copied(pod):
    pod["spec"]["initContainers"] = [{"name": "storage-initializer"}]


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        (_writable, "/mnt/models can be written"),
        (_elsewhere, "/mnt/models is tiny/v2 of the claim, not tiny/v1"),
        (_another_claim, "/mnt/models is claim others, not models"),
        (_empty_dir, "/mnt/models is from emptyDir, not from claim models"),
        (_host_path, "/mnt/models is from hostPath, not from claim models"),
        (_unmounted, "nothing is mounted at /mnt/models"),
        (_covered, "/mnt/models/sub is from emptyDir, not from claim models"),
        (_copied, "storage-initializer copies the weights first"),
    ],
)
def test_a_pod_that_serves_something_else_is_not_proved(change, doubt, tmp_path):
    """Whatever its status says."""
    pod = pod_of(plan(tmp_path))
    change(pod)
    assert on_cluster_proof.doubts(pod, "server", CLAIM) == (doubt,)


# ---------------------------------------------------------------------------------------------------------- routes


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        ({"clusterIP": "10.0.0.7", "ports": [{"port": 80, "targetPort": 8080}]}, "http://10.0.0.7"),
        ({"clusterIP": "10.0.0.7", "ports": [{"port": 8000, "targetPort": 8080}]}, "http://10.0.0.7:8000"),
        ({"clusterIP": "fd00::7", "ports": [{"port": 80}]}, "http://[fd00::7]"),
        ({"clusterIP": "None", "ports": [{"port": 80, "targetPort": 8080}]}, "http://one.demo.svc.cluster.local:8080"),
        ({"clusterIP": "10.0.0.7", "ports": [{"port": 53, "protocol": "UDP"}, {"port": 80}]}, "http://10.0.0.7"),
    ],
)
def test_the_address_of_a_service_is_the_one_its_clients_use(spec, url):
    """Its cluster IP; a headless one has only its name, and its pods' port."""
    assert on_cluster_route.url({"metadata": {"name": "one"}, "spec": spec}, namespace="demo") == url


def test_a_service_without_a_port_is_told():
    """Nothing could ask it."""
    with pytest.raises(ServingError, match="Service one in demo has no port"):
        on_cluster_route.url({"metadata": {"name": "one"}, "spec": {"clusterIP": "10.0.0.7"}}, namespace="demo")


def test_a_pod_is_told_from_a_laptop_by_what_kubelet_gives_it():
    """Only in a pod are Services asked directly."""
    assert on_cluster_route.inside({"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert not on_cluster_route.inside({})
