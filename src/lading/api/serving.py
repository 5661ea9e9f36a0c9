"""Servers for as long as they are needed, one question, and a measurement."""

from collections.abc import Awaitable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lading import wiring
from lading.api import portal
from lading.backends import asking_given
from lading.errors import InvalidInput
from lading.events import Emit, ignore
from lading.flows import bench as benching
from lading.flows import serve as flow
from lading.flows.bench import BenchResult
from lading.ports.backend import Backend, Endpoint
from lading.spec import ref as refs
from lading.spec import units
from lading.spec.placement import Choice
from lading.spec.study import BackendChoice
from lading.spec.workload import Workload
from lading.wiring import asking, servers, serving_choice, serving_start
from lading.wiring import serving as names
from lading.wiring.serving_start import Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answered a real request.

    Attributes:
        name: What `stop` and the command line call it.
        url: Without ``/v1``.
        argv: What really runs.
        differences: Where that is not what was asked for, in words.
        place: The backend that runs it.
    """

    name: str
    url: str
    served_name: str
    argv: tuple[str, ...] | None
    differences: tuple[str, ...]
    place: Backend = field(repr=False, compare=False)


def serve(
    ref: str | Path,
    *,
    parameters: Mapping[str, object] | None = None,
    engine: str | None = None,
    name: str | None = None,
    served_name: str | None = None,
    backend: BackendChoice | None = None,
    deadline: str | float = "10m",
    emit: Emit = ignore,
) -> Server:
    """Start a server on *ref* that stays until `stop`, as ``lading serve`` does.

    Args:
        ref: A model on a volume (``volume/model@version``) or a claim (``pvc://claim/model``), a folder, or a GGUF file.
        parameters: The engine's own, checked before anything is started.
        engine: By the model's format when not given.
        name: What it is called here; the model's name by default.
        served_name: The name clients ask for; the model's name by default.
        backend: Where it runs, with its options; by default here, or on the cluster of a claim.
        deadline: How long it may take until it answers: ``"90s"``, or seconds.
        emit: Told each step.

    Raises:
        ServingError: It did not come to answer; it was removed, and the error has the end of its log.
    """
    ready = portal.run(_prepared(ref, engine, parameters, backend, served_name=served_name, name=name, emit=emit))
    work = flow.serve(ready.backend, ready.request, within_s=_seconds(deadline), emit=emit)
    return _server(ready, portal.run(_checked(ready, work)))


@contextmanager
def serving(
    ref: str | Path,
    *,
    parameters: Mapping[str, object] | None = None,
    engine: str | None = None,
    name: str | None = None,
    served_name: str | None = None,
    backend: BackendChoice | None = None,
    deadline: str | float = "10m",
    emit: Emit = ignore,
) -> Iterator[Server]:
    """A server for the length of a block, removed at its end however it ends; arguments as for `serve`.

    Should this process be killed, the next command of ours removes the server.

    Raises:
        ServingError: It did not come to answer, or something of it could not be removed.
    """
    with wiring.lease() as lease:
        ready = portal.run(
            _prepared(ref, engine, parameters, backend, served_name=served_name, name=name, lease=lease.id, emit=emit)
        )
        block = flow.serving(ready.backend, ready.request, within_s=_seconds(deadline), emit=emit)
        served = portal.run(_checked(ready, block.__aenter__()))
        try:
            yield _server(ready, served)
        finally:
            portal.run(block.__aexit__(None, None, None))


def stop(server: Server | str, *, deadline: str | float = "60s", emit: Emit = ignore) -> None:
    """Stop *server* with all its children and verify that they are gone; an unknown name is silent.

    Raises:
        TeardownFailed: Something of it is still there.
    """
    portal.run(_stop(server, _seconds(deadline), emit))


def ask(
    server: Server | str,
    prompt: str,
    *,
    max_tokens: int = 128,
    model: str | None = None,
    raw: bool = False,
    api_key_env: str | None = None,
) -> str:
    """The answer to *prompt*; of a server that predicts, whose rows it is as JSON, the predictions as JSON.

    Args:
        server: What `serve` gave, its name, or a URL.
        prompt: What to say.
        max_tokens: The longest answer.
        model: The model to ask for; the one that is served by default.
        raw: Complete the text as it is, without a chat around it.
        api_key_env: The environment variable that has the server's key; ``LADING_API_KEY`` by default.

    Raises:
        InvalidInput: No server is called so.
        ServingError: It cannot be asked.
    """
    return portal.run(_answer(server, prompt, max_tokens, model, raw=raw, api_key_env=api_key_env))


def bench(
    server: Server | str,
    workload: Workload,
    out: str | Path | None = None,
    *,
    model: str | None = None,
    api_key_env: str | None = None,
    emit: Emit = ignore,
) -> BenchResult:
    """Measure *server* under *workload*, as ``lading bench`` does.

    *out* is a new folder for the summary and the raw records; made beside the current one by default.

    Raises:
        MeasurementError: The warm-up was not answered; nothing was written.
    """
    return portal.run(_bench(server, workload, out, model=model, api_key_env=api_key_env, emit=emit))


async def _answer(
    server: Server | str, prompt: str, max_tokens: int, model: str | None, *, raw: bool, api_key_env: str | None
) -> str:
    async with names.asked(_address(server), api_key_env) as endpoint:
        given = asking_given.read(prompt)
        reply = await asking.ask(
            endpoint, given, protocol="completions" if raw else None, model=model, max_tokens=max_tokens
        )
    return reply.answer


async def _bench(
    server: Server | str,
    workload: Workload,
    out: str | Path | None,
    *,
    model: str | None,
    api_key_env: str | None,
    emit: Emit,
) -> BenchResult:
    endpoint: Endpoint = await names.named(await names.endpoint_of(_address(server), api_key_env), model)
    folder = Path(out) if out is not None else names.result_folder(_address(server))
    return await benching.bench(endpoint, workload, wiring.load_generator(), folder, emit=emit)


def _address(server: Server | str) -> str:
    return server.name if isinstance(server, Server) else server


async def _prepared(
    ref: str | Path,
    engine: str | None,
    parameters: Mapping[str, object] | None,
    backend: BackendChoice | None,
    *,
    served_name: str | None,
    name: str | None,
    lease: str | None = None,
    emit: Emit = ignore,
) -> Prepared:
    given = backend or BackendChoice()
    place = Choice(namespace=given.namespace, context=given.context)
    chosen = await serving_choice.chosen(refs.parse(str(ref)), backend.kind if backend else None, place, emit=emit)
    choice = given.model_copy(update={"kind": chosen.kind})
    return serving_start.prepare(
        chosen, choice, engine, parameters or {}, served_name=served_name, name=name, lease=lease
    )  # fmt: skip


async def _checked(ready: Prepared, work: Awaitable[flow.Served]) -> flow.Served:
    """What *work* gives, begun only where nothing is known to be in its way."""
    try:
        await serving_start.require_startable(ready)
    except BaseException:
        if isinstance(work, Coroutine):
            work.close()
        raise
    return await work


async def _stop(server: Server | str, within_s: float, emit: Emit) -> None:
    if isinstance(server, Server):
        await flow.stop(server.place, server.name, emit=emit, within_s=within_s)
        return
    seen = await servers.looked_for(server)
    for one in seen.named(server):
        await flow.stop(seen.backend(one), one.name, emit=emit, within_s=within_s)


def _server(ready: Prepared, served: flow.Served) -> Server:
    endpoint = served.ready.endpoint
    return Server(
        name=ready.plan.name,
        url=endpoint.base_url,
        served_name=endpoint.served_name,
        argv=served.ready.argv,
        differences=served.differences,
        place=ready.backend,
    )


def _seconds(deadline: str | float) -> float:
    try:
        return units.parse_seconds(deadline)
    except ValueError as error:
        raise InvalidInput(f"deadline: {error}") from error
