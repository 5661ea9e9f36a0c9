"""Jobs of ours on a cluster: started once however often they are asked for, found again, listed, stopped.

A Job's name says what it does (`lading.manifests.jobs.name`), so the same command run anywhere finds the one that runs.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from lading.cluster.client import Cluster
from lading.cluster.kinds import CLAIM, JOB, POD, Object
from lading.errors import ClusterConflict, ObjectMissing, StillRunning
from lading.manifests import jobs as manifests
from lading.manifests import ours, pods

GONE_WITHIN_S = 120.0  # a pod's grace, and a node that is slow to report
ENDED_WITHIN_S = pods.GRACE_S + 15.0  # beyond that its node is lost, and so is what it would say
OURS = f"{ours.MANAGED_BY}={ours.MANAGER}"
State = Literal["waiting", "running", "stopping", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One Job, this one and no later one of its name.

    Attributes:
        found: It was there already.
    """

    name: str
    uid: str
    namespace: str
    claim: str
    model: str | None = None
    started_by: str | None = None
    created_at: str = ""
    found: bool = False

    @property
    def pods(self) -> str:
        """The selector of its pods."""
        return f"{pods.CONTROLLER_UID}={self.uid}"


async def start(cluster: Cluster, document: Mapping[str, Any]) -> Run:
    """The Job *document*, created; or the one of its name that runs already. One that has ended is replaced.

    Raises:
        ClusterConflict: Somebody else's Job has its name.
        ClusterDenied, ClusterError: It may not be created, or is refused.
        StillRunning: Its predecessor does not go away.
    """
    name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
    while True:
        before = await standing(cluster, name, namespace=namespace)
        if before is not None and state(before) in {"waiting", "running"}:
            return run_of(before, found=True)
        if before is not None:
            await _remove(cluster, before)
        try:
            return run_of(await cluster.create(await _with_writer(cluster, document)))
        except ClusterConflict:
            continue  # another was quicker: theirs is as good


async def standing(cluster: Cluster, name: str, *, namespace: str | None = None) -> Object | None:
    """The Job of ours that has the *name* now; None where there is none.

    Raises:
        ClusterConflict: It is somebody else's, and neither to be followed nor to be replaced by us.
    """
    found = await cluster.find(JOB, name, namespace=namespace)
    if found is not None and _label(found, ours.MANAGED_BY) != ours.MANAGER:
        place = found["metadata"]["namespace"]
        raise ClusterConflict(
            f"Job {name} in {place} is not ours: its label {ours.MANAGED_BY} is {_label(found, ours.MANAGED_BY)}",
            hint=f"remove it, if it is not wanted: kubectl -n {place} delete job {name}",
        )
    return found


async def named(cluster: Cluster, name: str) -> Object:
    """The Job *name* of ours.

    Raises:
        ObjectMissing: There is none, or it is not ours; the hint names the nearest.
    """
    found = await cluster.find(JOB, name)
    if found is not None and _label(found, ours.MANAGED_BY) == ours.MANAGER:
        return found
    raise ObjectMissing(f"there is no Job {name} of ours in {cluster.namespace}", hint="`lading jobs` lists them")


async def every(cluster: Cluster) -> tuple[Object, ...]:
    """All Jobs of ours in the cluster's namespace, the newest first."""
    found = await cluster.list(JOB, labels=OURS)
    return tuple(sorted(found, key=lambda job: str(job["metadata"].get("creationTimestamp")), reverse=True))


async def cancel(cluster: Cluster, run: Run) -> None:
    """Remove the Job and wait until its pods have ended; a Job that is gone is silent.

    What was finished stays on the claim: a new Job goes on from there.

    Raises:
        StillRunning: A pod does not end.
    """
    with suppress(ClusterConflict):  # another one has its name by now, so it is gone
        await cluster.delete(JOB, run.name, namespace=run.namespace, uid=run.uid)
    for pod in await cluster.list(POD, namespace=run.namespace, labels=run.pods):
        await _gone(cluster, POD, pod)


