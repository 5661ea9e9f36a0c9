"""`lading stop`."""

from typing import Annotated

from cyclopts import Parameter

from lading.cli import serve_view as view
from lading.cli import serving_values as values
from lading.cli.output import Common, Output
from lading.errors import InvalidInput
from lading.flows import serve as flow
from lading.ports.backend import Backend, Running
from lading.spec import units
from lading.spec.study import BackendChoice
from lading.wiring import servers
from lading.wiring.servers import Seen


async def stop(
    *names: str,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=())] = False,
    backend: str | None = None,
    namespace: Annotated[str | None, Parameter(name=["--namespace", "-n"])] = None,
    context: str | None = None,
    deadline: str = "60s",
    common: Common | None = None,
) -> None:
    """Stop a server that `lading serve` started.

    Returns when nothing of it is left: no process, no container, no object, and its port is free. A name is looked for on
    this machine first, then on the cluster.

    Args:
        names: What the servers are called.
        all_: Every server of ours on every backend that can be reached, also those of a study that is being tuned. Lists
            them, and asks.
        yes: Do not ask.
        backend: Look only there.
        namespace: Namespace of servers in a cluster; the context's own by default.
        context: Context of the kubeconfig; its current one by default.
        deadline: How long that may take, for each.
    """
    output = Output(common)
    within_s = values.seconds(deadline)
    choice = BackendChoice(kind=backend or "process", namespace=namespace, context=context)
    if all_ == bool(names):
        raise InvalidInput("name the server to stop, or give --all", hint="`lading serve --list` shows what runs")
    if all_:
        await _stop_all(output, choice, backend, within_s, yes=yes)
        return
    found = [await servers.the_one(name, choice, kind=backend) for name in dict.fromkeys(names)]
    for server, place in found:
        await _stop(output, server, place, within_s)


async def _stop_all(output: Output, choice: BackendChoice, kind: str | None, within_s: float, *, yes: bool) -> None:
    seen = await servers.everywhere(choice, kinds=(kind,) if kind else None)
    for _, place in seen.backends:
        for name in await place.reap():
            output.say(f"{name} was left by a run that was killed; it is removed")
    seen = await servers.everywhere(choice, kinds=[one for one, _ in seen.backends]) if seen.backends else seen
    view.warn_unreached(output, seen)
    if not seen.servers:
        output.say("nothing of ours runs")
        return
    if not yes:
        _show(output, seen)
    output.confirm(f"stop {units.show_count(len(seen.servers), 'server')}?", yes=yes)
    for server in seen.servers:
        await _stop(output, server, seen.backend(server), within_s)


def _show(output: Output, seen: Seen) -> None:
    """On stderr: stdout is for what was stopped."""
    for server in seen.servers:
        where = f"{server.backend} ({server.place})" if server.place else server.backend
        run = ", of a live run" if server.of_a_run else ""
        output.say(f"  {server.name}  {where}, serves {server.served_name}, {server.state}{run}")


async def _stop(output: Output, server: Running, place: Backend, within_s: float) -> None:
    await flow.stop(place, server.name, emit=output.event, within_s=within_s)
    if not output.json:  # its event was the last line
        print(f"{server.name} is stopped")
