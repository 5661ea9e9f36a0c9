"""Files in ranges, in any order, over few buffers: always the same bytes, and after a stop only what was not kept comes again."""

import asyncio
import hashlib
import random
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading import transfer
from lading.errors import Cancelled, RangesRefused, SourceBusy, SourceChanged, SourceTransient, VerificationFailed
from lading.sources.local import LocalSource
from lading.spec.ref import LocalRef
from lading.transfer.pace import Connections, Course, Rate, steer
from lading.transfer.worker import ends
from lading.volume import find, journal
from lading.weights import parts
from lading.weights import plan as planning
from lading.weights.listing import Entry
from lading.weights.parts import Part, Span

BLOCK = 4096
TINY = transfer.Shape(
    workers=5, first_workers=4, small_workers=2, small_bytes=BLOCK, part_bytes=2 * BLOCK, step_bytes=1500,
    run_bytes=16 * BLOCK, memory_bytes=12 * BLOCK,
)  # fmt: skip
QUICK = transfer.Patience(attempts=30, first_wait_s=1e-6, longest_wait_s=1e-6)


class Watched:
    """A folder as a source whose reads are counted, and met by *trouble*: a function of the entry, the offset and the end."""

    def __init__(self, trouble=lambda entry, offset, end: None):
        self.source = LocalSource()
        self.trouble = trouble
        self.fetched = Counter()
        self.reads = 0
        self.lock = threading.Lock()

    def read_into(self, entry, offset, buffer, *, end=None):
        with self.lock:
            self.reads += 1
        changed = self.trouble(entry, offset, end)
        count = self.source.read_into(entry, offset, buffer[: 1 + len(buffer) * 2 // 3], end=end)
        if changed is not None:
            buffer[:count] = changed(bytes(buffer[:count]))
        with self.lock:
            self.fetched[entry.path] += count
        return count

    def close(self):
        self.source.close()


class Case:
    """A folder, a volume, and pulls from one to the other."""

    def __init__(self, root, sizes):
        self.files = {f"f{number}": random.Random(number).randbytes(size) for number, size in enumerate(sizes)}
        (root / "src").mkdir()
        for path, data in self.files.items():
            (root / "src" / path).write_bytes(data)
        self.volume = find.create_volume(root / "volume")
        self.listing = asyncio.run(LocalSource().resolve(LocalRef(path=str(root / "src"))))
        self.cancel = threading.Event()

    def run(self, source=None, shape=TINY, entries=None, **options):
        source = source or Watched()
        self.source = source
        try:
            with self.volume.stage("m", "v1", "t" * 32) as staging:
                plan = planning.plan(self.listing, staging.finished)
                written = transfer.run(
                    entries or plan.fetch, source, staging, cancel=self.cancel, meter=transfer.Meter(0),
                    patience=QUICK, shape=shape, **options,
                )  # fmt: skip
                return {file.path: staging.read(file.path, 0, file.size_bytes) for file in (*plan.keep, *written)}
        finally:
            source.close()


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path, [40 * BLOCK + 17, 33 * BLOCK, 9, 0, 100 * BLOCK + 1])


def test_all_parts_arrive_and_are_hashed_in_order(case):
    assert case.run() == case.files
    assert case.source.fetched == {path: len(data) for path, data in case.files.items() if data}


@pytest.mark.parametrize("memory_bytes", [2 * BLOCK, 4 * BLOCK, 1 << 20])
def test_few_buffers_hold_back_and_never_hang(case, memory_bytes):
    """One buffer for five threads, too."""
    shape = transfer.Shape(
        workers=5, first_workers=5, small_workers=1, small_bytes=1, part_bytes=2 * BLOCK, step_bytes=BLOCK,
        run_bytes=8 * BLOCK, memory_bytes=memory_bytes,
    )  # fmt: skip
    assert case.run(shape=shape) == case.files


def test_small_files_do_not_wait_for_big_ones_to_be_journalled(case):
    """A kill while a big one comes takes none of them."""
    case.files = {"f2": case.files["f2"], "f3": case.files["f3"], "f4": case.files["f4"]}
    seen = set()

    def wait(entry, offset, end):
        until = time.monotonic() + 20
        while entry.path == "f4" and not seen >= {"f2", "f3"} and time.monotonic() < until:
            seen.update(*(journal.read(path).finished for path in (case.volume.root / ".lading/journal").glob("*")))

    entries = [entry for entry in case.listing.entries if entry.path in case.files]
    assert case.run(Watched(wait), entries=entries) == case.files
    assert seen >= {"f2", "f3"}


def test_a_server_without_ranges_is_read_as_one_stream(case):
    def refuse(entry, offset, end):
        if offset and end is not None:
            raise RangesRefused("whole only")

    assert case.run(Watched(refuse)) == case.files


def test_a_busy_source_is_asked_less_and_not_given_up(case):
    """As often as it says so within the patience for that: more often than a fault is borne."""
    left = [60]

    def busy(entry, offset, end):
        if left[0]:
            left[0] -= 1
            raise SourceBusy("slow down", retry_after_s=0)

    assert case.run(Watched(busy)) == case.files
    assert left == [0]


def test_wrong_bytes_are_fetched_again_once(case):
    """Where the source says what the file hashes to."""
    wrong = [True]

    def flip(entry, offset, end):
        if entry.path == "f4" and offset == 0 and wrong and wrong.pop():
            return lambda data: bytes([data[0] ^ 1]) + data[1:]
        return None

    assert case.run(Watched(flip), entries=with_digests(case)) == case.files
    assert case.source.fetched["f4"] == 2 * len(case.files["f4"])


def test_bytes_that_stay_wrong_are_refused(case):
    def flip(entry, offset, end):
        return (lambda data: bytes([data[0] ^ 1]) + data[1:]) if entry.path == "f4" and offset == 0 else None

    with pytest.raises(VerificationFailed, match="f4 has SHA-256"):
        case.run(Watched(flip), entries=with_digests(case))
    assert case.run() == case.files


def with_digests(case):
    entries = []
    for entry in case.listing.entries:
        sha256 = hashlib.sha256(case.files[entry.path]).hexdigest()
        entries.append(
            Entry(path=entry.path, size_bytes=entry.size_bytes, etag=entry.etag, sha256=sha256, key=entry.key)
        )
    return entries


class Stop(Exception):
    pass


def stop_after(cancel, bytes_left):
    def trouble(entry, offset, end):
        bytes_left[0] -= 1500
        if bytes_left[0] < 0:
            cancel.set()

    return trouble


def test_what_was_kept_is_not_fetched_again(case):
    with pytest.raises(Cancelled):
        case.run(Watched(stop_after(case.cancel, [90 * BLOCK])))
    first = sum(case.source.fetched.values())
    case.cancel.clear()
    assert case.run() == case.files
    again = first + sum(case.source.fetched.values()) - sum(map(len, case.files.values()))
    assert 0 <= again <= TINY.workers * 2 * BLOCK + BLOCK


def test_kept_parts_that_changed_on_disk_are_fetched_again(case):
    with pytest.raises(Cancelled):
        case.run(Watched(stop_after(case.cancel, [120 * BLOCK])))
    case.cancel.clear()
    staged = [path for path in (case.volume.root / ".lading" / "incoming").rglob("f*") if path.stat().st_size > BLOCK]
    assert staged
    for path in staged:
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)
    assert case.run() == case.files