def run_of(job: Object, *, found: bool = False) -> Run:
    """Which Job this is."""
    head = job["metadata"]
    return Run(
        name=head["name"],
        uid=head["uid"],
        namespace=head["namespace"],
        claim=_claim(job),
        model=_model(job),
        started_by=(head.get("annotations") or {}).get(ours.STARTED_BY),
        created_at=str(head.get("creationTimestamp") or ""),
        found=found,
    )


def state(job: Object) -> State:
    """How *job* stands: ``waiting`` while none of its pods runs, between two attempts too."""
    if "deletionTimestamp" in job["metadata"]:
        return "stopping"
    if condition(job, "Complete"):
        return "done"
    if condition(job, "Failed"):
        return "failed"
    return "running" if (job.get("status") or {}).get("ready") else "waiting"


def condition(job: Object, kind: str) -> Object | None:
    """The condition *kind* of *job*, where it holds."""
    for found in (job.get("status") or {}).get("conditions") or ():
        if found.get("type") == kind and found.get("status") == "True":
            held: Object = found
            return held
    return None


def _claim(job: Mapping[str, Any]) -> str:
    """The claim that it mounts, by its own words: a label cannot hold a long name."""
    for volume in job["spec"]["template"]["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            return str(volume["persistentVolumeClaim"]["claimName"])
    return _label(job, ours.CLAIM) or ""


def _model(job: Object) -> str | None:
    """The model by its command: a label cannot hold a slash."""
    try:
        model = json.loads((job["metadata"].get("annotations") or {})[ours.COMMAND]).get("model")
    except (KeyError, ValueError, AttributeError, TypeError):
        return None
    return model if isinstance(model, str) else None


def _label(job: Mapping[str, Any], name: str) -> str | None:
    value = (job["metadata"].get("labels") or {}).get(name)
    return str(value) if value is not None else None


async def _remove(cluster: Cluster, job: Object) -> None:
    """Remove a Job that has ended, or wait for one that is being removed."""
    head = job["metadata"]
    try:
        await cluster.delete(JOB, head["name"], namespace=head["namespace"], uid=head["uid"])
    except ClusterConflict:
        return  # it is another one by now
    await _gone(cluster, JOB, job)


async def _with_writer(cluster: Cluster, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """*document*, told that no pod of an earlier Job of its name writes any more; as it is, where one may."""
    name, namespace, claim = document["metadata"]["name"], document["metadata"]["namespace"], _claim(document)
    found = await cluster.find(CLAIM, claim, namespace=namespace) if claim else None
    if found is None:
        return document
    try:
        for pod in await cluster.list(POD, namespace=namespace, labels=f"{pods.JOB_NAME}={name}"):
            await _ended(cluster, pod)
    except StillRunning:
        return document
    return manifests.with_writer(document, str(found["metadata"]["uid"]))


async def _ended(cluster: Cluster, pod: Object) -> None:
    """Return when *pod* has ended, or is gone."""
    head = pod["metadata"]

    def until(now: Object | None) -> bool:
        phase = (now.get("status") or {}).get("phase") if now is not None else None
        return now is None or now["metadata"]["uid"] != head["uid"] or phase in {"Succeeded", "Failed"}

    what = f"pod {head['name']} to end"
    await cluster.wait(POD, head["name"], until, within_s=ENDED_WITHIN_S, what=what, namespace=head["namespace"])


async def _gone(cluster: Cluster, kind: Any, thing: Object) -> None:
    head = thing["metadata"]

    def until(now: Object | None) -> bool | None:
        return True if now is None or now["metadata"]["uid"] != head["uid"] else None

    what = f"{kind.kind} {head['name']} to end"
    await cluster.wait(kind, head["name"], until, within_s=GONE_WITHIN_S, what=what, namespace=head["namespace"])
