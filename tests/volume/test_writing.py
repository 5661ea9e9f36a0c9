"""Which way bytes go to the disk, decided on a clock of the test's own."""

import errno
import os

import pytest

from lading.volume.fs import Fs
from lading.volume.writing import Ways

BIG = 1 << 30


class TimedFs(Fs):
    """Each megabyte takes *direct_s* past the page cache, and *buffered_s* through it; the first *slow* trials ten times as long."""

    def __init__(self, direct_s, buffered_s, *, slow=0):
        self.now = 0.0
        self.trials = 0
        self.costs = {True: direct_s, False: buffered_s}
        self.slow = slow
        self.ways = {}

    def clock(self):
        return self.now

    def reopen(self, path, direct=False):
        descriptor = super().reopen(path, False)  # the file system of the test may have no direct I/O
        self.trials += direct
        self.ways[descriptor] = direct
        return descriptor

    def write_at(self, descriptor, data, offset):
        count = super().write_at(descriptor, data, offset)
        direct = self.ways[descriptor]
        late = 10 if direct and self.trials <= self.slow else 1
        self.now += count / (1 << 20) * self.costs[direct] * late
        return count


def decided(fs, folder):
    return Ways(fs, folder, clock=fs.clock).direct(BIG)


@pytest.mark.parametrize(("direct_s", "wins"), [(0.5, True), (1.0, True), (1.9, True), (2.1, False), (50.0, False)])
def test_direct_writes_are_taken_unless_they_take_more_than_twice_as_long(tmp_path, direct_s, wins):
    """As long is not worse: they need no memory, and half the processor."""
    assert decided(TimedFs(direct_s, 1.0), tmp_path) is wins
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_busy_for_a_moment_does_not_decide(tmp_path):
    fs = TimedFs(1.0, 1.0, slow=2)
    assert decided(fs, tmp_path)
    assert fs.trials == 3


def test_a_good_trial_is_the_only_one(tmp_path):
    fs = TimedFs(1.0, 1.0)
    ways = Ways(fs, tmp_path, clock=fs.clock)
    assert [ways.direct(BIG), ways.direct(BIG), ways.direct(1000), ways.direct(None)] == [True, True, False, False]
    assert fs.trials == 1


def test_a_file_system_without_direct_writes_is_written_through_the_cache(tmp_path):
    class Without(TimedFs):
        def reopen(self, path, direct=False):
            if direct:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return super().reopen(path)

    assert not decided(Without(1.0, 1.0), tmp_path)
    assert not list(tmp_path.iterdir())
