"""Servers in containers of this machine's Docker daemon, the model mounted read-only.

The daemon keeps all state: labels say whose a container is, what was planned and which run owns it, so that any later
process finds it. Removal is verified: the container is gone, and nothing of it listens on its port.
"""

import asyncio
import hashlib
import os
import shlex
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lading import events
from lading.backends import asking, docker_container, docker_daemon, docker_mount, docker_place, lease, passing, record
from lading.backends.docker_container import Seen, Wanted
from lading.backends.docker_daemon import DaemonSilent, NameTaken
from lading.backends.docker_watch import Watch
from lading.engines.base import Engine, Launch
from lading.errors import PortInUse, ServingError, TeardownFailed
from lading.events import Emit
from lading.manifests import ours
from lading.manifests.target import ENTRY, PORT, container_program
from lading.ports.backend import Deployment, Endpoint, Ready, Running, ServeRequest
from lading.spec.study import BackendChoice

if TYPE_CHECKING:
    from aiodocker import Docker

Result = TypeVar("Result")
OPEN_PORT = "{port}"
#: A port that no parameter is likely to be: in the command line it stands for the one that is chosen at start.
_PROBE_PORT = 64_937
#: How long a server may take to end by itself when asked to; one that has not answered yet has nothing to finish, and as
#: the first process of its container it does not hear the signal before it listens for it.
_GRACE_S, _UNREADY_GRACE_S = 10.0, 1.0


@dataclass(slots=True)
class _Started:
    """A server that this object applied: its container, and when that was (monotonic seconds)."""

    deployment: Deployment
    container: str
    at: float


