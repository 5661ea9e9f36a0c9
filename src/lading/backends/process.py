"""Servers as processes of this machine: each in its own session, with its output in a file and its state beside it.

What is started is written down (`lading.backends.record`), so that another command, or the next run after a kill, finds
it. Removal is verified: no process of it is left (`lading.backends.processes`), and nothing answers on its port.
"""

import asyncio
import hashlib
import os
import secrets
import shlex
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lading.backends import asking, gpus, helping, lease, passing, processes, programs, record
from lading.backends.record import ServerRecord
from lading.engines.base import Engine, Launch
from lading.errors import PortInUse, ServerDied, ServingError, TeardownFailed
from lading.hardware.reservation import Reservation
from lading.ports.backend import Deployment, Endpoint, Ready, Running, ServeRequest
from lading.spec.study import BackendChoice

OPEN_PORT = "{port}"
#: Two ports that no parameter is likely to be: where a command line differs between them, the port stands.
_PROBE_PORTS = (64_937, 64_938)
_LOG_TAIL_BYTES = 256 * 1024
#: How long a server may take to end by itself when asked to.
_GRACE_S = 10.0
#: Ours, not the server's.
_PRIVATE = frozenset({"LADING_API_KEY"})


class ProcessBackend:
    """Runs servers of any engine whose program is found here.

    Args:
        choice: `python` (an environment that has the engine), `env`, `port` and `gpus` are read.
        home: Lading's state folder; ``run/NAME/`` in it holds the state and the log of each server.
    """

    kind = "process"

    def __init__(self, choice: BackendChoice, *, home: Path) -> None:
        self._choice = choice
        self._home = home
        self._started: dict[str, _Started] = {}
        self._helps: dict[tuple[str, ...], str] = {}
        self._versions: dict[tuple[str, ...], str | None] = {}

    # ------------------------------------------------------------------------------------------------------ plan

    def plan(self, request: ServeRequest) -> Deployment:
        """As `lading.ports.backend.Backend.plan`."""
        record.check_name(request.name)
        program = programs.find(request.engine, self._choice.python)
        port = request.port if request.port is not None else self._choice.port
        launch = Launch(
            model=request.model,
            served_name=request.served_name,
            host=request.host,
            port=port or 0,
            params=request.params,
            program=program.name,
        )
        argv, added = _command(request.engine, launch) if port else _command_with_open_port(request.engine, launch)
        argv = (*program.prefix, *argv)
        return Deployment(
            name=request.name,
            backend=self.kind,
            engine=request.engine,
            program=program.name,
            argv=argv,
            argv_sha256=hashlib.sha256("\0".join(argv).encode()).hexdigest(),
            env={**added, **passing.given(self._choice.env), **request.env},
            model=request.model,
            served_name=request.served_name,
            params=dict(request.params),
            host=request.host,
            port=port,
            lease=request.lease,
        )

    async def version(self, deployment: Deployment) -> str | None:
        """As `lading.ports.backend.TellsHelp.version`."""
        program = programs.find(deployment.engine, self._choice.python)
        if program.prefix not in self._versions:
            self._versions[program.prefix] = await helping.version(program, programs.interpreter(self._choice.python))
        return self._versions[program.prefix]

    async def help_text(self, deployment: Deployment, asks: Sequence[str], *, within_s: float) -> str:
        """As `lading.ports.backend.TellsHelp.help_text`."""
        program = programs.find(deployment.engine, self._choice.python)
        if program.prefix not in self._helps:
            env = self._environment(deployment.env)
            self._helps[program.prefix] = await helping.text(program.prefix, asks, env, within_s=within_s)
        return self._helps[program.prefix]

    # ------------------------------------------------------------------------------------------------------ life

    async def apply(self, deployment: Deployment) -> None:
        """As `lading.ports.backend.Backend.apply`. What is left of a dead server of that name is removed first."""
        while not self._started_or_adopted(deployment):
            await self.remove(deployment.name)

    async def ready(self, name: str, *, within_s: float) -> Ready:
        """As `lading.ports.backend.Backend.ready`."""
        began = time.monotonic()
        started = self._started.get(name)
        if started is None:
            raise ServingError(f"nothing called {name} was started here", hint="`apply` comes before `ready`")
        engine, server = started.deployment.engine, started.server
        try:
            async with asking.Client(server.url) as client:
                await asking.until_answering(
                    client, server.served_name, deadline=began + within_s, check=lambda: self._check_alive(started)
                )
                answers = await asking.probes(client, engine.probes)
        except ServingError as error:
            error.log = error.log or self.log(name)
            raise
        return Ready(
            endpoint=_endpoint(server, engine, answers),
            ready_s=time.monotonic() - started.at,
            argv=_argv_of(server),
            effective=engine.effective(answers, self.log(name, lines=2000)),
        )

    async def alive(self, name: str) -> bool:
        """As `lading.ports.backend.Backend.alive`."""
        server = record.read(self._home, name)
        return server is not None and processes.leader(server) is not None

    def log(self, name: str, *, lines: int = 200) -> tuple[str, ...]:
        """As `lading.ports.backend.Backend.log`."""
        try:
            with record.log_file(self._home, name).open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - _LOG_TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ()
        text = passing.without_secrets(text)
        return tuple(asking.printable(line.rstrip("\r")) for line in text.split("\n") if line.strip())[-lines:]

    async def remove(self, name: str, *, within_s: float = 60.0) -> None:
        """As `lading.ports.backend.Backend.remove`. Once begun it is carried through, even when the caller is cancelled."""
        work = asyncio.get_running_loop().run_in_executor(None, self._remove, name, within_s)
        await asyncio.shield(work)  # unshielded, a cancellation would take it from the queue before it began

    async def names(self) -> tuple[str, ...]:
        """As `lading.ports.backend.Backend.names`."""
        return tuple(server.name for server in record.every(self._home))

    async def reap(self) -> tuple[str, ...]:
        """As `lading.ports.backend.Backend.reap`."""
        left = [
            server.name
            for server in record.every(self._home)
            if server.lease is not None and not lease.held(self._home, server.lease)
        ]
        for name in left:
            await self.remove(name)
        lease.forget_dead(self._home)
        return tuple(left)

    def running(self, name: str) -> ServerRecord | None:
        """What is written down about the server called *name*; None when it does not run."""
        server = record.read(self._home, name)
        return server if server is not None and processes.leader(server) is not None else None

    async def servers(self) -> tuple[Running, ...]:
        """As `lading.ports.backend.Tells.servers`."""
        return tuple(map(self._told, record.every(self._home)))

    @asynccontextmanager
    async def reached(self, name: str) -> AsyncIterator[Endpoint]:
        """As `lading.ports.backend.Tells.reached`."""
        server = self.running(name)
        if server is None:
            raise ServingError(f"{name} does not run", hint="`lading serve --list` shows what does")
        yield Endpoint(base_url=server.url, served_name=server.served_name)

    def _told(self, server: ServerRecord) -> Running:
        alive = processes.leader(server) is not None
        return Running(
            name=server.name, backend=self.kind, engine=server.engine, served_name=server.served_name,
            model=server.model, state="runs" if alive else "dead", url=server.url if alive else None,
            of_a_run=self.belongs_to_a_run(server.name),
        )  # fmt: skip

    def belongs_to_a_run(self, name: str) -> bool:
        """Whether a live run holds the lease of the server called *name*."""
        server = record.read(self._home, name)
        return server is not None and server.lease is not None and lease.held(self._home, server.lease)

    def kill_started(self) -> None:
        """Kill what this object started, at once: for a program that is about to leave without waiting for anything."""
        for started in tuple(self._started.values()):  # a removal in a thread may be taking one out
            if started.process is not None:
                processes.send(processes.of(started.server), signal.SIGKILL)
                record.erase(self._home, started.server.name)

    # ------------------------------------------------------------------------------------------------------ steps

    def _started_or_adopted(self, deployment: Deployment) -> bool:
        """Start it, or keep what runs under its name; False: a dead server is in the way.

        Decided under the lock, so that of two who apply one name at once, one starts and the other finds it running.
        """
        with self._alone():
            before = record.read(self._home, deployment.name)
            if before is None:
                record.erase(self._home, deployment.name)  # a log without a server
                self._start(deployment)
            elif processes.leader(before) is None:
                return False
            else:
                self._adopt(before, deployment)
        return True

    def _alone(self) -> AbstractContextManager[None]:
        """The lock under which servers of this home are started and forgotten; nothing is awaited while it is held."""
        return lease.exclusive(self._home / "run" / ".lock")

    def _start(self, deployment: Deployment) -> None:
        port = deployment.port
        if port is not None and processes.port_is_taken(deployment.host, port):
            raise PortInUse(
                f"port {port} of {deployment.host} is in use by {processes.shown(processes.listener(port))}",
                hint="give another with --port, or leave it out to have a free one chosen",
            )
        port = port or processes.free_port(deployment.host)
        reserved = self._reserve(deployment)
        server = _record(deployment, port).model_copy(update={"gpus": gpus.room(reserved)})
        record.write(self._home, server)
        try:
            process = self._spawn(server, deployment.env, reserved)
        except OSError as error:
            record.erase(self._home, server.name)
            _release(reserved)
            raise ServerDied(f"{server.argv[0]} cannot be run: {error.strerror}") from error
        server = server.model_copy(update={"pid": process.pid, "born_s": processes.birth_s(process.pid)})
        record.write(self._home, server)
        self._started[server.name] = _Started(deployment, server, process, time.monotonic(), reserved)

    def _reserve(self, deployment: Deployment) -> Reservation | None:
        return gpus.reserve(
            self._home,
            deployment.engine,
            deployment.params,
            self._choice.gpus,
            holder=f"the server {deployment.name}",
            listed=deployment.env.get(gpus.VARIABLE, os.environ.get(gpus.VARIABLE)),
        )

    def _spawn(
        self, server: ServerRecord, added: Mapping[str, str], reserved: Reservation | None
    ) -> "subprocess.Popen[bytes]":
        """Start the process: here, not in a helper thread, because a leased one ends when the thread that started it does."""
        env = self._environment({**added, **gpus.environment(reserved, self._choice.gpus)})
        env[record.MARKER] = server.mark
        if server.lease is not None:
            env["LADING_PARENT"] = str(os.getpid())
        with record.log_file(self._home, server.name).open("ab") as log:
            return subprocess.Popen(
                server.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=record.folder(self._home, server.name),
                env=env,
                start_new_session=True,
                pass_fds=() if reserved is None else reserved.descriptors,
            )

    def _environment(self, added: Mapping[str, str]) -> dict[str, str]:
        """What a program is run with: ours without what is private, and what was asked for."""
        ours = {key: value for key, value in os.environ.items() if key not in _PRIVATE - self._choice.env.keys()}
        return {**ours, **added}

    def _adopt(self, server: ServerRecord, deployment: Deployment) -> None:
        """Keep what runs when it is what is wanted."""
        if server.argv_sha256 != deployment.argv_sha256:
            raise ServingError(
                f"{server.name} already runs with another command: {shlex.join(server.argv)}",
                hint=f"`lading stop {server.name}` first, or choose another --name",
            )
        before = self._started.get(server.name)
        process = before.process if before is not None and before.server.pid == server.pid else None
        at = before.at if before is not None and process is not None else time.monotonic()
        reserved = before.reserved if before is not None else None
        self._started[server.name] = _Started(deployment, server, process, at, reserved)

    def _check_alive(self, started: "_Started") -> None:
        """Raise `ServerDied`, with the engine's reading of its log, when its process is gone."""
        returncode = started.process.poll() if started.process is not None else None
        if returncode is None and processes.leader(started.server) is not None:
            return
        if started.process is not None and returncode is None:
            returncode = started.process.wait()  # a zombie until now: it has ended
        log = self.log(started.server.name)
        failure = started.deployment.engine.classify(log, returncode)
        raise ServerDied(
            f"{started.server.name} ended before it answered ({_ending(returncode)}): {failure.reason}",
            returncode=returncode,
            hint=failure.hint or None,
            log=log,
        )

    def _remove(self, name: str, within_s: float) -> None:
        server = record.read(self._home, name)
        if server is None:
            self._forget(name, None)
            return
        until = time.monotonic() + within_s
        processes.send(processes.of(server), signal.SIGTERM)
        processes.wait_gone(server, min(until, time.monotonic() + min(_GRACE_S, within_s / 2)))
        while left := processes.of(server):
            processes.send(left, signal.SIGKILL)
            if processes.wait_gone(server, min(until, time.monotonic() + 0.5)) and time.monotonic() >= until:
                shown = ", ".join(str(process.pid) for process in left)
                raise TeardownFailed(
                    f"{name} still has processes after {within_s:.3g} s: {shown}", hint=f"kill -9 {shown}"
                )
        _wait_port_free(server, until)
        gpus.wait_given_back(server, until)
        self._reap_child(name)
        self._forget(name, server)

    def _forget(self, name: str, server: ServerRecord | None) -> None:
        """Erase what is written down of *server*, unless another one was started under its name meanwhile."""
        if not record.folder(self._home, name).exists():
            return
        with self._alone():
            now = record.read(self._home, name)
            if (now.mark if now else None) == (server.mark if server else None):
                record.erase(self._home, name)

    def _reap_child(self, name: str) -> None:
        started = self._started.pop(name, None)
        if started is not None and started.process is not None:
            started.process.wait()
        _release(started.reserved if started is not None else None)


