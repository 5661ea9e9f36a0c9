"""The client's contract: on the fake, on the real API server, and under faults."""

import json

import pytest
from tests.testbed import base

from lading.cluster import config
from lading.cluster.client import Cluster
from lading.testing.cluster import ClusterContract, FakePlace, FaultContract
from lading.testing.fake_cluster import FakeCluster


class TestFake(ClusterContract):
    @pytest.fixture
    async def place(self):
        async with FakeCluster() as fake:
            fake.unknown.add("nothings")
            yield FakePlace(fake)


class RealPlace:
    def __init__(self, namespace):
        self.namespace = namespace

    def connect(self):
        return Cluster(config.connection(kubeconfig=self.namespace.admin))

    def connect_as_user(self):
        return Cluster(config.connection(kubeconfig=self.namespace.kubeconfig))

    async def prints(self, pod, lines):
        short = [line if len(line) < 1000 else [line[0], len(line)] for line in lines]
        script = "import json, os\nfor line in json.loads(os.environ['TEXT']):\n print(line if type(line) is str else line[0] * line[1])"
        container = {
            "name": "main", "image": base.NAME, "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-c", script], "env": [{"name": "TEXT", "value": json.dumps(short)}],
        }  # fmt: skip
        spec = {"restartPolicy": "Never", "containers": [container]}
        async with self.connect() as cluster:
            await cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec})


@pytest.mark.real("cluster")
class TestReal(ClusterContract):
    @pytest.fixture
    def place(self, namespace):
        return RealPlace(namespace)


class TestFaults(FaultContract):
    pass
