"""What servers say and do while bytes come: refusals, waits, and connections that next to nothing comes by."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import SourceBusy, SourceDenied, SourceError, SourceTransient
from lading.sources.connection import Get
from lading.sources.get import STALL_BYTES_PER_S, STALL_S, Pace, RangeReader, check_status, retry_after_s, skewed
from lading.testing import faults, faulty
from lading.weights.listing import Entry

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
DATA = bytes(range(251)) * 4000


@pytest.fixture
def server():
    with faulty.serving({"model.bin": DATA}) as running:
        yield running


def reader(server, **options):
    return RangeReader(lambda entry: Get(url=f"{server.url}/{entry.key}", shown=entry.path), **options)


ENTRY = Entry(path="model.bin", key="model.bin", size_bytes=len(DATA))


class Fast:
    """A clock that runs so many times as fast as the real one."""

    def __init__(self, times):
        self.times = times

    def __call__(self):
        return time.monotonic() * self.times


def read(source, buffer_bytes=1 << 20):
    buffer = memoryview(bytearray(buffer_bytes))
    data = bytearray()
    while count := source.read_into(ENTRY, len(data), buffer):
        data += buffer[:count]
    return bytes(data)


def test_a_server_that_drips_is_left(server):
    """It is never silent, so no time-out between two bytes would ever come."""
    server.plan(faults.drip(2000, server.stopping), path="model.bin")
    source = reader(server, clock=Fast(100))
    with pytest.raises(SourceTransient, match="gave less than"):
        read(source)
    assert read(source) == DATA  # by another connection
    source.close()


def test_a_slow_server_that_goes_on_is_not_left(server):
    """So slow that the whole lasts twice as long as a stall may."""
    server.origin.files["model.bin"] = DATA * 4
    server.plan(faults.drip(2_000_000, server.stopping), path="model.bin")
    source = reader(server, clock=Fast(20))
    buffer = memoryview(bytearray(1 << 16))
    entry, got = Entry(path="model.bin", key="model.bin", size_bytes=4 * len(DATA)), 0
    while count := source.read_into(entry, got, buffer):
        got += count
    assert got == 4 * len(DATA)
    source.close()


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.floats(0.01, 5)), max_size=60))
def test_a_stall_is_next_to_nothing_for_long_enough(reads):
    """Whatever the reads: it is told only after the whole time, and only of so few bytes."""
    pace, waited_s, got = Pace(), 0.0, 0
    for size, seconds in reads:
        waited_s, got = waited_s + seconds, got + size
        stalled = pace.stalled(size, seconds)
        if waited_s < STALL_S:
            assert not stalled
        else:
            assert stalled == (got < STALL_BYTES_PER_S * waited_s)
            waited_s, got = 0.0, 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, None), ("7", 7.0), (" 120 ", 120.0), ("Sat, 21 Nov 2026 12:01:00 GMT", 60.0),
     ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0), ("soon", None), ("-1", None), ("1e9", None), ("9" * 30, None)],
)  # fmt: skip
def test_how_long_a_server_asks_to_wait(text, seconds):
    assert retry_after_s(text, now=NOW) == seconds


@given(st.text(max_size=60))
def test_any_word_on_waiting_is_understood_or_none(text):
    found = retry_after_s(text, now=NOW)
    assert found is None or found >= 0


@pytest.mark.parametrize("fault", [faults.status(429, ("Retry-After", "3")), faults.status(503, ("Retry-After", "3"))])
def test_a_busy_server_says_how_long(server, fault):
    server.plan(fault, path="model.bin")
    source = reader(server)
    with pytest.raises(SourceBusy) as caught:
        read(source)
    assert caught.value.retry_after_s == 3.0
    source.close()


@pytest.mark.parametrize("code", ["SlowDown", "SlowDownRead", "ServiceUnavailable", "TooManyRequests"])
def test_a_store_that_is_busy_says_so_by_any_status(code):
    with pytest.raises(SourceBusy):
        check_status(400, code, "it")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(400, "RequestTimeout", SourceTransient), (500, "InternalError", SourceTransient), (403, "AccessDenied", SourceDenied),
     (400, "ExpiredToken", SourceDenied), (403, "InvalidObjectState", SourceError)],
)  # fmt: skip
def test_what_a_store_says_is_what_is_raised(status, code, kind):
    with pytest.raises(kind) as caught:
        check_status(status, code, "it")
    assert type(caught.value) is kind


def test_stale_credentials_are_renewed_once(server):
    """Who is refused again is told."""
    server.plan(faults.s3_error(400, "ExpiredToken"), path="model.bin")
    renewed = []
    source = reader(server, renew=lambda: renewed.append(1) or True)
    assert read(source) == DATA
    assert len(renewed) == 1
    server.plan(faults.s3_error(400, "ExpiredToken"), path="model.bin", times=None)
    with pytest.raises(SourceDenied, match="ExpiredToken"):
        read(source)
    assert len(renewed) == 2
    source.close()


@pytest.mark.parametrize(
    ("date", "words"),
    [("Sat, 21 Nov 2026 11:30:00 GMT", "ahead"), ("Sat, 21 Nov 2026 12:30:00 GMT", "behind"), ("nonsense", "differ")],
)
def test_a_clock_that_is_wrong_is_told_by_how_much(date, words):
    error = skewed("s3://b/k", date, now=NOW)
    assert words in error.message
    assert ("30" in error.message) == (words != "differ")
    assert "clock" in error.hint
