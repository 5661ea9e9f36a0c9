"""`lading push` from a claim: in a Job beside the volume, with the credentials that the cluster has for the store."""

from dataclasses import replace

from lading.cli.in_job import InJob
from lading.cli.interrupt import stoppable
from lading.cli.output import Output
from lading.cli.pull import PullView
from lading.cli.watching import Watching
from lading.cli.where import Where
from lading.spec.command import PushCommand
from lading.spec.ref import ClaimRef
from lading.wiring import pulls, push_jobs


async def push_from_claim(
    source: ClaimRef, order: PushCommand, *, where: Where, in_job: InJob, output: Output, view: PullView, dry_run: bool
) -> None:
    """Have a Job do *order*, and follow it."""
    choice, job = where.choice(), in_job.choice(service_account=where.service_account)
    async with pulls.cluster_of(source, choice) as cluster:
        if in_job.output is not None:
            hook = in_job.argocd_hook
            text, notes = await push_jobs.written(cluster, order, source, choice=choice, job=job, argocd_hook=hook)
            print(text, end="")
            _say(output, notes)
            return
        watching = Watching(output, view, replace(choice, namespace=source.namespace or choice.namespace))
        planning = push_jobs.plan(cluster, order, source.claim, choice=choice, job=job, emit=watching)
        planned = await stoppable(planning, kept="nothing was started")
        if dry_run:
            output.result(planned.document, f"would create Job {planned.name}, which pushes {source} to {order.dest}")
            _say(output, planned.notes)
            return
        if order.remove_extra:
            output.confirm(f"Files at {order.dest} that are not of this model will be removed. Go on?", yes=in_job.yes)
        run = await push_jobs.start(cluster, planned, emit=watching)
        if in_job.detach:
            watching.tell_started(run, f"pushes {source} to {order.dest}")
            return
        work = push_jobs.followed(cluster, run, emit=watching, choice=choice)
        watching.tell_result(await watching.wait(cluster, run, work, timeout_s=in_job.timeout_s), run)


def _say(output: Output, notes: tuple[str, ...]) -> None:
    for note in notes:
        output.say(f"  {note}")
