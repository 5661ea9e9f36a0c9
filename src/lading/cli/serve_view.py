"""What `lading serve` shows: a plan, a server that answers, and the list of all that run."""

import shlex

from lading.answers.serving import Served, ServePlan, ServerListed
from lading.cli.output import Output
from lading.cli.serving_options import ServingOptions
from lading.errors import InvalidInput
from lading.flows import serve as flow
from lading.manifests import yaml
from lading.ports.backend import Running
from lading.spec import units
from lading.spec.study import BackendChoice
from lading.wiring import servers, serving
from lading.wiring.servers import Seen
from lading.wiring.serving_start import Prepared

#: Backends whose models lie on this machine, where their version can be seen.
_HERE = frozenset({"process", "docker"})


def tell_plan(output: Output, ready: Prepared) -> None:
    """The command, and the objects; values that are passed on are not shown."""
    plan = ready.plan
    passed = [key for key, value in ready.choice.env.items() if value is None]
    env = {**plan.env, **dict.fromkeys(passed, "…")}
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
        backend=plan.backend,
        image=plan.image,
        objects=tuple(dict(one) for one in plan.objects),
        why=ready.why,
        unmanaged=ready.unmanaged,
    )
    for reason in ready.why:
        output.say(reason)
    output.result(document, "\n".join(_plan_lines(ready, env)))


def _plan_lines(ready: Prepared, env: dict[str, str]) -> list[str]:
    words = [*(f"{key}={value}" for key, value in env.items()), *ready.plan.argv]
    command = shlex.join(words).replace("'…'", "…")
    lines = [command] if ready.plan.image is None else [f"# in {ready.plan.image}", command]
    if ready.plan.objects:
        lines += ["---", yaml.render(ready.plan.objects, head=()).rstrip("\n")]
    return lines


def print_yaml(ready: Prepared) -> None:
    """The objects as YAML on stdout, with where they came from.

    Raises:
        InvalidInput: The backend applies none.
    """
    if not ready.plan.objects:
        raise InvalidInput(
            f"backend {ready.plan.backend} applies no objects", hint="--dry-run prints the command it would run"
        )
    head = [
        f"{ready.plan.served_name}: {ready.version or 'not on a manifest'}, {ready.shown}, by {ready.plan.engine.name}.",
        "Made by `lading serve --output yaml`; apply it with `kubectl apply -f FILE`.",
    ]
    print(yaml.render(ready.plan.objects, head=head), end="")


def tell_served(output: Output, ready: Prepared, served: flow.Served) -> None:
    """Where it answers, and the next commands."""
    name, endpoint = ready.plan.name, served.ready.endpoint
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
        backend=ready.plan.backend,
        reach=endpoint.reach,
        unmanaged=ready.unmanaged,
    )
    inside = ", inside the cluster," if endpoint.reach == "cluster" else ""
    took = units.show_seconds(served.ready.ready_s)
    lines = [
        f"{endpoint.served_name} answers at {endpoint.base_url}/v1{inside} after {took}",
        f'ask:  lading ask {name} "Hello"',
        f"stop: lading stop {name}",
    ]
    output.result(document, "\n".join(lines))


async def list_servers(output: Output, ref: str | None, options: ServingOptions) -> None:
    """Every server of ours that can be seen from here; why a backend could not be asked is a warning.

    Raises:
        InvalidInput: Something to serve was named, too.
    """
    if ref is not None:
        raise InvalidInput(f"--list starts nothing, and {ref} was named", hint="leave one of the two out")
    choice = BackendChoice(kind=options.backend or "process", namespace=options.namespace, context=options.context)
    seen = await servers.everywhere(choice, kinds=(options.backend,) if options.backend else None)
    if output.json:
        for server in seen.servers:
            output.result(listed(server))
    else:
        _show(output, seen)
    warn_unreached(output, seen)


def warn_unreached(output: Output, seen: Seen) -> None:
    """Say which backends could not be asked: what runs there is not in the list."""
    for one in seen.unreached:
        hint = f" ({one.error.hint})" if one.error.hint else ""
        output.warn(f"{one.kind} could not be asked, what runs there is not listed: {one.error.message}{hint}")


def table(output: Output, running: tuple[Running, ...]) -> None:
    """Servers as rows."""
    rows = [_row(listed(server)) for server in running]
    output.table(("name", "backend", "state", "model", "serves", "url"), rows, right=("url",))


def listed(server: Running) -> ServerListed:
    """*server* as an answer, with the version that it serves where that can be told from here."""
    return ServerListed(
        name=server.name,
        backend=server.backend,
        place=server.place,
        engine=server.engine,
        served_name=server.served_name,
        model=server.model,
        version=serving.version_of(server.model) if server.backend in _HERE else None,
        state=server.state,
        url=server.url,
        reach=server.reach,
        image=server.image,
        of_a_run=server.of_a_run,
    )


def _show(output: Output, seen: Seen) -> None:
    if seen.servers:
        table(output, seen.servers)
        return
    asked = ", ".join(kind for kind, _ in seen.backends) or "no backend"
    output.say(f"nothing of ours runs (asked: {asked}); `lading serve REF` starts a server")


def _row(server: ServerListed) -> tuple[str, ...]:
    where = f"{server.backend} ({server.place})" if server.place else server.backend
    state = f"{server.state}, of a live run" if server.of_a_run else server.state
    return server.name, where, state, server.version or server.model, server.served_name, server.url or ""
