"""A model server that exists only in a script, for faults that a real one does not show on demand.

`FakeBackend` and `FakeLoad` speak the Protocols of `lading.ports` and take their time from the loop, so that a study of
hours runs in no time under a virtual clock. What each server life does is a `Life`, chosen from its parameters and
attempt by the test's script.
"""

import asyncio
import copy
import hashlib
import json
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lading import events
from lading.engines.base import (
    Command,
    HardwareFacts,
    Launch,
    LaunchFailure,
    MemoryEstimate,
    ModelFacts,
    Parameter,
    Params,
    Probe,
    Rule,
    RuleInput,
    Value,
    Violation,
)
from lading.errors import InvalidParameters, LadingError, NotReady, ServingError, StudyError, TeardownFailed
from lading.measure import records, summary
from lading.measure.records import ClientHealth, Level, RecordHeader, RequestRecord
from lading.ports.backend import Deployment, Endpoint, Ready, ServeRequest
from lading.ports.load import LevelDone, LevelLost
from lading.ports.study import StudyRun
from lading.spec.workload import Workload
from lading.tuning.trial import Fact, same_params

NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What one server does.

    Attributes:
        rate: Output tokens per second, by level value; a level that is missing takes `rate_otherwise`.
        lost: Levels that cannot be measured, with the reason.
        hangs_at: A level that never ends.
        breaks_at: A level at which the load generator raises this error.
        ttft_s: Time to first token of every request.
        apply_error, ready_error, warm_up_error, remove_error: Raised by that step.
        ready_s: Seconds until it answers; `NEVER` for a server that hangs.
        limited: The client was the limit.
        dead: Whether `alive` says it is gone after the measurement.
    """

    rate: Mapping[float, float] = field(default_factory=dict)
    rate_otherwise: float = 100.0
    lost: Mapping[float, str] = field(default_factory=dict)
    hangs_at: float | None = None
    breaks_at: tuple[float, LadingError] | None = None
    ttft_s: float = 0.1
    apply_error: LadingError | None = None
    ready_error: LadingError | None = None
    warm_up_error: LadingError | None = None
    remove_error: TeardownFailed | None = None
    ready_s: float = 5.0
    effective: Mapping[str, Value] = field(default_factory=dict)
    log: tuple[str, ...] = ("loading", "listening")
    limited: bool = False
    dead: bool = False


Script = Callable[[Params, int], Life]


class FakeEngine:
    """An engine with three parameters: `width` 1–64 (default 4), `depth` 1–8, and `mode` plain or fancy."""

    name = "fake"
    version = "1"
    programs = ("fake-server",)
    image = "example.invalid/fake:1"
    parameters: Mapping[str, Parameter] = {
        "width": Parameter(name="width", kind="int", flags=("--width",), default=4, minimum=1, maximum=64),
        "depth": Parameter(name="depth", kind="int", flags=("--depth",), default=1, minimum=1, maximum=8),
        "mode": Parameter(name="mode", kind="choice", flags=("--mode",), default="plain", choices=("plain", "fancy")),
    }
    rules: Sequence[Rule] = ()
    probes: Sequence[Probe] = ()
    takes_token_ids = True

    def request_body(self) -> Mapping[str, object]:
        """Nothing."""
        return {}

    def parse(self, params: Mapping[str, object]) -> dict[str, Value]:
        """As they are; an unknown name is refused."""
        unknown = [name for name in params if name not in self.parameters]
        if unknown:
            raise InvalidParameters(f"{unknown[0]} is not a parameter of fake")
        return {name: value for name, value in params.items() if isinstance(value, bool | int | float | str)}

    def violations(self, given: RuleInput) -> tuple[Violation, ...]:
        """`depth` × `width` may not be above 128."""
        full = self.resolved(given.params)
        if int(full["depth"] or 0) * int(full["width"] or 0) <= 128:
            return ()
        return (Violation(rule="area", message="depth × width is above 128", hint="less of either"),)

    def resolved(self, params: Params) -> dict[str, Value]:
        """Over the defaults."""
        return {name: parameter.default for name, parameter in self.parameters.items()} | dict(params)

    def command(self, launch: Launch) -> Command:
        """Flags in the order given."""
        flags = [f"--{name}={value}" for name, value in launch.params.items()]
        return Command(argv=(launch.model, "--port", str(launch.port), *flags))

    def memory(self, params: Params, model: ModelFacts, hardware: HardwareFacts | None = None) -> MemoryEstimate | None:
        """Unknown."""
        del params, model, hardware
        return None

    def effective(self, answers: Mapping[str, object], log: Sequence[str]) -> dict[str, Value]:
        """Nothing is known."""
        del answers, log
        return {}

    def classify(self, log: Sequence[str], returncode: int | None) -> LaunchFailure:
        """`out of memory` is the configuration's fault, `no device` the machine's."""
        del returncode
        text = "\n".join(log)
        if "out of memory" in text:
            return LaunchFailure(name="out-of-memory", kind="configuration", reason="out of memory", hint="less width")
        if "no device" in text:
            return LaunchFailure(name="no-device", kind="infrastructure", reason="the device is gone")
        return LaunchFailure(name="unknown", kind="unknown", reason="no known line in the log")


class FakeBackend:
    """Servers that live as their script says; `running` is what a real machine would have as processes."""

    kind = "fake"

    def __init__(
        self, script: Script = lambda _params, _attempt: Life(), *, held: Callable[[str], bool] = lambda _lease: True
    ) -> None:
        self.script = script
        self.held = held
        self.running: dict[str, Deployment] = {}
        self.lives: dict[str, Life] = {}
        self.started: list[str] = []
        self.removed: list[str] = []
        self._attempts: list[Params] = []

    def plan(self, request: ServeRequest) -> Deployment:
        """A command line from the engine."""
        engine = request.engine
        launch = Launch(model=request.model, served_name=request.served_name, host=request.host, port=1,
                        params=engine.parse(request.params), program="fake-server")  # fmt: skip
        argv = ("fake-server", *engine.command(launch).argv)
        return Deployment(
            name=request.name, backend=self.kind, engine=engine, program="fake-server", argv=argv,
            argv_sha256=hashlib.sha256(json.dumps(argv).encode()).hexdigest(), env=request.env, model=request.model,
            served_name=request.served_name, params=request.params, host=request.host, port=request.port,
            lease=request.lease,
        )  # fmt: skip

    async def apply(self, deployment: Deployment) -> None:
        """Start it; the script is asked with its parameters and how often these were started before."""
        if deployment.name in self.running:
            if self.running[deployment.name].argv_sha256 != deployment.argv_sha256:
                raise ServingError(f"{deployment.name} already runs with another command")
            return
        before = sum(same_params(params, deployment.params) for params in self._attempts)
        self._attempts.append(deployment.params)
        life = self.script(deployment.params, before)
        self.started.append(deployment.name)
        self.running[deployment.name] = deployment
        self.lives[deployment.name] = life
        if life.apply_error:
            raise life.apply_error

    async def ready(self, name: str, *, within_s: float) -> Ready:
        """After `ready_s`, or the script's error, or the deadline."""
        if name not in self.running:
            raise ServingError(f"nothing called {name} was started")
        life = self.lives[name]
        await asyncio.sleep(min(life.ready_s, within_s))
        if life.ready_error:
            raise life.ready_error
        if life.ready_s > within_s:
            raise NotReady(f"{name} did not answer within {within_s:g} s", log=life.log)
        served = self.running[name].served_name
        endpoint = Endpoint(base_url=f"http://{name}.invalid", served_name=served)
        return Ready(endpoint=endpoint, ready_s=life.ready_s, argv=self.running[name].argv, effective=life.effective)

    async def alive(self, name: str) -> bool:
        """Whether it still runs."""
        return name in self.running and not self.lives[name].dead

    def log(self, name: str, *, lines: int = 200) -> tuple[str, ...]:
        """The script's log."""
        return self.lives[name].log[-lines:] if name in self.lives else ()

    async def remove(self, name: str, *, within_s: float = 60.0) -> None:
        """Gone, even when the caller is cancelled meanwhile; or the script's error."""
        del within_s
        if name not in self.running:
            return
        error = self.lives[name].remove_error
        try:
            await asyncio.sleep(0.5)
        finally:
            if error is None and self.running.pop(name, None) is not None:
                self.removed.append(name)
        if error is not None:
            raise error

    async def names(self) -> tuple[str, ...]:
        """What runs."""
        return tuple(self.running)

    async def reap(self) -> tuple[str, ...]:
        """What belongs to leases that are not held."""
        left = [name for name, found in self.running.items() if found.lease is not None and not self.held(found.lease)]
        for name in left:
            await self.remove(name)
        return tuple(left)


