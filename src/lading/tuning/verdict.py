"""A study's answer in one sentence, for the first line of everything."""

import math
from collections.abc import Sequence
from typing import Any

from lading.spec import units
from lading.spec.study import Objective, Study
from lading.tuning import agenda
from lading.tuning import score as scores
from lading.tuning.documents import Candidate, StatedGain
from lading.tuning.trial import Failed, Infeasible, Trial

_UNITS = {
    "output_tokens_per_s": "tok/s",
    "total_tokens_per_s": "tok/s",
    "requests_per_s": "requests/s",
    "goodput_rps": "good requests/s",
}


def sentence(
    study: Study,
    history: Sequence[Trial],
    winner: Candidate | None,
    default: Candidate | None,
    finalists: Sequence[Candidate],
) -> str:
    """The answer: the winner, its value, its gain over the defaults with its interval; or why there is none."""
    unit = unit_of(study.objective)
    if winner is None:
        return _no_answer(study, history)
    if default is None:
        return f"{_serves(winner, unit)}; the defaults have no score to compare with: {_why_no_default(study, history)}"
    if winner.number != default.number:
        return f"{_serves(winner, unit)}: {_gain_words(winner, default)}"
    if not finalists:
        return f"the defaults stand: {_at(default, unit)}; nothing else that was tried has a score"
    return _defaults_stand(default, finalists[0], unit)


def _defaults_stand(default: Candidate, best: Candidate, unit: str) -> str:
    tried = show_changed(best.changed)
    if best.gain is None:
        return f"the defaults stand: {_at(default, unit)}; {tried} reaches {show_value(best.value, unit)}"
    return (
        f"no significant gain: {_interval(best.gain)} for {tried} over the defaults, which serve {_at(default, unit)}"
    )


def _serves(candidate: Candidate, unit: str) -> str:
    return f"{show_changed(candidate.changed)} serves {_at(candidate, unit)}"


def show_changed(changed: dict[str, Any]) -> str:
    """What the search chose, in words."""
    return ", ".join(f"{name}={value}" for name, value in changed.items()) or "the defaults"


def _at(candidate: Candidate, unit: str) -> str:
    latency = next(((label, value) for label, value in candidate.beside.items() if "ttft" in label), None)
    beside = (
        f", {latency[0].removesuffix('_s').replace('ttft', 'TTFT')} {units.show_seconds(latency[1])}" if latency else ""
    )
    return f"{show_value(candidate.value, unit)} at {candidate.level}{beside}"


def _gain_words(winner: Candidate, default: Candidate) -> str:
    if winner.gain is None:
        percent = 100 * (winner.value / default.value - 1) if default.value else math.nan
        return f"{percent:+.3g} % over the defaults in one server life each (no interval: {winner.no_gain})"
    return f"{_interval(winner.gain)} over the defaults"


def _interval(gain: StatedGain) -> str:
    return f"{gain.percent:+.3g} % [{gain.low_percent:.3g}, {gain.high_percent:.3g}]"


def _why_no_default(study: Study, history: Sequence[Trial]) -> str:
    first = next((trial for trial in history if trial.role == "default"), None)
    if first is None or first.outcome is None:
        return "they were not measured yet"
    if isinstance(first.outcome, Failed | Infeasible):
        return first.outcome.reason
    return "; ".join(scores.score(first, study.objective, study.constraints).reasons)


def _no_answer(study: Study, history: Sequence[Trial]) -> str:
    ended = [trial for trial in history if not agenda.is_open(trial)]
    if not ended:
        return "nothing was measured yet"
    if any(agenda.is_measured(trial) for trial in ended):
        return f"no trial of {len(ended)} meets the constraints at any level: {_why_no_default(study, history)}"
    return f"no trial of {len(ended)} could be measured: {_why_no_default(study, history)}"


def metric_name(objective: Objective) -> str:
    """The objective in words: ``output_tokens_per_s``, ``p95 ttft_s``."""
    if objective.minimize is None:
        return objective.metric
    return f"{scores.percentile_key(objective.percentile)} {objective.minimize}"


def show_value(value: float, unit: str) -> str:
    """A value of the objective with its unit: ``1,940 tok/s``, ``410 ms``."""
    return units.show_seconds(value) if unit == "s" else f"{units.show_number(value)} {unit}"


def unit_of(objective: Objective) -> str:
    """The unit of the objective's values."""
    return _UNITS.get(objective.metric, "s")
