# ruff: noqa: D102 - the name of each test is the clause
"""The contract of a `LoadGenerator`, to be run against the truth server.

Subclass `LoadContract` with a fixture ``load`` that gives a new generator; import the fixtures `truth` and
`truth_server` into the module (or its conftest). Each test is one clause.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, cast

import pytest

from lading.errors import MeasurementError
from lading.events import Event, LevelMeasured, LevelNotMeasured, LevelStarted, ignore
from lading.measure import records
from lading.measure.records import RecordHeader, RequestRecord
from lading.measure.summary import summarize
from lading.ports.backend import Endpoint
from lading.ports.load import LevelDone, LevelLost, LoadGenerator
from lading.spec.workload import Levels, Workload
from lading.testing import truth as truths
from lading.testing.truth import Handle

#: How far a client's figures may be from what the server says it sent.
TOLERANCE_S = 0.004
TOLERANCE = 0.1  # client and server are two processes: where others take the cores, the later one waits
SECRET = "Bearer sesame-7319"  # noqa: S105 - a decoy


@pytest.fixture(scope="session")
def truth_server() -> Iterator[Handle]:
    """One truth server for all tests: first token after 20 ms, then one every 4 ms."""
    with truths.running(ttft_ms=20, itl_ms=4) as handle:
        yield handle


@pytest.fixture
def truth(truth_server: Handle) -> Handle:
    """The truth server as it was at its start."""
    truth_server.set(ttft_ms=20, itl_ms=4)
    truth_server.reset()
    return truth_server


def workload(**given: Any) -> Workload:
    """A small workload: 12 requests of 8 tokens, one in flight, no warm-up."""
    defaults = {"scenario": "D(16,8)", "levels": Levels(concurrency=(1,)), "requests": 12, "warmup": 0, "timeout": 10}
    return Workload.model_validate({**defaults, **given})


def endpoint(truth: Handle, **given: Any) -> Endpoint:
    """The truth server as an endpoint that is known to take ids."""
    known: dict[str, Any] = {"takes_token_ids": True, "vocabulary": 1000, "request_body": {"ignore_eos": True}}
    return Endpoint(**{"base_url": truth.url, "served_name": "truth", **known, **given})


async def measured(
    load: LoadGenerator, at: Endpoint, offered: Workload, directory: Path, emit: Callable[[Event], None] = ignore
) -> list[LevelDone | LevelLost]:
    """Every level's result."""
    return [one async for one in load.run(at, offered, directory, emit=emit)]


async def one_level(load: LoadGenerator, at: Endpoint, offered: Workload, directory: Path) -> LevelDone:
    """The result of the only level, which must have been measured."""
    [done] = await measured(load, at, offered, directory)
    assert isinstance(done, LevelDone), done
    return done


def told(done: LevelDone) -> tuple[RecordHeader, list[RequestRecord]]:
    """The raw records of a level."""
    with done.record_file.open(encoding="utf-8") as lines:
        return records.parse(lines)


def files(directory: Path) -> list[Path]:
    """Everything in *directory*, sorted."""
    return sorted(directory.iterdir())


async def quiet(truth: Handle) -> dict[str, Any]:
    """The server's statistics, once it saw every connection end (at most a few seconds later)."""
    for _ in range(400):
        stats = truth.stats()
        if stats["open_connections"] == 0 and stats["running"] == 0:
            break
        await asyncio.sleep(0.01)
    return stats


