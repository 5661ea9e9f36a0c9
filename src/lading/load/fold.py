"""What comes after the last answer of a level: everything is read, made into records, and written."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from lading.load import health
from lading.load.drive import Drive, Sent, in_flight_cap
from lading.measure.records import Level, RecordHeader, RequestRecord
from lading.spec.workload import Workload


def folded(
    drive: Drive, level: Level, workload: Workload, *, seen: health.Seen, started_at: str
) -> tuple[RecordHeader, list[RequestRecord]]:
    """The content of the level's raw record file, in order of the schedule."""
    told = sorted((record(sent, drive.began_s) for sent in drive.sent), key=lambda one: one.index)
    header = RecordHeader(
        level=level,
        started_at=started_at,
        duration_s=duration_s(told),
        health=health.judged(seen, told, capped_at=in_flight_cap() if drive.capped else None),
        slo=workload.slo.model_dump(exclude_none=True) if workload.slo else {},
        ended=drive.ended,
    )
    return header, told


def record(sent: Sent, began_s: float) -> RequestRecord:
    """What is kept of one request; its times count from the start of the level."""
    exchange = sent.exchange
    answer = sent.read()
    ended_s = answer.complete_s if answer.complete_s is not None else exchange.ended_s
    return RequestRecord(
        index=sent.index,
        scheduled_s=sent.due_s - began_s,
        sent_s=exchange.sent_s - began_s if exchange.sent_s is not None else None,
        token_times_s=tuple(at - began_s for at in answer.token_times_s),
        done_s=ended_s - began_s if ended_s is not None else None,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        status=answer.status,
        finish_reason=answer.finish_reason,
        served_model=answer.served_model,
        error=answer.error,
        error_message=answer.message or None,
        reconnects=exchange.reconnects,
    )


def duration_s(told: Sequence[RequestRecord]) -> float:
    """From the first send to the last end."""
    sends = [one.sent_s for one in told if one.sent_s is not None]
    ends = [one.done_s for one in told if one.done_s is not None]
    return max(ends) - min(sends) if sends and ends else 0.0


def why_lost(told: Sequence[RequestRecord]) -> str:
    """Why no request was answered, in words."""
    if not told:
        return "no request was issued"
    message, count = Counter(one.error_message or str(one.error) for one in told).most_common(1)[0]
    return f"none of {len(told)} requests was answered; {count} of them: {message}"


def write_whole(path: Path, lines: Iterable[str]) -> None:
    """Write *path* whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
