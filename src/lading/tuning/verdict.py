"""A study's answer in one sentence, for the first line of everything."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
    words = _Words(study.objective)
    if winner is None:
        return _no_answer(study, history)
    if default is None:
        return f"{words.served(winner)}; the defaults have no score to compare with: {_why_no_default(study, history)}"
    if winner.number != default.number:
        return f"{words.served(winner)}: {words.gained(winner, default)}"
    if not finalists:
        return f"the defaults stand: {words.at(default)}; nothing else that was tried has a score"
    return words.stand(default, finalists[0])


def show_changed(changed: dict[str, Any]) -> str:
    """What the search chose, in words."""
    return ", ".join(f"{name}={value}" for name, value in changed.items()) or "the defaults"


@dataclass(frozen=True, slots=True)
class _Words:
    """Parts of the sentence, in the words of an objective: more of a rate, or less of a time."""

    objective: Objective

    def served(self, candidate: Candidate) -> str:
        verb = "serves" if self.objective.maximize else "has"
        return f"{show_changed(candidate.changed)} {verb} {self.at(candidate)}"

    def stand(self, default: Candidate, best: Candidate) -> str:
        """The defaults are what to run; *best* is what came nearest."""
        tried, theirs = show_changed(best.changed), self.at(default)
        if best.gain is None:
            reached = show_value(best.value, unit_of(self.objective))
            return f"the defaults stand: {theirs}; {tried} reaches {reached}"
        if best.gain.high_percent < 0:
            return f"no significant gain: {tried} does worse, {self.interval(best.gain)}; theirs: {theirs}"
        return f"no significant gain: {tried} gives {self.interval(best.gain)}; theirs: {theirs}"

    def at(self, candidate: Candidate) -> str:
        """The value, where, and the latency beside a throughput."""
        value = show_value(candidate.value, unit_of(self.objective))
        if self.objective.minimize:
            return f"{_short(metric_name(self.objective))} {value} at {candidate.level}"
        latency = next(((label, value) for label, value in candidate.beside.items() if "ttft" in label), None)
        beside = f" at {_short(latency[0])} {units.show_seconds(latency[1])}" if latency else ""
        return f"{value}{beside} ({candidate.level})"

    def gained(self, winner: Candidate, default: Candidate) -> str:
        if winner.gain is not None:
            return self.interval(winner.gain)
        ratio = winner.value / default.value if default.value else math.nan
        percent = 100 * (ratio - 1 if self.objective.maximize else 1 - ratio)
        return f"{self._percent(percent)} {self._against}, without an interval: {winner.no_gain}"

    def interval(self, gain: StatedGain) -> str:
        return f"{self._percent(gain.percent)} [{gain.low_percent:.3g}, {gain.high_percent:.3g}] {self._against}"

    def _percent(self, percent: float) -> str:
        return f"{percent:+.3g} %" if self.objective.maximize else f"{percent:.3g} %"

    @property
    def _against(self) -> str:
        return "over the defaults" if self.objective.maximize else "less than the defaults"


def _short(metric: str) -> str:
    """``p95 ttft_s`` as people write it: ``p95 TTFT``."""
    return (
        metric.removesuffix("_s")
        .replace("ttft", "TTFT")
        .replace("tpot", "TPOT")
        .replace("itl", "ITL")
        .replace("e2e", "E2E")
    )


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
