"""What a study does next, decided from its history alone: a restart decides the same.

An open trial comes first, then new trials while the budget lasts, then the comparison of the best with the defaults.
"""

from collections.abc import Collection, Mapping, Sequence

from lading.engines.base import FailureClass
from lading.spec.study import Search
from lading.tuning.failure import CUT_OFF
from lading.tuning.trial import Completed, Failed, Infeasible, Params, Proposed, Trial, same_params

#: How often an attempt that failed is repeated, by class of failure.
RETRIES: Mapping[FailureClass, int] = {"configuration": 0, "infrastructure": 2, "unknown": 1}

#: A trial during which the study was killed so often is not attempted again: its parameters may be what kills it.
CUT_OFFS = 3

#: Trials that a rule refuses cost nothing and do not count; beyond this many per counted one the search gives up.
REFUSED_PER_TRIAL = 10


def is_open(trial: Trial) -> bool:
    """Whether the trial needs an attempt: none yet, one was cut off, or its failure is worth another."""
    match trial.outcome:
        case None:
            return True
        case Failed(name=name, kind=kind):
            return name != CUT_OFF and len(trial.failures) <= RETRIES[kind]
        case _:
            return False


def next_open(history: Sequence[Trial]) -> Trial | None:
    """The open trial with the lowest number."""
    return next((trial for trial in history if is_open(trial)), None)


def is_given_up(trial: Trial) -> bool:
    """Whether the trial is open, and was cut off too often to be attempted once more."""
    return is_open(trial) and trial.cut_off >= CUT_OFFS


def is_infeasible(trial: Trial) -> bool:
    """Whether the search is taught to avoid these parameters; an infrastructure failure says nothing about them."""
    match trial.outcome:
        case Infeasible():
            return True
        case Failed(kind=kind):
            return kind != "infrastructure" and not is_open(trial)
        case _:
            return False


def is_lost(trial: Trial) -> bool:
    """Whether infrastructure failed it for good: nothing is known of its parameters."""
    return isinstance(trial.outcome, Failed) and trial.outcome.kind == "infrastructure" and not is_open(trial)


def searched(history: Sequence[Trial]) -> tuple[Trial, ...]:
    """The trials of the search, the defaults included."""
    return tuple(trial for trial in history if trial.role != "confirm")


def counted(history: Sequence[Trial]) -> int:
    """Trials of the search that count against `search.trials`: those that a rule refused cost nothing."""
    return sum(not isinstance(trial.outcome, Infeasible) for trial in searched(history))


def trials_left(history: Sequence[Trial], search: Search) -> int:
    """How many trials the budget still allows; 0 too when rules refuse nearly everything."""
    tried = counted(history)
    refused = len(searched(history)) - tried
    return 0 if refused > REFUSED_PER_TRIAL * search.trials else max(0, search.trials - tried)


def time_used_s(history: Sequence[Trial]) -> float:
    """Seconds spent in trials of the search, attempts that were cut off left out."""
    return sum(sum(trial.seconds.values()) for trial in searched(history))


def confirmations(
    history: Sequence[Trial],
    default: Trial,
    finalists: Sequence[Trial],
    search: Search,
    spoiled: Collection[int] = (),
) -> tuple[Proposed, ...]:
    """The server lives that compare *finalists* with *default* and are not yet proposed, in the order to run them.

    A round has one life of each, all with one `replicate`; every other round runs in reverse order, so that a drift of
    the machine hits both sides alike. Rounds of an earlier comparison stand. A round in which a life of either side is
    *spoiled* (its number: the client or the machine stood in its way) is replaced, up to `confirm` times per finalist.
    """
    lives = [trial for trial in history if trial.role == "confirm"]
    lacking = {finalist.number: _lacking(lives, default, finalist, search, spoiled) for finalist in finalists}
    first_round = max((life.replicate for life in lives), default=-1) + 1
    number = max((trial.number for trial in history), default=-1) + 1
    proposed: list[Proposed] = []
    for step in range(max(lacking.values(), default=0)):
        sides = [default, *(finalist for finalist in finalists if lacking[finalist.number] > step)]
        for side in sides if (first_round + step) % 2 == 0 else reversed(sides):
            proposed.append(_life(side.params, number + len(proposed), first_round + step, search.seed))
    return tuple(proposed)


def _lacking(lives: Sequence[Trial], default: Trial, finalist: Trial, search: Search, spoiled: Collection[int]) -> int:
    """How many rounds *finalist* still needs."""
    rounds = {life.replicate for life in lives if same_params(life.params, finalist.params)}
    lost = {
        life.replicate
        for life in lives
        if life.number in spoiled and any(same_params(life.params, side.params) for side in (default, finalist))
    }
    return min(search.confirm + len(rounds & lost), 2 * search.confirm) - len(rounds)


def _life(params: Params, number: int, replicate: int, seed: int) -> Proposed:
    return Proposed(number=number, params=params, role="confirm", seed=seed, replicate=replicate)


def starts_left(
    history: Sequence[Trial],
    search: Search,
    *,
    space_size: int | None,
    confirms: bool,
    spoiled: Collection[int] = (),
) -> tuple[int, int]:
    """Server lives still to come, when all goes well from now on: (of the search, of the comparison).

    Args:
        history: All trials so far.
        search: The budget.
        space_size: Points of a finite space without the defaults; None: no bound.
        confirms: Whether a comparison can still be expected (the defaults did not fail).
        spoiled: Lives of the comparison that are to be replaced, with all of their round.
    """
    waiting = [trial for trial in history if is_open(trial)]
    new = trials_left(history, search)
    if space_size is not None:
        new = min(new, max(0, space_size + 1 - len(searched(history))))
    lives = [trial for trial in history if trial.role == "confirm"]
    waiting_lives = sum(trial.role == "confirm" for trial in waiting)
    lost_rounds = {life.replicate for life in lives if life.number in spoiled}
    standing = sum(life.replicate not in lost_rounds for life in lives)
    planned = planned_lives(search) if confirms else 0
    more = min(planned - standing, planned + replacements_left(history, search) - len(lives))
    return new + len(waiting) - waiting_lives, max(0, more) + waiting_lives


def planned_lives(search: Search) -> int:
    """Server lives of a comparison in which nothing is spoiled."""
    return search.confirm * (search.finalists + 1)


def replacements_left(history: Sequence[Trial], search: Search) -> int:
    """Server lives that may still be added at most in place of spoiled ones: each finalist's rounds once more."""
    lives = sum(trial.role == "confirm" for trial in history)
    return max(0, 2 * search.confirm * search.finalists - max(0, lives - planned_lives(search)))


def is_measured(trial: Trial) -> bool:
    """Whether the trial has numbers."""
    return isinstance(trial.outcome, Completed)
