"""Serving: a backend starts what was planned, and what it starts is removed, or handed over whole."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from lading.engines import effective
from lading.events import Emit, ServerReady, ServerStarting, ServerStopped
from lading.flows import flags
from lading.ports.backend import Backend, Deployment, Narrates, Ready, ServeRequest

TEARDOWN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that answered, with what was planned.

    Attributes:
        differences: Where what runs is not what was asked for, in words.
    """

    deployment: Deployment
    ready: Ready
    differences: tuple[str, ...]


@asynccontextmanager
async def serving(
    backend: Backend, request: ServeRequest, *, within_s: float, emit: Emit, teardown_s: float = TEARDOWN_S
) -> AsyncIterator[Served]:
    """A server for the length of a block, removed at its end however it ends.

    Raises:
        InvalidParameters: The program that would run does not know a flag.
        ServingError: It did not come to answer within *within_s*, or something of it could not be removed.
    """
    deployment = await flags.planned(backend, request)
    try:
        yield await _started(backend, deployment, within_s, emit)
    finally:
        await stop(backend, deployment.name, emit=emit, within_s=teardown_s)


async def serve(backend: Backend, request: ServeRequest, *, within_s: float, emit: Emit) -> Served:
    """A server that stays when this returns; when it raises or is cancelled, what was started is removed.

    A server of the same name and command that already runs is kept, and stays in every case.

    Raises:
        ServingError: As `serving`.
    """
    deployment = await flags.planned(backend, request)
    kept = await backend.alive(deployment.name)
    try:
        return await _started(backend, deployment, within_s, emit)
    except BaseException:
        if not kept:
            await stop(backend, deployment.name, emit=emit)
        raise


async def stop(backend: Backend, name: str, *, emit: Emit, within_s: float = TEARDOWN_S) -> None:
    """Remove the server called *name*; carried through even when the caller is cancelled meanwhile.

    Raises:
        TeardownFailed: Something of it is still there.
    """
    await _carried_through(backend.remove(name, within_s=within_s))
    emit(ServerStopped(name=name))


def starting(deployment: Deployment) -> ServerStarting:
    """Told before a server is started."""
    return ServerStarting(
        name=deployment.name,
        engine=deployment.engine.name,
        argv=deployment.argv,
        argv_sha256=deployment.argv_sha256,
    )


def differing(deployment: Deployment, ready: Ready) -> tuple[str, ...]:
    """Where what runs is not what was planned: the command line, and what the server says of itself."""
    return (
        *effective.command_differences(deployment.argv, ready.argv),
        *effective.differences(deployment.params, ready.effective),
    )


def answered(deployment: Deployment, ready: Ready) -> ServerReady:
    """Told when a server answered a real request."""
    return ServerReady(
        name=deployment.name,
        url=ready.endpoint.base_url,
        served_name=ready.endpoint.served_name,
        ready_s=ready.ready_s,
        effective=dict(ready.effective),
        differences=differing(deployment, ready),
    )


async def begin(backend: Backend, deployment: Deployment, emit: Emit) -> None:
    """Apply *deployment*, and tell of what takes time meanwhile.

    Raises:
        ServingError: As `Backend.apply`.
    """
    if isinstance(backend, Narrates):
        backend.narrate(emit)
    emit(starting(deployment))
    await backend.apply(deployment)


async def _started(backend: Backend, deployment: Deployment, within_s: float, emit: Emit) -> Served:
    await begin(backend, deployment, emit)
    ready = await backend.ready(deployment.name, within_s=within_s)
    told = answered(deployment, ready)
    emit(told)
    return Served(deployment=deployment, ready=ready, differences=told.differences)


async def _carried_through(work: Coroutine[Any, Any, None]) -> None:
    """Await *work* to its end; a cancellation that comes meanwhile is passed on afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
    await task
    if cancelled is not None:
        raise cancelled
