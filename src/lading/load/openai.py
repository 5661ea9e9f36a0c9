"""`OpenAILoad`: the `LoadGenerator` for OpenAI-compatible servers, chat and completions, streamed.

One level is: the schedule and every request's bytes computed, the requests driven and stamped, then everything read,
folded and written. Nothing is parsed while it is measured.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic

from lading.errors import MeasurementError
from lading.events import Emit, LevelMeasured, LevelNotMeasured, LevelProgress, LevelStarted
from lading.load import fold, health, probe
from lading.load.drive import Drive, Request, Sent, in_flight_cap
from lading.load.pool import Pool, target
from lading.load.request import body, payload
from lading.measure import records, schedule
from lading.measure.prompts import Form
from lading.measure.records import Level
from lading.measure.summary import summarize
from lading.ports.backend import Endpoint
from lading.ports.load import LevelDone, LevelLost
from lading.spec.clock import utc_now
from lading.spec.workload import Workload

#: Warm-up ends with the first window that is at most this much faster than the one before.
STEADY_GAIN = 0.10
LEAST_WARM_UP = 2
PROGRESS_EVERY_S = 0.5


class OpenAILoad:
    """Offers load from this process, on whatever event loop runs (`lading.load.loops` has the fastest).

    Args:
        foreign: Tells the load of other processes; None: the health does not say.
    """

    def __init__(self, foreign: health.ForeignLoad | None = None) -> None:
        self._foreign = foreign
        self._taken: dict[str, probe.Taken] = {}

    async def warm_up(self, endpoint: Endpoint, workload: Workload, *, emit: Emit) -> int:
        """See `LoadGenerator.warm_up`.

        Steady means: a window of requests (as many as the largest level keeps in flight, at least two) ended at a
        rate at most 10 % above that of the window before.
        """
        del emit
        most = max(LEAST_WARM_UP, workload.requests) if workload.warmup is None else workload.warmup
        endpoint, form = await self._asked(endpoint, workload)
        if most == 0:
            return 0
        requests = _requests(schedule.plan_warm_up(workload, form, most), endpoint, workload)
        streams = min(max(workload.levels.concurrency, default=LEAST_WARM_UP), in_flight_cap())
        window = len(requests) if workload.warmup is not None else max(LEAST_WARM_UP, streams)
        async with _connections(endpoint) as pool:
            sent = await _until_steady(pool, requests, streams=streams, window=window, timeout_s=workload.timeout)
        _raise_if_none_answered(sent, endpoint)
        return len(sent)

    async def run(
        self, endpoint: Endpoint, workload: Workload, directory: Path, *, emit: Emit
    ) -> AsyncGenerator[LevelDone | LevelLost, None]:
        """See `LoadGenerator.run`. A level's records are in ``concurrency-8.jsonl`` or ``rate-0.5.jsonl``."""
        directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything is timed
        for level in schedule.levels(workload):
            emit(LevelStarted(level=level, requests=workload.requests))
            try:
                done: LevelDone | LevelLost = await self._level(endpoint, workload, level, directory, emit)
            except MeasurementError as error:
                done = LevelLost(level=level, reason=error.message)
            if isinstance(done, LevelLost):
                emit(LevelNotMeasured(level=level, reason=done.reason))
            else:
                emit(LevelMeasured(summary=done.summary, record_file=done.record_file.name))
            yield done

    async def _level(
        self, endpoint: Endpoint, workload: Workload, level: Level, directory: Path, emit: Emit
    ) -> LevelDone | LevelLost:
        endpoint, form = await self._asked(endpoint, workload)
        requests = _requests(schedule.plan(workload, level, form), endpoint, workload)
        async with _connections(endpoint) as pool:
            drive = Drive(
                pool=pool,
                requests=requests,
                timeout_s=workload.timeout,
                duration_s=workload.duration,
                max_error_share=workload.max_error_share,
            )
            started_at = utc_now()
            seen = await self._driven(drive, level, emit)
        header, told = await asyncio.to_thread(fold.folded, drive, level, workload, seen=seen, started_at=started_at)
        path = directory / f"{level.kind}-{level.value:.15g}.jsonl"
        fold.write_whole(path, records.render(header, told))
        if not any(record.ok for record in told):
            return LevelLost(level=level, reason=fold.why_lost(told))
        return LevelDone(level=level, summary=await asyncio.to_thread(summarize, header, told), record_file=path)

    async def _driven(self, drive: Drive, level: Level, emit: Emit) -> health.Seen:
        """Drive one level; what was seen of the client meanwhile."""
        watch = health.Watch(self._foreign)
        telling = asyncio.create_task(_tell(drive, level, emit))
        try:
            with _no_garbage_collection():
                await (drive.open_loop() if level.kind == "rate" else drive.closed_loop(int(level.value)))
            return watch.seen(
                [sent.late_s for sent in drive.sent], reconnects=sum(sent.exchange.reconnects for sent in drive.sent)
            )
        finally:
            telling.cancel()
            await asyncio.wait([telling])
            await watch.stop()

    async def _asked(self, endpoint: Endpoint, workload: Workload) -> tuple[Endpoint, Form]:
        """The endpoint with the keys it takes, and the form of prompts; a server is asked once."""
        key = repr((endpoint, workload.api, workload.prompt, workload.ignore_eos))  # secrets are not in a repr
        if key not in self._taken:
            self._taken[key] = await probe.taken(endpoint, workload)
        return self._taken[key].endpoint, self._taken[key].form


