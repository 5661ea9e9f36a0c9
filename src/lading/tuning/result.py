"""What a study came to: a fold over its trials, used by the command line and the report alike.

Nothing here is stored as state: `result` gives the same document for the same study and history, at any moment of the
study, finished or not.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from lading.engines.base import Value
from lading.measure.records import Level
from lading.measure.summary import Resolved, Summary
from lading.spec.study import Objective, Study
from lading.tuning import agenda, contest, verdict
from lading.tuning import gain as gains
from lading.tuning import score as scores
from lading.tuning.contest import Scored
from lading.tuning.documents import Candidate, FailureCount, ParetoPoint, StatedGain, StudyResult
from lading.tuning.gain import Gain, NoGain
from lading.tuning.trial import Failed, Infeasible, Trial, same_params

__all__ = ["Candidate", "FailureCount", "ParetoPoint", "StatedGain", "StudyResult", "lives_of", "outcome_of", "result"]


def result(study: Study, history: Sequence[Trial]) -> StudyResult:
    """What *study* came to, as far as *history* goes."""
    default_scored, others = contest.contest(study, history)
    default = _candidate(study, history, default_scored) if default_scored else None
    best = [_candidate(study, history, one) for one in others[: study.search.finalists]]
    finalists = tuple(sorted(best, key=lambda candidate: -_strength(study.objective, candidate)))
    winner = _winner(study.objective, default, finalists)
    return StudyResult(
        name=study.name,
        metric=verdict.metric_name(study.objective),
        unit=verdict.unit_of(study.objective),
        direction="maximize" if study.objective.maximize else "minimize",
        verdict=verdict.sentence(study, history, winner, default, finalists),
        winner=winner,
        default=default,
        finalists=finalists,
        pareto=tuple(
            ParetoPoint(number=one.number, level=one.level, throughput=one.throughput, latency_s=one.latency_s)
            for one in scores.pareto(agenda.searched(history))
        ),
        trials=sum(not agenda.is_open(trial) for trial in agenda.searched(history)),
        confirmations=sum(trial.role == "confirm" and not agenda.is_open(trial) for trial in history),
        outcomes=dict(Counter(outcome_of(study, trial) for trial in history)),
        failures=_failures(history),
        server_starts=sum(trial.attempts for trial in history),
        seconds=sum(sum(trial.seconds.values()) for trial in history),
        foreign_cpus=_foreign_cpus(history),
    )


def _foreign_cpus(history: Sequence[Trial]) -> float | None:
    told = [level.health.foreign_cpus for trial in history for level in trial.levels]
    known = [cpus for cpus in told if cpus is not None]
    return math.fsum(known) / len(known) if known else None


def outcome_of(study: Study, trial: Trial) -> str:
    """The trial's outcome in one word: as in `StudyResult.outcomes`."""
    if agenda.is_open(trial) or trial.outcome is None:
        return "open"
    if agenda.is_measured(trial) and contest.scored(study, trial) is None:
        return "unranked"
    return trial.outcome.outcome


def lives_of(history: Sequence[Trial], params: Mapping[str, Value]) -> tuple[Trial, ...]:
    """The confirmations of *params*, by round."""
    lives = [trial for trial in history if trial.role == "confirm" and same_params(trial.params, params)]
    return tuple(sorted(lives, key=lambda life: life.replicate))


def _candidate(study: Study, history: Sequence[Trial], one: Scored) -> Candidate:
    trial, score = one
    assert score.level is not None
    assert score.value is not None
    lives = lives_of(history, trial.params)
    values = [value for life in lives if (value := _value(study, life)) is not None]
    found = _gain(study, history, lives)
    first = next((other.params for other in history if other.role == "default"), {})
    return Candidate(
        number=_first_number(history, trial),
        params=trial.params,
        changed={name: value for name, value in trial.params.items() if name not in first or first[name] != value},
        level=score.level,
        value=_geometric_mean(values) if values else score.value,
        beside=_beside(trial, score.level),
        confirmations=tuple(life.number for life in lives if agenda.is_measured(life)),
        gain=_stated(found) if isinstance(found, Gain) and trial.role == "search" else None,
        no_gain=found.reason if isinstance(found, NoGain) and trial.role == "search" else "",
    )


def _first_number(history: Sequence[Trial], trial: Trial) -> int:
    """The first trial with the same parameters."""
    return next((other.number for other in history if same_params(other.params, trial.params)), trial.number)


def _gain(study: Study, history: Sequence[Trial], lives: Sequence[Trial]) -> Gain | NoGain:
    """The gain over the defaults of the same rounds, paired."""
    default = next((other for other in history if other.role == "default"), None)
    others = {life.replicate: life for life in lives_of(history, default.params)} if default else {}
    pairs = [(_value(study, life), _value(study, others.get(life.replicate))) for life in lives]
    return gains.gain(
        [one for one, _ in pairs], [other for _, other in pairs], minimize=study.objective.minimize is not None
    )


def _value(study: Study, life: Trial | None) -> float | None:
    found = contest.scored(study, life) if life is not None else None
    return found.value if found else None


def _stated(found: Gain) -> StatedGain:
    return StatedGain(
        percent=found.percent,
        low_percent=found.low_percent,
        high_percent=found.high_percent,
        pairs=found.pairs,
        significant=found.significant,
    )


def _geometric_mean(values: Sequence[float]) -> float:
    if min(values) <= 0:
        return math.fsum(values) / len(values)
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def _beside(trial: Trial, level: Level) -> dict[str, float]:
    summary = next(summary for summary in trial.levels if summary.level == level)
    told = {"output_tokens_per_s": summary.output_tokens_per_s, "error_share": summary.error_share}
    for metric in ("ttft_s", "tpot_s"):
        label, value = _latency(summary, metric)
        if value is not None:
            told[label] = value
    return told


def _latency(summary: Summary, metric: str) -> tuple[str, float | None]:
    """The p95 where it is resolved, else the p50, else the mean."""
    found = getattr(summary, metric)
    for percentile in (95.0, 50.0):
        at = scores.percentile_of(found, percentile)
        if isinstance(at, Resolved):
            return f"{scores.percentile_key(percentile)} {metric}", at.value
    return f"mean {metric}", found.mean


def _strength(objective: Objective, candidate: Candidate) -> float:
    """What finalists are ordered by: the confirmed value where there is one; larger is better."""
    return candidate.value if objective.maximize else -candidate.value


def _winner(objective: Objective, default: Candidate | None, finalists: Sequence[Candidate]) -> Candidate | None:
    """What to run: the best when it is significantly better; where no interval can be stated, when it is better at all."""
    if not finalists:
        return default
    best = finalists[0]
    if default is None:
        return best
    better = best.gain.significant if best.gain else _strength(objective, best) > _strength(objective, default)
    return best if better else default


def _failures(history: Sequence[Trial]) -> tuple[FailureCount, ...]:
    """Trials that failed or were refused, by class, the most frequent first."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for trial in history:
        match trial.outcome:
            case Failed(name=name, kind=kind):
                found[name, kind].append(trial.number)
            case Infeasible(rule=rule):
                found[rule, "infeasible"].append(trial.number)
            case _:
                continue
    counts = [
        FailureCount.model_validate({"name": name, "kind": kind, "count": len(numbers), "numbers": tuple(numbers)})
        for (name, kind), numbers in found.items()
    ]
    return tuple(sorted(counts, key=lambda one: (-one.count, one.name)))
