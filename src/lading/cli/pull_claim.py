"""`lading pull` onto a claim: in a Job beside the volume, or, from a folder of this machine or a claim elsewhere, through a pod."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from lading.cli.in_job import InJob
from lading.cli.interrupt import stoppable
from lading.cli.output import Output
from lading.cli.pull import PullView, tell_done, tell_order
from lading.cli.watching import Watching
from lading.cli.where import Where
from lading.errors import InvalidInput
from lading.events import PullPlanned, Unchanged
from lading.spec import units
from lading.spec.ref import LocalRef
from lading.wiring import claims, onto, pulls
from lading.wiring.pulls import Asked


async def pull_onto_claim(
    asked: Asked, where: Where, job: InJob, output: Output, view: PullView, *, dry_run: bool
) -> None:
    """Bring it there by the way that fits the source."""
    try:
        if asked.is_streamed(where.choice()):
            _no_job(asked, job)
            await _streamed(asked, where, output, view, dry_run=dry_run)
        else:
            await _in_job(asked, where, job, output, view, dry_run=dry_run)
    finally:
        view.close()


# ---------------------------------------------------------------------------------------------------------- in a Job


async def _in_job(asked: Asked, where: Where, in_job: InJob, output: Output, view: PullView, *, dry_run: bool) -> None:
    choice, job = where.choice(), in_job.choice(service_account=where.service_account)
    order = pulls.command(asked, replace_old=job.replace_old)
    async with pulls.cluster_of(asked.dest, choice) as cluster:
        if in_job.output is not None:
            hook = in_job.argocd_hook
            text, notes = await pulls.written(cluster, order, asked.dest, choice=choice, job=job, argocd_hook=hook)
            print(text, end="")
            for note in notes:
                output.say(f"  {note}")
            return
        watching = Watching(output, view, replace(choice, namespace=asked.dest.namespace or choice.namespace))
        if job.look:
            output.say(f"checking the cluster, then {asked.source} from where the Job will run …")
        planning = pulls.plan(cluster, order, asked.dest.claim, choice=choice, job=job, emit=watching)
        planned = await stoppable(planning, kept="nothing was started")
        room = await pulls.room(cluster, planned, job)
        if dry_run:
            _tell_plan(output, planned, room.said)
            return
        if isinstance(planned.answer, Unchanged) and not room.healed:
            watching(planned.answer)
            tell_done(output, planned.answer, claims.shown(asked.dest, choice), then="show")
            return
        _ask(output, room.said, yes=in_job.yes)
        async with AsyncExitStack() as stack:
            entering = stack.enter_async_context(pulls.freed(cluster, room, emit=watching))
            freed = await stoppable(entering, kept="what was stopped is started again")
            run = await pulls.start(cluster, planned, emit=watching)
            if in_job.detach:
                onto_what = watching.claim(run) + (f"/{run.model}" if run.model else "")
                watching.tell_started(run, f"pulls {asked.source} onto {onto_what}")
                return
            work = pulls.followed(cluster, run, freed, emit=watching, choice=choice, model=planned.model)
            result = await watching.wait(cluster, run, work, timeout_s=in_job.timeout_s)
        watching.tell_result(result, run)


def _ask(output: Output, said: Sequence[str], *, yes: bool) -> None:
    """Before a server is stopped or a version removed: what will be done, and whether it may."""
    if not said:
        return
    for sentence in said:
        output.say(f"  will {sentence}")
    output.confirm("Go on?", yes=yes)


def _tell_plan(output: Output, planned: pulls.Planned, around: Sequence[str]) -> None:
    """What would be pulled, by which Job, and what would be done *around* it."""
    name = planned.document["metadata"]["name"]
    if planned.running is not None:
        output.say(f"{name} does this already")
    answer = planned.answer
    match answer:
        case None:
            output.result(planned.document, f"would create Job {name}; the source was not looked at")
        case Unchanged():
            output.result(answer, f"{answer.path} has this already: nothing to do")
        case PullPlanned():
            files, size = units.show_count(answer.files, "file"), units.show_bytes(answer.size_bytes)
            dest = f"{answer.volume}/{answer.model}@{answer.version}"
            output.result(answer, f"would pull {files}, {size}, from {answer.source} to {dest}\nby Job {name}")
    for sentence in around:
        output.say(f"  would {sentence}")
    for note in planned.found.notes if planned.found else ():
        output.say(f"  {note}")


# ---------------------------------------------------------------------------------------------------------- streamed


def _no_job(asked: Asked, job: InJob) -> None:
    """What no pod can mount is streamed from here.

    Raises:
        InvalidInput: An option says how a Job is to be.
    """
    if replace(job, wait=False, yes=False) != InJob():
        why = "is a folder of this machine" if isinstance(asked.source, LocalRef) else f"is not beside {asked.dest}"
        raise InvalidInput(
            f"{asked.source} {why}: it is streamed from here, not pulled by a Job",
            hint="leave out the options of a Job",
        )


async def _streamed(asked: Asked, where: Where, output: Output, view: PullView, *, dry_run: bool) -> None:
    """Stream it into a pod that mounts the claim; or write to it, where it is mounted here."""
    watching = Watching(output, view, where.choice())
    place = claims.shown(asked.dest, where.choice())

    async def work() -> None:
        async with onto.streamed(asked, choice=where.choice(), write=not dry_run, emit=watching) as stream:
            if dry_run:
                tell_order(output, await stream.decided(), place)
                return
            tell_done(output, await stream.bring(), place, then="verify")

    await stoppable(work(), kept="finished files are kept")
