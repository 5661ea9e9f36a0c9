"""One request as it was: what was due, what was sent, when each piece came back. Raw, so that nothing need be measured again.

Times are seconds on the monotonic clock, counted from the start of the level. A raw record file is JSON Lines: a
header line (`RecordHeader`), then one `RequestRecord` per line, in order of `index`.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Literal

from lading.spec.base import Stored

ErrorKind = Literal["connect", "timeout", "http", "stream", "early_close", "no_tokens", "cancelled"]


class Level(Stored):
    """One offered load: *value* requests in flight, or requests per second."""

    kind: Literal["concurrency", "rate"]
    value: float

    def __str__(self) -> str:
        return f"c={self.value:g}" if self.kind == "concurrency" else f"{self.value:g} rps"


class RequestRecord(Stored):
    """One issued request."""

    index: int
    """Its place in the schedule, from 0."""
    warmup: bool = False
    """Sent to warm up: in the file, in no statistic."""
    scheduled_s: float
    """When it was due. Closed loop: when its stream became free."""
    sent_s: float | None = None
    """When its first byte was handed to the kernel; None: never."""
    token_times_s: tuple[float, ...] = ()
    """When each chunk with content had arrived."""
    done_s: float | None = None
    """When the answer was complete, or the failure known."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """From the server's own `usage`; None where it sent none."""
    status: int | None = None
    finish_reason: str | None = None
    served_model: str | None = None
    error: ErrorKind | None = None
    error_message: str | None = None
    reconnects: int = 0
    """Pooled connections that had died and were replaced before any byte of the answer."""

    @property
    def ok(self) -> bool:
        """Whether a complete answer with content came."""
        return self.error is None

    @property
    def output_tokens(self) -> int:
        """Tokens of the answer: the server's count, else the chunks."""
        return self.completion_tokens if self.completion_tokens is not None else len(self.token_times_s)

    @property
    def ttft_s(self) -> float | None:
        """First content token − send."""
        return self.token_times_s[0] - self.sent_s if self.token_times_s and self.sent_s is not None else None

    @property
    def tpot_s(self) -> float | None:
        """(last − first) / (n − 1), n tokens by the server's count; None below two tokens."""
        tokens = self.output_tokens
        if tokens < 2 or len(self.token_times_s) < 2:
            return None
        return (self.token_times_s[-1] - self.token_times_s[0]) / (tokens - 1)

    @property
    def itl_s(self) -> tuple[float, ...]:
        """All gaps between chunks with content."""
        times = self.token_times_s
        return tuple(after - before for before, after in pairwise(times))

    @property
    def e2e_s(self) -> float | None:
        """Done − send."""
        return self.done_s - self.sent_s if self.done_s is not None and self.sent_s is not None else None

    @property
    def e2e_scheduled_s(self) -> float | None:
        """Done − due: in an open loop a stalled client or server cannot hide in it."""
        return self.done_s - self.scheduled_s if self.done_s is not None else None


class ClientHealth(Stored):
    """How the load client itself did, so that its limits are not taken for the server's."""

    cpu_share: float
    """CPU seconds of the client's process over wall seconds, 1.0 is one core."""
    schedule_lag_p99_s: float
    """Sent − due, 99th percentile."""
    loop_lag_p99_s: float
    """How late the client's event loop ran a timer, 99th percentile."""
    foreign_cpus: float | None = None
    """Cores used by processes that are neither client nor server; None where it cannot be told."""
    reconnects: int = 0
    limited_by: tuple[str, ...] = ()
    """Why the client was the limit; empty: it was not."""

    @property
    def client_limited(self) -> bool:
        """The verdict; such a result is never ranked."""
        return bool(self.limited_by)


class RecordHeader(Stored):
    """First line of a raw record file: all that is needed to fold it again."""

    record_format: Literal[1] = 1
    level: Level
    started_at: str
    """UTC, ISO 8601."""
    duration_s: float
    """From the first measured send to the last end, warm-up left out."""
    health: ClientHealth
    slo: dict[str, float] = {}
    ended: Literal["complete", "duration", "errors", "cancelled"] = "complete"
    """Why the level ended: all requests done, its time was up, too many failed, or someone stopped it."""


def render(header: RecordHeader, records: Iterable[RequestRecord]) -> Iterator[str]:
    """The lines of a raw record file."""
    yield header.model_dump_json(exclude_none=True) + "\n"
    for record in records:
        yield record.model_dump_json(exclude_defaults=True) + "\n"


def parse(lines: Iterable[str]) -> tuple[RecordHeader, list[RequestRecord]]:
    """The content of a raw record file; a torn last line (a killed run) is left out.

    Raises:
        ValueError: The header is missing or not of this format.
    """
    iterator = iter(lines)
    header = RecordHeader.model_validate_json(next(iterator, ""))
    records = []
    for line in iterator:
        if not line.endswith("\n"):
            break
        records.append(RequestRecord.model_validate_json(line))
    return header, records