def _requests(planned: Sequence[schedule.Planned], endpoint: Endpoint, workload: Workload) -> tuple[Request, ...]:
    where = target(endpoint.base_url)
    return tuple(
        Request(one.index, one.due_s, payload(body(one, endpoint, workload), where, endpoint, workload))
        for one in planned
    )


@asynccontextmanager
async def _connections(endpoint: Endpoint) -> AsyncIterator[Pool]:
    pool = Pool(target(endpoint.base_url))
    try:
        yield pool
    finally:
        await pool.close()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """No pause of the collector in what is timed; the hot loop makes no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


async def _tell(drive: Drive, level: Level, emit: Emit) -> None:
    """Emit how far *drive* is, until cancelled."""
    while True:
        await asyncio.sleep(PROGRESS_EVERY_S)
        emit(
            LevelProgress(
                level=level,
                ended=len(drive.sent),
                failed=drive.failed,
                requests=len(drive.requests),
                seconds=monotonic() - drive.began_s,
            )
        )


async def _until_steady(
    pool: Pool, requests: Sequence[Request], *, streams: int, window: int, timeout_s: float
) -> list[Sent]:
    """Offer *requests* window by window until one is hardly faster than the one before, or none is answered."""
    sent: list[Sent] = []
    rate_before_rps = 0.0
    while len(sent) < len(requests):
        drive = Drive(pool=pool, requests=requests[len(sent) : len(sent) + window], timeout_s=timeout_s)
        await drive.closed_loop(streams)
        sent += drive.sent
        rate_rps = len(drive.sent) / (monotonic() - drive.began_s)
        if drive.failed == len(drive.sent) or rate_rps <= rate_before_rps * (1 + STEADY_GAIN):
            break
        rate_before_rps = rate_rps
    return sent


def _raise_if_none_answered(sent: Sequence[Sent], endpoint: Endpoint) -> None:
    answers = [one.read() for one in sent]
    if any(answer.error is None for answer in answers):
        return
    message, _ = Counter(answer.message for answer in answers).most_common(1)[0]
    raise MeasurementError(
        f"none of {len(answers)} requests to {endpoint.base_url} was answered: {message}",
        hint=f"`lading ask {endpoint.base_url} hello --model {endpoint.served_name}` sends one and shows the answer",
    )
