"""Bringing servers back where something goes wrong meanwhile: by a cluster with planted faults."""

import asyncio

import pytest

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.errors import PlacementError, PreflightFailed
from lading.events import Notice
from lading.manifests import stopping
from lading.manifests.stopping import Stop
from lading.placement import update
from lading.placement.update import UpdatePlan
from lading.testing.fake_cluster import FakeCluster

CHAT = Stop(api_version="apps/v1", kind="Deployment", name="chat", replicas=2)
GRANITE = Stop(api_version="serving.kserve.io/v1beta1", kind="InferenceService", name="granite")


def thing(api_version, kind, name, **spec):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


@pytest.fixture
async def served():
    """A claim, and a Deployment and an InferenceService that hold it."""
    async with FakeCluster() as server, Cluster(server.connection()) as cluster:
        await cluster.create(thing("v1", "PersistentVolumeClaim", "models"))
        await cluster.create(thing("apps/v1", "Deployment", "chat", replicas=2))
        await cluster.create(thing("serving.kserve.io/v1beta1", "InferenceService", "granite"))
        yield server, cluster


async def replicas(cluster):
    return (await cluster.get(kinds.DEPLOYMENT, "chat"))["spec"]["replicas"]


async def stopped(cluster):
    found = await cluster.get(kinds.INFERENCE_SERVICE, "granite")
    return (found["metadata"].get("annotations") or {}).get(stopping.STOP)


async def record(cluster):
    return stopping.recorded(await cluster.get(kinds.CLAIM, "models")).stops


def plan(**options):
    return UpdatePlan(claim="models", before=(CHAT, GRANITE), **options)


class Broken(Exception):
    """The pull's own fault."""


async def pull_that_breaks(cluster, todo, *, meanwhile=None, **options):
    """A pull that fails by its own fault; *meanwhile* happens before."""
    async with update.freed(cluster, todo, **options) as freed:
        if meanwhile is not None:
            await meanwhile(freed)
        raise Broken


async def test_what_is_stopped_is_recorded_before_it_is(served):
    server, cluster = served

    async def seen(_):
        assert (await replicas(cluster), await stopped(cluster)) == (0, "true")
        assert await record(cluster) == (CHAT, GRANITE)

    with pytest.raises(Broken):
        await pull_that_breaks(cluster, plan(), meanwhile=seen)
    patches = [line for line in server.seen if line.startswith("PATCH")]
    assert "persistentvolumeclaims/models" in patches[0]
    assert (await replicas(cluster), await stopped(cluster), await record(cluster)) == (2, None, ())


async def test_a_server_that_cannot_be_stopped_brings_back_those_that_were(served):
    server, cluster = served
    server.plant("PATCH inferenceservices/granite", status=403)
    with pytest.raises(Exception, match="granite"):
        async with update.freed(cluster, plan(needs="granite")):
            raise AssertionError("never entered")
    assert (await replicas(cluster), await record(cluster)) == (2, ())


async def test_one_that_cannot_be_started_is_said_with_its_command_and_stays_recorded(served):
    server, cluster = served
    with pytest.raises(PlacementError, match="kubectl scale deployment chat --replicas=2 -n default"):
        async with update.freed(cluster, plan(), wait_s=1):
            server.plant("PATCH deployments/chat", status=403)
    assert (await replicas(cluster), await stopped(cluster)) == (0, None)
    assert CHAT in await record(cluster)


async def test_what_somebody_started_meanwhile_is_left_as_it_is(served):
    _, cluster = served

    async def grown(_):
        await cluster.patch(kinds.DEPLOYMENT, "chat", stopping.scale(5), sub="scale")

    with pytest.raises(Broken):
        await pull_that_breaks(cluster, plan(), meanwhile=grown)
    assert await replicas(cluster) == 5


async def test_what_somebody_deleted_meanwhile_is_said(served):
    _, cluster = served
    told = []

    async def deleted(_):
        await cluster.delete(kinds.DEPLOYMENT, "chat")

    with pytest.raises(Broken):
        await pull_that_breaks(cluster, plan(), meanwhile=deleted, emit=told.append)
    assert "Deployment chat is gone meanwhile" in [event.message for event in told if isinstance(event, Notice)]
    assert await record(cluster) == ()


async def test_cancelled_it_brings_back_all_before_it_ends(served):
    _, cluster = served
    inside = asyncio.Event()

    async def work():
        async with update.freed(cluster, plan()):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # asked again while it brings them back
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await replicas(cluster), await stopped(cluster), await record(cluster)) == (2, None, ())


async def test_where_the_old_version_may_be_gone_it_stays_stopped_and_recorded(served):
    """Started, kubelet would give it an empty folder in place of the model."""
    _, cluster = served
    told = []
    with pytest.raises(Broken):
        await pull_that_breaks(cluster, plan(needs="granite"), emit=told.append)
    assert (await replicas(cluster), await stopped(cluster)) == (0, "true")
    assert await record(cluster) == (CHAT, GRANITE)
    assert "stays stopped" in told[-1].message


async def test_where_it_is_surely_there_it_is_started(served):
    _, cluster = served

    async def seen_to_be_there(freed):
        freed.intact = True

    with pytest.raises(Broken):
        await pull_that_breaks(cluster, plan(needs="granite"), meanwhile=seen_to_be_there)
    assert (await replicas(cluster), await stopped(cluster)) == (2, None)


async def test_what_an_earlier_command_left_stopped_is_started_without_being_stopped_again(served):
    server, cluster = served
    await cluster.patch(kinds.DEPLOYMENT, "chat", stopping.scale(0), sub="scale")
    await cluster.patch(kinds.CLAIM, "models", stopping.record((CHAT,), by="me", at="now"))
    found = await update.plan(cluster, await cluster.get(kinds.CLAIM, "models"), None, model="granite")
    assert found.healed == (CHAT,)
    server.seen.clear()
    with pytest.raises(Broken):
        await pull_that_breaks(cluster, found)
    assert (await replicas(cluster), await record(cluster)) == (2, ())


async def test_what_waits_for_a_model_is_not_started_by_the_pull_of_another(served):
    """Its old version is gone, and the other pull does not bring it back."""
    _, cluster = served
    await cluster.patch(kinds.CLAIM, "models", stopping.record((CHAT,), by="me", at="noon", needs="granite"))
    claim = await cluster.get(kinds.CLAIM, "models")
    assert await update.plan(cluster, claim, None, model="llama") == UpdatePlan(claim="models")
    with pytest.raises(
        PreflightFailed,
        match="an update of granite on claim models has not ended: since noon Deployment chat stays stopped, by me",
    ):
        await update.plan(cluster, claim, "scale", model="llama")
    again = await update.plan(cluster, claim, None, model="granite")
    assert (again.healed, again.needs) == ((CHAT,), "granite")
