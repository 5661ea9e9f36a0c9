"""A real API server that goes away and comes back while we wait, watch and follow a log."""

import asyncio
import os
import signal
from contextlib import aclosing

import pytest
from tests.testbed import kube, pki, require
from tests.testbed.own_plane import Kubelet, OwnPlane

from lading.cluster import config
from lading.cluster.client import Cluster
from lading.cluster.kinds import CONFIG_MAP
from lading.testing.cluster import asleep, config_map, read, until, value

#: Asked to end, it serves the watches it has to their end: most of a minute.
ENDINGS = [signal.SIGKILL, *([signal.SIGTERM] if os.environ.get("LADING_SOAK") else [])]
pytestmark = pytest.mark.real("control plane")


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    missing = kube.missing() or pki.missing()
    require("control plane", missing is None, missing or "")
    made = OwnPlane(tmp_path_factory.mktemp("plane"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
async def cluster(plane):
    async with Cluster(config.connection(kubeconfig=plane.kubeconfig)) as entered:
        yield entered


@pytest.mark.parametrize("how", ENDINGS)
async def test_a_wait_and_a_watch_outlast_a_restart(plane, cluster, how):
    """Each state is told once, and what changed afterwards is seen."""
    name = f"one-{how.name.lower()}"
    await cluster.create(config_map(name, labels={"test": name}))
    waiting = asyncio.create_task(
        cluster.wait(CONFIG_MAP, name, lambda it: value(it, "b"), within_s=120, what="b to be there")
    )
    async with aclosing(cluster.watch(CONFIG_MAP, labels=f"test={name}")) as changes:
        assert await until(changes, name, "1") == [("added", name, "1")]
        await asleep(waiting)
        await asyncio.to_thread(plane.end_server, how)
        following = asyncio.create_task(until(changes, name, "2"))
        await asleep(waiting)
        plane.start_server()
        await cluster.patch(CONFIG_MAP, name, {"data": {"a": "2", "b": "done"}})
        assert await waiting == "done"
        assert await following == [("modified", name, "2")]


async def test_a_log_outlasts_a_restart(plane, cluster):
    """Every line once, in order, those written meanwhile too."""
    async with Kubelet(plane.folder) as kubelet:
        await asyncio.to_thread(prepare, plane, kubelet.port)
        reading = asyncio.create_task(read(cluster, "worker"))
        kubelet.write("one", "two")
        await kubelet.asked.wait()
        await asleep(reading)
        await asyncio.to_thread(plane.end_server, signal.SIGKILL)
        kubelet.asked.clear()
        kubelet.write("three")
        plane.start_server()
        await kubelet.asked.wait()
        kubelet.write("four")
        await asyncio.to_thread(status, plane, {"terminated": {"exitCode": 0, "containerID": "x://1"}})
        kubelet.ended = True
        assert await reading == ["one", "two", "three", "four"]


def prepare(plane, port):
    """A node that is our kubelet, and a pod that runs on it."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    plane.api.apply(node)
    where = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    merge(plane, "/api/v1/nodes/n/status", where)
    spec = {"nodeName": "n", "containers": [{"name": "main", "image": "none"}]}
    plane.api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "worker"}, "spec": spec})
    status(plane, {"running": {}})


def status(plane, state):
    one = {
        "name": "main",
        "image": "none",
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "containerID": "x://1",
        "state": state,
    }
    merge(plane, "/api/v1/namespaces/default/pods/worker/status", {"phase": "Running", "containerStatuses": [one]})


def merge(plane, path, change):
    plane.api.request("PATCH", path, {"status": change}, content="application/merge-patch+json")