class FakeLoad:
    """Measures a `FakeBackend`'s servers at the rates of their script, with real records in real files."""

    def __init__(self, backend: FakeBackend, *, warm_up_s: float = 2.0) -> None:
        self.backend = backend
        self.warm_up_s = warm_up_s
        self.closed = 0

    async def warm_up(self, endpoint: Endpoint, workload: Workload, *, emit: events.Emit) -> int:
        """Two requests."""
        del workload, emit
        life = self._life(endpoint)
        await asyncio.sleep(self.warm_up_s)
        if life.warm_up_error:
            raise life.warm_up_error
        return 2

    async def run(
        self, endpoint: Endpoint, workload: Workload, directory: Path, *, emit: events.Emit
    ) -> AsyncGenerator[LevelDone | LevelLost, None]:
        """Level by level, each as long as its tokens take."""
        life = self._life(endpoint)
        try:
            for value in workload.levels.concurrency or workload.levels.rate:
                level = Level(kind="concurrency" if workload.levels.concurrency else "rate", value=value)
                emit(events.LevelStarted(level=level, requests=workload.requests))
                done = await self._level(life, level, workload, directory)
                if isinstance(done, LevelDone):
                    emit(events.LevelMeasured(summary=done.summary, record_file=done.record_file.name))
                else:
                    emit(events.LevelNotMeasured(level=level, reason=done.reason))
                yield done
        finally:
            self.closed += 1

    def _life(self, endpoint: Endpoint) -> Life:
        return self.backend.lives[endpoint.base_url.removeprefix("http://").removesuffix(".invalid")]

    async def _level(self, life: Life, level: Level, workload: Workload, directory: Path) -> LevelDone | LevelLost:
        if life.hangs_at == level.value:
            await asyncio.Event().wait()
        if life.breaks_at and life.breaks_at[0] == level.value:
            raise life.breaks_at[1]
        if level.value in life.lost:
            return LevelLost(level=level, reason=life.lost[level.value])
        header, rows = _records(life, level, workload.requests)
        await asyncio.sleep(header.duration_s)
        file = directory / f"{level.kind}-{level.value:g}.jsonl"
        _write(file, "".join(records.render(header, rows)))
        return LevelDone(level=level, summary=summary.summarize(header, rows), record_file=file)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _records(life: Life, level: Level, requests: int, tokens: int = 10) -> tuple[RecordHeader, list[RequestRecord]]:
    """Records of a level whose throughput is the script's: requests one after another, evenly."""
    each_s = tokens / life.rate.get(level.value, life.rate_otherwise)
    gap_s = max(0.0, each_s - life.ttft_s) / tokens
    rows = [
        RequestRecord(
            index=index,
            scheduled_s=index * each_s,
            sent_s=index * each_s,
            token_times_s=tuple(index * each_s + life.ttft_s + gap_s * token for token in range(tokens)),
            done_s=(index + 1) * each_s,
            completion_tokens=tokens,
            prompt_tokens=8,
            status=200,
        )
        for index in range(requests)
    ]
    health = ClientHealth(
        cpu_share=0.1,
        schedule_lag_p99_s=0.001,
        loop_lag_p99_s=0.001,
        limited_by=("the client's CPU",) if life.limited else (),
    )
    header = RecordHeader(level=level, started_at="2026-01-01T00:00:00Z", duration_s=each_s * requests, health=health)
    return header, rows