class LoadContract:
    """Every clause of `lading.ports.load.LoadGenerator`."""

    @pytest.fixture
    def load(self) -> LoadGenerator:
        """A new generator; to be overridden."""
        raise AssertionError("override the fixture `load`")

    # ---------------------------------------------------------------------------------------------- what is offered

    async def test_a_closed_loop_keeps_exactly_so_many_in_flight(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        done = await one_level(load, endpoint(truth), workload(levels={"concurrency": [5]}, requests=20), tmp_path)
        stats = truth.stats()
        assert stats["most_running"] == 5
        busy_s = stats["duration_s"]["mean"] * stats["streamed"]
        assert busy_s / done.summary.duration_s > 0.6 * 5

    async def test_closed_loop_starts_are_staggered(self, load: LoadGenerator, truth: Handle, tmp_path: Path) -> None:
        await one_level(load, endpoint(truth), workload(levels={"concurrency": [6]}, requests=6), tmp_path)
        arrived = sorted(request["at_s"] for request in truth.requests())
        assert median(after - before for before, after in pairwise(arrived)) > 0.004

    async def test_an_open_loop_sends_when_due_however_many_are_in_flight(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        truth.set(ttft_ms=800)
        offered = workload(levels={"rate": [50]}, arrivals="constant", requests=20)
        done = await one_level(load, endpoint(truth), offered, tmp_path)
        _, found = told(done)
        assert truth.stats()["most_running"] == 20
        late_s = median((record.sent_s or 0) - record.scheduled_s for record in found)
        assert late_s < 0.020 + done.summary.health.loop_lag_p99_s  # a machine that is busy is late, too
        assert [record.scheduled_s for record in found] == pytest.approx([n / 50 for n in range(20)], abs=0.001)

    async def test_poisson_arrivals_are_uneven_and_the_seed_s_own(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        due = []
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            offered = workload(levels={"rate": [100]}, seed=seed)
            _, found = told(await one_level(load, endpoint(truth), offered, tmp_path / name))
            due.append([round(record.scheduled_s, 6) for record in found])
        gaps = {round(after - before, 4) for before, after in pairwise(due[0])}
        assert due[0] == sorted(due[0])
        assert len(gaps) > 6
        assert due[0] == due[1] != due[2]

    async def test_every_request_of_every_level_is_sent_once(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        offered = workload(levels={"concurrency": [2, 3]}, requests=7)
        results = await measured(load, endpoint(truth), offered, tmp_path)
        assert [len(told(cast("LevelDone", done))[1]) for done in results] == [7, 7]
        assert truth.stats()["streamed"] == 14

    async def test_no_two_prompts_are_the_same(self, load: LoadGenerator, truth: Handle, tmp_path: Path) -> None:
        offered = workload(levels={"concurrency": [2, 3]}, requests=10, warmup=3)
        await load.warm_up(endpoint(truth), offered, emit=ignore)
        await measured(load, endpoint(truth), offered, tmp_path)
        prompts = [json.dumps(request["prompt"]) for request in truth.requests()]
        assert len(prompts) == len(set(prompts)) == 23

    async def test_prompts_and_answers_have_the_lengths_of_the_scenario(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        await one_level(
            load, endpoint(truth), workload(scenario="U(5,9)/(3,6)", requests=40, levels={"concurrency": [8]}), tmp_path
        )
        requests = truth.requests()
        assert {request["tokens"] for request in requests} == {5, 6, 7, 8, 9}
        assert {request["max_tokens"] for request in requests} == {3, 4, 5, 6}

    @pytest.mark.parametrize(("taken", "kind"), [(True, list), (False, str)])
    async def test_ids_are_sent_where_they_are_taken_and_words_where_not(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path, taken: bool, kind: type
    ) -> None:
        truth.set(takes_ids=taken, takes_unknown_keys=taken)
        unknown = endpoint(truth, takes_token_ids=None, vocabulary=None, request_body={})
        await one_level(load, unknown, workload(requests=2), tmp_path)
        assert {type(request["prompt"]) for request in truth.requests() if request["stream"]} == {kind}

    async def test_the_endpoint_s_keys_and_the_user_s_are_in_every_body(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        at = endpoint(truth, request_body={"ignore_eos": True, "cache_prompt": False})
        await one_level(load, at, workload(body={"top_k": 1}, requests=3), tmp_path)
        assert all({"ignore_eos", "cache_prompt", "top_k"} <= set(request["keys"]) for request in truth.requests())

    # ---------------------------------------------------------------------------------------------- what is measured

    @pytest.mark.parametrize("api", ["chat", "completions"])
    async def test_times_are_the_server_s_own(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path, api: str
    ) -> None:
        offered = workload(levels={"concurrency": [4]}, requests=40, scenario="D(16,16)", api=api)
        done = await one_level(load, endpoint(truth), offered, tmp_path)
        _, found = told(done)
        stats = truth.stats()
        gaps = [gap for record in found for gap in record.itl_s]
        assert median(cast("float", record.ttft_s) for record in found) == pytest.approx(
            stats["ttft_s"]["p50"], abs=TOLERANCE_S, rel=TOLERANCE
        )
        assert sum(gaps) / len(gaps) == pytest.approx(stats["itl_s"]["mean"], abs=TOLERANCE_S / 4, rel=TOLERANCE)
        assert median(cast("float", record.e2e_s) for record in found) == pytest.approx(
            stats["duration_s"]["p50"], abs=TOLERANCE_S, rel=TOLERANCE
        )
        assert len(gaps) == stats["itl_s"]["n"]

    @pytest.mark.parametrize("role", ["early", "null", "with_first"])
    async def test_the_role_chunk_is_no_token(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path, role: str
    ) -> None:
        truth.set(role=role)
        _, found = told(await one_level(load, endpoint(truth), workload(api="chat", requests=4), tmp_path))
        assert all(len(record.token_times_s) == 8 for record in found)
        assert all((record.ttft_s or 0) > 0.015 for record in found)

    async def test_counts_are_the_server_s_usage_where_a_chunk_has_many_tokens(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        truth.set(tokens_per_chunk=4)
        done = await one_level(load, endpoint(truth), workload(scenario="D(10,16)", requests=4), tmp_path)
        assert done.summary.output_tokens_mean == 16
        assert done.summary.prompt_tokens_mean == 10
        assert done.summary.tpot_s.mean == pytest.approx(12 * 0.004 / 15, abs=0.001)

    async def test_without_usage_the_chunks_are_counted(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        truth.set(usage=False)
        _, [first, *_] = told(await one_level(load, endpoint(truth), workload(requests=2), tmp_path))
        assert first.completion_tokens is None
        assert first.output_tokens == 8

    @pytest.mark.parametrize("how", [{"framing": "torn"}, {"framing": "close"}, {"comments": True}])
    async def test_however_the_bytes_are_cut_the_answer_is_the_same(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path, how: dict[str, Any]
    ) -> None:
        truth.set(**how)
        _, found = told(await one_level(load, endpoint(truth), workload(requests=3), tmp_path))
        assert [(record.error, len(record.token_times_s), record.output_tokens) for record in found] == [
            (None, 8, 8)
        ] * 3

    async def test_a_connection_that_died_in_the_pool_costs_a_reconnect_and_no_ttft(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        truth.set(fault="drop", fault_every=4, ttft_ms=150)  # the connection dies after 150 ms, the retry takes as long
        done = await one_level(load, endpoint(truth), workload(requests=5), tmp_path)
        _, found = told(done)
        assert done.summary.completed == 5
        assert [record.reconnects for record in found] == [0, 0, 0, 1, 0]
        assert done.summary.health.reconnects == 1
        assert found[3].ttft_s is not None
        assert found[3].ttft_s < 0.100 + median(record.ttft_s or 0 for record in found)

    async def test_a_server_that_closes_after_every_answer_is_measured_all_the_same(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        truth.set(keep_alive="silent")
        done = await one_level(load, endpoint(truth), workload(requests=10), tmp_path)
        assert done.summary.completed == 10
        assert truth.stats()["streamed"] == 10
        assert truth.stats()["aborted"] == 0

    # ---------------------------------------------------------------------------------------------- failures are data

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ("http500", "http"),
            ("hang", "timeout"),
            ("stall", "timeout"),
            ("early_close", "early_close"),
            ("no_done", "early_close"),
            ("sse_error", "stream"),
            ("garbage", "stream"),
            ("no_stream", "stream"),
            ("no_tokens", "no_tokens"),
        ],
    )
    async def test_a_failed_request_is_counted_with_its_kind(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path, fault: str, kind: str
    ) -> None:
        truth.set(fault=fault, fault_every=3)
        offered = workload(levels={"concurrency": [3]}, timeout=0.5)
        done = await one_level(load, endpoint(truth), offered, tmp_path)
        failed = [record for record in told(done)[1] if not record.ok]
        assert done.summary.errors == {kind: 4}
        assert done.summary.completed == 8
        assert all(record.error_message for record in failed)

    async def test_an_http_error_keeps_its_status_and_the_server_s_words(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        truth.set(fault="http500", fault_every=2)
        _, found = told(await one_level(load, endpoint(truth), workload(requests=4), tmp_path))
        [failed, *_] = [record for record in found if not record.ok]
        assert failed.status == 500
        assert failed.error_message is not None
        assert "internal error" in failed.error_message

    async def test_a_level_that_fails_is_lost_with_its_reason_and_the_others_are_measured(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        truth.set(fault="http500")
        results = []
        offered = workload(levels={"concurrency": [1, 2]}, requests=4)
        async for one in load.run(endpoint(truth), offered, tmp_path, emit=ignore):
            results.append(one)
            truth.set(fault="none")
        assert isinstance(results[0], LevelLost)
        assert "internal error" in results[0].reason
        assert isinstance(results[1], LevelDone)
        assert results[1].summary.completed == 4

    async def test_a_level_ends_early_when_too_many_failed_and_is_still_data(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        truth.set(fault="http500", fault_every=2)
        offered = workload(requests=100, max_error_share=0.3)
        done = await one_level(load, endpoint(truth), offered, tmp_path)
        assert done.summary.ended == "errors"
        assert 10 <= done.summary.requests < 30
        assert done.summary.completed > 0

    async def test_a_level_ends_at_its_time_limit_and_waits_for_what_is_in_flight(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        offered = workload(requests=1000, duration=0.4, levels={"concurrency": [2]})
        done = await one_level(load, endpoint(truth), offered, tmp_path)
        assert done.summary.ended == "duration"
        assert done.summary.completed == done.summary.requests > 4
        assert done.summary.duration_s < 1.2

    async def test_an_endpoint_that_is_gone_loses_every_level(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        gone = endpoint(truth, base_url="http://127.0.0.1:9")
        results = await measured(load, gone, workload(levels={"concurrency": [1, 2]}, requests=2), tmp_path)
        assert [type(one) for one in results] == [LevelLost, LevelLost]
        assert all("refused" in one.reason for one in results if isinstance(one, LevelLost))

    # ---------------------------------------------------------------------------------------------- what is left

    async def test_the_summary_is_a_fold_of_the_record_file(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        truth.set(fault="early_close", fault_every=4)
        offered = workload(levels={"rate": [60]}, requests=24, slo={"ttft_s": 0.2})
        done = await one_level(load, endpoint(truth), offered, tmp_path)
        assert summarize(*told(done)) == done.summary
        assert done.summary.good == 18

    async def test_the_folder_holds_whole_record_files_and_nothing_else(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        results = await measured(load, endpoint(truth), workload(levels={"concurrency": [1, 2]}, requests=3), tmp_path)
        assert files(tmp_path) == sorted(cast("LevelDone", one).record_file for one in results)

    async def test_a_finished_level_stands_when_a_later_one_is_cancelled(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        offered = workload(levels={"concurrency": [1, 2]}, requests=3)
        levels = cast("AsyncIterator[LevelDone]", load.run(endpoint(truth), offered, tmp_path, emit=ignore))
        first = await anext(levels)
        truth.set(ttft_ms=5000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(levels), 0.2)
        assert files(tmp_path) == [first.record_file]
        assert summarize(*told(first)) == first.summary

    @pytest.mark.parametrize("levels", [{"concurrency": [4]}, {"rate": [200]}])
    async def test_cancelling_ends_what_is_in_flight_and_closes_every_connection(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path, levels: dict[str, Any]
    ) -> None:
        truth.set(ttft_ms=5000)
        run = asyncio.ensure_future(measured(load, endpoint(truth), workload(levels=levels), tmp_path))
        while not run.done() and truth.stats()["running"] < 4:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        assert run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        stats = await quiet(truth)
        assert (stats["open_connections"], stats["running"]) == (0, 0)
        assert len(asyncio.all_tasks()) == 1

    async def test_no_connection_outlives_its_level(self, load: LoadGenerator, truth: Handle, tmp_path: Path) -> None:
        levels = load.run(endpoint(truth), workload(), tmp_path, emit=ignore)
        await anext(levels)
        assert (await quiet(truth))["open_connections"] == 0

    async def test_the_headers_of_the_endpoint_are_sent_and_never_written(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        truth.set(api_key=SECRET.removeprefix("Bearer "))
        events: list[Event] = []
        at = endpoint(truth, headers={"Authorization": SECRET})
        [done] = await measured(load, at, workload(requests=3), tmp_path, events.append)
        assert isinstance(done, LevelDone)
        words = "".join(path.read_text() for path in files(tmp_path)) + repr(events) + repr(done) + repr(at)
        assert "sesame" not in words

    async def test_events_tell_when_a_level_starts_and_how_it_ended(
        self, load: LoadGenerator, truth: Handle, tmp_path: Path
    ) -> None:
        events: list[Event] = []
        offered = workload(levels={"concurrency": [1, 2]}, requests=3)
        results = await measured(load, endpoint(truth), offered, tmp_path, events.append)
        marks = [event for event in events if isinstance(event, LevelStarted | LevelMeasured | LevelNotMeasured)]
        assert [type(mark) for mark in marks] == [LevelStarted, LevelMeasured] * 2
        assert [mark.summary for mark in marks if isinstance(mark, LevelMeasured)] == [
            one.summary for one in results if isinstance(one, LevelDone)
        ]

    async def test_the_client_s_own_health_is_told(self, load: LoadGenerator, truth: Handle, tmp_path: Path) -> None:
        health = (await one_level(load, endpoint(truth), workload(requests=20), tmp_path)).summary.health
        assert 0 < health.cpu_share < 1
        assert 0 <= health.schedule_lag_p99_s < 1
        assert 0 < health.loop_lag_p99_s < 1

    # ---------------------------------------------------------------------------------------------- warm-up

    async def test_a_fixed_warm_up_is_exactly_as_long_as_asked_for(self, load: LoadGenerator, truth: Handle) -> None:
        assert await load.warm_up(endpoint(truth), workload(warmup=5), emit=ignore) == 5
        assert truth.stats()["streamed"] == 5

    async def test_no_warm_up_is_no_request(self, load: LoadGenerator, truth: Handle) -> None:
        assert await load.warm_up(endpoint(truth), workload(warmup=0), emit=ignore) == 0
        assert truth.stats()["streamed"] == 0

    async def test_a_warm_up_ends_when_throughput_is_steady(self, load: LoadGenerator, truth: Handle) -> None:
        sent = await load.warm_up(endpoint(truth), workload(warmup=None, requests=200), emit=ignore)
        assert 2 <= sent == truth.stats()["streamed"] < 40

    async def test_a_warm_up_is_never_longer_than_the_requests_of_a_level(
        self, load: LoadGenerator, truth: Handle
    ) -> None:
        offered = workload(warmup=None, requests=3, levels={"concurrency": [2]})
        assert await load.warm_up(endpoint(truth), offered, emit=ignore) <= 3

    async def test_a_warm_up_that_nobody_answers_says_why(self, load: LoadGenerator, truth: Handle) -> None:
        with pytest.raises(MeasurementError, match="does not exist"):
            await load.warm_up(endpoint(truth, served_name="other"), workload(warmup=2), emit=ignore)
