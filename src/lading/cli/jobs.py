"""`lading jobs`: what of ours runs on a cluster without us."""

import time
from datetime import datetime
from functools import partial
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from lading.answers.jobs import JobCancelled, JobListed
from lading.cli.output import Common, Output
from lading.cli.where import Where
from lading.spec import units

app = cyclopts.App(name="jobs", help="List, follow and cancel what runs in Jobs.")


@app.default
async def list_jobs(*, where: Where | None = None, common: Common | None = None) -> None:
    """List, follow and cancel what runs in Jobs."""
    from lading.placement import listing
    from lading.wiring import clusters

    output = Output(common)
    async with clusters.cluster((where or Where()).choice()) as cluster:
        listed = await listing.listed(cluster)
    for job in listed if output.json else ():
        output.result(job)
    if output.json:
        return
    if not listed:
        output.say(f"no Jobs of ours in namespace {cluster.namespace}")
        return
    columns = ["job", "purpose", "claim", "model", "state", "progress", "age", "started by"]
    output.table(columns, [_row(job) for job in listed], right=["progress", "age"])


@app.command
async def follow(name: str, *, where: Where | None = None, common: Common | None = None) -> None:
    """Show a Job as it goes on, to its end.

    Ctrl-C asks whether to leave it running or to stop it.

    Args:
        name: The Job, as `lading jobs` lists it.
    """
    from lading.cli.pull import PullView
    from lading.cli.watching import Watching
    from lading.placement import follow as following
    from lading.placement import jobs
    from lading.wiring import clusters, pulls

    view = PullView()
    output = Output(common, live=view)
    choice = (where or Where()).choice()
    async with clusters.cluster(choice) as cluster:
        run = jobs.run_of(await jobs.named(cluster, name), found=True)
        watching = Watching(output, view, choice)
        work = following.follow(cluster, run, emit=watching, report=partial(pulls.report, cluster, run, choice))
        try:
            watching.tell_result(await watching.wait(cluster, run, work, timeout_s=None), run)
        finally:
            view.close()


@app.command
async def cancel(
    name: str,
    *,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=())] = False,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Stop a Job and remove it; what it finished stays on the claim.

    The same pull, started again, goes on from there.

    Args:
        name: The Job, as `lading jobs` lists it.
        yes: Do not ask.
    """
    from lading.placement import jobs
    from lading.wiring import clusters

    output = Output(common)
    async with clusters.cluster((where or Where()).choice()) as cluster:
        job = await jobs.named(cluster, name)
        was = jobs.state(job)
        if was in {"waiting", "running"}:
            output.confirm(f"Stop {name}, which is {was}?", yes=yes)
        await jobs.cancel(cluster, jobs.run_of(job))
    answer = JobCancelled(name=name, namespace=cluster.namespace, was=was)
    output.result(answer, f"{name} is removed; it was {was}, and what it finished stays on the claim")


def _row(job: JobListed) -> tuple[str, ...]:
    done = f"{100 * job.done_bytes // job.total_bytes} %" if job.done_bytes is not None and job.total_bytes else ""
    state = job.state + (f" ({job.reason})" if job.reason else "")
    claim = f"pvc://{job.claim}"
    return (job.name, job.purpose, claim, job.model or "", state, done, _age(job.created_at), job.started_by or "")


def _age(created_at: str) -> str:
    try:
        return units.show_seconds(max(0.0, time.time() - datetime.fromisoformat(created_at).timestamp()))
    except ValueError:
        return "?"
