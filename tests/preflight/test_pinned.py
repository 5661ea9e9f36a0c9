"""A server that names a version by its name is not left with an empty folder, also where nobody looks at the source."""

from lading.cluster.client import Cluster
from lading.placement.preflight import preflight
from lading.spec.command import PullCommand
from lading.spec.credentials import CredentialChoice
from lading.spec.placement import Placement
from lading.testing.fake_cluster import FakeCluster


def pod(path):
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    mount = {"name": "models", "mountPath": "/mnt", "subPath": path}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server", "namespace": "default"},
        "spec": {"nodeName": "a", "volumes": [volume], "containers": [{"name": "c", "volumeMounts": [mount]}]},
        "status": {"phase": "Running"},
    }


async def codes(path):
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteMany"]},
        "status": {"phase": "Bound"},
    }
    async with FakeCluster() as server, Cluster(server.connection()) as cluster:
        server.denied.add(("get", "namespaces"))
        await cluster.create(claim)
        await cluster.create(pod(path))
        found = await preflight(
            cluster, PullCommand(source="s3://b/m", model="granite"), "models", placement=Placement(image="i"),
            credentials=CredentialChoice(), look=False, replace_old=True,
        )  # fmt: skip
    return {one.code for one in found.problems}


async def test_a_pinned_version_is_seen_without_the_look():
    assert "version-pinned" in await codes("granite/v1")
    assert "version-pinned" not in await codes("granite/current")
    assert "version-pinned" not in await codes("other/v1")
