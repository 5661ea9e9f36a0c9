"""Each clause of the contract of a load generator fails when the client has one planted defect."""

import asyncio
import inspect
import random
from dataclasses import replace
from time import monotonic

import pytest

from lading.events import Notice, ignore
from lading.load import decode, drive, fold, health, openai, pool, wire
from lading.load.openai import OpenAILoad
from lading.measure import arrivals, prompts, schedule, summary
from lading.testing.load import LoadContract


class OneStreamLess(drive.Drive):
    async def closed_loop(self, streams):
        await super().closed_loop(streams - 1)


class OneAfterTheOther(drive.Drive):
    async def open_loop(self):
        self.began_s = monotonic()
        for request in self.requests:
            due_s = self.began_s + request.due_s
            await asyncio.sleep(max(0.0, due_s - monotonic()))
            await self._one(request, due_s)


class NeverStops(drive.Drive):
    def _stops(self):
        return False


class StopsAndDrops(drive.Drive):
    """As if what is in flight at the time limit counted as failed."""

    async def _one(self, request, due_s):
        await super()._one(request, due_s)
        if self.duration_s and monotonic() - self.began_s > self.duration_s:
            self.sent[-1].exchange.failure = "cancelled"
            self.sent[-1].exchange.raw = bytearray()


class AcceptsEverything(pool.Pool):
    async def close(self):
        pass


class NeverTriesAgain(pool.Pool):
    async def send(self, payload, *, timeout_s):
        exchange = wire.Exchange(payload)
        connection = self._pooled() or await self._connect(exchange, timeout_s)
        await self._carry(connection, exchange, timeout_s)
        return exchange


class TriesEverythingTwice(pool.Pool):
    async def send(self, payload, *, timeout_s):
        await super().send(payload, timeout_s=timeout_s)
        return await super().send(payload, timeout_s=timeout_s)


class CountsTheRetryAsWaiting(pool.Pool):
    async def send(self, payload, *, timeout_s):
        began_s = monotonic()
        exchange = await super().send(payload, timeout_s=timeout_s)
        if exchange.reconnects:
            exchange.sent_s = began_s
        return exchange


class StopsAtTheFirstLoss(OpenAILoad):
    async def run(self, endpoint, workload, directory, *, emit):
        async for one in super().run(endpoint, workload, directory, emit=emit):
            yield one
            if isinstance(one, openai.LevelLost):
                return


class BeginsTheFileFirst(OpenAILoad):
    async def _level(self, endpoint, workload, level, directory, emit):
        (directory / f"half-{level.value}.jsonl").write_text("{")
        done = await super()._level(endpoint, workload, level, directory, emit)
        (directory / f"half-{level.value}.jsonl").unlink()
        return done


class LeavesScratch(OpenAILoad):
    async def _level(self, endpoint, workload, level, directory, emit):
        (directory / ".scratch").write_text("")
        return await super()._level(endpoint, workload, level, directory, emit)


class TellsTheKey(OpenAILoad):
    async def run(self, endpoint, workload, directory, *, emit):
        emit(Notice(message=str(dict(endpoint.headers))))
        async for one in super().run(endpoint, workload, directory, emit=emit):
            yield one


class Silent(OpenAILoad):
    async def run(self, endpoint, workload, directory, *, emit):
        async for one in super().run(endpoint, workload, directory, emit=ignore):
            yield one


class AlwaysWarmsUp(OpenAILoad):
    async def warm_up(self, endpoint, workload, *, emit):
        return await super().warm_up(endpoint, workload.model_copy(update={"warmup": 1}), emit=emit)


class SameIndex(prompts.Prompts):
    def prompt(self, index, length):
        return super().prompt(0, length)


class EndOfTheAnswer(decode._Clock):
    def at(self, end):
        return self._marks[-1][0]


def planted(where, name, defect, kind=OpenAILoad):
    """A generator with *defect* in place of *name*."""

    def plant(monkeypatch):
        monkeypatch.setattr(where, name, defect)
        return kind()

    return plant


