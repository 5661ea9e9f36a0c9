"""`lading serve`."""

import sys
from typing import Annotated, Literal

from cyclopts import Parameter

from lading.cli import serve_view as view
from lading.cli import serving_values as values
from lading.cli.interrupt import stoppable
from lading.cli.output import Common, Output, shown
from lading.cli.serving_options import ServingOptions
from lading.errors import InvalidInput
from lading.events import Emit, Event, ImageProgress, ImagePulled, Notice, ServerStarting
from lading.flows import serve as flow
from lading.spec import ref as refs
from lading.spec import units
from lading.wiring import serving, serving_choice, serving_start
from lading.wiring.serving_start import Prepared


async def serve(
    ref: str | None = None,
    *,
    list_: Annotated[bool, Parameter(name="--list", negative=())] = False,
    engine: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    served_name: str | None = None,
    name: str | None = None,
    host: str = "127.0.0.1",
    pull: str | None = None,
    deadline: str = "10m",
    dry_run: bool = False,
    output: Annotated[Literal["yaml"] | None, Parameter(name=["--output", "-o"])] = None,
    options: ServingOptions | None = None,
    common: Common | None = None,
) -> None:
    """Start a model server and wait until it answers a real request.

    It stays until `lading stop NAME`. When it does not come to answer, it is removed, and the end of its log is shown.

    Args:
        ref: What to serve: a model on a volume (VOL/model@version) or a claim (pvc://claim/model@version), a folder, or a
            GGUF file.
        list_: List what runs on every backend that can be reached, and stop.
        engine: By the model's format when not given, and said. `lading engines` lists them.
        set_: An engine parameter, such as n_parallel=4; may be repeated. `lading engines ENGINE` lists them.
        served_name: The name clients ask for; the model's name by default.
        name: What this server is called; the model's name by default.
        host: The address to listen on, on this machine.
        pull: A volume or claim to bring REF onto first, from any source that `lading pull` takes; it is served from there.
        deadline: How long it may take until it answers, such as 30s or 10m.
        dry_run: Print the command it would run, and the objects it would apply, and stop.
        output: yaml: print the objects instead of applying them, for a repository.
    """
    said = Output(common, live=_live)
    given = options or ServingOptions()
    if list_:
        await view.list_servers(said, ref, given)
        return
    if ref is None:
        raise InvalidInput("name what to serve", hint="lading serve VOLUME/model, or lading serve --list")
    within_s, parameters = values.seconds(deadline), values.parameters(set_)
    given.choice(given.backend or "", offered=serving_choice.offered())  # before anything is pulled or looked into
    reference = refs.parse(await _pulled(ref, pull, common, dry_run=dry_run or output is not None))
    chosen = await serving_choice.chosen(reference, given.backend, given.place(), emit=_heard(said))
    choice = given.choice(chosen.kind, offered=serving_choice.offered())
    ready = serving_start.prepare(chosen, choice, engine, parameters, served_name=served_name, name=name, host=host)
    if output == "yaml":
        view.print_yaml(ready)
    elif dry_run:
        view.tell_plan(said, ready)
        for one in await serving_start.in_the_way(ready):
            said.warn(one.message + (f" ({one.hint})" if one.hint else ""))
    else:
        await _start(said, ready, within_s)


async def _start(said: Output, ready: Prepared, within_s: float) -> None:
    for reason in ready.why:
        said.say(reason)
    if ready.unmanaged:
        said.say(
            f"{ready.shown} is not on a manifest: served as it is, its format ({ready.request.format}) was checked"
        )
    for name in await ready.backend.reap():
        said.say(f"{name} was left by a run that was killed; it is removed")
    await serving_start.require_startable(ready, emit=_heard(said))
    work = flow.serve(ready.backend, ready.request, within_s=within_s, emit=_heard(said))
    served = await stoppable(work, kept="nothing was left running", leaving=serving_start.killing(ready.backend))
    view.tell_served(said, ready, served)


async def _pulled(ref: str, dest: str | None, common: Common | None, *, dry_run: bool) -> str:
    """What is to be served: *ref*, or what it is once it was pulled to *dest*."""
    if dest is None:
        return ref
    if dry_run:
        raise InvalidInput(
            "--pull brings weights, and this is only to print", hint=f"lading pull {ref} {dest} --dry-run"
        )
    from lading.cli.pull import pull

    model, served = serving.pulled_as(refs.parse(ref), refs.parse(dest))
    await pull(ref, dest, model=model, common=common)
    return served


def _heard(said: Output) -> Emit:
    """Events to *said*; why it takes time is told also where nobody watches."""

    def tell(event: Event) -> None:
        if isinstance(event, Notice):
            said.say(event.message + (f" ({event.hint})" if event.hint else ""))
        said.event(event)

    return tell


def _live(event: Event) -> None:
    match event:
        case ServerStarting():
            print(f"starting {event.engine}; waiting for its first answer …", file=sys.stderr)
        case ImageProgress(total_bytes=0):
            print(f"pulling {shown(event.image)} …", file=sys.stderr)
        case ImagePulled():
            took = units.show_seconds(event.seconds)
            print(f"{shown(event.image)} is here: {units.show_bytes(event.size_bytes)} in {took}", file=sys.stderr)
