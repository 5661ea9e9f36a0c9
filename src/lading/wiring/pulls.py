"""A pull onto a claim: looked at before, done in a Job, followed to its end. Asynchronous, on the caller's loop."""

import asyncio
import contextlib
import getpass
import os
import shlex
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from pydantic import ValidationError

from lading import wiring
from lading.answers.jobs import JobReport
from lading.cluster.client import Cluster
from lading.cluster.kinds import CLAIM, Object
from lading.errors import InvalidInput, LadingError, StillRunning
from lading.events import Emit, Event, Notice, PreflightProblem, PullPlanned, Unchanged, ignore
from lading.manifests import gitops, ours
from lading.manifests import jobs as manifests
from lading.placement import follow, helper, jobs, likeness, update
from lading.placement.jobs import Run
from lading.placement.preflight import Preflight, preflight, require_rights
from lading.placement.update import Freed, UpdatePlan
from lading.spec import units
from lading.spec.command import PullCommand
from lading.spec.job import JobChoice
from lading.spec.placement import Choice, Placement
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import ClaimRef, LocalRef, Reference, SourceRef
from lading.weights import layout
from lading.wiring import claims, clusters

REPORT_BYTES = 1 << 20
FILES_BYTES = 128 << 10  # the names travel in the Job's document, twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A pull that was decided: nothing is on the cluster yet, unless it runs already.

    Attributes:
        running: The Job that does it now; then nothing was looked at.
        found: What was found before the start.
    """

    command: PullCommand
    claim: str
    document: Object
    running: Run | None = None
    found: Preflight | None = None

    @property
    def model(self) -> str | None:
        """The model that it brings, as its order or the look from the cluster says; None where neither does."""
        return self.command.model or (self.found.listed.model if self.found and self.found.listed else None)

    @property
    def answer(self) -> PullPlanned | Unchanged | None:
        """What the pull would do, by what its look from the cluster saw; None where it did not look."""
        listed = self.found.listed if self.found else None
        if listed is None:
            return None
        if listed.unchanged is not None:
            path = f"pvc://{self.claim}/{listed.model}/{listed.unchanged}"
            return Unchanged(model=listed.model, version=listed.unchanged, path=path)
        return PullPlanned(
            source=listed.source,
            revision=listed.revision,
            model=listed.model,
            version=listed.version,
            volume=f"pvc://{self.claim}",
            files=listed.files,
            size_bytes=listed.size_bytes,
            kept_bytes=listed.kept_bytes,
            left_out_files=listed.left_out_files,
            left_out_bytes=listed.left_out_bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A pull onto a claim as it was asked for; *dest* may name model and version, too.

    Attributes:
        source_choice: Where a source that is a claim is, and how our pods run there; None: there where *dest* is.
    """

    source: Reference
    dest: ClaimRef
    model: str | None = None
    version: str | None = None
    choices: Choices = PLAIN
    use: bool = True
    source_choice: Choice | None = None

    def is_streamed(self, choice: Choice) -> bool:
        """Whether its bytes come through this process: a folder of this machine, or a claim that no pod there can mount."""
        match self.source:
            case LocalRef():
                return True
            case ClaimRef():
                return self.source_choice is not None or _apart(self.source, self.dest, choice)
            case SourceRef():
                return False


def _apart(source: ClaimRef, dest: ClaimRef, choice: Choice) -> bool:
    """Whether they are in two namespaces; what names none is in that of *choice*, else of the context."""
    if source.namespace == dest.namespace:
        return False
    own = choice.namespace or clusters.namespace(choice)
    return (source.namespace or own) != (dest.namespace or own)


def command(asked: Asked, *, replace_old: bool = False) -> PullCommand:
    """The command document of a pull; what its destination names counts like the options.

    Raises:
        InvalidInput: Destination and an option differ, the source cannot honour a choice, an address has a secret in it, or
            the names of the files are too long to travel.
    """
    source, dest, choices = asked.source, asked.dest, asked.choices
    listed_bytes = sum(len(line.encode()) + 1 for line in choices.files or ())
    if listed_bytes > FILES_BYTES:
        raise InvalidInput(
            f"the list of --files has {units.show_bytes(listed_bytes)}, a Job carries {units.show_bytes(FILES_BYTES)}",
            hint="put the list beside the files as SHA256SUMS and name that",
        )
    require_no_secret(source, choices)
    wiring.require_understood(source, choices)
    for what, option, written in (("model", asked.model, dest.model), ("version", asked.version, dest.version)):
        if option and written and option != written:
            raise InvalidInput(f"--{what} {option} and DEST ({what} {written}) differ", hint=f"give the {what} once")
    return PullCommand(
        source=str(replace(source, namespace=None) if isinstance(source, ClaimRef) else source),
        model=asked.model or dest.model,
        version=asked.version or dest.version,
        use=asked.use,
        replace=replace_old,
        **dict(choices),
    )


