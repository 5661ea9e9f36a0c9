"""A Job is one, whoever asks; it goes on without its client; its result is found when its log is gone."""

import asyncio

import pytest
from tests.jobs.conftest import versions
from tests.testbed.api import wait

import lading as library
from lading.errors import PodFailed
from lading.events import Published
from lading.placement import follow, jobs
from lading.spec.job import JobChoice
from lading.volume import reports
from lading.wiring import pulls as wiring

pytestmark = pytest.mark.real("cluster")


async def test_two_clients_with_the_same_pull_share_one_job(namespace, pulls):
    claim = namespace.claim()
    pulls.web.slow = 0.02
    document = pulls.document(pulls.offer("m"), "m")
    first, second = await asyncio.gather(pulls.pull(document), pulls.pull(document))
    assert first == second
    assert versions(claim, "m") == ["v1"]
    assert {path: pulls.web.sent[f"m/{path}"] for path in ("part-0.bin", "part-1.bin")} == {
        "part-0.bin": 1 << 20, "part-1.bin": 1 << 20,
    }  # fmt: skip


async def test_a_finished_job_of_the_same_name_is_replaced(namespace, pulls):
    namespace.claim()
    document = pulls.document(pulls.offer("m"), "m")
    await pulls.pull(document)
    result = await pulls.pull(document)
    assert result.event == "unchanged"
    assert len(namespace.get("jobs", root="/apis/batch/v1")) == 1


async def test_the_result_is_found_after_the_pod_is_gone_and_after_the_job_is_gone(namespace, pulls):
    claim = namespace.claim()
    async with pulls.cluster() as cluster:
        run = await jobs.start(cluster, pulls.document(pulls.offer("m"), "m"))
        await follow.follow(cluster, run, emit=pulls.told.append)
        assert isinstance(await follow.follow(cluster, run, emit=pulls.told.append), Published)
        for pod in pulls.pods():
            namespace.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
        wait("the pod is gone", lambda: not pulls.pods())

        async def report():
            return reports.read(claim.path, run.name)

        assert isinstance(await follow.follow(cluster, run, emit=pulls.told.append, report=report), Published)
        await jobs.cancel(cluster, run)
        wait("the Job is gone", lambda: not namespace.get("jobs", root="/apis/batch/v1"))
        told = await follow.follow(cluster, run, emit=pulls.told.append, report=report)
        assert (told.event, told.path) == ("published", "pvc://models/m/v1")
        found = await wiring.report(cluster, run, wiring_choice(pulls))
        assert found == reports.read(claim.path, run.name)
        with pytest.raises(PodFailed, match="removed before it had its result"):
            await follow.follow(cluster, run, emit=pulls.told.append)


def test_the_library_pulls_onto_a_claim(namespace, pulls):
    claim = namespace.claim()
    told = []
    result = library.pull(
        pulls.offer("m"), "pvc://models/m", version="v1", expect="any", job=JobChoice(look=False), emit=told.append
    )
    assert isinstance(result, Published)
    assert result in told
    assert versions(claim, "m") == ["v1"]


def wiring_choice(pulls):
    """The user's cluster, and the image of this checkout."""
    from lading.spec.placement import Choice

    return Choice(kubeconfig=pulls.namespace.kubeconfig, image=pulls.image, fs_group=1000)
