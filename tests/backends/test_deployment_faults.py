"""Servers that cannot come, names that are taken, things that will not go: what the deployment backend says and leaves."""

import dataclasses

import pytest
from tests.backends.on_cluster_places import DeploymentPlace
from tests.testbed.api import wait

from lading.backends.on_cluster_scene import is_ready
from lading.errors import (
    ClusterConflict,
    ClusterDenied,
    NotReady,
    ServerDied,
    ServerSilent,
    ServingError,
    TeardownFailed,
)
from lading.ports.backend import OnClaim

pytestmark = [pytest.mark.real("cluster"), pytest.mark.timeout(300)]
APPS = "/apis/apps/v1"
LONG_S = 100.0


@pytest.fixture
def place(namespace, engine_image, lading_home):
    place = DeploymentPlace(namespace, lading_home, engine_image)
    yield place
    place.close()


async def failing(place, backend, request):
    """The error with which it ends, long before its deadline; it is removed then."""
    await backend.apply(backend.plan(request))
    with pytest.raises(ServingError) as raised:
        await backend.ready("one", within_s=LONG_S)
    assert not isinstance(raised.value, NotReady), "it was waited for to the end"
    assert await backend.names() == ("one",)
    await backend.remove("one")
    assert await backend.names() == ()
    assert not place.namespace.get("pods")
    return raised.value


async def test_a_flag_that_the_server_refuses_ends_the_wait_with_its_log(place):
    """The exit status and the server's own words."""
    error = await failing(place, place.backend(), place.request("one", no_such_flag=1))
    assert isinstance(error, ServerDied)
    assert error.returncode == 1
    assert any("invalid argument: --no-such-flag" in line for line in error.log)


async def test_a_folder_that_is_not_on_the_claim_ends_the_wait(place):
    """kubelet makes an empty one; the server finds no model in it."""
    request = place.request("one")
    elsewhere = dataclasses.replace(request, claim=dataclasses.replace(request.claim, path="tiny/v2"))
    error = await failing(place, place.backend(), elsewhere)
    assert isinstance(error, ServerDied)


async def test_a_claim_that_is_not_there_ends_the_wait_with_its_name(place):
    """Nothing is started."""
    request = dataclasses.replace(
        place.request("one"), claim=OnClaim(namespace=place.namespace.name, claim="absent", path="tiny/v1")
    )
    error = await failing(place, place.backend(), request)
    assert "claim-missing" in error.message
    assert "absent" in error.message
    assert error.log, "what the scheduler said is the evidence"


async def test_pods_that_are_refused_end_the_wait(place):
    """The pod does not pass PodSecurity's `restricted`: there is never one, and only the ReplicaSet's events say why."""
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    place.namespace.kubectl("label", "namespace", place.namespace.name, *(f"{k}={v}" for k, v in level.items()))
    error = await failing(place, place.backend(), place.request("one"))
    assert "pod-security" in error.message
    assert "runAsNonRoot" in error.message + "".join(error.log)


async def test_a_reason_is_told_once_while_it_is_waited_for(place):
    """And it is the deadline's reason, where nothing ends the wait before."""
    backend = place.backend(node_selector={"disk": "gold"})
    told = []
    backend.tell = told.append
    await backend.apply(backend.plan(place.request("one")))
    with pytest.raises(ServingError, match="disk=gold"):
        await backend.ready("one", within_s=6)
    assert [one.cause for one in told] == ["no-node-matches"]


async def test_a_server_that_is_ready_by_its_probe_and_answers_nothing_is_not(place):
    """The kubelet calls the pod ready; a request hangs."""
    backend = place.backend()
    await backend.apply(backend.plan(place.request("one", "silent")))
    wait("the kubelet calls it ready", lambda: any(map(is_ready, place.namespace.get("pods"))), within_s=60)
    with pytest.raises(ServerSilent, match="says it is ready, but did not answer") as raised:
        await backend.ready("one", within_s=3)
    assert raised.value.log
    assert await backend.alive("one")
    await backend.remove("one")


# ---------------------------------------------------------------------------------------------------------- names