def require_no_secret(place: Reference, choices: Choices) -> None:
    """Nothing, if neither the address nor *choices* have a secret in them, which the document of a Job must not hold.

    Raises:
        InvalidInput: One has.
    """
    if choices.endpoint is not None and "@" in choices.endpoint.rpartition("://")[2].partition("/")[0]:
        raise InvalidInput(
            "--endpoint has a user or password in it, which a Job's document must not hold",
            hint="name a Secret with the store's keys: --secret NAME",
        )
    if isinstance(place, SourceRef) and str(place) != place.shown:
        raise InvalidInput(
            f"{place.shown} was given with a password or a query, which a Job's document must not hold",
            hint="pull it here into a folder, then that folder onto the claim",
        )


@asynccontextmanager
async def cluster_of(dest: ClaimRef, choice: Choice) -> AsyncIterator[Cluster]:
    """The cluster that *choice* names, in the namespace of *dest*.

    Raises:
        InvalidInput: Both name a namespace, and not the same.
        ClusterUnreachable: Nothing says where it is.
    """
    if dest.namespace and choice.namespace and dest.namespace != choice.namespace:
        raise InvalidInput(f"--namespace {choice.namespace} and {dest} differ", hint="give the namespace once")
    async with clusters.cluster(replace(choice, namespace=dest.namespace or choice.namespace)) as cluster:
        yield cluster


async def plan(
    cluster: Cluster, order: PullCommand, claim: str, *, choice: Choice, job: JobChoice, emit: Emit = ignore
) -> Planned:
    """What a pull onto *claim* will create; where the same pull runs already, that Job. Each problem is emitted, too.

    Raises:
        ClusterDenied: The rights that are missing.
        PreflightFailed: All that is in its way.
    """
    await require_rights(cluster)
    name = manifests.name(order, claim=claim, model=order.model)
    before = await jobs.standing(cluster, name)
    if before is not None and jobs.state(before) in {"waiting", "running"}:
        return Planned(command=order, claim=claim, document=before, running=jobs.run_of(before, found=True))
    found = await _preflight(cluster, order, claim, choice=choice, job=job)
    for one in found.problems:
        emit(PreflightProblem(code=one.code, message=one.message, hint=one.hint))
    found.require()
    if found.ending:
        emit(Notice(message=f"warning: {found.ending}"))
    document = _document(cluster, order, claim, found, job, started_by=who())
    return Planned(command=order, claim=claim, document=document, found=found)


async def written(
    cluster: Cluster, order: PullCommand, dest: ClaimRef, *, choice: Choice, job: JobChoice, argocd_hook: bool
) -> tuple[str, tuple[str, ...]]:
    """The pull as YAML for Git, and what is in its way today. Nothing is created, nor looked at from a pod.

    Raises:
        ClusterDenied: Rights are missing to find out what it needs.
    """
    found = await _preflight(cluster, order, dest.claim, choice=choice, job=replace(job, look=False))
    document = _document(cluster, order, dest.claim, found, job, started_by=None)
    line = f"lading pull {shlex.quote(order.source)} {dest} --output yaml"
    text = gitops.render_job(document, command=line, argocd_hook=argocd_hook)
    return text, (*found.notes, *(problem.shown for problem in found.problems))


async def _preflight(cluster: Cluster, order: PullCommand, claim: str, *, choice: Choice, job: JobChoice) -> Preflight:
    return await preflight(
        cluster,
        order,
        claim,
        placement=await placed(cluster, choice, job),
        credentials=job.credentials,
        look=job.look,
        during_update=job.during_update,
        replace_old=job.replace_old,
    )


def _document(
    cluster: Cluster, order: PullCommand, claim: str, found: Preflight, job: JobChoice, *, started_by: str | None
) -> Object:
    return manifests.job(
        order,
        found.placement,
        claim=claim,
        namespace=cluster.namespace,
        model=order.model,
        credentials=found.credentials,
        source=found.source,
        limits=limits(job),
        started_by=started_by,
    )


