"""However the bytes of an answer are cut, the same is read, at the time of the read that completed it."""

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import MeasurementError
from lading.load import drive, wire
from lading.load.decode import LONGEST_MESSAGE, decode
from lading.load.drive import Sent
from lading.load.wire import BadAnswer, Exchange

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def event(**document):
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def token(text="a", **delta):
    return event(model="m", choices=[{"index": 0, "delta": {"content": text, **delta}, "finish_reason": None}])


LAST = event(choices=[{"index": 0, "delta": {}, "finish_reason": "length"}])
USAGE = event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3})
DONE = b"data: [DONE]\n\n"


def chunked(body, sizes=(10**9,)):
    framed, start, number = b"", 0, 0
    while start < len(body):
        part = body[start : start + sizes[number % len(sizes)]]
        framed += b"%X;ext=1\r\n%s\r\n" % (len(part), part)
        start, number = start + len(part), number + 1
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def exchange(raw, cuts=(), *, clock=None, closes=True):
    """An exchange that received *raw* in pieces, one second each."""
    now = [100.0]
    patched = pytest.MonkeyPatch()
    patched.setattr(wire, "monotonic", lambda: now[0])
    try:
        one = Exchange(b"")
        one.begin(lambda: None)
        edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(raw)}), len(raw)]
        for start, end in pairwise(edges):
            if start < end and one.ended_s is None:
                now[0] += 1
                one.receive(raw[start:end])
        if closes and one.ended_s is None:
            wire._end_of_connection(one, None)
    finally:
        patched.undo()
    return one


cuts = st.lists(st.integers(0, 1500), max_size=30)
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=5)


@given(cuts, sizes)
def test_cuts_of_reads_and_chunks_change_nothing_but_the_stamps(cuts, sizes):
    body = token("") + token("a") + b": comment\n\n" + token("b") + token("ü\n\n0\r\n\r\n") + LAST + USAGE + DONE
    raw = chunked(body, sizes)
    answer = decode(exchange(raw, cuts))
    assert (answer.error, answer.prompt_tokens, answer.completion_tokens) == (None, 7, 3)
    assert len(answer.token_times_s) == 3
    assert answer.finish_reason == "length"
    assert answer.token_times_s == sorted(answer.token_times_s)


@given(st.integers(1, 900))
def test_a_token_s_time_is_that_of_the_read_that_completed_its_event(cut):
    first, second = token("a"), token("b")
    raw = chunked(first + second + LAST + DONE)
    body_at = raw.index(b"data: ")
    answer = decode(exchange(raw, [cut]))
    ends = [body_at + len(first), body_at + len(first) + len(second)]
    cut_is_real = 0 < cut < len(raw)
    assert answer.token_times_s == [101.0 if end <= cut or not cut_is_real else 102.0 for end in ends]


@given(st.binary(max_size=400), cuts)
def test_any_bytes_at_all_are_an_answer_with_an_error_and_never_a_crash(noise, cuts):
    for raw in (
        noise,
        HEAD + b"\r\n" + noise,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + noise,
        chunked(noise or b"x"),
    ):
        answer = decode(exchange(raw, cuts))
        assert answer.error is not None
        assert answer.message.isprintable()
        assert len(answer.message) <= LONGEST_MESSAGE


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["choices", "usage", "delta", "model", "error", "finish_reason", "text"]), inner, max_size=4),
                    max_leaves=10))  # fmt: skip
def test_any_json_at_all_is_read_without_a_crash(document):
    answer = decode(exchange(chunked(b"data: " + json.dumps(document).encode() + b"\n\n" + DONE)))
    assert answer.message.isprintable()
    assert answer.served_model is None or isinstance(answer.served_model, str)


@pytest.mark.parametrize(
    ("body", "error", "tokens"),
    [
        (token() + LAST + DONE, None, 1),
        (token() + LAST, None, 1),  # the last chunk after a finish reason is an end
        (token(), "early_close", 1),
        (token() + DONE, None, 1),
        (token() + LAST + DONE.rstrip(), None, 1),
        (DONE, "no_tokens", 0),
        (token("") + LAST + DONE, "no_tokens", 0),
        (event(choices=[{"text": "x", "finish_reason": None}]) + DONE, None, 1),
        (event(choices=[{"delta": {"reasoning_content": "x"}}]) + DONE, None, 1),
        (event(choices=[{"delta": {"reasoning": "x"}}]) + DONE, None, 1),
        (event(choices=[{"delta": {"role": "assistant", "content": None}}]) + token() + DONE, None, 1),
        (token() + event(error={"message": "out of memory"}), "stream", 1),
        (event(object="error", message="no"), "stream", 0),
        (token() + b"data: {oops\n\n" + DONE, "stream", 1),
        (b'{"error": {"message": "no"}}', "stream", 0),
        (b"<html>", "stream", 0),
        (b"event: x\r\ndata: " + token()[6:].strip() + b"\r\n\r\n" + DONE, None, 1),
        (token().replace(b"\n", b"\r") + LAST + DONE, None, 1),
        (token().replace(b'"choices"', b'\ndata: "choices"') + DONE, None, 1),
    ],
)
def test_what_each_kind_of_body_is(body, error, tokens):
    answer = decode(exchange(chunked(body)))
    assert (answer.error, len(answer.token_times_s)) == (error, tokens)


