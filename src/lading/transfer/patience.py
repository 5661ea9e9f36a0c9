"""How long a fault of the network is borne: exponential waits with jitter, given up after some without any progress."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from lading.errors import Cancelled, SourceTransient

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often, and with which waits, something is tried again.

    Attributes:
        attempts: Tries without any progress before it is given up; the waits of 8 add up to about 15 s.
    """

    attempts: int = 8
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0

    def wait_s(self, failures: int, jitter: float) -> float:
        """How long to wait after that many *failures* in a row; *jitter* 0..1 takes up to half of it away."""
        return min(self.longest_wait_s, self.first_wait_s * 2.0 ** (failures - 1)) * (1 - jitter / 2)


@dataclass(slots=True)
class Attempts:
    """The tries of one piece of work: calls what may fail, waits, and counts failures since the last progress."""

    patience: Patience
    cancel: threading.Event
    failures: int = field(default=0, init=False)

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
                if self.failures >= self.patience.attempts:
                    raise SourceTransient(
                        f"{error.message} ({self.failures} times in a row)", hint=error.hint
                    ) from error
                jitter = random.random()  # noqa: S311 - spreads retries, no secret
                if self.cancel.wait(self.patience.wait_s(self.failures, jitter)):
                    raise Cancelled("interrupted") from error
            else:
                self.failures = 0
                return result
