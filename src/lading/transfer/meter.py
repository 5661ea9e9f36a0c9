"""Counts the bytes of all threads, and tells how far, how fast, and how long still."""

import threading
import time
from collections import deque
from collections.abc import Callable

from lading.events import Emit, PullProgress, ignore

REPORT_EVERY_S = 0.2


class Meter:
    """Counts bytes from all threads and tells progress, a few times a second.

    The rate is that of the last few seconds, so that an ETA follows a network that changes.
    """

    def __init__(
        self, total_bytes: int, *, done_bytes: int = 0, emit: Emit = ignore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total_bytes
        self._done = done_bytes
        self._emit = emit
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: deque[tuple[float, int]] = deque([(clock(), done_bytes)], maxlen=25)

    def add(self, count: int) -> None:
        """Count bytes; negative where a file begins again."""
        with self._lock:
            self._done += count
            now = self._clock()
            if now - self._seen[-1][0] < REPORT_EVERY_S:
                return
            self._seen.append((now, self._done))
            event = self._progress()
        self._emit(event)

    def last(self) -> None:
        """Tell where it stands now."""
        with self._lock:
            self._seen.append((self._clock(), self._done))
            event = self._progress()
        self._emit(event)

    def _progress(self) -> PullProgress:
        (began, before), (now, done) = self._seen[0], self._seen[-1]
        rate = max(0.0, (done - before) / (now - began)) if now > began else 0.0
        total = max(self._total, done)
        return PullProgress(
            done_bytes=done,
            total_bytes=total,
            rate_bytes_per_s=rate,
            eta_s=(total - done) / rate if rate > 0 else None,
        )