def instead(kind):
    return lambda monkeypatch: kind()


def without(keys):
    real = openai.body

    def body(planned, endpoint, workload):
        return {key: value for key, value in real(planned, endpoint, workload).items() if key not in keys}

    return body


def more(times, extra):
    real = schedule.plan_warm_up
    return lambda workload, form, count: real(workload, form, count * times + extra)


async def always(endpoint, workload, *, known, form):
    return openai.probe.Taken(endpoint=endpoint, form=form)


MUTANTS = [
    ("a_closed_loop_keeps_exactly_so_many_in_flight", (), planted(openai, "Drive", OneStreamLess)),
    ("closed_loop_starts_are_staggered", (), planted(arrivals, "stagger", lambda streams: iter([0.0] * streams))),
    ("an_open_loop_sends_when_due_however_many_are_in_flight", (), planted(openai, "Drive", OneAfterTheOther)),
    ("poisson_arrivals_are_uneven_and_the_seed_s_own", (),
     planted(arrivals, "poisson", lambda rate, random: arrivals.constant(rate))),
    ("poisson_arrivals_are_uneven_and_the_seed_s_own", (),
     planted(schedule.seeded, "generator", lambda *names: random.Random(1))),
    ("every_request_of_every_level_is_sent_once", (), planted(openai, "Pool", TriesEverythingTwice)),
    ("no_two_prompts_are_the_same", (), planted(schedule, "Prompts", SameIndex)),
    ("prompts_and_answers_have_the_lengths_of_the_scenario", (), planted(openai, "body", without({"max_tokens"}))),
    ("ids_are_sent_where_they_are_taken_and_words_where_not", (True, list),
     planted(openai.probe, "_first_answered", lambda e, w, known: always(e, w, known=known, form=prompts.Words()))),
    ("ids_are_sent_where_they_are_taken_and_words_where_not", (False, str),
     planted(openai.probe, "_first_answered", lambda e, w, known: always(e, w, known=known, form=prompts.TokenIds(99)))),
    ("the_endpoint_s_keys_and_the_user_s_are_in_every_body", (), planted(openai, "body", without({"top_k"}))),
    ("times_are_the_server_s_own", ("chat",), planted(decode, "_Clock", EndOfTheAnswer)),
    ("the_role_chunk_is_no_token", ("early",), planted(decode, "_has_content", lambda choice: True)),
    ("the_role_chunk_is_no_token", ("null",), planted(decode, "_has_content", lambda choice: "role" in choice["delta"])),
    ("counts_are_the_server_s_usage_where_a_chunk_has_many_tokens", (), planted(decode, "_count", lambda value: None)),
    ("without_usage_the_chunks_are_counted", (),
     planted(openai.fold, "record", lambda sent, began_s, real=fold.record: real(sent, began_s).model_copy(
         update={"completion_tokens": 0}))),
    ("however_the_bytes_are_cut_the_answer_is_the_same", ({"framing": "torn"},),
     planted(decode, "_unframed", lambda raw, head: (bytes(raw[head.body_at:]), [(len(raw), head.body_at)]))),
    ("however_the_bytes_are_cut_the_answer_is_the_same", ({"framing": "close"},),
     planted(wire, "parse_head", lambda raw, real=wire.parse_head: replace(real(raw), framing="length"))),
    ("however_the_bytes_are_cut_the_answer_is_the_same", ({"comments": True},),
     planted(decode, "_data", lambda event, real=decode._data: real(event) or event or None)),
    ("a_connection_that_died_in_the_pool_costs_a_reconnect_and_no_ttft", (), planted(openai, "Pool", NeverTriesAgain)),
    ("a_connection_that_died_in_the_pool_costs_a_reconnect_and_no_ttft", (),
     planted(openai, "Pool", CountsTheRetryAsWaiting)),
    ("a_server_that_closes_after_every_answer_is_measured_all_the_same", (),
     planted(openai, "Pool", NeverTriesAgain)),
    ("a_failed_request_is_counted_with_its_kind", ("early_close", "early_close"),
     planted(decode, "_judge", lambda exchange, answer: None)),
    ("a_failed_request_is_counted_with_its_kind", ("sse_error", "stream"),
     planted(decode, "_message", lambda event: event["no such key"])),
    ("a_failed_request_is_counted_with_its_kind", ("stall", "timeout"),
     planted(openai.fold, "record", lambda sent, began_s, real=fold.record: real(sent, began_s).model_copy(
         update={"error": None}))),
    ("an_http_error_keeps_its_status_and_the_server_s_words", (), planted(decode, "_short", lambda body: "")),
    ("a_level_that_fails_is_lost_with_its_reason_and_the_others_are_measured", (), instead(StopsAtTheFirstLoss)),
    ("a_level_ends_early_when_too_many_failed_and_is_still_data", (), planted(drive, "ERRORS_COUNT_FROM", 10**9)),
    ("a_level_ends_at_its_time_limit_and_waits_for_what_is_in_flight", (), planted(openai, "Drive", NeverStops)),
    ("a_level_ends_at_its_time_limit_and_waits_for_what_is_in_flight", (), planted(openai, "Drive", StopsAndDrops)),
    ("an_endpoint_that_is_gone_loses_every_level", (), instead(StopsAtTheFirstLoss)),
    ("the_summary_is_a_fold_of_the_record_file", (),
     planted(openai, "summarize", lambda header, told: summary.summarize(header, [one for one in told if one.ok]))),
    ("the_folder_holds_whole_record_files_and_nothing_else", (), instead(LeavesScratch)),
    ("a_finished_level_stands_when_a_later_one_is_cancelled", (), instead(BeginsTheFileFirst)),
    ("cancelling_ends_what_is_in_flight_and_closes_every_connection", ({"concurrency": [4]},),
     planted(pool.Connection, "close", lambda connection: None)),
    ("no_connection_outlives_its_level", (), planted(openai, "Pool", AcceptsEverything)),
    ("the_headers_of_the_endpoint_are_sent_and_never_written", (), instead(TellsTheKey)),
    ("events_tell_when_a_level_starts_and_how_it_ended", (), instead(Silent)),
    ("the_client_s_own_health_is_told", (), planted(health, "lag", lambda values: health.Lag(0.0, 0.0))),
    ("a_fixed_warm_up_is_exactly_as_long_as_asked_for", (), planted(schedule, "plan_warm_up", more(1, 1))),
    ("no_warm_up_is_no_request", (), instead(AlwaysWarmsUp)),
    ("a_warm_up_ends_when_throughput_is_steady", (), planted(openai, "STEADY_GAIN", -1.0)),
    ("a_warm_up_is_never_longer_than_the_requests_of_a_level", (), planted(schedule, "plan_warm_up", more(3, 0))),
    ("a_warm_up_that_nobody_answers_says_why", (),
     planted(openai, "_raise_if_none_answered", lambda sent, endpoint: None)),
]  # fmt: skip


@pytest.mark.parametrize(("clause", "arguments", "plant"), MUTANTS, ids=[clause for clause, *_ in MUTANTS])
async def test_a_planted_defect_breaks_its_clause(clause, arguments, plant, truth, tmp_path, monkeypatch):
    load = plant(monkeypatch)
    test = getattr(LoadContract(), f"test_{clause}")
    wants_folder = "tmp_path" in inspect.signature(test).parameters
    with pytest.raises((Exception, pytest.fail.Exception)):
        async with asyncio.timeout(2.0):
            await test(load, truth, *([tmp_path] if wants_folder else []), *arguments)


def test_every_clause_has_a_defect():
    clauses = {name.removeprefix("test_") for name in vars(LoadContract) if name.startswith("test_")}
    assert clauses == {clause for clause, *_ in MUTANTS}
