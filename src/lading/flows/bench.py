"""Measure a running server: warm it up, offer each level, and keep raw records beside what was made of them.

A result is a folder: ``summary.json`` (`BenchResult`) and one file of raw records per level. `refold` makes the
numbers again from the raw records.
"""

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from lading.errors import InvalidDocument, InvalidInput
from lading.events import Emit, Notice, Wrote
from lading.measure import lengths, records
from lading.measure.records import Level
from lading.measure.summary import Summary, summarize
from lading.ports.backend import Endpoint
from lading.ports.load import LevelDone, LevelLost, LoadGenerator
from lading.spec.base import Stored, dump
from lading.spec.clock import utc_now
from lading.spec.workload import Workload

RESULT_FILE = "summary.json"


class MeasuredLevel(Stored):
    """A level that was measured."""

    summary: Summary
    record_file: str
    """Its raw records, beside this document."""


class LostLevel(Stored):
    """A level that could not be measured at all."""

    level: Level
    reason: str


class BenchResult(Stored):
    """What one run of `lading bench` measured: ``summary.json`` in its folder."""

    bench_format: Literal[1] = 1
    started_at: str
    """UTC, ISO 8601."""
    base_url: str
    served_name: str
    workload: dict[str, Any]
    """As it was offered, its seed included."""
    warmup_requests: int
    complete: bool = False
    """Whether all levels are in it; false while it runs, and after it was interrupted."""
    levels: tuple[MeasuredLevel, ...] = ()
    lost: tuple[LostLevel, ...] = ()


async def bench(
    endpoint: Endpoint, workload: Workload, load: LoadGenerator, directory: Path, *, emit: Emit
) -> BenchResult:
    """Warm up, then measure every level of *workload*. What is measured is on disk before the next level begins.

    Args:
        endpoint: The server.
        workload: What to offer.
        load: What offers it.
        directory: Where the result goes; made when the warm-up was answered, and never one that has a result.
        emit: Is told each step.

    Raises:
        InvalidInput: The scenario cannot be understood, or *directory* has a result already; nothing was sent.
        MeasurementError: The warm-up was not answered; nothing was written.
    """
    lengths.parse(workload.scenario)
    if (directory / RESULT_FILE).exists():
        raise InvalidInput(f"{directory} holds a result already", hint="name another folder with --out")
    started_at = utc_now()
    emit(Notice(message=f"warming up {endpoint.served_name} at {endpoint.base_url}"))
    warmup_requests = await load.warm_up(endpoint, workload, emit=emit)
    result = BenchResult(
        started_at=started_at,
        base_url=endpoint.base_url,
        served_name=endpoint.served_name,
        workload=dump(workload),
        warmup_requests=warmup_requests,
    )
    async with aclosing(load.run(endpoint, workload, directory, emit=emit)) as levels:
        async for one in levels:
            result = _with(result, one)
            _write(directory, result)
    result = result.model_copy(update={"complete": True})
    _write(directory, result)
    emit(Wrote(path=str(directory / RESULT_FILE), what="the summary of all levels"))
    return result


def load_result(directory: Path) -> BenchResult:
    """The result in *directory*.

    Raises:
        InvalidDocument: There is none, or it is not one of ours.
    """
    path = directory / RESULT_FILE
    try:
        return BenchResult.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InvalidDocument(f"{path} does not exist") from None
    except ValidationError as error:
        raise InvalidDocument(f"{path} is no result of `lading bench`", problems=[str(error)]) from error


def refold(directory: Path) -> tuple[Summary, ...]:
    """The summaries of the result in *directory*, made again from its raw records.

    Raises:
        InvalidDocument: As `load_result`, or a file of records is missing or damaged.
    """
    return tuple(fold(directory / level.record_file) for level in load_result(directory).levels)


def fold(record_file: Path) -> Summary:
    """The summary of one file of raw records.

    Raises:
        InvalidDocument: It is missing or damaged.
    """
    try:
        with record_file.open(encoding="utf-8") as lines:
            return summarize(*records.parse(lines))
    except (OSError, ValueError) as error:
        raise InvalidDocument(f"{record_file} holds no records: {error}") from error


def best(levels: Sequence[MeasuredLevel]) -> Summary | None:
    """The level with the highest output throughput that the client did not limit; None where there is none."""
    ranked = [level.summary for level in levels if not level.summary.health.client_limited]
    return max(ranked, key=lambda summary: summary.output_tokens_per_s, default=None)


def _with(result: BenchResult, one: LevelDone | LevelLost) -> BenchResult:
    match one:
        case LevelDone():
            level = MeasuredLevel(summary=one.summary, record_file=one.record_file.name)
            return result.model_copy(update={"levels": (*result.levels, level)})
        case LevelLost():
            lost = LostLevel(level=one.level, reason=one.reason)
            return result.model_copy(update={"lost": (*result.lost, lost)})


def _write(directory: Path, result: BenchResult) -> None:
    """Whole or not at all: a reader, or the next run, never sees half a document."""
    temporary = directory / f".{RESULT_FILE}.part"
    temporary.write_text(result.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
    temporary.replace(directory / RESULT_FILE)