class MemoryStore:
    """A store that forgets at the end of the process."""

    def __init__(self) -> None:
        self._runs: dict[str, StudyRun] = {}
        self._facts: dict[str, dict[str, Fact]] = {}
        self._documents: dict[str, list[str]] = {}
        self._lock = threading.RLock()

    def create(
        self, name: str, *, document: str, spec: Mapping[str, object], environment: Mapping[str, object]
    ) -> StudyRun:
        """One number above the last."""
        with self._lock:
            number = sum(run.name == name for run in self._runs.values()) + 1
            run = StudyRun(id=f"{name}.{number}", name=name, run=number, created_at="2026-01-01T00:00:00Z",
                           document=document, spec=copy.deepcopy(spec), environment=copy.deepcopy(environment))  # fmt: skip
            self._runs[run.id] = run
            self._facts[run.id] = {}
            self._documents[run.id] = [document]
            return copy.deepcopy(run)

    def runs(self) -> tuple[StudyRun, ...]:
        """Oldest first."""
        return copy.deepcopy(tuple(self._runs.values()))

    def latest(self, name: str, run: int | None = None) -> StudyRun | None:
        """The newest, or the one numbered *run*."""
        found = [one for one in self.runs() if one.name == name and run in (None, one.run)]
        return found[-1] if found else None

    def rebudget(self, run_id: str, *, document: str, spec: Mapping[str, object]) -> StudyRun:
        """The run with the new document."""
        changed = self._change(run_id, document=document, spec=copy.deepcopy(spec), ended_at=None)
        self._documents[run_id].append(document)
        return copy.deepcopy(changed)

    def documents(self, run_id: str) -> tuple[str, ...]:
        """Oldest first."""
        return tuple(self._documents.get(run_id, ()))

    def append(self, run_id: str, facts: Sequence[Fact]) -> None:
        """All or none; those already there are silent."""
        added = {fact.model_dump_json(): fact for fact in facts}
        with self._lock:
            self._known(run_id)
            self._facts[run_id] = self._facts[run_id] | {
                key: fact for key, fact in added.items() if key not in self._facts[run_id]
            }

    def facts(self, run_id: str) -> tuple[Fact, ...]:
        """In order."""
        return tuple(self._facts.get(run_id, {}).values())

    def cancel(self, run_id: str) -> None:
        """Noted."""
        self._change(run_id, cancelled=True)

    def uncancel(self, run_id: str) -> None:
        """Forgotten."""
        self._change(run_id, cancelled=False)

    def cancelled(self, run_id: str) -> bool:
        """Whether someone asked."""
        return run_id in self._runs and self._runs[run_id].cancelled

    def end(self, run_id: str, at: str) -> None:
        """Noted."""
        self._change(run_id, ended_at=at)

    def close(self) -> None:
        """Nothing to let go of."""

    def _known(self, run_id: str) -> StudyRun:
        if run_id not in self._runs:
            raise StudyError(f"{run_id} is not known")
        return self._runs[run_id]

    def _change(self, run_id: str, **changes: object) -> StudyRun:
        self._runs[run_id] = replace(self._known(run_id), **changes)  # type: ignore[arg-type]  # names of its fields
        return self._runs[run_id]
