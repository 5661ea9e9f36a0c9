"""The evidence: levels, parameters, the Pareto set, the trials."""

from lading.report import course, frontier, html, parameters, quantities
from lading.report.chart_parts import SMALL, latency_of
from lading.report.document import Report, ScoredTrial
from lading.report.html import Cell, Row, cell, tag, text
from lading.report.page_parts import TAGS, changed_words, responsive, row_class, section, trial_link
from lading.report.quantities import value_text
from lading.report.table import parameter_names
from lading.spec import units


def pareto_section(report: Report) -> str:
    """The levels that none beats in both, drawn and listed."""
    if not report.result.pareto:
        return ""
    rows = [
        Row(
            cells=[trial_link(point.number), cell(point.level, sort=point.level.value), cell(f"{units.show_number(point.throughput)} tok/s", sort=point.throughput, number=True),
                   cell(units.show_seconds(point.latency_s), sort=point.latency_s, number=True), cell(_changed_words(report, point.number), class_="long")],
            class_=row_class(report, point.number),
        )
        for point in reversed(report.result.pareto)
    ]  # fmt: skip
    caption = (
        "Along the line no level of any trial gives more tokens at a shorter wait. Marks are named by trial and level."
    )
    columns: list[str | tuple[str, bool]] = [
        "trial",
        "level",
        ("throughput", True),
        ("p95 time to first token", True),
        "parameters",
    ]
    return section(
        "pareto",
        "Pareto set",
        html.figure(responsive(report, frontier.pareto), caption=caption),
        html.table(columns, rows, name="pareto-set"),
    )


def _changed_words(report: Report, number: int) -> str:
    scored = report.trial(number)
    return changed_words(report, scored) if scored else ""


def trials_section(report: Report) -> str:
    """The trials in their order, in time, and in a table."""
    if not report.trials:
        return ""
    drawn = [html.figure(responsive(report, chart)) for chart in (course.progress, course.timeline)]
    return section(
        "trials",
        "Trials",
        *drawn,
        tag("p", text("Faint: start and warm-up. Solid: measuring. × failed."), class_="note"),
        _trial_table(report),
    )


def _trial_table(report: Report) -> str:
    names = [name for name in parameter_names(report.trials) if name in report.spec.space]
    numeric = {name for name in names if _is_numeric(report, name)}
    unit = quantities.unit(report.result.metric, [scored.value for scored in report.trials if scored.value is not None])
    columns: list[str | tuple[str, bool]] = [
        "trial", *((name, name in numeric) for name in names), (quantities.title(report.result.metric, unit), True), "level",
        ("start to ready", True), "outcome",
    ]  # fmt: skip
    rows = [
        Row(
            cells=[
                trial_link(scored.number, TAGS.get(scored.trial.role, "")),
                *(_param(scored, name, number=name in numeric) for name in names),
                cell(unit.show(scored.value) if scored.value is not None else "", sort="" if scored.value is None else scored.value, number=True),
                cell(scored.level or "", sort=scored.level.value if scored.level else ""),
                cell(units.show_seconds(scored.trial.ready_s) if scored.trial.ready_s else "", sort=scored.trial.ready_s or "", number=True),
                cell(_outcome(scored), class_="long"),
            ],
            class_=row_class(report, scored.number),
        )
        for scored in report.trials
    ]  # fmt: skip
    return html.table(columns, rows, name="all-trials")


def _is_numeric(report: Report, name: str) -> bool:
    given = [scored.trial.params[name] for scored in report.trials if name in scored.trial.params]
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in given)


def _outcome(scored: ScoredTrial) -> str:
    """The state with the first reason; the others stand in the trial's own part."""
    more = f" (and {len(scored.reasons) - 1} more)" if len(scored.reasons) > 1 else ""
    return f"{scored.state}: {scored.reasons[0]}{more}" if scored.reasons else scored.state


def _param(scored: ScoredTrial, name: str, *, number: bool) -> Cell:
    if name not in scored.trial.params:
        return cell("default", sort="", number=number, class_="left-out")
    value = value_text(scored.trial.params[name])
    return cell(value, sort=value, number=number)


def levels_section(report: Report) -> str:
    """Throughput against latency through the levels."""
    if not any(scored.trial.levels for scored in report.trials):
        return ""
    _, percentile, limit = latency_of(report)
    caption = "Up and to the left is better. Grey: the other trials. "
    if limit is not None:
        caption += f"Only levels left of the dashed line (p{percentile:g} within the limit) count. "
    caption += (
        "× at the right end: failed or not measured. Hollow: limited by the client, or a lower percentile stands in."
    )
    return section(
        "levels", "Throughput against latency", html.figure(responsive(report, frontier.curves), caption=caption)
    )


def parameters_section(report: Report) -> str:
    """Every parameter of the space against the objective."""
    names = [name for name in parameter_names(report.trials) if name in report.spec.space]
    if not names:
        return ""
    drawn = [tag("figure", parameters.parameter(report, SMALL, name)) for name in names]
    note = "Each mark is a trial. On the axis, without a score: × failed, △ refused by a rule, ○ measured, but no level counts. One trial varies several parameters at once."
    return section(
        "parameters",
        "Every parameter against the objective",
        tag("div", *drawn, class_="grid"),
        tag("p", text(note), class_="note"),
    )
