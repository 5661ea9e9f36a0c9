"""Who leads: the trials of a study seen by its own objective and constraints.

`observations` is what a search learns, `contest` is who is compared with whom.
"""

from collections.abc import Sequence

from lading.spec.study import Study
from lading.tuning import agenda
from lading.tuning import score as scores
from lading.tuning.observe import Observation
from lading.tuning.score import Score
from lading.tuning.trial import Trial, same_params

Scored = tuple[Trial, Score]


def scored(study: Study, trial: Trial) -> Score | None:
    """The score of a trial that was measured; None for any other, and where no level counts."""
    if not agenda.is_measured(trial):
        return None
    found = scores.score(trial, study.objective, study.constraints)
    return found if found.rank is not None else None


def ranking(study: Study, history: Sequence[Trial]) -> tuple[Scored, ...]:
    """The trials of the search that have a score, best first, the defaults among them."""
    return scores.ranking(history, study.objective, study.constraints)


def contest(study: Study, history: Sequence[Trial]) -> tuple[Scored | None, tuple[Scored, ...]]:
    """(The defaults, the others best first). The defaults' parameters under another number are not another set.

    Where trial 0 was measured while the client was the limit, the defaults' first comparison that was not stands for it.
    """
    ranked = ranking(study, history)
    first = comparable_default(study, history)
    if first is None:
        return None, tuple(one for one in ranked if one[0].role != "default")
    lives = [trial for trial in history if trial.role != "search" and same_params(trial.params, first.params)]
    default = next(((life, score) for life in lives if (score := scored(study, life))), None)
    return default, tuple(one for one in ranked if not same_params(one[0].params, first.params))


def comparable_default(study: Study, history: Sequence[Trial]) -> Trial | None:
    """Trial 0, when others can be compared with it: it has a score, or only the client stood in its way."""
    first = next((trial for trial in history if trial.role == "default"), None)
    if first is None or not agenda.is_measured(first):
        return None
    return first if first.client_limited or scored(study, first) else None


def spoiled(study: Study, history: Sequence[Trial]) -> frozenset[int]:
    """The lives of the comparison that say nothing of their parameters: without a score for the client's or the machine's sake.

    A life that broke a constraint, or failed by itself, is no such: to replace it would be to choose the answer.
    """
    lives = (trial for trial in history if trial.role == "confirm")
    return frozenset(life.number for life in lives if _is_spoiled(study, life))


def _is_spoiled(study: Study, life: Trial) -> bool:
    return agenda.is_lost(life) or (agenda.is_measured(life) and life.client_limited and scored(study, life) is None)


def observations(study: Study, history: Sequence[Trial]) -> tuple[Observation, ...]:
    """What a search may learn from the trials that are no longer open."""
    return tuple(_observation(study, trial) for trial in agenda.searched(history) if not agenda.is_open(trial))


def _observation(study: Study, trial: Trial) -> Observation:
    if not agenda.is_measured(trial):
        return Observation(number=trial.number, params=trial.params, value=None, infeasible=agenda.is_infeasible(trial))
    found = scores.score(trial, study.objective, study.constraints)
    return Observation(number=trial.number, params=trial.params, value=found.rank, violation=found.violation)
