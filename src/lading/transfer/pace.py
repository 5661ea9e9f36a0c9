"""How fast a source is asked: how many connections at once, and how many bytes a second."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lading.errors import Cancelled

LOOK_S = 0.2
STEER_EVERY_S = 1.0
MORE = 2
REST_STEPS = 20
BUSY_WAIT_S = 1.0
LONGEST_BUSY_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Course:
    """How many connections are tried, and what is known of fewer.

    Attributes:
        before: Bytes per second that came with `fewer`, while more are tried; None: nothing is tried.
        rest: For how many steps nothing is tried.
    """

    allowed: int
    before: float | None = None
    fewer: int = 1
    rest: int = 0


def steer(course: Course, most: int, rate: float) -> Course:
    """How many connections to try next, when *rate* bytes per second came with those of *course*.

    More are tried, by half, and kept where they brought a tenth more; else the old number rests for a while before it is tried again.
    """
    if course.before is not None and rate < course.before * 1.1:
        return Course(course.fewer, rest=REST_STEPS)
    if course.rest:
        return Course(course.allowed, rest=course.rest - 1)
    if course.allowed >= most:
        return Course(course.allowed)
    more = course.allowed + max(MORE, course.allowed // 2)
    return Course(min(most, more), before=rate, fewer=course.allowed)


class Connections:
    """How many threads may ask the source at once: as many as help, fewer when the source asks for that. Thread-safe.

    Args:
        first: How many to begin with.
        most: Never more than this.
    """

    def __init__(self, first: int, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._course = Course(min(first, most))
        self._most = most
        self._clock = clock
        self._inside = 0
        self._cores = os.cpu_count() or 1
        self._pause_until = 0.0
        self._changed = threading.Condition()
        self._begin_step()

    @property
    def allowed(self) -> int:
        """How many may be inside now."""
        return self._course.allowed

    def enter(self, stop: Callable[[], bool]) -> None:
        """Wait for a turn.

        Raises:
            Cancelled: *stop* says so meanwhile.
        """
        with self._changed:
            while self._inside >= self.allowed or self._clock() < self._pause_until:
                if stop():
                    raise Cancelled("interrupted")
                self._changed.wait(LOOK_S)
            self._inside += 1

    def leave(self) -> None:
        """Give the turn to the next."""
        with self._changed:
            self._inside -= 1
            self._changed.notify()

    def came(self, count: int) -> None:
        """Count bytes that came; now and then the number of connections follows."""
        with self._changed:
            self._bytes += count
            passed = self._clock() - self._since
            if passed < STEER_EVERY_S or self._inside < self.allowed:
                return  # not all were in use: that says nothing of more
            spent = time.process_time() - self._spent_s
            if spent < passed * self._cores / 2:  # else it is not the network that is waited for
                self._course = steer(self._course, self._most, self._bytes / passed)
            self._begin_step()
            self._changed.notify_all()

    def busy(self, wait_s: float | None) -> None:
        """The source asks for less: half as many connections, and none anew for *wait_s*."""
        with self._changed:
            now = self._clock()
            if now >= self._pause_until:  # one answer of many that said the same
                self._course = Course(max(1, self.allowed // 2), rest=REST_STEPS)
            wait_s = BUSY_WAIT_S if wait_s is None else min(wait_s, LONGEST_BUSY_WAIT_S)
            self._pause_until = max(self._pause_until, now + wait_s)
            self._begin_step()

    def _begin_step(self) -> None:
        """Count anew what comes, and what it costs."""
        self._bytes = 0
        self._since = self._clock()
        self._spent_s = time.process_time()


class Rate:
    """At most so many bytes a second over all threads; None: as fast as it goes. Thread-safe."""

    def __init__(self, bytes_per_s: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock()

    def step_bytes(self, most: int) -> int:
        """How much to read at once, so that a slow rate is even: a tenth of a second's."""
        return most if self._bytes_per_s is None else max(1 << 12, min(most, int(self._bytes_per_s / 10)))

    def wait(self, count: int, cancel: threading.Event) -> None:
        """Wait until *count* bytes more were allowed to come.

        Raises:
            Cancelled: *cancel* was set meanwhile.
        """
        if self._bytes_per_s is None:
            return
        with self._lock:
            self._free_at = max(self._free_at, self._clock()) + count / self._bytes_per_s
            wait_s = self._free_at - self._clock()
        if wait_s > 0 and cancel.wait(wait_s):
            raise Cancelled("interrupted")
