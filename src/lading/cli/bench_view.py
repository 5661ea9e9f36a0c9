"""How levels look: the table of `lading bench`, alive while it is measured and still afterwards."""

from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lading.events import Event, LevelMeasured, LevelNotMeasured, LevelProgress, LevelStarted, Notice
from lading.measure.records import Level
from lading.measure.summary import Distribution, FailedPercentile, Resolved, Summary
from lading.spec import units

#: Column by column; times in milliseconds. A dash: too few samples.
COLUMNS = (
    "level", "requests", "ok", "failed", "TTFT p50 ms", "TTFT p95 ms", "TPOT p50 ms", "ITL p50 ms", "ITL p99 ms",
    "out tok/s", "req/s", "good/s", "verdict",
)  # fmt: skip
NUMBERS = COLUMNS[1:-1]


def row(summary: Summary) -> list[str]:
    """The cells of one level."""
    return [
        str(summary.level),
        str(summary.requests),
        str(summary.completed),
        str(summary.requests - summary.completed),
        milliseconds(summary.ttft_s, "p50"),
        milliseconds(summary.ttft_s, "p95"),
        milliseconds(summary.tpot_s, "p50"),
        milliseconds(summary.itl_s, "p50"),
        milliseconds(summary.itl_s, "p99"),
        units.show_number(summary.output_tokens_per_s),
        units.show_number(summary.requests_per_s),
        "–" if summary.goodput_rps is None else units.show_number(summary.goodput_rps),
        verdict(summary),
    ]


def lost_row(level: Level, reason: str) -> list[str]:
    """The cells of a level that could not be measured."""
    return [str(level), *[""] * len(NUMBERS), f"not measured: {reason}"]


def milliseconds(metric: Distribution, percentile: str) -> str:
    """A percentile over all issued requests: a number, ``failed`` or a dash."""
    match metric.issued.get(percentile):
        case Resolved(value=value):
            return units.show_number(value * 1000)
        case FailedPercentile():
            return "failed"
        case _:
            return "–"


def verdict(summary: Summary) -> str:
    """What to think of the level."""
    if summary.health.limited_by:
        return "client limited: " + "; ".join(summary.health.limited_by)
    if summary.ended == "errors":
        return "ended early: too many failed"
    return "ended at its time limit" if summary.ended == "duration" else "ok"


class BenchView:
    """The live table on stderr; call it with events, and `close` it."""

    def __init__(self) -> None:
        self._rows: list[list[str]] = []
        self._now = "asking the server"
        self._live: Live | None = None

    def __call__(self, event: Event) -> None:
        """Show what *event* tells."""
        match event:
            case Notice():
                self._now = event.message
            case LevelStarted():
                self._now = f"{event.level}: starting {event.requests} requests"
            case LevelProgress():
                self._now = _progress(event)
            case LevelMeasured():
                self._rows.append(row(event.summary))
                self._now = ""
            case LevelNotMeasured():
                self._rows.append(lost_row(event.level, event.reason))
            case _:
                return
        self._draw()

    def close(self) -> None:
        """Leave the terminal as it was; idempotent."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self) -> None:
        if self._live is None:
            self._live = Live(console=Console(stderr=True, highlight=False), transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        table = grid(self._rows)
        table.caption = Text(self._now, style="dim")
        table.caption_justify = "left"
        return table


def grid(rows: Sequence[Sequence[str]]) -> Table:
    """The rows as a table for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in NUMBERS else "left")
    for cells in rows:
        table.add_row(*cells)
    return table


def _progress(event: LevelProgress) -> str:
    failed = f", {event.failed} failed" if event.failed else ""
    rate = event.ended / event.seconds if event.seconds else 0.0
    left = f", about {units.show_seconds((event.requests - event.ended) / rate)} left" if rate else ""
    return f"{event.level}: {event.ended} of {event.requests} requests{failed}, {units.show_number(rate)} per s{left}"