def test_a_file_of_another_size_or_mark_begins_anew(case):
    with pytest.raises(Cancelled):
        case.run(Watched(stop_after(case.cancel, [120 * BLOCK])))
    case.cancel.clear()
    with case.volume.stage("m", "v1", "t" * 32) as staging:
        for entry in case.listing.entries:
            other = Entry(path=entry.path, size_bytes=entry.size_bytes, etag="other", key=entry.key)
            staged = staging.open(other)
            assert not staged.kept
            staged.abandon()


def test_a_change_meanwhile_keeps_nothing_of_that_file(case):

    def change(entry, offset, end):
        if entry.path == "f4" and offset > 50 * BLOCK:
            raise SourceChanged("changed")

    with pytest.raises(SourceChanged):
        case.run(Watched(change))
    with case.volume.stage("m", "v1", "t" * 32) as staging:
        entry = next(entry for entry in case.listing.entries if entry.path == "f4")
        assert not staging.open(entry).kept


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 60 * BLOCK), min_size=1, max_size=5),
    faults=st.sets(st.integers(1, 120), max_size=12),
    stops=st.lists(st.integers(1, 80), max_size=3),
    workers=st.integers(1, 6),
    memory=st.integers(1, 10),
)
def test_stopped_anywhere_in_any_shape(sizes, faults, stops, workers, memory):
    """The bytes are right, and each run fetches less than what the last one had not kept."""
    with tempfile.TemporaryDirectory() as folder:
        case = Case(Path(folder), sizes)
        shape = transfer.Shape(
            workers=workers, first_workers=workers, small_workers=1, small_bytes=100, part_bytes=2 * BLOCK,
            step_bytes=1500, run_bytes=8 * BLOCK, memory_bytes=memory * 2 * BLOCK,
        )  # fmt: skip
        for stop in [*stops, None]:
            case.cancel.clear()
            source = Watched()

            def trouble(entry, offset, end, source=source, stop=stop):
                if source.reads == stop:
                    case.cancel.set()
                if source.reads in faults:
                    raise SourceTransient("planned")

            source.trouble = trouble
            try:
                found = case.run(source, shape=shape)
            except Cancelled:
                assert stop is not None
        assert found == case.files


