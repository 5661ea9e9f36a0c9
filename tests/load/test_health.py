"""When the client was the limit: each threshold, just below and just above it."""

import asyncio
import time

import pytest

from lading.load import health, loops
from lading.load.health import Lag, Seen, judged, lag
from lading.measure.records import RequestRecord

CALM = {"cpu_share": 0.1, "schedule": Lag(0.001, 0.002), "loop": Lag(0.001, 0.002)}


def record(ttft_s=0.05, gaps=(0.01,) * 7):
    times = [ttft_s + sum(gaps[:n]) for n in range(len(gaps) + 1)]
    return RequestRecord(index=0, scheduled_s=0, sent_s=0, token_times_s=tuple(times), done_s=times[-1])


def limits(records=None, capped_at=None, **seen):
    return judged(Seen(**{**CALM, **seen}), records or [record()], capped_at=capped_at).limited_by


def test_a_calm_client_is_no_limit():
    assert limits() == ()


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        ({"cpu_share": 0.81}, "81% of a core"),
        ({"schedule": Lag(0.026, 0.03)}, "requests were sent 26 ms late (p90"),
        ({"loop": Lag(0.026, 0.03)}, "the event loop ran 26 ms late (p90"),
        ({"loop": Lag(0.001, 0.251)}, "the event loop ran 251 ms late (p99"),
    ],
)
def test_each_limit_alone_is_a_verdict(seen, word):
    [limit] = limits(**seen)
    assert word in limit


@pytest.mark.parametrize("seen", [{"cpu_share": 0.79}, {"schedule": Lag(0.024, 0.24)}, {"loop": Lag(0.024, 0.24)}])
def test_just_below_it_is_none(seen):
    assert limits(**seen) == ()


def test_lag_is_judged_against_the_ttft_it_disturbs():
    slow = [record(ttft_s=2.0)]
    assert limits(slow, loop=Lag(0.4, 3.9)) == ()
    assert len(limits(slow, loop=Lag(0.6, 3.9))) == 1


def test_bursts_of_chunks_are_the_client_s_only_when_it_was_busy():
    bursts = [record(gaps=(0.0, 0.0, 0.0, 0.04) * 4)]
    assert limits(bursts) == ()
    [limit] = limits(bursts, cpu_share=0.6)
    assert "many per read" in limit
    assert limits([record(gaps=(0.0, 0.0, 0.0, 0.002) * 4)], cpu_share=0.6) == ()


def test_the_cap_of_requests_in_flight_is_a_limit():
    assert "100 requests were in flight" in limits(capped_at=100)[0]


def test_lags_are_nearest_rank_percentiles():
    assert lag([]) == Lag(0.0, 0.0)
    assert lag([n / 1000 for n in range(1, 101)]) == Lag(0.090, 0.099)


async def test_a_blocked_loop_is_seen():
    watch = health.Watch()
    await asyncio.sleep(0.05)
    time.sleep(0.3)  # noqa: ASYNC251 - the block
    await asyncio.sleep(0.05)
    seen = watch.seen([0.5], reconnects=2)
    await watch.stop()
    assert seen.loop.p99_s > 0.2
    assert (seen.schedule, seen.reconnects, seen.foreign_cpus) == (Lag(0.5, 0.5), 2, None)


async def test_the_load_of_others_is_told_for_the_level_alone():
    class Foreign:
        calls = 0

        def cpus(self):
            self.calls += 1
            return float(self.calls)

    watch = health.Watch(Foreign())
    seen = watch.seen([], reconnects=0)
    await watch.stop()
    assert seen.foreign_cpus == 2.0


def test_the_fastest_loop_is_uvloop_where_it_is_installed(monkeypatch):
    async def name():
        return type(asyncio.get_running_loop()).__module__

    assert loops.run(name()).startswith("uvloop")
    monkeypatch.setitem(__import__("sys").modules, "uvloop", None)
    assert loops.run(name()).startswith("asyncio")
