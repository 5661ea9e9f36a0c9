"""How busy this host is with what is not ours: a measurement beside a busy neighbour is noise.

On two cores one foreign core halves what a server gives, so every level's result carries this number.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil


class ForeignLoad:
    """Cores used by others since the last look.

    Args:
        ours: Gives the ids of processes that are not foreign, with all their descendants: this one, the server's.
    """

    def __init__(self, ours: Callable[[], Iterable[int]]) -> None:
        self._ours = ours
        self._before = _sample(ours())

    def cpus(self) -> float:
        """Cores that foreign processes used, on average, since the last call or the start; 0 at least.

        What the machine was busy with and ours was not. A process of ours that ended meanwhile is missing in ours for
        what it used in this interval.
        """
        before, self._before = self._before, _sample(self._ours())
        interval_s = self._before.at_s - before.at_s
        if interval_s <= 0:
            return 0.0
        ours_s = sum(self._before.spent_since(before))
        return max(0.0, (self._before.busy_s - before.busy_s - ours_s) / interval_s)


@dataclass(frozen=True, slots=True)
class _Sample:
    """CPU seconds so far: *busy_s* of the whole machine, *ours_s* by process id and time of birth."""

    at_s: float
    clock_s: float
    busy_s: float
    ours_s: dict[tuple[int, float], float]

    def spent_since(self, before: "_Sample") -> Iterable[float]:
        """What each process of ours used since *before*; one that was not ours then counts only when it is younger."""
        for key, used_s in self.ours_s.items():
            _, born_s = key
            was_s = before.ours_s.get(key, 0.0 if born_s >= before.clock_s else used_s)
            yield max(0.0, used_s - was_s)


def _sample(roots: Iterable[int]) -> _Sample:
    times = psutil.cpu_times()
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # already in user and nice
    idle = times.idle + getattr(times, "iowait", 0.0)
    used: dict[tuple[int, float], float] = {}
    for process in _family(roots):
        try:
            spent = process.cpu_times()
            used[process.pid, process.create_time()] = spent.user + spent.system
        except psutil.Error:
            continue
    return _Sample(time.monotonic(), time.time(), sum(times) - guest - idle, used)


def _family(roots: Iterable[int]) -> Iterable[psutil.Process]:
    for root in roots:
        try:
            process = psutil.Process(root)
            yield process
            yield from process.children(recursive=True)
        except psutil.Error:
            continue