@given(
    size=st.integers(0, 50 * BLOCK),
    kept=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), max_size=6),
)
def test_spans_and_kept_parts_make_up_the_file(size, kept):
    """Without a gap, without an overlap, whatever a journal says; no span is longer than a part."""
    told = [Part(offset=start * BLOCK, size_bytes=count * BLOCK, crc=0) for start, count in kept]
    pieces = list(parts.spans(size, part_bytes=2 * BLOCK, kept=told))
    at = 0
    for piece in pieces:
        assert piece.offset == at
        assert piece.size_bytes <= 2 * BLOCK
        at = piece.end
    assert at == size
    assert pieces


def test_one_request_brings_what_lies_between_kept_parts():
    kept = Part(offset=20, size_bytes=10, crc=0)
    pieces = [Span(offset=0, size_bytes=10), Span(offset=10, size_bytes=10), kept, Span(offset=30, size_bytes=10)]
    assert ends(pieces, as_stream=False) == [20, 20, 30, 40]
    assert ends(pieces, as_stream=True) == [None] * 4


def test_more_connections_are_kept_where_they_bring_more():
    course, rates = Course(4), {4: 100.0, 6: 150.0, 9: 160.0}
    for _ in range(4):
        course = steer(course, 16, rates[course.allowed])
    assert (course.allowed, course.rest > 0) == (6, True)
    for _ in range(40):
        course = steer(course, 16, rates[course.allowed])
    assert course.allowed in {6, 9}


@given(rates=st.lists(st.floats(0, 1e9), max_size=60), most=st.integers(1, 16))
def test_connections_stay_within_their_bounds(rates, most):
    course = Course(min(4, most))
    for rate in rates:
        course = steer(course, most, rate)
        assert 1 <= course.allowed <= most


def test_a_busy_source_halves_the_connections_once_for_many_answers():
    now = [0.0]
    connections = Connections(8, 16, clock=lambda: now[0])
    for _ in range(5):
        connections.busy(3.0)
    assert connections.allowed == 4
    now[0] = 4.0
    connections.busy(None)
    assert connections.allowed == 2


def test_a_rate_is_kept_over_all_threads():
    now = [0.0]
    rate = Rate(1000.0, clock=lambda: now[0])

    class Clock:
        def wait(self, wait_s):
            now[0] += wait_s
            return False

    for _ in range(10):
        rate.wait(500, Clock())
    assert now[0] == pytest.approx(5.0)
    assert rate.step_bytes(1 << 20) == BLOCK
    assert Rate(None).step_bytes(7) == 7