class DockerBackend:
    """Runs engines' images.

    Args:
        choice: `image`, `gpus`, `network`, `port`, `env` and `resources` are read.
        home: Lading's state folder; containers that were started for another one are never touched.
    """

    kind = "docker"

    def __init__(self, choice: BackendChoice, *, home: Path) -> None:
        self._choice = choice
        self._home = home
        self._emit: Emit = events.ignore
        self._started: dict[str, _Started] = {}
        self._removing: set[asyncio.Task[None]] = set()

    def narrate(self, emit: Emit) -> None:
        """As `lading.ports.backend.Narrates.narrate`: pulls of images are told."""
        self._emit = emit

    # ------------------------------------------------------------------------------------------------------ plan

    def plan(self, request: ServeRequest) -> Deployment:
        """As `lading.ports.backend.Backend.plan`. The daemon is not asked.

        Raises:
            InvalidInput: There is no such model, or a container cannot have it; an option that makes no sense.
        """
        record.check_name(request.name)
        docker_container.limits(self._choice.resources)
        port = request.port if request.port is not None else self._choice.port
        program = container_program(request.engine)
        argv, added = self._command(request, program, port)
        return Deployment(
            name=request.name,
            backend=self.kind,
            engine=request.engine,
            program=program,
            argv=argv,
            argv_sha256=hashlib.sha256("\0".join(argv).encode()).hexdigest(),
            env={**added, **passing.given(self._choice.env), **request.env},
            model=request.model,
            served_name=request.served_name,
            params=dict(request.params),
            host=request.host,
            port=port,
            lease=request.lease,
            image=self._choice.image or request.engine.image,
        )

    def _command(
        self, request: ServeRequest, program: str, port: int | None
    ) -> tuple[tuple[str, ...], Mapping[str, str]]:
        """The words that the container runs, and the engine's environment.

        On a bridge it listens on all addresses of its own network, at a fixed port: only what is published is reached
        from outside. With the host's network it listens where the request says.
        """
        on_host = self._choice.network == "host"
        launch = Launch(
            model=docker_mount.of(request.model).model,
            served_name=request.served_name,
            host=request.host if on_host else "0.0.0.0",  # noqa: S104 - inside a container
            port=(port or _PROBE_PORT) if on_host else PORT,
            params=request.params,
            program=program,
        )
        command = request.engine.command(launch)
        argv = (*ENTRY.get(program, ()), *command.argv)
        if on_host and port is None:
            argv = tuple(word.replace(str(_PROBE_PORT), OPEN_PORT) for word in argv)
        return argv, command.env

    def _wanted(self, deployment: Deployment) -> Wanted:
        """The container of *deployment*; what is passed on from our environment is read now.

        Raises:
            InvalidInput: A variable is not set here, or a limit is no quantity.
        """
        passing.given(self._choice.env)
        memory, cpus = docker_container.limits(self._choice.resources)
        return Wanted(
            deployment=deployment,
            owner=docker_place.own(self._home),
            mounted=docker_mount.of(deployment.model),
            network=self._choice.network,
            gpus=docker_place.gpu_count(deployment, self._choice.gpus),
            memory_bytes=memory,
            cpus=cpus,
            secrets={name: os.environ[name] for name, value in self._choice.env.items() if value is None},
        )

    # ------------------------------------------------------------------------------------------------------ life

    async def apply(self, deployment: Deployment) -> None:
        """As `lading.ports.backend.Backend.apply`: its image is pulled where it is not here, a dead container replaced.

        Raises:
            MissingExtra: aiodocker is not installed.
        """
        async with docker_daemon.connected() as docker:
            await docker_daemon.require(docker)
            wanted = self._wanted(deployment)
            while not await self._applied(docker, wanted):
                pass

    async def _applied(self, docker: "Docker", wanted: Wanted) -> bool:
        """Start it, or keep what runs under its name; False: another look is needed, something was in the way."""
        plan, at = wanted.deployment, time.monotonic()
        found = await docker_daemon.find(docker, wanted.owner, plan.name)
        if found is None:
            await docker_daemon.have_image(docker, plan.image or "", self._emit)
            at = time.monotonic()
            container = await self._created(docker, wanted)
            if container is None:
                return False  # another command was quicker
        elif found.running:
            _check_same(found, wanted)
            container = found.id
        elif found.state == "created" and _same(
            found, wanted
        ):  # of another command, which is about to start it, or died
            await self._start(docker, found.id, plan)
            container = found.id
        else:
            await self._remove(docker, found, at + _GRACE_S, grace_s=_UNREADY_GRACE_S)
            return False
        before = self._started.get(plan.name)
        if before is None or before.container != container:
            self._started[plan.name] = _Started(plan, container, at)
        return True

    async def ready(self, name: str, *, within_s: float) -> Ready:
        """As `lading.ports.backend.Backend.ready`. A daemon that is started again meanwhile is waited for."""
        deadline = time.monotonic() + within_s
        started = self._started.get(name)
        if started is None:
            raise ServingError(f"nothing called {name} was started here", hint="`apply` comes before `ready`")
        engine = started.deployment.engine
        async with docker_daemon.connected() as docker, Watch(docker, started.container, name, engine) as watch:
            try:
                found = await watch.address(deadline)
                url = found.url or ""
                async with asking.Client(url) as client:
                    await asking.until_answering(
                        client, started.deployment.served_name, deadline=deadline, check=watch.check
                    )
                    answers = await asking.probes(client, engine.probes)
            except ServingError as error:
                error.log = error.log or await watch.log(200)
                raise
            log = await watch.log(2000)
        docker_place.note(self._home, name, found.pid)
        return Ready(
            endpoint=_endpoint(url, started.deployment, answers),
            ready_s=time.monotonic() - started.at,
            argv=found.argv[-len(started.deployment.argv) :],
            effective=engine.effective(answers, log),
        )

    async def alive(self, name: str) -> bool:
        """As `lading.ports.backend.Backend.alive`."""
        found = await self._find(name)
        return found is not None and found.running

    def log(self, name: str, *, lines: int = 200) -> tuple[str, ...]:
        """As `lading.ports.backend.Backend.log`; empty too where the daemon does not answer."""
        with suppress(ServingError):
            return _at_once(self._log(name, lines))
        return ()

    async def _log(self, name: str, lines: int) -> tuple[str, ...]:
        owner = docker_place.owner(self._home)
        if owner is None:
            return ()
        async with docker_daemon.connected() as docker:
            found = await docker_daemon.find(docker, owner, record.check_name(name))
            said = () if found is None else await docker_daemon.log(docker, found.id, lines=lines)
            return tuple(map(passing.without_secrets, said))

    async def remove(self, name: str, *, within_s: float = 60.0) -> None:
        """As `lading.ports.backend.Backend.remove`. Once begun it is carried through, even when the caller is cancelled."""
        work = asyncio.ensure_future(self._remove_called(name, within_s))
        self._removing.add(work)  # the loop alone would forget it
        work.add_done_callback(self._removing.discard)
        await asyncio.shield(work)

    async def names(self) -> tuple[str, ...]:
        """As `lading.ports.backend.Backend.names`."""
        return tuple(found.name for found in await self._every())

    async def reap(self) -> tuple[str, ...]:
        """As `lading.ports.backend.Backend.reap`; where nothing was ever started, no daemon is asked."""
        left = [
            found.name
            for found in await self._every()
            if found.lease is not None and not lease.held(self._home, found.lease)
        ]
        for name in left:
            await self.remove(name)
        return tuple(left)

    # ------------------------------------------------------------------------------------------------------ telling

    async def servers(self) -> tuple[Running, ...]:
        """As `lading.ports.backend.Tells.servers`."""
        return tuple(map(self._told, await self._every()))

    @asynccontextmanager
    async def reached(self, name: str) -> AsyncIterator[Endpoint]:
        """As `lading.ports.backend.Tells.reached`."""
        found = await self._find(name)
        if found is None or not found.running or found.url is None:
            raise ServingError(f"{name} does not run", hint="`lading serve --list` shows what does")
        yield Endpoint(base_url=found.url, served_name=found.labels.get(ours.SERVED_NAME, ""))

    def _told(self, found: Seen) -> Running:
        return Running(
            name=found.name, backend=self.kind, engine=found.labels.get(docker_container.ENGINE, ""),
            served_name=found.labels.get(ours.SERVED_NAME, ""), model=found.labels.get(docker_container.MODEL, ""),
            state="runs" if found.running else f"dead ({docker_container.ending(found)})",
            url=found.url if found.running else None, image=found.image,
            of_a_run=found.lease is not None and lease.held(self._home, found.lease),
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------------ steps

    async def _every(self) -> tuple[Seen, ...]:
        owner = docker_place.owner(self._home)
        if owner is None:
            return ()
        async with docker_daemon.connected() as docker:
            return await docker_daemon.every(docker, owner)

    async def _find(self, name: str) -> Seen | None:
        owner = docker_place.owner(self._home)
        if owner is None:
            return None
        async with docker_daemon.connected() as docker:
            return await docker_daemon.find(docker, owner, record.check_name(name))

    async def _created(self, docker: "Docker", wanted: Wanted) -> str | None:
        """The container of *wanted*, created and started; None when another command made one of that name meanwhile."""
        ours_all = await docker_daemon.every(docker, wanted.owner)
        with docker_place.reserved_gpus(self._home, wanted, ours_all) as reserved:
            ids = () if reserved is None else reserved.uuids
            with docker_place.port(wanted) as port:
                made = docker_container.document(wanted, port=port, gpu_ids=ids)
                try:
                    container = await docker_daemon.create(docker, wanted.container, made)
                except NameTaken:
                    if await docker_daemon.find(docker, wanted.owner, wanted.deployment.name) is None:
                        raise
                    return None
            await self._start(docker, container, wanted.deployment)
            running = await docker_daemon.look(docker, container) if reserved is not None else None
            if reserved is not None and running is not None and running.pid:
                reserved.lend(running.pid)
        return container

    async def _start(self, docker: "Docker", container: str, plan: Deployment) -> None:
        """Start a container that was created; what cannot be started is deleted."""
        try:
            await docker_daemon.start(docker, container)
        except DaemonSilent:
            raise
        except ServingError as error:
            log = await docker_daemon.log(docker, container, lines=200)
            await docker_daemon.end(docker, container, grace_s=_UNREADY_GRACE_S)
            kind = PortInUse if isinstance(error, PortInUse) else ServingError
            said = f"the container of {plan.name} ({plan.image}) was not started: {error.message}"
            raise kind(said, hint=error.hint, log=log) from error

    async def _remove_called(self, name: str, within_s: float) -> None:
        until = time.monotonic() + within_s
        owner = docker_place.owner(self._home)
        if owner is None:
            return
        try:
            async with docker_daemon.connected() as docker:
                found = await docker_daemon.find(docker, owner, record.check_name(name))
                if found is not None:
                    grace_s = _GRACE_S if docker_place.is_noted(self._home, name) else _UNREADY_GRACE_S
                    await self._remove(docker, found, until, grace_s=min(grace_s, within_s / 2))
        except DaemonSilent as error:
            raise TeardownFailed(f"{name} cannot be removed: {error.message}", hint=error.hint) from error
        self._started.pop(name, None)
        docker_place.forget(self._home, name)

    async def _remove(self, docker: "Docker", found: Seen, until: float, *, grace_s: float) -> None:
        """End and delete *found*, and verify that nothing is left.

        Raises:
            TeardownFailed: Something is, at *until* (monotonic seconds).
        """
        await docker_daemon.end(docker, found.id, grace_s=grace_s)
        while (left := await docker_daemon.look(docker, found.id)) is not None:
            if time.monotonic() >= until:
                raise TeardownFailed(
                    f"the container of {found.name} is still there ({left.state})", hint=f"docker rm -f {found.id[:12]}"
                )
            await asyncio.sleep(0.05)
        await docker_place.until_free(found, until)


def _same(found: Seen, wanted: Wanted) -> bool:
    return found.labels.get(ours.DIGEST) == wanted.digest


def _check_same(found: Seen, wanted: Wanted) -> None:
    """Keep what runs when it is what is wanted.

    Raises:
        ServingError: It is not.
    """
    if not _same(found, wanted):
        raise ServingError(
            f"{found.name} already runs with another command or image: {found.image} {shlex.join(found.argv)}",
            hint=f"`lading stop {found.name}` first, or choose another --name",
        )


def _endpoint(url: str, plan: Deployment, answers: Mapping[str, Any]) -> Endpoint:
    engine: Engine = plan.engine
    return Endpoint(
        base_url=url,
        served_name=plan.served_name,
        takes_token_ids=engine.takes_token_ids,
        vocabulary=asking.vocabulary(answers),
        request_body=dict(engine.request_body()),
    )


def _at_once(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of *work*, in a loop and a thread of its own: for the few callers that cannot wait in theirs."""
    with ThreadPoolExecutor(1) as alone:
        return alone.submit(asyncio.run, work).result()
