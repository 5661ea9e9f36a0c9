"""The answer: what to run, and how it compares with the defaults."""

from collections.abc import Callable, Sequence

from lading.measure.summary import Summary
from lading.report import comparison, html, quantities
from lading.report.chart_parts import HALF, best_other
from lading.report.document import Report, ScoredTrial
from lading.report.html import Cell, Row, cell, tag, text
from lading.report.page_parts import command_line, section
from lading.report.quantities import value_text

Read = Callable[[Summary], float | None]
"""One number of a level; None where it is not resolved."""


def what_to_run(report: Report) -> str:
    """What to run: the changed parameters, the artefacts, the command line."""
    winner = report.winner
    if report.result.winner is None or winner is None:
        return section("what-to-run", "What to run", tag("p", text(_nothing_to_run(report))))
    parts = []
    changed = report.result.winner.changed
    default = report.default
    if changed:
        rows = [
            Row(
                cells=[
                    Cell(markup=tag("code", text(name))),
                    cell(_asked(default, name)),
                    cell(value_text(value), class_="winner"),
                ]
            )
            for name, value in changed.items()
        ]
        parts.append(
            html.table(["parameter", "defaults", f"winner (trial {winner.number})"], rows, name="changed", sorts=False)
        )
    else:
        parts.append(tag("p", text("The defaults: no other set of parameters was shown to be better.")))
    parts += [_artefacts(report), command_line(winner, "argv-winner", "The command line that was measured")]
    return section("what-to-run", "What to run", *parts)


def _nothing_to_run(report: Report) -> str:
    if not report.trials:
        return "Nothing was tried yet."
    return (
        "No trial has a score: none was measured at a level where every constraint holds. Each trial says why, below."
    )


def _asked(scored: ScoredTrial | None, name: str) -> str:
    if scored is None or name not in scored.trial.params:
        return "left to the engine"
    return value_text(scored.trial.params[name])


def _artefacts(report: Report) -> str:
    if not report.artefacts:
        return ""
    items = [tag("li", tag("a", text(one.path), href=one.path), text(f": {one.what}")) for one in report.artefacts]
    return tag("p", text("Files to run it with, beside this one:")) + tag("ul", *items)


def comparison_section(report: Report) -> str:
    """The defaults beside what was found, at the level that counts of each."""
    if report.result.default is None and report.result.winner is None:
        return ""
    title = "Defaults against winner" if report.changed else "Defaults against the best other"
    drawn = [chart for chart in (comparison.lives(report, HALF), comparison.gain(report, HALF)) if chart]
    pair = tag("div", *map(html.figure, drawn), class_="pair")
    note = tag("p", text(_gain_note(report)), class_="note")
    return section("comparison", title, pair, note, _comparison_table(report))


def _gain_note(report: Report) -> str:
    stated = next((one.gain for one in report.result.finalists if one.gain), None)
    if stated is None:
        return "No gain is stated: it takes server lives of both, measured in turns (search.confirm)."
    return (
        f"Bars begin at zero; each small mark is one life of a server. The gain is the mean of the log-ratios of {stated.pairs} pairs of "
        "server lives measured in turns, with Student's 95 % interval; it counts when the whole interval is above zero. The table shows both as the search measured them."
    )


def _comparison_table(report: Report) -> str:
    other = best_other(report)
    pairs = [scored for scored in (report.default, report.trial(other.number) if other else None) if scored]
    shown = [(scored, _level_of(scored)) for scored in pairs]
    summaries = [summary for _, summary in shown if summary is not None]
    if not summaries:
        return ""
    columns: list[str | tuple[str, bool]] = ["at the level that counts"]
    columns += [(_column(report, scored), True) for scored, summary in shown if summary is not None]
    if len(summaries) == 2:
        columns.append(("change", True))
    rows = [Row(cells=_metric_cells(name, read, summaries)) for name, read in _metrics(report)]
    return html.table(columns, rows, name="default-against-winner", sorts=False)


def _column(report: Report, scored: ScoredTrial) -> str:
    name = "defaults" if scored is report.default else f"trial {scored.number}"
    return f"{name}, {scored.level or 'first level'}"


def _level_of(scored: ScoredTrial) -> Summary | None:
    """The level that counts, else the first that was measured."""
    return next(
        (summary for summary in scored.trial.levels if summary.level == scored.level),
        next(iter(scored.trial.levels), None),
    )


def _metrics(report: Report) -> list[tuple[str, Read]]:
    found: list[tuple[str, Read]] = [
        ("output_tokens_per_s", lambda summary: summary.output_tokens_per_s),
        ("requests_per_s", lambda summary: summary.requests_per_s),
    ]
    if report.spec.workload.slo:
        found.append(("goodput_rps", lambda summary: summary.goodput_rps))
    found += [
        (f"p{percentile:g} {metric}", _percentile(metric, percentile))
        for metric in ("ttft_s", "tpot_s", "e2e_s")
        for percentile in (50.0, 95.0)
    ]
    return [*found, ("error_share", lambda summary: summary.error_share)]


def _percentile(metric: str, percentile: float) -> Read:
    def read(summary: Summary) -> float | None:
        at = quantities.reading(summary, metric, percentile)
        return at.value if not at.stands_for else None

    return read


def _metric_cells(name: str, read: Read, summaries: Sequence[Summary]) -> list[Cell]:
    values = [read(summary) for summary in summaries]
    unit = quantities.unit(name, [value for value in values if value is not None])
    if name == "error_share":
        unit = quantities.Unit(name="%", factor=100)
    shown = [unit.text(value) if value is not None else "not resolved" for value in values]
    cells = [cell(quantities.label(name)), *(cell(one, number=True) for one in shown)]
    if len(values) == 2:
        cells.append(cell(_change(values[0], values[1]), number=True))
    return cells


def _change(before: float | None, after: float | None) -> str:
    if not before or after is None:
        return "–"
    return f"{100 * (after / before - 1):+.3g} %"
