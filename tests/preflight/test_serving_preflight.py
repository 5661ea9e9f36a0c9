"""What would keep a service from serving is found on a real cluster before anything is applied, all at once."""

import json
import re
from dataclasses import replace

import pytest
from tests.diagnosis.serving_scenes import WEBHOOK
from tests.testbed import golden, namespaces
from tests.testbed.api import wait

from lading.backends.deployment import DeploymentBackend
from lading.cluster.client import Cluster
from lading.cluster.config import connection
from lading.engines.llamacpp import LlamaCpp
from lading.manifests import kserve_service
from lading.placement import serving
from lading.ports.backend import OnClaim, ServeRequest
from lading.spec.study import BackendChoice

pytestmark = pytest.mark.real("cluster")
BASE = "docker.io/testbed/base:1"


def request(where, *, claim="models", path="granite/v1", **more):
    on = OnClaim(namespace=where, claim=claim, path=path, file="model.gguf")
    return ServeRequest(**{"name": "granite", "model": path, "served_name": "granite", "engine": LlamaCpp(), "params": {}, "claim": on, "format": "gguf", **more})  # fmt: skip


def planned(asked, home, **choice):
    chosen = BackendChoice(**{"kind": "deployment", "image": BASE, "namespace": asked.claim.namespace, **choice})
    return DeploymentBackend(chosen, home=home).plan(asked), chosen


async def found(namespace, asked, plan, choice, *, files=("model.gguf",), kubeconfig=None):
    async with Cluster(connection(kubeconfig=kubeconfig or namespace.admin)) as cluster:
        return await serving.preflight(cluster, plan, asked, choice, files=files)


def codes(problems):
    return {one.code for one in problems}


def kserve_plan(namespace, asked, plan, **fields):
    """The same by KServe's objects."""
    service = kserve_service.Service(**{"name": "granite", "claim": "models", "path": "granite/v1", "model_format": "gguf", "runtime": "files", "namespace": namespace.name, **fields})  # fmt: skip
    return replace(plan, backend="kserve", objects=(kserve_service.inference_service(service),))


async def test_a_service_that_can_run_has_no_problems(namespace, tmp_path):
    namespace.claim()
    asked = request(namespace.name)
    assert await found(namespace, asked, *planned(asked, tmp_path)) == ()


async def test_a_user_with_the_shipped_roles_gets_no_problem_from_what_may_not_be_read(namespace, tmp_path):
    namespace.claim()
    namespace.allow_serving()
    asked = request(namespace.name)
    assert await found(namespace, asked, *planned(asked, tmp_path), kubeconfig=namespace.kubeconfig) == ()


async def test_all_problems_are_told_at_once_each_with_its_remedy(namespace, tmp_path):
    """One service, eight things wrong with it."""
    quota = {"hard": {"requests.nvidia.com/gpu": "0"}}
    namespace.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": quota})
    asked = request(namespace.name, claim="modles", served_name="gra nite")
    namespace.claim()
    plan, choice = planned(asked, tmp_path, gpus=2, resources={"memory": "9000Gi"}, service_account="nobody")
    problems = await found(namespace, asked, plan, choice, files=("README.md",))
    told = "".join(
        f"{one.code}: {one.message}\n    → {one.hint}\n" for one in sorted(problems, key=lambda one: one.code)
    )
    told = re.sub(r"(no node takes a pod[^:]*): .*\n    → .*", r"\1: …", told)  # the cluster has the nodes it has
    golden.check("preflight", "serving", told.replace(namespace.name, "demo"))
    assert {"claim-missing", "service-account-missing", "model-not-found", "served-name"} <= codes(problems)
    assert all(one.hint for one in problems)


async def test_no_node_that_can_mount_the_volume_has_what_is_asked_for(namespace, tmp_path):
    namespace.claim()
    asked = request(namespace.name)
    problems = await found(namespace, asked, *planned(asked, tmp_path, gpus=2, resources={"memory": "9000Gi"}))
    assert codes(problems) == {"no-room-on-nodes"}
    assert "nvidia.com/gpu" in problems[0].message


async def test_a_claim_of_another_namespace_is_named(namespace, tmp_path):
    namespace.claim()
    asked = request("elsewhere")
    plan, choice = planned(request(namespace.name), tmp_path)
    assert "claim-elsewhere" in codes(await found(namespace, asked, plan, choice))


async def test_a_claim_for_one_pod_that_somebody_else_holds_is_named_with_its_holder(namespace, tmp_path):
    namespace.claim(modes=["ReadWriteOncePod"])
    namespace.apply(namespaces.pod("holder", BASE, ["sleep", "600"]))
    asked = request(namespace.name)

    def held():
        return (namespace.get("pods", "holder")["spec"]).get("nodeName")

    wait("the holder has a node", held)
    problems = await found(namespace, asked, *planned(asked, tmp_path))
    assert "claim-held" in codes(problems)
    assert "holder" in next(one.message for one in problems if one.code == "claim-held")


async def test_pod_security_speaks_before_anything_is_applied(namespace, tmp_path):
    namespace.claim()
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace.api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name, "labels": labels}}
    )
    asked = request(namespace.name)
    problems = await found(namespace, asked, *planned(asked, tmp_path))
    assert codes(problems) == {"pod-security"}


