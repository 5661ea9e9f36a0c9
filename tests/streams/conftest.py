"""A namespace with a pod to speak to, once per module: most tests only need something that runs."""

import json

import pytest
from tests.testbed import namespaces

from lading.cluster import config
from lading.cluster.client import Cluster

IMAGE = "docker.io/testbed/base:1"
WAITING = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nsignal.pause()"


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory):
    """A namespace, shared by the tests of a module."""
    made = namespaces.create(cluster.api, tmp_path_factory.mktemp("place"))
    yield made
    made.remove()


@pytest.fixture
async def user(place):
    """The cluster as the namespace's user."""
    async with Cluster(config.connection(kubeconfig=place.kubeconfig)) as made:
        yield made


@pytest.fixture(scope="module")
def pod(place):
    """A pod that waits, with Python and a shell in it."""
    return started(place, "waiting", ["python3", "-c", WAITING])


def started(place, name, argv, *, labels=None):
    """The pod *name* running *argv*, ready."""
    container = {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": argv}
    place.apply({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    })  # fmt: skip
    place.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    return name


def python(program, **values):
    """The argv that runs *program* in the pod, with *values* in it."""
    heads = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return ["python3", "-c", "\n".join([*heads, program])]
