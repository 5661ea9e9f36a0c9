"""How long faults of the API server are borne: waits with jitter, and how long all of them may take together."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from lading.errors import ClusterError

#: Refused before anything was done, whatever the verb.
NOT_DONE = frozenset({429})
#: May or may not have been done.
UNKNOWN = frozenset({500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """With which waits something is tried again, and how long in all.

    Attributes:
        total_s: All waits together; what would wait longer is given up at once.
    """

    first_s: float = 0.1
    longest_s: float = 5.0
    total_s: float = 30.0

    def wait_s(self, failures: int, waited_s: float, *, asked_s: float = 0.0, jitter: float = 0.0) -> float | None:
        """How long to wait after that many *failures* in a row, *waited_s* so far; None: no longer.

        Args:
            failures: At least 1.
            waited_s: The waits so far.
            asked_s: What the server asked for (``Retry-After``): never less than that.
            jitter: 0..1, spreads clients that failed together: takes up to half of the wait away.
        """
        own_s = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30)) * (1 - jitter / 2)
        wait_s = max(own_s, asked_s * (1 + jitter / 10))
        return wait_s if waited_s + wait_s <= self.total_s else None


#: With a watch or a followed log: a laptop wakes up, finds its network and its VPN.
LONG = Patience(total_s=300.0)


@dataclass(slots=True)
class Waits:
    """The waits of one piece of work, since its last progress.

    Attributes:
        last: The fault that is being borne now.
    """

    patience: Patience
    failures: int = field(default=0, init=False)
    waited_s: float = field(default=0.0, init=False)
    last: ClusterError | None = field(default=None, init=False)

    def progress(self) -> None:
        """Something was achieved: the next fault is a first one."""
        self.failures, self.waited_s, self.last = 0, 0.0, None

    async def bear(self, error: ClusterError) -> None:
        """Wait before the next try, as long as *error* asks for at least.

        Raises:
            ClusterError: *error*, where patience is at its end.
        """
        self.failures += 1
        self.last = error
        jitter = random.random()  # noqa: S311 - spreads retries, no secret
        asked_s = getattr(error, "asked_s", 0.0)
        wait_s = self.patience.wait_s(self.failures, self.waited_s, asked_s=asked_s, jitter=jitter)
        if wait_s is None:
            raise error
        self.waited_s += wait_s
        await asyncio.sleep(wait_s)


def asked_s(headers: Mapping[str, str]) -> float:
    """The seconds of ``Retry-After``; 0 without one. The API server sends no dates."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
