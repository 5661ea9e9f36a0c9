"""Moving files: faults are borne, nothing half is kept, a rerun goes on; on a real volume, from a server with faults."""

import asyncio
import hashlib
import random
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading import transfer
from lading.errors import Cancelled, SourceChanged, SourceDenied, SourceTransient, VerificationFailed, VolumeFull
from lading.events import FilePulled, PullProgress
from lading.sources.http import HttpSource
from lading.sources.local import LocalSource
from lading.spec.ref import LocalRef, SourceRef
from lading.testing import web
from lading.volume import find
from lading.weights import plan as planning

QUICK = transfer.Patience(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)
FILES = {
    "m/a.bin": random.Random(1).randbytes(700_000),
    "m/b.bin": random.Random(2).randbytes(2_500_000),
    "m/c.json": b"{}",
    "m/empty": b"",
}


@pytest.fixture
def server():
    with web.serving(FILES) as running:
        names = "".join(f"{hashlib.sha256(data).hexdigest()}  {path[2:]}\n" for path, data in FILES.items())
        running.files["m/SHA256SUMS"] = names.encode()
        yield running


class Case:
    """A volume, a source and its listing."""

    def __init__(self, folder, server):
        self.volume = find.create_volume(folder / "volume")
        self.source = HttpSource()
        location = server.url.removeprefix("http://") + "/m/SHA256SUMS"
        self.listing = asyncio.run(self.source.resolve(SourceRef(scheme="http", location=location)))
        self.cancel = threading.Event()
        self.events = []

    def run(self, patience=QUICK, workers=3):
        with self.volume.stage("m", "v1", "t" * 32) as staging:
            plan = planning.plan(self.listing, staging.finished)
            self.kept = {file.path for file in plan.keep}
            meter = transfer.Meter(plan.total_bytes, done_bytes=plan.kept_bytes, emit=self.events.append)
            try:
                written = transfer.run(
                    plan.fetch, self.source, staging, cancel=self.cancel, meter=meter, emit=self.events.append,
                    patience=patience, shape=transfer.Shape(workers=workers, small_workers=workers),
                )  # fmt: skip
            finally:
                meter.last()
                self.finished = dict(staging.finished)
            assert [file.path for file in written] == sorted(file.path for file in written)
            return {file.path: staging.read(file.path, 0, file.size_bytes) for file in (*plan.keep, *written)}


@pytest.fixture
def case(tmp_path, server):
    made = Case(tmp_path, server)
    yield made
    made.source.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lading-transfer")]


def whole(files):
    return files == {path[2:]: data for path, data in FILES.items()}


def test_all_files_arrive_with_their_digests(case):
    assert whole(case.run())
    told = {event.path: event.sha256 for event in case.events if isinstance(event, FilePulled)}
    assert told == {path[2:]: hashlib.sha256(data).hexdigest() for path, data in FILES.items()}


def test_progress_ends_at_the_total(case):
    case.run()
    last = [event for event in case.events if isinstance(event, PullProgress)][-1]
    assert last.done_bytes == last.total_bytes == sum(map(len, FILES.values()))


@pytest.mark.parametrize(
    "fault",
    [web.Cut(0), web.Cut(100_000), web.Status(503), web.Status(429), web.Status(500), web.Lie(9_999_999)],
    ids=str,
)
def test_a_passing_fault_is_borne(case, server, fault):
    """A wrong length is a fault like others: an answer about another size is about other content."""
    server.plan("m/b.bin", fault)
    if isinstance(fault, web.Lie):
        with pytest.raises(SourceChanged):
            case.run()
    assert whole(case.run())


def test_after_a_cut_only_the_rest_is_asked_for(case, server):
    server.plan("m/b.bin", web.Cut(1_500_000))
    assert whole(case.run())
    assert server.sent["m/b.bin"] == len(FILES["m/b.bin"])


def test_a_stalled_server_is_left_after_the_sockets_timeout(case, server, monkeypatch):
    monkeypatch.setattr("lading.sources.connection.SOCKET_TIMEOUT_S", 0.3)
    server.plan("m/b.bin", web.Stall(100_000, 60.0))
    began = time.monotonic()
    assert whole(case.run())
    assert time.monotonic() - began < 30


def test_a_fault_that_stays_is_told_and_keeps_what_was_finished(case, server):
    server.plan("m/b.bin", *[web.Status(500)] * 5)
    with pytest.raises(SourceTransient, match=r"b\.bin answered 500 \(3 times in a row\)"):
        case.run()
    assert set(case.finished) >= {"a.bin"} - {"b.bin"}
    assert whole(case.run())


def test_progress_in_between_starts_the_patience_anew(case, server):
    """Five cuts with bytes between them are borne by a patience of three."""
    server.plan("m/b.bin", *[web.Cut(300_000)] * 5)
    assert whole(case.run())


def test_a_refusal_is_not_tried_again(case, server):
    server.plan("m/b.bin", web.Status(403))
    with pytest.raises(SourceDenied):
        case.run()
    assert server.asked.count("GET m/b.bin") == 1


def test_a_failed_file_does_not_lose_the_others(case, server):
    server.plan("m/c.json", web.Status(403))
    with pytest.raises(SourceDenied):
        case.run(workers=1)
    assert "c.json" not in case.finished
    assert "a.bin" in case.finished  # the biggest of its crew comes first
    before = dict(server.sent)
    kept = {f"m/{path}" for path in case.finished}
    assert whole(case.run())
    assert {path for path in kept if server.sent[path] != before.get(path, 0)} == set()


