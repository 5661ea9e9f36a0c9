"""How good a trial is: one level and the objective's value there, or no score with the reasons.

A trial's score is (level, value) at `objective.at`; ``best`` is the best level at which every constraint holds. Levels
are never averaged, constraints are never added to the objective, and a level that the client limited is never ranked.
A percentile that is not resolved proves nothing: a constraint on it does not hold.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lading.measure.records import Level
from lading.measure.summary import (
    MIN_BEYOND,
    Distribution,
    FailedPercentile,
    NotResolved,
    Percentile,
    Resolved,
    Summary,
)
from lading.spec import units
from lading.spec.study import Constraint, Objective
from lading.tuning.trial import Trial, completed

#: A percentile among failed requests is worse than any number: it counts as this many times its limit too much.
FAR = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelScore:
    """What one level is worth.

    Attributes:
        value: The objective, in its own unit; None where it has no number.
        reasons: Why the level does not count, each a clause with its values; empty where it does.
        violation: By how much the constraints are known to be exceeded, summed, each as a share of its limit; one that
            is not resolved adds nothing. None where the level has no say (limited by the client, cut off, the objective
            has no value).
    """

    level: Level
    value: float | None
    reasons: tuple[str, ...] = ()
    violation: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a trial is worth at the level that counts.

    Attributes:
        level, value: The level that counts and the objective there, in its own unit; None where no level counts.
        rank: *value*, turned so that larger is better; None where no level counts.
        reasons: Why nothing counts, by level; empty where something does.
        levels: Every measured level, in the order they were measured.
        violation: How far the least bad level is known to be beyond the constraints, > 0; None where one counts or
            none can tell.
    """

    level: Level | None = None
    value: float | None = None
    rank: float | None = None
    reasons: tuple[str, ...] = ()
    levels: tuple[LevelScore, ...] = ()
    violation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoff:
    """One level of one trial that none beats in both throughput and latency."""

    number: int
    level: Level
    throughput: float
    latency_s: float


def score(trial: Trial, objective: Objective, constraints: Sequence[Constraint] = ()) -> Score:
    """What *trial* is worth. An open or failed trial is scored by the levels it has; ask its outcome first."""
    levels = tuple(_level_score(summary, objective, constraints) for summary in trial.levels)
    counting = [level for level in levels if level.value is not None and not level.reasons and _asked(level, objective)]
    if not counting:
        near = [level.violation for level in levels if level.violation and _asked(level, objective)]
        return Score(reasons=_reasons(trial, levels, objective), levels=levels, violation=min(near, default=None))
    best = max(counting, key=lambda level: _rank(level.value, objective))
    return Score(level=best.level, value=best.value, rank=_rank(best.value, objective), levels=levels)


def ranking(
    history: Iterable[Trial], objective: Objective, constraints: Sequence[Constraint] = ()
) -> tuple[tuple[Trial, Score], ...]:
    """The completed trials that have a score, best first; equals by number. Confirmations are left out."""
    scored = [(trial, score(trial, objective, constraints)) for trial in completed(tuple(history))]
    ranked = [pair for pair in scored if pair[1].rank is not None and pair[0].role != "confirm"]
    return tuple(sorted(ranked, key=lambda pair: (-(pair[1].rank or 0.0), pair[0].number)))


def best(
    history: Iterable[Trial], objective: Objective, constraints: Sequence[Constraint] = ()
) -> tuple[Trial, Score] | None:
    """The best trial and its score; None where nothing has one."""
    return next(iter(ranking(history, objective, constraints)), None)


def pareto(
    history: Iterable[Trial],
    *,
    throughput: str = "output_tokens_per_s",
    metric: str = "ttft_s",
    percentile: float = 95,
) -> tuple[Tradeoff, ...]:
    """The levels that none beats in both *throughput* and the *percentile* of *metric*, by rising throughput.

    Levels without a resolved percentile, and those the client limited, are left out.
    """
    points = [
        Tradeoff(number=trial.number, level=summary.level, throughput=rate, latency_s=latency.value)
        for trial in completed(tuple(history))
        for summary in trial.levels
        if not summary.health.client_limited
        and (rate := getattr(summary, throughput)) is not None
        and isinstance(latency := percentile_of(getattr(summary, metric), percentile), Resolved)
    ]
    front: list[Tradeoff] = []
    for point in sorted(points, key=lambda point: (-point.throughput, point.latency_s)):
        if not front or point.latency_s < front[-1].latency_s:
            front.append(point)
    return tuple(reversed(front))


def percentile_key(percentile: float) -> str:
    """The percentile's key in a summary: ``p95``, ``p99.9``."""
    return f"p{percentile:g}"


