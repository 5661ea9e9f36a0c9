"""Jobs of ours as they stand: for a list, at one look."""

import asyncio
from datetime import UTC, datetime, timedelta

from lading.answers.jobs import JobListed
from lading.cluster.client import Cluster
from lading.cluster.kinds import EVENT, POD, Object
from lading.diagnosis import jobs as diagnosing
from lading.diagnosis.finding import text
from lading.errors import ClusterDenied, ObjectMissing
from lading.events import PullProgress
from lading.manifests import ours
from lading.placement import hearing, jobs

RECENT = timedelta(seconds=10)  # progress is told every second


async def listed(cluster: Cluster) -> tuple[JobListed, ...]:
    """All Jobs of ours in the cluster's namespace, the newest first; of those that run, how far they are."""
    return tuple(await asyncio.gather(*(_one(cluster, job) for job in await jobs.every(cluster))))


async def _one(cluster: Cluster, job: Object) -> JobListed:
    run, state = jobs.run_of(job), jobs.state(job)
    pods = await cluster.list(POD, labels=run.pods) if state != "done" else ()
    progress = await _progress(cluster, pods) if state == "running" else None
    status = job.get("status") or {}
    return JobListed(
        name=run.name,
        namespace=run.namespace,
        purpose=str((job["metadata"].get("labels") or {}).get(ours.PURPOSE, "?")),
        claim=run.claim,
        model=run.model,
        state=state,
        attempt=int(status.get("failed") or 0) + (0 if state in {"done", "failed"} else 1),
        done_bytes=progress.done_bytes if progress else None,
        total_bytes=progress.total_bytes if progress else None,
        created_at=run.created_at,
        started_by=run.started_by,
        reason=await _reason(cluster, job, pods) if state in {"waiting", "failed"} else None,
    )


async def _reason(cluster: Cluster, job: Object, pods: tuple[Object, ...]) -> str | None:
    """Why it failed, or what it waits for."""
    claim = jobs.run_of(job).claim
    for pod in reversed(pods):
        word = hearing.last_word(pod, claim)
        if word is not None and word.event == "failed":
            return word.message
    try:
        events = await cluster.list(EVENT)
    except ClusterDenied:
        events = ()
    found = diagnosing.ended(job, pods, events) or diagnosing.watching(job, pods, events)
    return found.sentence if found else None


async def _progress(cluster: Cluster, pods: tuple[Object, ...]) -> PullProgress | None:
    """The last progress that the running pod told."""
    last = None
    for pod in pods:
        if text(pod, "status", "phase") != "Running":
            continue
        try:
            lines = cluster.logs(pod["metadata"]["name"], since=datetime.now(UTC) - RECENT, follow=False)
            async for line in lines:
                event = hearing.parse(line.text, "")
                last = event if isinstance(event, PullProgress) else last
        except (ObjectMissing, ClusterDenied):
            continue
    return last