async def test_a_quota_speaks_before_anything_is_applied(namespace, tmp_path):
    namespace.claim()
    quota = {"hard": {"limits.memory": "1Gi"}}
    namespace.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": quota})
    asked = request(namespace.name)
    problems = await found(namespace, asked, *planned(asked, tmp_path, resources={"memory": "2Gi"}))
    assert codes(problems) == {"quota-exceeded"}


async def test_a_name_that_is_somebody_elses_and_a_field_that_another_keeps_are_told(namespace, tmp_path):
    namespace.claim()
    asked = request(namespace.name)
    plan, choice = planned(asked, tmp_path)
    theirs = next(one for one in plan.objects if one["kind"] == "Deployment")
    changed = {**theirs, "metadata": {**theirs["metadata"], "labels": {"app": "theirs"}}, "spec": {**theirs["spec"], "replicas": 0}}  # fmt: skip
    namespace.apply(changed)
    problems = await found(namespace, asked, plan, choice)
    assert {"name-taken", "field-conflict"} <= codes(problems)
    conflict = next(one for one in problems if one.code == "field-conflict")
    assert "replicas" in conflict.message + (conflict.hint or "")
    assert "testbed" in conflict.message + (conflict.hint or "")


async def test_rights_that_are_missing_are_told_as_rules_to_add(namespace, tmp_path):
    namespace.claim()
    asked = request(namespace.name)
    problems = await found(namespace, asked, *planned(asked, tmp_path), kubeconfig=namespace.kubeconfig)
    assert codes(problems) == {"right"}
    assert "deployments" in "".join(one.hint for one in problems)


async def test_a_webhook_that_does_not_answer_is_named_and_not_waited_for(namespace, tmp_path):
    namespace.claim()
    hook = json.loads(json.dumps(WEBHOOK).replace("{namespace}", namespace.name))
    del hook["webhooks"][0]["objectSelector"]
    namespace.api.apply(hook)
    asked = request(namespace.name)
    try:
        problems = await found(namespace, asked, *planned(asked, tmp_path))
    finally:
        namespace.api.delete(namespace.api.path(hook))
    assert codes(problems) == {"webhook-unreachable"}
    assert "pods.absent.example.com" in problems[0].message


async def test_nothing_is_left_behind(namespace, tmp_path):
    namespace.claim()
    asked = request(namespace.name)
    await found(namespace, asked, *planned(asked, tmp_path))
    assert namespace.get("pods") == []
    assert namespace.get("deployments", root="/apis/apps/v1") == []


# ------------------------------------------------------------------------------------------------------------ KServe


def runtime(name="files", **fields):
    container = {"name": "kserve-container", "image": BASE, "args": ["--name={{.Name}}"]}
    spec = {"supportedModelFormats": [{"name": "files"}], "containers": [container], "protocolVersions": ["v1"]}
    return {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime", "metadata": {"name": name}, "spec": {**spec, **fields}}  # fmt: skip


@pytest.mark.real("kserve")
async def test_a_runtime_is_held_against_the_model_as_kserve_does_it_too_late(kserve, namespace, tmp_path):
    namespace.claim()
    namespace.apply(runtime(disabled=True))
    asked = request(namespace.name, served_name="ibm/granite")
    plan, choice = planned(asked, tmp_path)
    model = kserve_plan(namespace, asked, plan, protocol="v2")
    problems = await found(namespace, asked, model, choice)
    assert codes(problems) == {"runtime-disabled", "runtime-unsupported", "served-name"}
    assert sum(one.code == "runtime-unsupported" for one in problems) == 2


@pytest.mark.real("kserve")
async def test_a_runtime_that_is_not_there_and_one_that_is_near(kserve, namespace, tmp_path):
    namespace.claim()
    namespace.apply(runtime())
    asked = request(namespace.name)
    plan, choice = planned(asked, tmp_path)
    problems = await found(namespace, asked, kserve_plan(namespace, asked, plan, runtime="filse"), choice)
    assert codes(problems) == {"runtime-missing"}
    assert "--runtime files" in problems[0].hint


@pytest.mark.real("kserve")
async def test_names_that_kserves_own_validator_refuses_are_told_by_it_and_by_us(kserve, namespace, tmp_path):
    namespace.claim()
    namespace.apply(runtime())
    asked = request(namespace.name)
    plan, choice = planned(asked, tmp_path)
    made = kserve_plan(namespace, asked, plan, model_format="files", name="granite", protocol="v1")
    wrong = {**made.objects[0], "metadata": {**made.objects[0]["metadata"], "name": "1granite"}}
    assert {"name-invalid", "admission-denied"} <= codes(await found(namespace, asked, replace(made, objects=(wrong,)), choice))  # fmt: skip


@pytest.mark.real("kserve")
async def test_a_claim_for_one_pod_under_a_rolling_update_would_wait_for_ever(kserve, namespace, tmp_path):
    namespace.claim(modes=["ReadWriteOncePod"])
    namespace.apply(runtime())
    asked = request(namespace.name)
    plan, choice = planned(asked, tmp_path)
    shared = {"access_modes": ("ReadWriteMany",), "replicas": 2, "model_format": "files", "protocol": "v1"}
    problems = await found(namespace, asked, kserve_plan(namespace, asked, plan, **shared), choice)
    assert {"rollout-stuck", "access-mode"} <= codes(problems)
