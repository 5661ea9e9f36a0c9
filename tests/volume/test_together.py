"""Small files share their waits for the disk, and none is called finished before it is durable."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from lading.volume import find, together
from lading.volume.fs import Fs
from lading.volume.together import Together, Waiting
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry

SUM = "0" * 64


def waiting(number, size_bytes=10):
    path = f"{number}.bin"
    return Waiting(SimpleNamespace(), Path(path), FileEntry(path=path, size_bytes=size_bytes, sha256=SUM))


@pytest.fixture
def collected():
    """A `Together` with a clock that stands, and the batches it handed on."""
    batches = []
    now = SimpleNamespace(s=0.0)
    made = Together(lambda batch: batches.append([one.entry.path for one in batch]), clock=lambda: now.s)
    return SimpleNamespace(together=made, batches=batches, now=now)


def test_a_batch_is_full_by_its_number_of_files(collected):
    for number in range(together.BATCH_FILES * 2 + 1):
        collected.together.add(waiting(number))
    assert [len(batch) for batch in collected.batches] == [together.BATCH_FILES] * 2


def test_a_batch_is_full_by_its_bytes(collected):
    for number in range(5):
        collected.together.add(waiting(number, together.BATCH_BYTES // 4))
    assert [len(batch) for batch in collected.batches] == [4]


def test_nothing_waits_long_while_files_come(collected):
    collected.together.add(waiting(1))
    collected.now.s = together.BATCH_S
    collected.together.add(waiting(2))
    assert collected.batches == [["1.bin", "2.bin"]]


def test_what_is_to_be_durable_at_once_takes_the_others_along(collected):
    collected.together.add(waiting(1))
    collected.together.add(waiting(2), at_once=True)
    assert collected.batches == [["1.bin", "2.bin"]]


def test_flushing_hands_on_what_waits_and_nothing_twice(collected):
    collected.together.add(waiting(1))
    collected.together.flush()
    collected.together.flush()
    assert collected.batches == [["1.bin"]]


def test_flushing_waits_for_a_batch_that_another_thread_hands_on():
    """Else it would say that all is durable while some is not."""
    begun, may_end, done = threading.Event(), threading.Event(), []

    def commit(batch):
        begun.set()
        may_end.wait(20)
        done.extend(batch)

    made = Together(commit)
    with ThreadPoolExecutor(2) as pool:
        adding = pool.submit(made.add, waiting(1), at_once=True)
        assert begun.wait(20)
        flushing = pool.submit(made.flush)
        assert not flushing.done()
        may_end.set()
        flushing.result(20)
        assert len(done) == 1
        adding.result(20)


def test_every_file_is_taken_whoever_brings_it():
    batches = []
    made = Together(batches.append)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: made.add(waiting(number)), range(1000)))
    made.flush()
    assert sorted(one.entry.path for batch in batches for one in batch) == sorted(f"{n}.bin" for n in range(1000))


class CountingFs(Fs):
    def __init__(self):
        self.files = self.directories = 0

    def sync(self, descriptor):
        self.files += 1
        super().sync(descriptor)

    def sync_directory(self, path):
        self.directories += 1
        super().sync_directory(path)


def test_many_small_files_cost_one_wait_each_and_few_beside_it(tmp_path):
    """For its own bytes; the waits for directories and journal are shared."""
    fs = CountingFs()
    volume = find.create_volume(tmp_path, fs=fs)
    with volume.stage("m", "v1", "t" * 32) as staging:
        for number in range(200):
            file = staging.open(Entry(path=f"d/{number}.bin", size_bytes=5, key=""))
            file.write(memoryview(bytearray(b"bytes")), 0)
            file.finish(5, SUM)
        assert len(staging.finished) == 200
    assert 200 <= fs.files < 260
    assert fs.directories < 60


def test_what_was_finished_is_there_for_the_next_attempt_without_being_asked_for(tmp_path):
    """A pull that is interrupted leaves its staging, and that is all it does."""
    volume = find.create_volume(tmp_path)
    with volume.stage("m", "v1", "t" * 32) as staging:
        file = staging.open(Entry(path="a.bin", size_bytes=5, key=""))
        file.write(memoryview(bytearray(b"bytes")), 0)
        file.finish(5, SUM)
    with volume.stage("m", "v1", "t" * 32) as staging:
        assert set(staging.finished) == {"a.bin"}
