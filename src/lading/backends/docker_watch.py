"""Looking after a container while its server is waited for: its death ends the wait at once, with the reason."""

import asyncio
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lading.backends import docker_container, docker_daemon, passing
from lading.backends.docker_container import Seen
from lading.backends.docker_daemon import DaemonSilent
from lading.engines.base import Engine
from lading.errors import NotReady, ServerDied, ServingError

if TYPE_CHECKING:
    from aiodocker import Docker

_EVERY_S = 0.2


class Watch:
    """One container, looked at a few times a second; an async context manager.

    A daemon that does not answer is no death: its containers may live through its restart.
    """

    def __init__(self, docker: "Docker", container: str, name: str, engine: Engine) -> None:
        self._docker = docker
        self._container = container
        self._name = name
        self._engine = engine
        self._silent: DaemonSilent | None = None
        self._seen: Seen | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def check(self) -> None:
        """Raise `ServerDied` once the container is seen dead."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def address(self, deadline: float) -> Seen:
        """The running container, once it has an address.

        Raises:
            ServerDied: It has ended.
            NotReady: Not until *deadline* (monotonic seconds).
        """
        while self._seen is None or self._seen.url is None:
            self.check()
            if time.monotonic() >= deadline:
                why = self._silent.message if self._silent else "its container has no address"
                raise NotReady(f"{self._name} was not ready in time: {why}", hint="`docker ps` shows what runs")
            await asyncio.sleep(0.02)
        return self._seen

    async def log(self, lines: int) -> tuple[str, ...]:
        """The last lines of its output, without secrets; empty where the daemon does not answer."""
        try:
            said = await docker_daemon.log(self._docker, self._container, lines=lines)
        except ServingError:
            return ()
        return tuple(passing.without_secrets(line) for line in said)

    async def _follow(self) -> None:
        while True:
            try:
                seen = await docker_daemon.look(self._docker, self._container)
            except DaemonSilent as error:
                self._silent = error
            else:
                self._silent = None
                if seen is None or not seen.running:
                    raise await self._death(seen)
                self._seen = seen
            await asyncio.sleep(_EVERY_S if self._seen else 0.02)

    async def _death(self, seen: Seen | None) -> ServerDied:
        """Why it ended: what the daemon knows, and the engine's reading of its log."""
        if seen is None:
            return ServerDied(
                f"the container of {self._name} was removed by someone before it answered",
                hint="start it again; `docker events` shows who removes containers",
            )
        log = await self.log(200)
        ending = docker_container.ending(seen)
        if seen.oom_killed:
            return ServerDied(
                f"{self._name} ended before it answered: {ending} (exit status {seen.exit_code})",
                returncode=seen.exit_code, log=log,
                hint="give it more (resources: memory), or parameters that need less",
            )  # fmt: skip
        failure = self._engine.classify(log, seen.exit_code)
        return ServerDied(
            f"{self._name} ended before it answered ({ending}): {failure.reason}",
            returncode=seen.exit_code,
            hint=failure.hint or None,
            log=log,
        )