def test_a_file_that_is_not_what_its_list_says_is_refused(case, server):
    entry = next(entry for entry in case.listing.entries if entry.path == "c.json")
    object.__setattr__(entry, "sha256", "0" * 64)
    with pytest.raises(VerificationFailed, match=r"c\.json has SHA-256"):
        case.run()


def test_an_object_that_changes_is_never_mixed(case, server):
    server.plan("m/b.bin", web.Swap(300_000, FILES["m/b.bin"][::-1]))
    with pytest.raises(SourceChanged, match=r"b\.bin changed while it was read"):
        case.run()
    assert "b.bin" not in case.finished


def test_a_full_volume_stops_it_and_says_so(case, monkeypatch):
    monkeypatch.setattr("lading.volume.faults.free_bytes", lambda path: 1_000_000)
    with pytest.raises(VolumeFull, match=r"b\.bin needs 2\.50 MB"):
        case.run()


@pytest.mark.parametrize("workers", [1, 3])
def test_cancel_is_seen_soon_and_ends_all_threads(case, server, workers):
    server.slow = 0.5  # the whole would take 20 s
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(case.run, workers=workers)
        while not server.sent:
            time.sleep(0.005)
        began = time.monotonic()
        case.cancel.set()
        with pytest.raises(Cancelled):
            running.result(timeout=20)
        assert time.monotonic() - began < 10
    case.cancel.clear()
    server.slow = 0
    assert whole(case.run())


def test_cancel_while_waiting_for_a_retry(case, server):
    for path in FILES:
        server.plan(path, *[web.Status(503)] * 20)
    patient = transfer.Patience(attempts=9, first_wait_s=30, longest_wait_s=30)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(case.run, patience=patient)
        while not [line for line in server.asked if line.startswith("GET m/b")]:
            time.sleep(0.005)
        began = time.monotonic()
        case.cancel.set()
        with pytest.raises(Cancelled):
            running.result(timeout=20)
        assert time.monotonic() - began < 15


@given(failures=st.integers(1, 60), jitter=st.floats(0, 1))
def test_waits_grow_to_a_bound(failures, jitter):
    patience = transfer.Patience()
    wait = patience.wait_s(failures, jitter)
    assert 0 < wait <= patience.longest_wait_s
    assert wait <= patience.wait_s(failures, 0) <= patience.wait_s(failures + 1, 0)


def test_the_meter_follows_a_rate_that_changes():
    now = [0.0]
    seen = []
    meter = transfer.Meter(1000, emit=seen.append, clock=lambda: now[0])
    for step in range(1, 101):
        now[0] = step * 0.25
        meter.add(1 if step <= 50 else 10)
    assert seen[-1].rate_bytes_per_s == pytest.approx(40)
    assert seen[-1].done_bytes == 550
    assert seen[-1].eta_s == pytest.approx(450 / 40)


class Troubled:
    """A source whose reads meet planned trouble: a passing fault, or the user's Ctrl-C."""

    def __init__(self, source, faults, stop_at, cancel):
        self.source, self.faults, self.stop_at, self.cancel = source, faults, stop_at, cancel
        self.reads = 0
        self.fetched = Counter()

    def read_into(self, entry, offset, buffer, *, end=None):
        self.reads += 1
        if self.reads == self.stop_at:
            self.cancel.set()
        if self.reads in self.faults:
            raise SourceTransient("planned")
        count = self.source.read_into(entry, offset, buffer[: 1 + len(buffer) // 16], end=end)
        self.fetched[entry.path] += count
        return count


@given(
    sizes=st.lists(st.integers(0, 400_000), min_size=1, max_size=6),
    faults=st.sets(st.integers(1, 40), max_size=8),
    stops=st.lists(st.integers(1, 25), max_size=4),
    workers=st.integers(1, 3),
)
def test_stopped_anywhere_and_run_again_it_is_as_if_never_stopped(sizes, faults, stops, workers):
    """And no file that was finished is fetched again."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "src").mkdir()
        for number, size in enumerate(sizes):
            (root / "src" / f"f{number}").write_bytes(random.Random(size).randbytes(size))
        volume = find.create_volume(root / "volume")
        listing = asyncio.run(LocalSource().resolve(LocalRef(path=str(root / "src"))))
        for stop in [*stops, None]:
            cancel = threading.Event()
            troubled = Troubled(LocalSource(), faults, stop, cancel)
            patience = transfer.Patience(attempts=20, first_wait_s=1e-6, longest_wait_s=1e-6)
            with volume.stage("m", "v1", "t" * 32) as staging:
                plan = planning.plan(listing, staging.finished)
                try:
                    transfer.run(
                        plan.fetch, troubled, staging, cancel=cancel, meter=transfer.Meter(0), patience=patience,
                        shape=transfer.Shape(workers=workers, small_workers=workers),
                    )  # fmt: skip
                except Cancelled:
                    assert stop is not None
                assert not set(troubled.fetched) & {file.path for file in plan.keep}
                finished = dict(staging.finished)
                contents = {path: staging.read(path, 0, file.size_bytes) for path, file in finished.items()}
            troubled.source.close()
            assert contents == {path: (root / "src" / path).read_bytes() for path in contents}
        assert len(contents) == len(sizes)
        for path, file in finished.items():
            assert file.sha256 == hashlib.sha256((root / "src" / path).read_bytes()).hexdigest()