def test_json_that_is_deeper_than_any_stack_is_an_error():
    deep = b"data: " + b'{"choices":' + b"[" * 100_000 + b"\n\n"
    assert decode(exchange(chunked(deep))).error == "stream"
    refused = b"HTTP/1.1 500 X\r\nContent-Length: 50000\r\n\r\n" + b"[" * 50_000
    assert decode(exchange(refused)).error == "http"


def test_an_answer_until_the_end_of_the_connection_needs_done():
    raw = HEAD + b"\r\n" + token() + LAST
    assert decode(exchange(raw)).error == "early_close"
    assert decode(exchange(raw + DONE)).error is None


def test_an_answer_with_a_length_is_over_with_its_last_byte():
    body = token() + LAST + DONE
    one = exchange(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body, closes=False)
    assert one.whole
    assert decode(one).error is None


def test_an_interim_answer_is_skipped():
    assert decode(exchange(b"HTTP/1.1 100 Continue\r\n\r\n" + chunked(token() + DONE))).error is None


def test_what_follows_done_is_not_waited_for_by_the_clock():
    raw = chunked(token() + DONE)
    one = exchange(raw, [len(raw) - 5])
    assert (decode(one).complete_s, one.ended_s) == (101.0, 102.0)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, b'{"error": {"message": "no such model"}}', "HTTP 404: no such model"),
        (422, b'{"detail": "bad"}', "HTTP 422: bad"),
        (400, b'{"object": "error", "message": "too long"}', "HTTP 400: too long"),
        (502, b"<h1>\x1b[31mBad gateway</h1>\n", "HTTP 502: <h1> [31mBad gateway</h1>"),
        (503, b"", "HTTP 503: no body"),
    ],
)
def test_an_http_error_is_told_in_the_server_s_words_safe_to_print(status, body, message):
    raw = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
    answer = decode(exchange(raw))
    assert (answer.error, answer.status, answer.message) == ("http", status, message)


@pytest.mark.parametrize(
    "raw",
    [b"SSH-2.0-OpenSSH", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 X\r\nContent-Length: x\r\n\r\n",
     b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n\r\n", b"H" * 100_000],
)  # fmt: skip
def test_what_is_no_answer_ends_at_once(raw):
    one = exchange(raw, closes=False)
    assert decode(one).error in {"stream", "early_close"}
    assert one.failure == "stream"


def test_an_answer_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(wire, "LONGEST_ANSWER_BYTES", 1000)
    one = exchange(HEAD + b"\r\n" + token() * 100, range(0, 9000, 100), closes=False)
    assert one.failure == "stream"


def test_a_chunk_size_is_hexadecimal_and_nothing_else():
    assert wire.chunk_size(b"1f;a=b") == 31
    for bad in (b"", b"0x1", b"-1", b"1_0", b" ", b"f" * 16):
        with pytest.raises(BadAnswer):
            wire.chunk_size(bad)


async def test_beyond_what_may_be_held_answers_are_read_as_they_end(monkeypatch):
    monkeypatch.setattr(drive, "MOST_HELD_BYTES", 0)

    class OneAnswer:
        async def send(self, payload, *, timeout_s):
            return exchange(chunked(token() + DONE))

    driven = drive.Drive(pool=OneAnswer(), requests=[drive.Request(0, None, b"x" * 99)], timeout_s=1.0)
    await driven.closed_loop(1)
    [sent] = driven.sent
    assert (len(sent.exchange.raw), sent.exchange.payload, driven.held_bytes) == (0, b"", 0)
    assert sent.read().token_times_s == [101.0]


async def test_the_cap_of_requests_in_flight_holds_and_is_told(monkeypatch):
    monkeypatch.setattr(drive, "MOST_IN_FLIGHT", 3)
    running, most = 0, 0

    class Slow:
        async def send(self, payload, *, timeout_s):
            nonlocal running, most
            running, most = running + 1, max(most, running + 1)
            await asyncio.sleep(0.05)
            running -= 1
            return exchange(chunked(token() + DONE))

    requests = [drive.Request(number, number * 0.001, b"") for number in range(10)]
    driven = drive.Drive(pool=Slow(), requests=requests, timeout_s=1.0)
    await driven.open_loop()
    assert (most, len(driven.sent), driven.capped) == (3, 10, True)


async def test_more_streams_than_connections_is_said_before_anything_is_sent(monkeypatch):
    monkeypatch.setattr(drive, "MOST_IN_FLIGHT", 3)
    driven = drive.Drive(pool=None, requests=[drive.Request(0, None, b"")], timeout_s=1.0)
    with pytest.raises(MeasurementError, match="4 requests in flight"):
        await driven.closed_loop(4)


def test_how_late_a_request_was_leaves_the_connection_out():
    one = Exchange(b"")
    one.sent_s, one.connect_s = 12.0, 1.5
    assert Sent(0, 10.0, one).late_s == 0.5
    one.reconnects = 1
    assert Sent(0, 10.0, one).late_s == 0.0
