"""Objects and words on a cluster that are not what they seem: other people's Jobs, addresses with secrets, escape codes."""

import asyncio

import pytest

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.errors import ClusterConflict, ClusterDenied, InvalidInput, PodFailed
from lading.events import Failed
from lading.manifests import jobs as manifests
from lading.manifests import ours
from lading.placement import follow, helper, jobs, looking
from lading.placement.update import Freed
from lading.spec import ref as refs
from lading.spec.command import ListSourceCommand, PullCommand
from lading.spec.credentials import Credentials
from lading.spec.placement import Choice, Placement
from lading.spec.pull import Choices
from lading.testing.fake_cluster import FakeCluster
from lading.wiring import pulls

ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}


@pytest.fixture
async def served():
    async with FakeCluster() as server, Cluster(server.connection()) as cluster:
        yield server, cluster


def job():
    return manifests.job(PullCommand(source="s3://b/m"), Placement(image="i"), claim="models", namespace="default")


def foreign(**status):
    document = job()
    document["metadata"]["labels"] = {ours.MANAGED_BY: "helm"}
    return {**document, "status": status}


@pytest.mark.parametrize("status", [ENDED, {"ready": 1}], ids=["ended", "running"])
async def test_somebody_else_s_job_of_our_name_is_neither_removed_nor_taken_for_ours(served, status):
    _, cluster = served
    theirs = await cluster.create(foreign(**status))
    with pytest.raises(ClusterConflict, match="not ours"):
        await jobs.start(cluster, job())
    with pytest.raises(ClusterConflict, match="not ours"):
        await jobs.standing(cluster, theirs["metadata"]["name"])
    left = await cluster.get(kinds.JOB, theirs["metadata"]["name"])
    assert left["metadata"]["uid"] == theirs["metadata"]["uid"]


async def test_cancelling_a_job_whose_name_another_has_by_now_leaves_that_one(served):
    _, cluster = served
    first = await jobs.start(cluster, job())
    await cluster.delete(kinds.JOB, first.name)
    second = await jobs.start(cluster, job())
    await jobs.cancel(cluster, first)
    assert (await cluster.get(kinds.JOB, first.name))["metadata"]["uid"] == second.uid


@pytest.mark.parametrize("endpoint", ["https://user:word@store:9000", "user:word@store"])
def test_an_endpoint_with_a_password_does_not_get_into_a_document(endpoint):
    with pytest.raises(InvalidInput) as caught:
        pulls.command(
            pulls.Asked(
                source=refs.parse("s3://bucket/m"),
                dest=refs.parse("pvc://models/m"),
                choices=Choices(endpoint=endpoint),
            )
        )
    assert "word" not in str(caught.value).replace("password", "")


# ---------------------------------------------------------------------------------------------------------- the look


def look_pod(**status):
    pod = looking.pod(
        ListSourceCommand(source="s3://b/m"), namespace="default", claim="models",
        placement=Placement(image="i"), credentials=Credentials(), deadline_s=60,
    )  # fmt: skip
    return {**pod, "status": status}


def ended(message):
    return {
        "phase": "Failed",
        "containerStatuses": [{"name": "lading", "state": {"terminated": {"exitCode": 1, "message": message}}}],
    }


async def test_what_the_looking_pod_says_drives_no_terminal(served):
    _, cluster = served
    said = Failed(code="SourceMissing", message="\x1b[2Jgone", hint="\x9b31m", exit_code=1).model_dump_json()
    found = await looking.look(cluster, look_pod(**ended(said)), wait_s=10)
    assert (found.message + found.hint).isprintable()


async def test_a_refused_pod_is_told_although_it_cannot_be_removed_either(served):
    server, cluster = served
    server.denied |= {("create", "pods"), ("delete", "pods")}
    with pytest.raises(ClusterDenied, match="create"):
        await looking.look(cluster, look_pod(), wait_s=10)


async def test_the_looking_pod_is_removed_before_a_cancelled_look_ends(served):
    server, cluster = served
    pod = look_pod(phase="Pending")
    task = asyncio.ensure_future(looking.look(cluster, pod, wait_s=30))
    while await cluster.find(kinds.POD, pod["metadata"]["name"]) is None:  # noqa: ASYNC110 - the fake tells nobody
        await asyncio.sleep(0)
    server.plant("DELETE /api/v1/namespaces/default/pods", wait_s=0.3)
    task.cancel()
    while not any(one.startswith("DELETE") for one in server.seen):  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()  # Ctrl-C again
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await cluster.find(kinds.POD, pod["metadata"]["name"]) is None


# ---------------------------------------------------------------------------------------------------------- left behind


class Pods:
    """A cluster of ended pods of one label, and what is deleted of them."""

    def __init__(self, *pods):
        self.pods, self.deleted = pods, []

    async def list(self, kind, **selectors):
        return self.pods

    async def delete(self, kind, name, **options):
        self.deleted.append(name)


async def test_a_finished_pod_of_a_job_is_not_cleared_away_as_a_helper_is():
    ended = {"status": {"phase": "Succeeded"}}
    owned = {"ownerReferences": [{"kind": "Job", "name": "j", "uid": "u"}]}
    cluster = Pods(
        {"metadata": {"name": "helper-s", "uid": "1"}, **ended},
        {"metadata": {"name": "job-s", "uid": "2", **owned}, **ended},
    )
    await helper._clear(cluster, "models")
    assert cluster.deleted == ["helper-s"]


async def test_why_a_job_is_given_up_is_told_although_it_cannot_be_removed(served, monkeypatch):
    server, cluster = served
    run = await jobs.start(cluster, job())
    server.denied.add(("delete", "jobs"))
    told = []

    async def never(_):
        raise follow._Unstartable(PodFailed("no such image"))

    monkeypatch.setattr(follow._Following, "once", never)
    with pytest.raises(PodFailed, match="no such image"):
        await follow.follow(cluster, run, emit=told.append, remove_unstartable=True)
    assert "may be left behind" in told[0].message


async def test_a_model_that_only_the_look_named_is_looked_for_after_a_failure(served, monkeypatch):
    _, cluster = served
    run = await jobs.start(cluster, job())
    assert run.model is None
    asked = []

    async def fails(*args, **options):
        raise PodFailed("the store is gone")

    async def is_there(run, model, choice):
        asked.append(model)
        return True

    monkeypatch.setattr(follow, "follow", fails)
    monkeypatch.setattr(pulls, "_is_there", is_there)
    freed = Freed(intact=False)
    with pytest.raises(PodFailed, match="store"):
        await pulls.followed(cluster, run, freed, emit=print, choice=Choice(), model="granite")
    assert (freed.intact, asked) == (True, ["granite"])