async def test_somebody_elses_deployment_of_that_name_is_refused_and_left_alone(place):
    """Says who keeps it; nothing of ours is made beside it."""
    theirs = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "x"}},
                 "template": {"metadata": {"labels": {"app": "x"}},
                              "spec": {"containers": [{"name": "x", "image": "x"}]}}},
    }  # fmt: skip
    place.namespace.apply(theirs)
    backend = place.backend()
    with pytest.raises(ServingError, match=r"there is a Deployment one .* not of one \(kept by ") as raised:
        await backend.apply(backend.plan(place.request("one")))
    assert "--name" in raised.value.hint
    assert not [one for one in place.namespace.get("services") if one["metadata"]["name"] == "one"]
    await backend.remove("one")
    assert place.namespace.get("deployments", "one", root=APPS)["spec"]["replicas"] == 0


async def test_a_field_that_another_keeps_is_a_conflict_with_its_owner(place):
    """Two managers of one field: the other is named, and nothing is forced."""
    backend = place.backend(node_selector={"none": "such"})
    plan = backend.plan(place.request("one"))
    await backend.apply(plan)
    place.namespace.kubectl("patch", "deployment", "one", "--type=merge", "-p", '{"spec":{"replicas":0}}')
    with pytest.raises(ClusterConflict) as raised:
        await backend.apply(plan)
    assert "replicas" in raised.value.message + raised.value.hint
    assert "kubectl" in raised.value.message + raised.value.hint
    assert place.namespace.get("deployments", "one", root=APPS)["spec"]["replicas"] == 0
    await backend.remove("one")


async def test_without_the_rights_nothing_is_made_and_the_rule_is_named(place):
    """Not half of it: every object is tried first."""
    namespace = place.namespace
    namespace.kubectl("delete", "rolebinding", "user-lading-serving")
    allowed = {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "create", "patch", "delete"]}
    reading = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "lading-serving"}}
    namespace.apply({**role, "rules": [allowed, reading]})
    namespace.kubectl(
        "create", "rolebinding", "less", "--role=lading-serving", f"--serviceaccount={namespace.name}:user"
    )
    backend = place.backend()
    with pytest.raises(ClusterDenied, match=r"deployments\.apps"):
        await backend.apply(backend.plan(place.request("one")))
    assert not [one for one in namespace.get("services") if one["metadata"]["name"] == "one"]


async def test_half_of_a_server_is_listed_and_removed(place):
    """A run was killed between two objects."""
    backend = place.backend()
    plan = backend.plan(place.request("one"))
    place.namespace.apply(plan.objects[0])
    assert await backend.names() == ("one",)
    assert not await backend.alive("one")
    await backend.remove("one")
    assert await backend.names() == ()
    assert not [one for one in place.namespace.get("services") if one["metadata"]["name"] == "one"]


# ---------------------------------------------------------------------------------------------------------- proof, removal


async def test_a_server_that_may_write_its_weights_is_not_ready(place):
    """As if a webhook had changed the pod: it answers, and is refused."""
    backend = place.backend()
    plan = backend.plan(place.request("one"))
    (service, deployment) = plan.objects
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["volumeMounts"][0].pop("readOnly")
    await backend.apply(dataclasses.replace(plan, objects=(service, deployment)))
    with pytest.raises(ServingError, match="/mnt/models can be written"):
        await backend.ready("one", within_s=LONG_S)
    await backend.remove("one")


async def test_what_something_holds_back_is_named_when_it_does_not_go(place):
    """A finalizer of another controller; once it is gone, the removal goes through."""
    backend = place.backend(node_selector={"none": "such"})
    await backend.apply(backend.plan(place.request("one")))
    patch = '{"metadata":{"finalizers":["testbed.lading.dev/hold"]}}'
    place.namespace.kubectl("patch", "deployment", "one", "--type=merge", "-p", patch)
    with pytest.raises(TeardownFailed, match=r"deployments.apps/one, held by testbed.lading.dev/hold"):
        await backend.remove("one", within_s=1.5)
    assert await backend.names() == ("one",)
    place.namespace.kubectl("patch", "deployment", "one", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    await backend.remove("one")
    wait("nothing is left", lambda: not place.namespace.get("deployments", root=APPS))
