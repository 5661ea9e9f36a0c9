"""Which Job is told that it is its name's one writer: only one whose predecessors' pods were seen to have ended."""

import pytest

from lading.cluster.client import Cluster
from lading.manifests import jobs as manifests
from lading.manifests import ours, pods
from lading.placement import jobs
from lading.spec.command import PullCommand
from lading.spec.placement import Placement
from lading.testing.fake_cluster import FakeCluster

DOCUMENT = manifests.job(PullCommand(source="s3://b/m"), Placement(image="i"), claim="models", namespace="default")
NAME = DOCUMENT["metadata"]["name"]


@pytest.fixture
async def cluster(monkeypatch):
    monkeypatch.setattr(jobs, "ENDED_WITHIN_S", 0.3)
    async with FakeCluster() as server, Cluster(server.connection()) as made:
        yield made


async def claim(cluster):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    document = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": spec}
    return await cluster.create(document)


async def earlier(cluster, phase):
    """A pod of a Job of the same name that was deleted."""
    labels = {pods.JOB_NAME: NAME, pods.CONTROLLER_UID: "earlier"}
    head = {"name": "earlier", "labels": labels}
    await cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": {}, "status": {"phase": phase}})


async def writer(cluster) -> str | None:
    run = await jobs.start(cluster, DOCUMENT)
    (job,) = [one for one in await jobs.every(cluster) if one["metadata"]["uid"] == run.uid]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value") for one in container["env"]}.get(ours.WRITER_VARIABLE)


async def test_it_is_the_claim_s_uid_and_the_job_s_name(cluster):
    made = await claim(cluster)
    await earlier(cluster, "Failed")
    assert await writer(cluster) == f"{made['metadata']['uid']}/{NAME}"


async def test_it_is_not_said_while_a_pod_of_an_earlier_job_may_write(cluster):
    await claim(cluster)
    await earlier(cluster, "Running")
    assert await writer(cluster) is None


async def test_it_is_not_said_of_a_claim_that_is_not_there(cluster):
    assert await writer(cluster) is None


def test_the_document_that_is_shown_and_kept_is_not_changed():
    before = str(DOCUMENT)
    manifests.with_writer(DOCUMENT, "uid")
    assert str(DOCUMENT) == before
