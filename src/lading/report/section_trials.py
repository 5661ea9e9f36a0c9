"""Failures by class, and each trial with all that is known of it."""

from collections.abc import Sequence
from typing import Any

from lading.measure.summary import Summary
from lading.report import html, quantities
from lading.report.document import Report, ScoredTrial
from lading.report.html import Cell, Row, cell, tag, text
from lading.report.page_parts import TAGS, changed_words, command_line, row_class, section
from lading.report.quantities import value_text
from lading.spec import units
from lading.tuning.trial import Failed, Infeasible


def failures_section(report: Report) -> str:
    """Trials that failed or were refused, by class, with reason, remedy and log."""
    found = report.result.failures
    if not found:
        return section("failures", "Failures", tag("p", text("No trial failed, and no rule refused one.")))
    return section(
        "failures", "Failures, by class", *(_failure(report, one.name, one.kind, one.numbers) for one in found)
    )


def _failure(report: Report, name: str, kind: str, numbers: Sequence[int]) -> str:
    first = report.trial(numbers[0])
    outcome = first.trial.outcome if first else None
    links = ", ".join(tag("a", text(number), href=f"#trial-{number}") for number in numbers)
    title = tag("h3", text(name), tag("span", text(kind), class_="tag"))
    parts = [title, tag("p", text("Trial " if len(numbers) == 1 else "Trials "), links, ". ", text(_why(outcome)))]
    if isinstance(outcome, Failed | Infeasible) and outcome.hint:
        parts.append(tag("p", text("Remedy: "), text(outcome.hint)))
    if isinstance(outcome, Failed) and outcome.log:
        log = html.pre("\n".join(outcome.log[-20:]))
        parts.append(html.details(text(f"The end of the log of trial {numbers[0]}"), log, class_="print"))
    return "".join(parts)


def _why(outcome: object) -> str:
    match outcome:
        case Failed(phase=phase, reason=reason):
            return f"In phase {phase}: {reason}"
        case Infeasible(reason=reason):
            return f"Refused before it was started: {reason}"
        case _:
            return ""


def each_trial(report: Report) -> str:
    """Every trial, folded: levels, command line, differences, log."""
    if not report.trials:
        return ""
    return section("each-trial", "Each trial", *(_trial(report, scored) for scored in report.trials))


def _trial(report: Report, scored: ScoredTrial) -> str:
    trial = scored.trial
    kind = row_class(report, scored.number)
    named = {"winner": "winner", "default": "defaults"}.get(kind) or TAGS.get(trial.role, "")
    label = tag("span", text(named), class_=f"tag {kind}") if named else ""
    unit = quantities.unit(report.result.metric, [scored.value] if scored.value else [])
    outcome = f"{unit.text(scored.value)} at {scored.level}" if scored.value is not None else scored.state
    summary = (
        text(f"Trial {trial.number}: {changed_words(report, scored)}")
        + label
        + " "
        + tag("span", text(f"· {outcome}"), class_="state")
    )
    parts = [
        tag("p", text(_phases(scored)), class_="note"),
        *(tag("p", text(reason)) for reason in scored.reasons),
        _levels(scored),
        command_line(scored, f"argv-{trial.number}", "Command line"),
        _differences(scored),
        _log(scored),
        _whole_log(report, scored),
    ]
    return html.details(summary, *parts, name=f"trial-{trial.number}")


def _phases(scored: ScoredTrial) -> str:
    trial = scored.trial
    told = [f"{phase} {units.show_seconds(value)}" for phase, value in trial.seconds.items() if value > 0]
    attempts = f"{trial.attempts} attempts. " if trial.attempts > 1 else ""
    return attempts + ("Phases: " + ", ".join(told) + "." if told else "Nothing was started.")


def _levels(scored: ScoredTrial) -> str:
    trial = scored.trial
    if not trial.levels and not trial.failed_levels:
        return ""
    columns: list[str | tuple[str, bool]] = ["level", ("requests", True), ("failed", True), ("output tokens/s", True),
               ("TTFT p50", True), ("TTFT p95", True), ("TPOT p50", True), ("whole answer p95", True), "raw records"]  # fmt: skip
    rows = [Row(cells=_level_cells(summary, trial.record_files[index] if index < len(trial.record_files) else ""))
            for index, summary in enumerate(trial.levels)]  # fmt: skip
    lost = [tag("p", text(f"{level} was not measured: {why}")) for level, why in trial.failed_levels]
    return html.table(columns, rows, name=f"levels-{trial.number}", sorts=False) + "".join(lost)


def _level_cells(summary: Summary, file: str) -> list[Cell]:
    limited = (
        tag("span", text("client limited: " + ", ".join(summary.health.limited_by)), class_="tag")
        if summary.health.client_limited
        else ""
    )
    percentiles = [(summary.ttft_s, "p50"), (summary.ttft_s, "p95"), (summary.tpot_s, "p50"), (summary.e2e_s, "p95")]
    return [
        Cell(markup=text(summary.level) + limited),
        cell(summary.requests, number=True),
        cell(summary.requests - summary.completed, number=True),
        cell(units.show_number(summary.output_tokens_per_s), number=True),
        *(cell(_seconds(distribution.issued.get(name)), number=True) for distribution, name in percentiles),
        Cell(markup=tag("code", text(file))),
    ]


def _seconds(percentile: Any) -> str:
    value = getattr(percentile, "value", None)
    return (
        units.show_seconds(value)
        if value is not None
        else quantities.percentile_text(percentile, quantities.Unit(name="s"))
    )


def _differences(scored: ScoredTrial) -> str:
    """What the server says it runs with, and where that is not what was asked for."""
    trial = scored.trial
    if not trial.effective:
        return ""
    told = ", ".join(f"{name}={value_text(value)}" for name, value in sorted(trial.effective.items()))
    shown = tag("p", text("The server says it runs with "), tag("code", text(told)), class_="note")
    if not trial.differences:
        return shown
    return (
        tag("h3", text("Not as asked for")) + tag("ul", *(tag("li", text(line)) for line in trial.differences)) + shown
    )


def _whole_log(report: Report, scored: ScoredTrial) -> str:
    """The command that shows the whole log; the report has the end of a failure's alone."""
    if not scored.trial.attempts:
        return ""
    command = f"lading studies logs {report.run.name} --run {report.run.run} --trial {scored.number}"
    return tag("p", text("Its whole log: "), tag("code", text(command)), class_="note")


def _log(scored: ScoredTrial) -> str:
    outcome = scored.trial.outcome
    if not isinstance(outcome, Failed) or not outcome.log:
        return ""
    return tag("h3", text("The end of its log")) + html.pre("\n".join(outcome.log))
