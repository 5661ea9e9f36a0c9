"""What `lading.placement.room` says is what the scheduler does, with a GPU resource advertised by the real node."""

import asyncio
import secrets

import pytest
from tests.testbed.api import wait
from tests.testbed.namespaces import pod

from lading.cluster.client import Cluster
from lading.cluster.config import connection
from lading.placement import room

pytestmark = pytest.mark.real("cluster")
OFFERED = 4


@pytest.fixture
def gpu(namespace):
    """A MIG resource of this test's own, four of which the node offers."""
    resource = f"nvidia.com/mig-{secrets.token_hex(4)}"
    node = namespace.api.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
    advertise(namespace.api, node, resource, str(OFFERED))
    yield resource
    advertise(namespace.api, node, resource, None)


def advertise(api, node, resource, count):
    """As the documentation of Kubernetes advertises an extended resource: the node's status is patched."""
    status = {"capacity": {resource: count}, "allocatable": {resource: count}}
    api.request(
        "PATCH", f"/api/v1/nodes/{node}/status", {"status": status}, content="application/strategic-merge-patch+json"
    )


def asking(name, resource, count, **spec):
    """A pod that never starts: to be scheduled is enough to hold what it requests."""
    made = pod(name, "lading.invalid/never:1", ["true"], claim=None)
    made["spec"]["containers"][0] |= {"imagePullPolicy": "Never", "resources": {"limits": {resource: str(count)}}}
    made["spec"] |= spec
    return made


def scheduled(namespace, made):
    """Whether the real scheduler finds a node for the pod, and what it says where it does not."""
    namespace.apply(made)

    def condition():
        status = namespace.get("pods", made["metadata"]["name"])["status"]
        return next((one for one in status.get("conditions", ()) if one["type"] == "PodScheduled"), None)

    found = wait("the scheduler's word", condition)
    return found["status"] == "True", found.get("message", "")


def looked(namespace, spec, kubeconfig=None):
    async def look():
        async with Cluster(connection(kubeconfig=kubeconfig or namespace.admin)) as cluster:
            return await room.look(cluster)

    found = asyncio.run(look())
    return found if found.value is None else room.fit(spec, found.value)


def test_our_answer_is_the_schedulers(namespace, gpu):
    """First with all free, then beside a pod that has three of four, then after it is gone."""
    first = asking("first", gpu, 3)
    assert looked(namespace, first["spec"]).nodes
    assert scheduled(namespace, first)[0]

    too_many = asking("too-many", gpu, 2)
    found = looked(namespace, too_many["spec"])
    assert found.busy
    assert f"1 of 4 {gpu} are free (taken by {namespace.name}/first 3)" in room.told(found, too_many["spec"])
    took, said = scheduled(namespace, too_many)
    assert not took
    assert f"Insufficient {gpu}" in said
    namespace.api.delete(f"/api/v1/namespaces/{namespace.name}/pods/too-many", grace_s=0)

    last = asking("last", gpu, 1)
    assert looked(namespace, last["spec"]).nodes
    assert scheduled(namespace, last)[0]

    namespace.api.delete(f"/api/v1/namespaces/{namespace.name}/pods/first", grace_s=0)
    wait("the pod to be gone", lambda: namespace.get("pods", "first") is None)
    assert looked(namespace, first["spec"]).nodes


def test_more_than_the_node_has_and_a_resource_it_lacks_are_told_apart(namespace, gpu):
    spec = asking("huge", gpu, OFFERED + 1)["spec"]
    found = looked(namespace, spec)
    assert [one.kind for one in found.refusals] == ["small"]
    assert f"it has {OFFERED} {gpu}" in room.told(found, spec)

    other = asking("other", "amd.com/gpu", 1)["spec"]
    found = looked(namespace, other)
    assert "it has no amd.com/gpu" in room.told(found, other)
    assert gpu in room.remedy(found)


def test_a_selector_that_no_node_matches_is_refused_by_both(namespace, gpu):
    made = asking("elsewhere", gpu, 1, nodeSelector={"zone": "nowhere"})
    found = looked(namespace, made["spec"])
    assert found.refusals[0].reason == "it lacks the label zone=nowhere"
    took, said = scheduled(namespace, made)
    assert not took
    assert "node affinity/selector" in said


def test_without_the_right_to_list_nodes_it_is_unknown(namespace, gpu):
    """The shipped Role is of a namespace: nodes belong to none."""
    found = looked(namespace, asking("one", gpu, 1)["spec"], kubeconfig=namespace.kubeconfig)
    assert not found.known
    assert "nodes may not be read" in found.unknown