async def start(cluster: Cluster, planned: Planned, *, emit: Emit) -> Run:
    """The Job, created, or found running."""
    return await started(cluster, planned.running, planned.document, emit=emit)


async def started(cluster: Cluster, running: Run | None, document: Object, *, emit: Emit) -> Run:
    """The Job that is *running*, else the one of *document*, created or found; of one that was found it is said."""
    run = running or await jobs.start(cluster, document)
    if run.found:
        by = f" by {run.started_by}" if run.started_by else ""
        emit(Notice(message=f"{run.name} does this already, started{by} at {run.created_at}: following it"))
    return run


async def room(cluster: Cluster, planned: Planned, job: JobChoice) -> UpdatePlan:
    """What is done around the pull to those that hold the claim; for one that runs already, too.

    Raises:
        PreflightFailed: Something that holds it cannot be stopped.
    """
    if planned.found is not None:
        return planned.found.update
    claim = await cluster.get(CLAIM, planned.claim)
    model = planned.command.model or planned.command.source
    return await update.plan(cluster, claim, job.during_update, model=model, replace_old=job.replace_old)


def freed(cluster: Cluster, todo: UpdatePlan, *, emit: Emit) -> AbstractAsyncContextManager[Freed]:
    """The claim is free inside; what held it is brought back on leaving; see `lading.placement.update.freed`."""
    return update.freed(cluster, todo, by=who(), emit=emit)


async def followed(
    cluster: Cluster, run: Run, freed: Freed, *, emit: Emit, choice: Choice, model: str | None = None
) -> Event:
    """The result of *run*, which brings *model*. Where it failed and the old version is there still, *freed* is told so."""
    try:
        return await follow.follow(
            cluster, run, emit=emit, report=partial(report, cluster, run, choice), remove_unstartable=not run.found
        )
    except StillRunning:
        raise
    except LadingError:
        freed.intact = freed.intact or await _is_there(run, model or run.model, choice)
        raise


async def _is_there(run: Run, model: str | None, choice: Choice) -> bool:
    """Whether the *model* that *run* was to bring has a version on the claim; False where that cannot be seen."""
    with contextlib.suppress(LadingError):
        async with claims.reached(ClaimRef(claim=run.claim, namespace=run.namespace), choice, write=False) as found:
            listed = await asyncio.to_thread(lambda: {manifest.model for manifest in found.volume.manifests()})
        return model in listed
    return False


async def report(cluster: Cluster, run: Run, choice: Choice) -> JobReport | None:
    """The report that *run* left on its claim, by a helper pod; None where it left none, or cannot be read."""
    place = f"{ours.MOUNT}/{layout.job(run.name)}"
    with contextlib.suppress(LadingError):
        async with helper.helper(cluster, run.claim, write=False, placement=clusters.placement(choice)) as pod:
            said = await pod.run(["head", "-c", str(REPORT_BYTES), place])  # whatever has been put there
        with contextlib.suppress(ValidationError):
            return JobReport.model_validate_json(said.stdout)
    return None


async def placed(cluster: Cluster, choice: Choice, job: JobChoice) -> Placement:
    """How the Job's pods run, by what was said of them."""
    asked = clusters.placement(choice)
    requests = {key: value for key, value in (("cpu", job.cpu), ("memory", job.memory)) if value}
    if requests:
        from lading.manifests.pods import JOB_RESOURCES

        limit = {"memory": job.memory} if job.memory else {}
        asked = replace(
            asked,
            resources={
                "requests": {**JOB_RESOURCES["requests"], **requests},
                "limits": {**JOB_RESOURCES["limits"], **limit},
            },
        )
    return await likeness.like(cluster, job.like, asked) if job.like else asked


def limits(job: JobChoice) -> manifests.Limits:
    """When the Job is given up, by what was said of it."""
    plain = manifests.Limits()
    return replace(
        plain,
        attempts=plain.attempts if job.attempts is None else job.attempts,
        deadline_s=plain.deadline_s if job.deadline_s is None else round(job.deadline_s),
    )


def who() -> str:
    """Who starts it: the user of a notebook's hub, else of this machine."""
    named = os.environ.get("JUPYTERHUB_USER")
    if named:
        return named
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()
