"""The tables of a report, as rows of plain values: the same ones become CSV files and sortable HTML."""

import csv
import io
from collections.abc import Iterable, Sequence

from lading.report.document import Report, ScoredTrial
from lading.report.quantities import value_text
from lading.tuning.trial import Failed, Infeasible

_PERCENTILES = ("p50", "p90", "p95", "p99")
_METRICS = ("ttft_s", "tpot_s", "itl_s", "e2e_s")


def trials_csv(report: Report) -> str:
    """One row per trial: its parameters, its outcome, its score; units are in the names."""
    names = parameter_names(report.trials)
    head = ["number", "role", "replicate", *(f"param.{name}" for name in names), "state", "phase", "class", "reason",
            "level", report.result.metric.replace(" ", "."), "ready_s", "attempts", "client_limited", "started_at", "ended_at"]  # fmt: skip
    return _csv(head, (_trial_row(scored, names) for scored in report.trials))


def levels_csv(report: Report) -> str:
    """One row per measured level of every trial; a percentile that is no number says ``failed`` or ``not resolved``."""
    head = ["number", "role", "level_kind", "level", "requests", "completed", "error_share", "duration_s", "requests_per_s",
            "output_tokens_per_s", "input_tokens_per_s", "goodput_rps",
            *(f"{metric}.{name}" for metric in _METRICS for name in ("mean", *_PERCENTILES)),
            "client_limited", "client_cpu_share", "record_file"]  # fmt: skip
    return _csv(head, _level_rows(report.trials))


def parameter_names(trials: Iterable[ScoredTrial]) -> list[str]:
    """Every parameter that any trial has, in the order they appear."""
    return list(dict.fromkeys(name for scored in trials for name in scored.trial.params))


def _trial_row(scored: ScoredTrial, names: Sequence[str]) -> list[object]:
    trial = scored.trial
    phase, kind, reason = "", "", "; ".join(scored.reasons)
    match trial.outcome:
        case Failed():
            phase, kind, reason = trial.outcome.phase, trial.outcome.name, trial.outcome.reason
        case Infeasible():
            phase, kind, reason = "plan", trial.outcome.rule, trial.outcome.reason
    return [
        trial.number, trial.role, trial.replicate,
        *(value_text(trial.params[name]) if name in trial.params else "" for name in names),
        scored.state, phase, kind, reason, str(scored.level or ""), scored.value, trial.ready_s, trial.attempts,
        trial.client_limited, trial.started_at, trial.ended_at,
    ]  # fmt: skip


def _level_rows(trials: Iterable[ScoredTrial]) -> Iterable[list[object]]:
    for scored in trials:
        files = scored.trial.record_files
        for index, summary in enumerate(scored.trial.levels):
            row: list[object] = [
                scored.number, scored.trial.role, summary.level.kind, summary.level.value, summary.requests, summary.completed,
                summary.error_share, summary.duration_s, summary.requests_per_s, summary.output_tokens_per_s,
                summary.input_tokens_per_s, summary.goodput_rps,
            ]  # fmt: skip
            for metric in _METRICS:
                distribution = getattr(summary, metric)
                row.append(distribution.mean)
                row += [_cell(distribution.issued.get(name)) for name in _PERCENTILES]
            row += [
                summary.health.client_limited,
                summary.health.cpu_share,
                files[index] if index < len(files) else "",
            ]
            yield row


def _cell(percentile: object) -> object:
    if percentile is None:
        return ""
    value = getattr(percentile, "value", None)
    if value is not None:
        return value
    return "failed" if getattr(percentile, "failed", False) else "not resolved"


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([_safe(cell) for cell in row])
    return out.getvalue()


def _safe(cell: object) -> object:
    """*cell*, no formula: spreadsheets run what begins with ``=`` or ``@``; texts from outside may."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str) and cell[:1] in {"=", "@", "+", "-", "\t", "\r"} and not _number(cell):
        return f"'{cell}"
    return cell


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
