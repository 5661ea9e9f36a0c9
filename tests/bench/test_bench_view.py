"""What a person sees of a level: numbers with three digits, failures and missing samples by name."""

import io

from rich.console import Console

from lading.cli import bench_view
from lading.cli.bench_view import BenchView
from lading.events import LevelMeasured, LevelNotMeasured, LevelProgress, LevelStarted, Notice
from lading.measure.records import ClientHealth, Level, RecordHeader, RequestRecord
from lading.measure.summary import summarize

LEVEL = Level(kind="rate", value=2.5)


def summary(good=40, failed=0, limited_by=(), ended="complete"):
    done = [
        RequestRecord(index=n, scheduled_s=0, sent_s=0, token_times_s=(0.5, 0.6, 0.7), done_s=0.7) for n in range(good)
    ]
    lost = [RequestRecord(index=n, scheduled_s=0, sent_s=0, done_s=1, error="http") for n in range(failed)]
    health = ClientHealth(cpu_share=0.1, schedule_lag_p99_s=0, loop_lag_p99_s=0, limited_by=limited_by)
    header = RecordHeader(level=LEVEL, started_at="x", duration_s=10, health=health, ended=ended)
    return summarize(header, [*done, *lost])


def cells(found):
    return dict(zip(bench_view.COLUMNS, bench_view.row(found), strict=True))


def test_a_level_is_a_row_with_its_units_in_the_head():
    row = cells(summary())
    assert (row["level"], row["requests"], row["ok"], row["failed"]) == ("2.5 rps", "40", "40", "0")
    assert (row["TTFT p50 ms"], row["TTFT p95 ms"], row["TPOT p50 ms"]) == ("500", "–", "100")
    assert (row["out tok/s"], row["req/s"], row["good/s"], row["verdict"]) == ("12.0", "4.00", "–", "ok")


def test_a_percentile_among_failures_is_a_word_and_no_number():
    assert cells(summary(good=10, failed=40))["TTFT p50 ms"] == "failed"


def test_the_verdict_says_what_was_wrong():
    assert cells(summary(limited_by=("too busy",)))["verdict"] == "client limited: too busy"
    assert cells(summary(ended="errors"))["verdict"] == "ended early: too many failed"
    assert cells(summary(ended="duration"))["verdict"] == "ended at its time limit"


def test_the_live_table_grows_and_says_what_it_waits_for(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        bench_view,
        "Console",
        lambda **options: Console(file=screen, width=200, force_terminal=True, **{**options, "stderr": False}),
    )
    view = BenchView()
    view(Notice(message="warming up"))
    view(LevelStarted(level=LEVEL, requests=40))
    view(LevelProgress(level=LEVEL, ended=10, failed=1, requests=40, seconds=5.0))
    shown = screen.getvalue()
    view(LevelMeasured(summary=summary(), record_file="x"))
    view(LevelNotMeasured(level=LEVEL, reason="gone"))
    view.close()
    view.close()
    assert "warming up" in shown
    assert "2.5 rps: 10 of 40 requests, 1 failed, 2.00 per s, about 15.0 s left" in shown
    assert "not measured: gone" in screen.getvalue()
