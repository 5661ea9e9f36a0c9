"""`lading serve`, `lading stop`."""

import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lading.answers.serving import Served, ServePlan
from lading.backends.process import ProcessBackend
from lading.cli.interrupt import stoppable
from lading.cli.output import Common, Output
from lading.errors import InvalidInput
from lading.events import Event, ServerStarting
from lading.flows import serve as flow
from lading.ports.backend import Deployment
from lading.spec import ref as refs
from lading.spec import secret, units
from lading.spec.study import BackendChoice
from lading.volume import servable
from lading.wiring import serving


async def serve(
    ref: str,
    *,
    backend: str = "process",
    engine: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    served_name: str | None = None,
    name: str | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    python: str | None = None,
    env: tuple[str, ...] = (),
    deadline: str = "10m",
    dry_run: bool = False,
    common: Common | None = None,
) -> None:
    """Start a model server and wait until it answers a real request.

    It stays until `lading stop NAME`. When it does not come to answer, it is removed, and the end of its log is shown.

    Args:
        ref: What to serve: a model on a volume (VOL/model@version), a folder, or a GGUF file.
        backend: Where it runs: process (on this machine).
        engine: llama.cpp or vllm; by the model's format when not given.
        set_: An engine parameter, such as n_parallel=4; may be repeated. `lading engines ENGINE` lists them.
        served_name: The name clients ask for; the model's name by default.
        name: What this server is called here; the model's name by default.
        host: The address to listen on.
        port: The port to listen on; a free one by default.
        python: The interpreter of the environment that has the engine; this one by default, then the PATH.
        env: A variable for the server, NAME=value, or NAME to pass one on; may be repeated.
        deadline: How long it may take until it answers, such as 30s or 10m.
        dry_run: Print the command it would run, and stop.
    """
    output = Output(common, live=_live)
    within_s = _seconds(deadline)
    model = servable.servable(refs.parse(ref))
    if backend != "process":
        raise InvalidInput(f"{backend!r} cannot start a server here", hint="use --backend process")
    variables = _environment(env)
    adapter = serving.process_backend(BackendChoice(kind=backend, python=python, env=variables, port=port))
    request = serving.request(model, engine, _parameters(set_), served_name=served_name, name=name, host=host)
    plan = adapter.plan(request)
    if dry_run:
        _tell_plan(output, plan, passed=[key for key, value in variables.items() if value is None])
        return
    if model.unmanaged:
        output.say(f"{model.path} has no manifest: served as it is, its format ({model.format}) was checked")
    await _reap(adapter, output)
    work = flow.serve(adapter, request, within_s=within_s, emit=output.event)
    served = await stoppable(work, kept="nothing was left running", leaving=adapter.kill_started)
    _tell_served(output, request.name, served)


async def stop(
    *names: str,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    deadline: str = "60s",
    common: Common | None = None,
) -> None:
    """Stop a server that `lading serve` started.

    Returns when none of its processes is left and its port is free.

    Args:
        names: What the servers are called.
        all_: Every server that runs here, but those of a study that is being tuned.
        deadline: How long that may take.
    """
    output = Output(common)
    within_s = _seconds(deadline)
    backend = serving.process_backend()
    await _reap(backend, output)
    running = await backend.names()
    if all_ == bool(names):
        raise InvalidInput("name the server to stop, or give --all", hint=serving.known(running))
    unknown = [name for name in names if name not in running]
    if unknown:
        raise InvalidInput(f"no server is called {', '.join(unknown)}", hint=serving.known(running))
    users = [name for name in running if not backend.belongs_to_a_run(name)]
    for name in users if all_ else dict.fromkeys(names):
        await flow.stop(backend, name, emit=output.event, within_s=within_s)
        if not output.json:  # its event was the last line
            print(f"{name} is stopped")


async def _reap(backend: ProcessBackend, output: Output) -> None:
    for name in await backend.reap():
        output.say(f"{name} was left by a run that was killed; it is removed")


def _parameters(settings: Sequence[str]) -> dict[str, object]:
    """``["n_ctx=4096"]`` as parameters; values are read as YAML."""
    params: dict[str, object] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise InvalidInput(f"--set {setting} is not PARAMETER=VALUE", hint="such as --set n_parallel=4")
        try:
            params[key] = YAML(typ="safe", pure=True).load(value) if value else ""
        except YAMLError:
            params[key] = value
    return params


def _environment(settings: Sequence[str]) -> dict[str, str | None]:
    """Variables with their values; None for one that is passed on."""
    env: dict[str, str | None] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        env[key] = value if equals else None
    for key in secret.literal(env):
        raise InvalidInput(
            f"--env {key}=… would show a secret to everyone on this machine",
            hint=f"export {key}, and pass it on by its name: --env {key}",
        )
    return env


def _tell_plan(output: Output, plan: Deployment, *, passed: Sequence[str]) -> None:
    env = {**plan.env, **dict.fromkeys(passed, "…")}
    words = [*(f"{key}={value}" for key, value in env.items()), *plan.argv]
    document = ServePlan(
        name=plan.name,
        engine=plan.engine.name,
        program=plan.program,
        argv=plan.argv,
        argv_sha256=plan.argv_sha256,
        env=env,
        model=plan.model,
        served_name=plan.served_name,
        params=dict(plan.params),
    )
    output.result(document, shlex.join(words).replace("'…'", "…"))


def _tell_served(output: Output, name: str, served: flow.Served) -> None:
    endpoint = served.ready.endpoint
    for difference in served.differences:
        output.say(f"note: {difference}")
    document = Served(
        name=name,
        url=endpoint.base_url,
        served_name=endpoint.served_name,
        ready_s=round(served.ready.ready_s, 3),
        effective=dict(served.ready.effective),
        differences=served.differences,
        argv=served.ready.argv or (),
    )
    lines = [
        f"{endpoint.served_name} answers at {endpoint.base_url}/v1 after {units.show_seconds(served.ready.ready_s)}",
        f'ask:  lading ask {name} "Hello"',
        f"stop: lading stop {name}",
    ]
    output.result(document, "\n".join(lines))


def _seconds(text: str) -> float:
    try:
        return units.parse_seconds(text)
    except ValueError as error:
        raise InvalidInput(f"--deadline: {error}", hint="such as --deadline 90s") from error


def _live(event: Event) -> None:
    if isinstance(event, ServerStarting):
        print(f"starting {event.engine}; waiting for its first answer …", file=sys.stderr)