class _Started:
    """A server this process applied: *process* None where another one started it, *at* in monotonic seconds."""

    def __init__(
        self,
        deployment: Deployment,
        server: ServerRecord,
        process: "subprocess.Popen[bytes] | None",
        at: float,
        reserved: Reservation | None,
    ) -> None:
        self.deployment = deployment
        self.reserved = reserved
        self.server = server
        self.process = process
        self.at = at


def _release(reserved: Reservation | None) -> None:
    if reserved is not None:
        reserved.release()


def _command(engine: Engine, launch: Launch) -> tuple[tuple[str, ...], Mapping[str, str]]:
    command = engine.command(launch)
    return command.argv, command.env


def _command_with_open_port(engine: Engine, launch: Launch) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The command with `OPEN_PORT` where the port stands."""
    first, second = _PROBE_PORTS
    argv, env = _command(engine, replace(launch, port=first))
    other, _ = _command(engine, replace(launch, port=second))
    opened = (
        mine if mine == theirs else mine.replace(str(first), OPEN_PORT)
        for mine, theirs in zip(argv, other, strict=True)
    )
    return tuple(opened), env


def _record(deployment: Deployment, port: int) -> ServerRecord:
    filled = deployment.port is not None
    return ServerRecord(
        name=deployment.name,
        mark=f"{deployment.name}/{secrets.token_hex(8)}",
        boot=record.boot_id(),
        engine=deployment.engine.name,
        model=deployment.model,
        served_name=deployment.served_name,
        host=deployment.host,
        port=port,
        argv=deployment.argv if filled else tuple(word.replace(OPEN_PORT, str(port)) for word in deployment.argv),
        argv_sha256=deployment.argv_sha256,
        lease=deployment.lease,
    )


def _endpoint(server: ServerRecord, engine: Engine, answers: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        base_url=server.url,
        served_name=server.served_name,
        takes_token_ids=engine.takes_token_ids,
        vocabulary=asking.vocabulary(answers),
        request_body=dict(engine.request_body()),
    )


def _argv_of(server: ServerRecord) -> tuple[str, ...] | None:
    process = processes.leader(server)
    try:
        return tuple(process.cmdline()) if process is not None else None
    except processes.GONE:
        return None


def _ending(returncode: int | None) -> str:
    if returncode is None:
        return "exit status unknown"
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"


def _wait_port_free(server: ServerRecord, until: float) -> None:
    """Wait until nothing of the server listens on its port; another program may have taken a free one meanwhile."""
    while processes.port_is_taken(server.host, server.port):
        holder = processes.listener(server.port)
        if holder is not None and processes.is_foreign(holder, server):
            return
        if time.monotonic() >= until:
            raise TeardownFailed(
                f"all processes of {server.name} are gone, but {processes.shown(holder)} listens on its port {server.port}",
                hint=f"it left the session; find it with `ss -ltnp 'sport = :{server.port}'`",
            )
        time.sleep(0.05)
