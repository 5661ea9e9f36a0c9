"""How long a fault of the network is borne: exponential waits with jitter, given up after some without any progress."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from lading.errors import Cancelled, SourceBusy, SourceTransient

T = TypeVar("T")
LONGEST_NAMED_WAIT_S = 60.0
"""A source that asks for more than this is asked again all the same: its clock may be wrong, its wait over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often, and with which waits, something is tried again.

    Attributes:
        attempts: Tries without any progress before it is given up; the waits of 8 add up to about 15 s.
        busy_s: How long a source may ask for fewer requests, without any progress, before it is given up.
    """

    attempts: int = 8
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0
    busy_s: float = 300.0

    def wait_s(self, failures: int, jitter: float) -> float:
        """How long to wait after that many *failures* in a row; *jitter* 0..1 takes up to half of it away."""
        return min(self.longest_wait_s, self.first_wait_s * 2.0 ** (failures - 1)) * (1 - jitter / 2)

    def wait_after_s(self, error: SourceTransient, failures: int, jitter: float) -> float:
        """The same after *error*: what a busy source names is waited, up to `LONGEST_NAMED_WAIT_S`."""
        named_s = error.retry_after_s if isinstance(error, SourceBusy) else None
        return max(self.wait_s(failures, jitter), min(named_s or 0.0, LONGEST_NAMED_WAIT_S))


PATIENT = Patience()


@dataclass(slots=True)
class Attempts:
    """The tries of one piece of work: calls what may fail, waits, and counts failures since the last progress.

    Attributes:
        busy: Told when the source asks for fewer requests, with the seconds it names.
    """

    patience: Patience
    cancel: threading.Event
    busy: Callable[[float | None], None] = field(default=lambda _: None)
    clock: Callable[[], float] = time.monotonic
    failures: int = field(default=0, init=False)
    busy_since_s: float | None = field(default=None, init=False)

    def until_progress(self, call: Callable[[], T]) -> T:
        """What *call* gives, tried again while it raises `SourceTransient`.

        Raises:
            SourceTransient: The last of too many.
            Cancelled: Somebody stopped it while it waited.
        """
        while True:
            try:
                result = call()
            except SourceTransient as error:
                self.failures += 1
                self._bear(error)
                self._wait(error)
            else:
                self.failures, self.busy_since_s = 0, None
                return result

    def _bear(self, error: SourceTransient) -> None:
        """Return where *error* is worth another try: a busy source for minutes, a broken one a few times."""
        if isinstance(error, SourceBusy):
            self.busy(error.retry_after_s)
            now = self.clock()
            self.busy_since_s = now if self.busy_since_s is None else self.busy_since_s
            if now - self.busy_since_s < self.patience.busy_s:
                return
        elif self.failures < self.patience.attempts:
            return
        raise SourceTransient(f"{error.message} ({self.failures} times in a row)", hint=error.hint) from error

    def _wait(self, error: SourceTransient) -> None:
        jitter = random.random()  # noqa: S311 - spreads retries, no secret
        if self.cancel.wait(self.patience.wait_after_s(error, self.failures, jitter)):
            raise Cancelled("interrupted") from error
