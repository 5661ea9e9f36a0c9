"""The servers of ours on every backend that can be reached from here: to list, to find by name, to stop, to ask.

A backend that cannot be asked never hides the others: why is kept beside what was found.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lading import wiring
from lading.errors import ClusterUnreachable, InvalidInput, LadingError, MissingExtra
from lading.ports.backend import Backend, Endpoint, Running, Tells
from lading.spec.study import BackendChoice, foreign_options

#: Asked first: they answer at once, and a name here is meant before one on a cluster.
_NEAR = ("process", "docker")
_LONGEST_S = 30.0
_SOCKETS = ("/var/run/docker.sock", "~/.docker/run/docker.sock", "~/.rd/docker.sock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreached:
    """A backend that could not be asked, with the reason."""

    kind: str
    error: LadingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was found.

    Attributes:
        backends: Those that answered, by kind: to stop or ask what they told of.
    """

    servers: tuple[Running, ...] = ()
    unreached: tuple[Unreached, ...] = ()
    backends: tuple[tuple[str, Backend], ...] = ()

    def backend(self, server: Running) -> Backend:
        """The backend that told of *server*."""
        return dict(self.backends)[server.backend]

    def named(self, name: str) -> tuple[Running, ...]:
        """What is called *name*."""
        return tuple(server for server in self.servers if server.name == name)


async def everywhere(choice: BackendChoice | None = None, *, kinds: Sequence[str] | None = None) -> Seen:
    """What runs on each of *kinds* (every one that can be reached, by default), in the order they are given.

    Args:
        choice: Which namespace and context of a cluster; what a backend does not know of it is left out.
        kinds: As `reachable` gives them.
    """
    given = choice or BackendChoice()
    found = await asyncio.gather(*(_ask(kind, given) for kind in (kinds if kinds is not None else reachable(given))))
    return joined(found)


def joined(found: Sequence[Seen]) -> Seen:
    """All of *found* as one."""
    return Seen(
        servers=tuple(server for one in found for server in one.servers),
        unreached=tuple(other for one in found for other in one.unreached),
        backends=tuple(pair for one in found for pair in one.backends),
    )


def reachable(choice: BackendChoice | None = None) -> tuple[str, ...]:
    """The kinds that are worth asking: this machine always, Docker and a cluster where something says they are there."""
    installed = [kind for kind in wiring.names("backends") if kind != "endpoint"]
    near = [kind for kind in _NEAR if kind in installed and (kind != "docker" or docker_is_here(os.environ))]
    far = [kind for kind in installed if kind not in _NEAR]
    return (*near, *(far if _cluster_is_named(choice or BackendChoice()) else ()))


def docker_is_here(environment: Mapping[str, str]) -> bool:
    """Whether Docker can be spoken to as far as files and variables tell."""
    if find_spec("aiodocker") is None:
        return False
    return bool(environment.get("DOCKER_HOST")) or any(Path(path).expanduser().exists() for path in _SOCKETS)


async def the_one(
    name: str, choice: BackendChoice | None = None, *, kind: str | None = None
) -> tuple[Running, Backend]:
    """The server called *name*, with its backend: on this machine, else on a cluster; on *kind* where that was said.

    Raises:
        InvalidInput: There is none, or there are several.
    """
    seen = await looked_for(name, choice, kind=kind)
    found = seen.named(name)
    if not found:
        raise unknown([name], seen)
    if len(found) > 1:
        places = " and ".join(server.backend + (f" ({server.place})" if server.place else "") for server in found)
        raise InvalidInput(f"{name} runs on {places}", hint=f"say which: --backend {found[0].backend}")
    return found[0], seen.backend(found[0])


async def looked_for(name: str, choice: BackendChoice | None = None, *, kind: str | None = None) -> Seen:
    """What was seen in looking for *name*: a cluster is asked only where this machine does not have it."""
    if kind is not None:
        return await everywhere(choice, kinds=(kind,))
    kinds = reachable(choice)
    near = await everywhere(choice, kinds=[one for one in kinds if one in _NEAR])
    if near.named(name):
        return near
    return joined([near, await everywhere(choice, kinds=[one for one in kinds if one not in _NEAR])])


def unknown(names: Sequence[str], seen: Seen) -> InvalidInput:
    """That nothing has one of *names*, with what there is and what could not be asked."""
    others = known(tuple(server.name for server in seen.servers))
    silent = "".join(f"; {one.kind} could not be asked: {one.error.message}" for one in seen.unreached)
    return InvalidInput(f"no server is called {', '.join(names)}", hint=others + silent)


def known(names: Sequence[str]) -> str:
    """What servers there are, for a hint."""
    return f"running: {', '.join(names)}" if names else "none runs; `lading serve REF` starts one"


@asynccontextmanager
async def reached(server: Running, backend: Backend) -> AsyncIterator[Endpoint]:
    """Where *server* can be asked from this machine, for the length of the block, as its engine wants to be asked.

    Raises:
        ServingError: It cannot be asked.
    """
    assert isinstance(backend, Tells)
    async with backend.reached(server.name) as endpoint:
        yield endpoint


async def _ask(kind: str, choice: BackendChoice) -> Seen:
    try:
        backend = wiring.backend(_for(kind, choice))
        async with asyncio.timeout(_LONGEST_S):
            servers = await backend.servers() if isinstance(backend, Tells) else ()
    except TimeoutError:
        return Seen(unreached=(Unreached(kind=kind, error=LadingError(f"no answer within {_LONGEST_S:.0f} s")),))
    except MissingExtra:
        return Seen()
    except LadingError as error:
        return Seen(unreached=(Unreached(kind=kind, error=error),))
    return Seen(servers=servers, backends=((kind, backend),))


def _for(kind: str, choice: BackendChoice) -> BackendChoice:
    """*choice* as backend *kind* understands it."""
    asked = choice.model_copy(update={"kind": kind})
    plain = BackendChoice()
    return asked.model_copy(update={name: getattr(plain, name) for name in foreign_options(asked)})


def _cluster_is_named(choice: BackendChoice) -> bool:
    """Whether something says where a cluster is: a kubeconfig, or a pod's own account."""
    if choice.context or choice.namespace:
        return True
    from lading.cluster import config

    try:
        config.connection()
    except ClusterUnreachable:
        return False
    except LadingError:  # it is named, and cannot be used: asking says why
        return True
    return True