def percentile_of(distribution: Distribution, percentile: float) -> Percentile | None:
    """The *percentile* over all issued requests; None where the summary has none of that name."""
    return distribution.issued.get(percentile_key(percentile))


def requests_needed(percentile: float) -> int:
    """How many requests resolve *percentile*: enough for `MIN_BEYOND` beyond it."""
    return math.ceil(round(MIN_BEYOND / (1 - percentile / 100), 6))


def unresolvable(requests: int, objective: Objective, constraints: Sequence[Constraint] = ()) -> tuple[str, ...]:
    """Percentiles of request metrics that *requests* per level can never resolve, each as a sentence; ITL has more samples."""
    asked = [(objective.minimize, objective.percentile)] if objective.minimize else []
    asked += [(rule.metric, rule.percentile) for rule in constraints if rule.metric != "error_share"]
    return tuple(
        f"{percentile_key(percentile)} of {metric} needs {requests_needed(percentile)} requests per level, the workload has {requests}"
        for metric, percentile in dict.fromkeys(asked)
        if metric != "itl_s" and requests < requests_needed(percentile)
    )


def _level_score(summary: Summary, objective: Objective, constraints: Sequence[Constraint]) -> LevelScore:
    value, no_value = _objective(summary, objective)
    unfit = (*_unfit(summary), *no_value)
    excesses = [_excess(summary, constraint) for constraint in constraints]
    broken = tuple(reason for _, reason in excesses if reason)
    violation = None if unfit else sum(excess for excess, _ in excesses)
    return LevelScore(level=summary.level, value=value, reasons=(*unfit, *broken), violation=violation)


def _objective(summary: Summary, objective: Objective) -> tuple[float | None, tuple[str, ...]]:
    """The objective's value at this level, else why it has none."""
    if objective.minimize is None:
        value: float | None = getattr(summary, objective.metric)
        return value, () if value is not None else (f"{objective.metric} needs workload.slo",)
    found = percentile_of(getattr(summary, objective.minimize), objective.percentile)
    if isinstance(found, Resolved):
        return found.value, ()
    return None, (_no_number(found, objective.minimize, objective.percentile),)


def _unfit(summary: Summary) -> tuple[str, ...]:
    limited = summary.health.limited_by
    reasons = [f"the load client was the limit: {'; '.join(limited)}"] if limited else []
    if summary.ended in {"errors", "cancelled"}:
        why = f"{summary.error_share:.0%} of the requests failed" if summary.ended == "errors" else "it was stopped"
        reasons.append(f"the level ended early: {why}")
    return tuple(reasons)


def _excess(summary: Summary, constraint: Constraint) -> tuple[float, str]:
    """(How much is known to be too much, as a share of the limit; the reason), (0, "") where the constraint holds."""
    limit = constraint.at_most
    if constraint.metric == "error_share":
        value, name, shown = summary.error_share, "error_share", f"{summary.error_share:.3g}"
    else:
        found = percentile_of(getattr(summary, constraint.metric), constraint.percentile)
        if not isinstance(found, Resolved):
            unknown = not isinstance(found, FailedPercentile)
            return 0.0 if unknown else FAR, _no_number(found, constraint.metric, constraint.percentile)
        name = f"{percentile_key(constraint.percentile)} {constraint.metric}"
        value, shown = found.value, units.show_seconds(found.value)
    if value <= limit:
        return 0.0, ""
    most = f"{limit:g}" if constraint.metric == "error_share" else units.show_seconds(limit)
    return min(FAR, (value - limit) / max(limit, 1e-9)), f"{name} {shown} > {most}"


def _no_number(found: Percentile | None, metric: str, percentile: float) -> str:
    name = f"{percentile_key(percentile)} {metric}"
    match found:
        case FailedPercentile():
            return f"{name} falls among failed requests"
        case NotResolved(not_resolved=samples):
            return f"{name} is not resolved by {samples} samples (it needs {requests_needed(percentile)})"
        case _:
            return f"{name} was not computed"


def _asked(level: LevelScore, objective: Objective) -> bool:
    return objective.at in ("best", level.level.value)


def _rank(value: float | None, objective: Objective) -> float:
    assert value is not None
    return value if objective.maximize else -value


def _reasons(trial: Trial, levels: Sequence[LevelScore], objective: Objective) -> tuple[str, ...]:
    """Why nothing counts, by level, in the order of the levels; a level asked for by number but never measured too."""
    asked = [level for level in levels if _asked(level, objective)]
    lost = [(level, why) for level, why in trial.failed_levels if objective.at in ("best", level.value)]
    told = [f"{level.level}: {'; '.join(level.reasons)}" for level in asked]
    told += [f"{level}: not measured: {why}" for level, why in lost]
    if not told and objective.at != "best":
        return (f"level {objective.at:g} was not measured",)
    return tuple(told) or ("no level was measured",)
