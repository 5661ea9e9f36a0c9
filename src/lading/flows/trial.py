"""One attempt at a trial: one life of one server, measured and taken down.

Facts are committed as they happen; the outcome is committed before the teardown begins, so that nothing measured is
lost to a teardown that fails. Whatever happens in between, the server is removed, and its removal is verified.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lading import events
from lading.errors import InvalidInput, MeasurementError, ServingError, TeardownFailed
from lading.flows import flags, serve
from lading.flows.study import Setup
from lading.measure import schedule
from lading.measure.records import Level
from lading.ports.backend import Deployment, Endpoint, ServeRequest
from lading.ports.load import LevelDone, LevelLost
from lading.spec import units
from lading.tuning import failure
from lading.tuning.trial import (
    Completed,
    Ended,
    LevelFailed,
    Measured,
    Outcome,
    Phase,
    Served,
    Started,
    Stopped,
    Trial,
)

LOG_LINES_KEPT = 5000
#: A backend keeps the start's deadline itself, and knows best what it waited for; this is for one that does not.
GRACE_S = 5.0


@dataclass(slots=True, kw_only=True)
class Attempt:
    """An attempt under way: where it is, and how long each phase took."""

    setup: Setup
    trial: Trial
    number: int
    attempt: int
    ended: Callable[[Trial], None]
    phase: Phase = "plan"
    seconds: dict[str, float] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    answered: int = 0

    @property
    def name(self) -> str:
        """The server's."""
        return self.setup.server_name(self.number, self.attempt)

    @property
    def directory(self) -> Path:
        """Where raw records and the server's log go."""
        return self.setup.directory / f"trial-{self.number}" / f"attempt-{self.attempt}"

    @contextmanager
    def during(self, phase: Phase, deadline_s: float) -> Iterator[None]:
        """Tell that *phase* begins, and note how long it took, however it ends."""
        self.phase = phase
        self.setup.emit(events.PhaseStarted(number=self.number, phase=phase, deadline_s=deadline_s))
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            yield
        finally:
            self.seconds[phase] = clock() - began


async def attempt(setup: Setup, trial: Trial, *, ended: Callable[[Trial], None]) -> Outcome:
    """Attempt *trial* once more: its outcome, already committed. *ended* hears of it before the teardown.

    Raises:
        TeardownFailed: Something of the server is left; measuring on beside it would be wrong.
        Missing: The engine's program is gone.
        StudyError: The store cannot be written.
    """
    now = Attempt(setup=setup, trial=trial, number=trial.number, attempt=trial.attempts + 1, ended=ended)
    setup.emit(events.TrialStarted(number=now.number, attempt=now.attempt, role=trial.role, params=dict(trial.params)))
    try:
        deployment = await flags.planned(setup.backend, _request(now))
    except InvalidInput as error:
        return _end(now, failure.of_error(error, "plan", setup.engine, ()))
    setup.append(
        Started(number=now.number, attempt=now.attempt, lease=setup.lease, at=setup.now(), argv=deployment.argv,
                argv_sha256=deployment.argv_sha256)
    )  # fmt: skip
    async with _removed(now):
        try:
            outcome = await _live(now, deployment)
        except asyncio.CancelledError:
            setup.append(Stopped(number=now.number, attempt=now.attempt, at=setup.now()))
            raise
        return _end(now, outcome)


def _request(now: Attempt) -> ServeRequest:
    setup = now.setup
    return ServeRequest(
        name=now.name,
        model=setup.model,
        served_name=setup.served_name,
        engine=setup.engine,
        params=now.trial.params,
        env=setup.env,
        port=setup.study.backend.port,
        lease=setup.lease,
    )


def _end(now: Attempt, outcome: Outcome) -> Outcome:
    now.setup.append(
        Ended(number=now.number, attempt=now.attempt, outcome=outcome, at=now.setup.now(), seconds=now.seconds)
    )
    now.ended(now.trial)
    return outcome


async def _live(now: Attempt, deployment: Deployment) -> Outcome:
    """Start, warm up, measure. An error of serving or of measuring is an outcome; one of the store, or a bug, is not."""
    deadlines = now.setup.study.deadlines
    deadline_s = deadlines.start
    try:
        async with asyncio.timeout(deadline_s + GRACE_S):
            endpoint = await _start(now, deployment, deadline_s)
        deadline_s = deadlines.measure
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(deadline_s):
            await _warm_up(now, endpoint, deadline_s)
        left_s = deadline_s - (asyncio.get_running_loop().time() - began)
        return await _measure(now, endpoint, left_s)
    except TimeoutError:
        return failure.of_deadline(now.phase, deadline_s, now.setup.engine, now.setup.backend.log(now.name))
    except (ServingError, MeasurementError, InvalidInput) as error:
        return failure.of_error(error, now.phase, now.setup.engine, now.setup.backend.log(now.name))


