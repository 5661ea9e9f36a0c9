"""How long a study will take, before it starts; and whether its workload can fit its deadline at all.

From trials that were measured where there are any (of this run, else of past runs of the same engine and model), else
from the workload and a first guess, which is said to be one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lading.spec.study import Deadlines, Search
from lading.spec.workload import Workload
from lading.tuning.trial import Completed, Trial

#: A first guess where nothing was measured yet: a server's start, one prompt token, one answer token.
GUESS_START_S = 20.0
GUESS_PROMPT_TOKEN_S = 0.0005
GUESS_ANSWER_TOKEN_S = 0.02
#: Beyond this many at once, more streams are not guessed to be faster in sum.
GUESS_PARALLEL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds one server life takes, and where that is from."""

    seconds: float
    origin: Literal["this run", "past runs", "guess"]

    def of(self, server_starts: int) -> float:
        """Seconds *server_starts* lives take."""
        return self.seconds * server_starts


def measured(history: Iterable[Trial], origin: Literal["this run", "past runs"]) -> Estimate | None:
    """From the lives that were measured in full: their mean; None without any."""
    lives = [sum(trial.seconds.values()) for trial in history if isinstance(trial.outcome, Completed) and trial.seconds]
    return Estimate(seconds=sum(lives) / len(lives), origin=origin) if lives else None


def guess(workload: Workload, prompt_tokens: float, answer_tokens: float) -> Estimate:
    """From the workload alone; mean lengths in tokens."""
    request_s = prompt_tokens * GUESS_PROMPT_TOKEN_S + answer_tokens * GUESS_ANSWER_TOKEN_S
    levels = [_capped(workload, workload.requests * request_s / min(c, GUESS_PARALLEL)) for c in _concurrency(workload)]
    warmup_s = request_s * (2 if workload.warmup is None else workload.warmup)
    return Estimate(seconds=GUESS_START_S + warmup_s + sum(levels) + shortest_s(workload), origin="guess")


def shortest_s(workload: Workload) -> float:
    """Seconds the levels take whatever the server does: an open loop offers its requests at its own pace."""
    return sum(_capped(workload, workload.requests / rate) for rate in workload.levels.rate)


def longest_s(deadlines: Deadlines) -> float:
    """Seconds one server life takes at most."""
    return deadlines.start + deadlines.measure + deadlines.teardown


def at_most_s(search: Search, deadlines: Deadlines, starts: Sequence[int]) -> float:
    """Seconds the study takes at most for *starts* (of the search, of the comparison), retries left out."""
    life_s = longest_s(deadlines)
    searching, comparing = starts
    search_s = searching * life_s
    if search.time is not None and searching:
        search_s = min(search_s, search.time + life_s)
    return search_s + comparing * life_s


def _capped(workload: Workload, seconds: float) -> float:
    return seconds if workload.duration is None else min(seconds, workload.duration)


def _concurrency(workload: Workload) -> tuple[int, ...]:
    return workload.levels.concurrency
