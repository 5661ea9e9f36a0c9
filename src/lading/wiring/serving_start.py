"""From what was chosen to a start: a backend with a request, planned, and what would be in its way on a cluster."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lading import wiring
from lading.errors import PreflightFailed
from lading.events import Emit, PreflightProblem, ignore
from lading.ports.backend import Backend, Deployment, ServeRequest
from lading.spec.placement import Choice
from lading.spec.study import BackendChoice
from lading.wiring import serving
from lading.wiring.serving_choice import Chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A server that can be started, or printed.

    Attributes:
        why: What was chosen for the user, each with its reason.
        unmanaged: The model is on no manifest.
        shown: The model as a person names it.
        version: ``model@version``; None where it is on no manifest.
        files: Paths of the model's files, by its manifest; None where it is on none.
    """

    backend: Backend
    choice: BackendChoice
    request: ServeRequest
    plan: Deployment
    why: tuple[str, ...]
    unmanaged: bool
    shown: str
    version: str | None = None
    files: tuple[str, ...] | None = None


def prepare(
    chosen: Chosen,
    choice: BackendChoice,
    engine: str | None,
    parameters: Mapping[str, object],
    *,
    served_name: str | None = None,
    name: str | None = None,
    host: str = "127.0.0.1",
    lease: str | None = None,
) -> Prepared:
    """The server for what was *chosen*, planned: nothing is started.

    Raises:
        InvalidInput, InvalidParameters, FormatRefused, MissingProgram, MissingExtra: As named.
    """
    model, claim = chosen.model, chosen.claim
    placed = choice.model_copy(update={"namespace": choice.namespace or claim.namespace}) if claim else choice
    backend = wiring.backend(placed)
    request = serving.request(
        model, engine, parameters, served_name=served_name, name=name, host=host, lease=lease, claim=claim
    )
    reason = () if engine else (serving.engine_for(model, None)[1],)
    shown = f"pvc://{claim.namespace}:{claim.claim}/{claim.path}".rstrip("/") if claim else str(model.path)
    return Prepared(
        backend=backend, choice=placed, request=request, plan=backend.plan(request), why=(*chosen.why, *reason),
        unmanaged=model.unmanaged, shown=shown,
        version=f"{model.manifest.model}@{model.manifest.version}" if model.manifest else None,
        files=tuple(one.path for one in model.manifest.files) if model.manifest else None,
    )  # fmt: skip


async def require_startable(ready: Prepared, *, emit: Emit = ignore) -> None:
    """Nothing, where nothing is known to be in the way of the start; only a cluster is asked.

    Raises:
        PreflightFailed: All that is in the way, each with its remedy.
    """
    found = await in_the_way(ready)
    for one in found:
        emit(one)
    if found:
        told = [one.message + (f" ({one.hint})" if one.hint else "") for one in found]
        raise PreflightFailed(f"{ready.plan.name} would not come to serve", problems=told)


async def in_the_way(ready: Prepared) -> tuple[PreflightProblem, ...]:
    """All that would keep it from serving; empty for what runs already, and elsewhere than on a cluster."""
    if ready.request.claim is None or await ready.backend.alive(ready.plan.name):
        return ()
    from lading.placement.serving import preflight
    from lading.wiring import clusters

    place = Choice(namespace=ready.choice.namespace, context=ready.choice.context)
    async with clusters.cluster(place) as cluster:
        return await preflight(cluster, ready.plan, ready.request, ready.choice, files=ready.files)


def killing(backend: Backend) -> Callable[[], None]:
    """What a program does that is about to leave at once: kill what *backend* started here, where it can."""
    kill: Callable[[], None] = getattr(backend, "kill_started", _nothing)
    return kill


def _nothing() -> None:
    """A server in a cluster is not ours to kill by a signal: its lease, or `lading stop`, ends it."""
