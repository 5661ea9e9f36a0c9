"""A push from a claim: done in a Job beside the volume, with the credentials that the cluster has, and followed to its end."""

import shlex
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lading import wiring
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.errors import InvalidInput, PodFailed
from lading.events import Emit, Event, PreflightProblem, Pushed, ignore
from lading.manifests import gitops
from lading.manifests import jobs as manifests
from lading.placement import follow, jobs
from lading.placement.jobs import Run
from lading.placement.preflight import Preflight, before_push, require_rights
from lading.spec.command import PushCommand
from lading.spec.job import JobChoice
from lading.spec.placement import Choice
from lading.spec.pull import Choices
from lading.spec.ref import ClaimRef, SourceRef
from lading.wiring import pulls


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A push that was decided: nothing is on the cluster yet, unless it runs already.

    Attributes:
        running: The Job that does it now; then nothing was looked at.
    """

    document: Object
    running: Run | None = None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the Job."""
        return str(self.document["metadata"]["name"])


def command(
    source: ClaimRef,
    dest: SourceRef,
    choices: Choices,
    *,
    model: str | None = None,
    version: str | None = None,
    **options: Any,
) -> PushCommand:
    """The command document of a push; *options* are its own fields.

    Raises:
        InvalidInput: The destination cannot honour one of *choices*, or an address has a secret in it.
    """
    pulls.require_no_secret(dest, choices)
    wiring.require_understood(dest, choices)
    own = str(replace(source, namespace=None))
    return PushCommand(source=own, dest=str(dest), model=model, version=version, **options, **dict(choices))


async def bring(source: ClaimRef, order: PushCommand, *, choice: Choice, job: JobChoice, emit: Emit) -> Pushed:
    """What is at the destination then. Cancelled, it leaves a Job running.

    Raises:
        PreflightFailed: All that is in the way of a Job.
        LadingError: As the push raises it.
    """
    async with pulls.cluster_of(source, choice) as cluster:
        planned = await plan(cluster, order, source.claim, choice=choice, job=job, emit=emit)
        run = await start(cluster, planned, emit=emit)
        result = await followed(cluster, run, emit=emit, choice=choice)
    if isinstance(result, Pushed):
        return result
    raise PodFailed(f"the Job ended with {result.event}, which is no result of a push")


async def plan(
    cluster: Cluster, order: PushCommand, claim: str, *, choice: Choice, job: JobChoice, emit: Emit = ignore
) -> Planned:
    """The Job that it takes; where the same push runs already, that one. Each problem is emitted, too.

    Raises:
        InvalidInput: *job* says what is done around a write to the claim.
        ClusterDenied: The rights that are missing.
        PreflightFailed: All that is in its way.
    """
    _only_reads(job)
    await require_rights(cluster)
    before = await jobs.standing(cluster, manifests.name(order, claim=claim, model=order.model))
    if before is not None and jobs.state(before) in {"waiting", "running"}:
        return Planned(document=before, running=jobs.run_of(before, found=True))
    found = await _preflight(cluster, order, claim, choice=choice, job=job)
    for one in found.problems:
        emit(PreflightProblem(code=one.code, message=one.message, hint=one.hint))
    found.require()
    return Planned(document=_document(cluster, order, claim, found, job, started_by=pulls.who()), notes=found.notes)


async def written(
    cluster: Cluster, order: PushCommand, source: ClaimRef, *, choice: Choice, job: JobChoice, argocd_hook: bool
) -> tuple[str, tuple[str, ...]]:
    """The push as YAML for Git, and what is in its way today. Nothing is created.

    Raises:
        ClusterDenied: Rights are missing to find out what it needs.
    """
    _only_reads(job)
    found = await _preflight(cluster, order, source.claim, choice=choice, job=job)
    document = _document(cluster, order, source.claim, found, job, started_by=None)
    line = f"lading push {source} {shlex.quote(order.dest)} --output yaml"
    text = gitops.render_job(document, command=line, argocd_hook=argocd_hook)
    return text, (*found.notes, *(problem.shown for problem in found.problems))


async def start(cluster: Cluster, planned: Planned, *, emit: Emit) -> Run:
    """The Job, created, or found running."""
    return await pulls.started(cluster, planned.running, planned.document, emit=emit)


async def followed(cluster: Cluster, run: Run, *, emit: Emit, choice: Choice) -> Event:
    """The result of *run*."""
    report = partial(pulls.report, cluster, run, choice)
    return await follow.follow(cluster, run, emit=emit, report=report, remove_unstartable=not run.found)


async def _preflight(cluster: Cluster, order: PushCommand, claim: str, *, choice: Choice, job: JobChoice) -> Preflight:
    placement = await pulls.placed(cluster, choice, job)
    return await before_push(cluster, order, claim, placement=placement, credentials=job.credentials)


def _document(
    cluster: Cluster, order: PushCommand, claim: str, found: Preflight, job: JobChoice, *, started_by: str | None
) -> Object:
    return manifests.job(
        order,
        found.placement,
        claim=claim,
        namespace=cluster.namespace,
        model=order.model,
        credentials=found.credentials,
        attach_read_only=found.source is not None and found.source.attach_read_only,
        limits=pulls.limits(job),
        started_by=started_by,
    )


def _only_reads(job: JobChoice) -> None:
    if job != replace(job, during_update=None, replace_old=False):
        raise InvalidInput("a push changes nothing on the claim", hint="leave out --during-update and --replace-old")