async def _start(now: Attempt, deployment: Deployment, deadline_s: float) -> Endpoint:
    setup = now.setup
    with now.during("start", deadline_s):
        await serve.begin(setup.backend, deployment, setup.emit)
    left_s = deadline_s - now.seconds["start"]
    with now.during("ready", left_s):
        ready = await setup.backend.ready(now.name, within_s=left_s)
    told = serve.answered(deployment, ready)
    setup.append(
        Served(number=now.number, attempt=now.attempt, ready_s=ready.ready_s, effective=dict(ready.effective),
               differences=told.differences)
    )  # fmt: skip
    setup.emit(told)
    return ready.endpoint


async def _warm_up(now: Attempt, endpoint: Endpoint, deadline_s: float) -> None:
    with now.during("warmup", deadline_s):
        await now.setup.load.warm_up(endpoint, now.setup.study.workload, emit=now.setup.emit)


async def _measure(now: Attempt, endpoint: Endpoint, deadline_s: float) -> Outcome:
    """Measure every level. What ends the measurement early ends the levels that are left, never those that are done."""
    left = list(schedule.levels(now.setup.study.workload))
    with now.during("measure", deadline_s):
        try:
            async with asyncio.timeout(max(0.0, deadline_s)):
                await _measure_levels(now, endpoint, left)
        except TimeoutError:
            allowed = units.show_seconds(now.setup.study.deadlines.measure)
            _lose(now, left, f"not measured within deadlines.measure ({allowed})")
        except MeasurementError as error:
            _lose(now, left, error.message)
    if now.answered:
        return Completed()
    alive = await now.setup.backend.alive(now.name)
    return failure.of_levels(now.lost, now.setup.engine, now.setup.backend.log(now.name), alive=alive)


async def _measure_levels(now: Attempt, endpoint: Endpoint, left: list[Level]) -> None:
    """Measure level by level, and take those that are done from *left*."""
    setup = now.setup
    measuring = setup.load.run(endpoint, setup.study.workload, now.directory, emit=setup.emit)
    async with aclosing(measuring) as results:  # what is in flight is cancelled before the server goes
        async for result in results:
            left.remove(result.level)
            _note(now, result)


def _lose(now: Attempt, levels: Sequence[Level], reason: str) -> None:
    for level in levels:
        _note(now, LevelLost(level=level, reason=reason))
        now.setup.emit(events.LevelNotMeasured(level=level, reason=reason))


def _note(now: Attempt, result: LevelDone | LevelLost) -> None:
    setup, number, attempt = now.setup, now.number, now.attempt
    match result:
        case LevelDone(level=level, summary=summary, record_file=file):
            name = file.relative_to(setup.directory).as_posix()
            setup.append(Measured(number=number, attempt=attempt, level=level, summary=summary, record_file=name))
            now.answered += summary.completed
            if not summary.completed:
                now.lost.append(f"{level}: all {summary.requests} requests failed ({_kinds(summary.errors)})")
        case LevelLost(level=level, reason=reason):
            setup.append(LevelFailed(number=number, attempt=attempt, level=level, reason=reason))
            now.lost.append(f"{level}: {reason}")


def _kinds(errors: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(errors.items())) or "no error was recorded"


@asynccontextmanager
async def _removed(now: Attempt) -> AsyncIterator[None]:
    """Remove the server at the end, whatever happened, and verify that it is gone."""
    deadline_s = now.setup.study.deadlines.teardown
    try:
        yield
    finally:
        try:
            _keep_log(now)
        finally:
            with now.during("teardown", deadline_s):
                await remove(now.setup, now.name)


async def remove(setup: Setup, name: str) -> None:
    """Remove the server *name* and verify it.

    Raises:
        TeardownFailed: Something is left; the message says that the study stops for it.
    """
    try:
        await serve.stop(setup.backend, name, emit=setup.emit, within_s=setup.study.deadlines.teardown)
    except TeardownFailed as error:
        raise TeardownFailed(
            f"the study stops, because measuring beside a leftover would be wrong: {error.message}",
            hint=error.hint or f"end it by hand, then run `lading tune` again: {setup.run.name} goes on where it was",
            log=error.log,
        ) from error


def _keep_log(now: Attempt) -> None:
    lines = now.setup.backend.log(now.name, lines=LOG_LINES_KEPT)
    if not lines:
        return
    now.directory.mkdir(parents=True, exist_ok=True)
    (now.directory / "server.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
