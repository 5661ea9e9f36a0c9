"""`report.html`: one file that needs nothing else. The answer first, evidence after it, how it was measured last."""

import base64
import hashlib
import json
import shlex
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from lading.measure.summary import Summary
from lading.report import charts, html, quantities
from lading.report.charts import NARROW, SMALL, WIDE
from lading.report.document import Report, ScoredTrial
from lading.report.html import Cell, Row, cell, tag, text
from lading.report.quantities import value_text
from lading.report.svg import Frame
from lading.report.table import parameter_names
from lading.spec import units
from lading.tuning.trial import Failed, Infeasible

_TAGS = {"default": "defaults", "confirm": "confirmation"}


def page(report: Report) -> str:
    """The whole file. Everything from outside is shown as text; no address is in it that a browser would open."""
    sections = [_run_it, _comparison, _curves, _parameters, _pareto, _trials, _failures, _each_trial, _method]
    title = f"{report.run.name}: {report.result.verdict}"
    style, script = _asset("page.css"), _asset("page.js")
    head = [
        tag("meta").removesuffix("</meta>").replace("<meta>", '<meta charset="utf-8">'),
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">',
        f'<meta name="generator" content="lading {text(report.lading)}">',
        tag("title", text(title)),
        f"<style>{style}</style>",
    ]
    body = [_top(report), tag("main", *(section(report) for section in sections)), _footer(report), f"<script>{script}</script>"]
    return "\n".join(["<!doctype html>", '<html lang="en">', tag("head", *head), tag("body", *body), "</html>", ""])


def _asset(name: str) -> str:
    return files("lading.report").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Nothing is loaded from anywhere, and no script runs but ours."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _top(report: Report) -> str:
    result, run = report.result, report.run
    study = report.spec
    over = f"Study {run.name}, run {run.run} · {study.model.ref} on {study.engine.name} · {_day(run.created_at)}"
    outcomes = ", ".join(f"{count} {name}" for name, count in result.outcomes.items() if count)
    told = [("trials", f"{result.trials} ({outcomes})" if outcomes else str(result.trials)),
            ("confirmations", str(result.confirmations)), ("server starts", str(result.server_starts)),
            ("time in trials", units.show_seconds(result.seconds) if result.seconds else "0 s")]  # fmt: skip
    return tag("header", tag("p", text(over), class_="over"), tag("h1", text(result.verdict)), html.facts(told), _warnings(report), class_="top")


def _warnings(report: Report) -> str:
    said = []
    if report.refold is not None and not report.refold.equal:
        wrong = ", ".join([*report.refold.differing, *report.refold.missing])
        said.append(f"These numbers are not what the raw records say. Differing or missing: {wrong}.")
    still_open = [scored.number for scored in report.trials if scored.state == "open"]
    if still_open:
        said.append(f"The study has not ended: {len(still_open)} trials are open. This is its state now.")
    return "".join(tag("p", text(words), class_="warning", role="alert") for words in said)


def _run_it(report: Report) -> str:
    """What to run: the changed parameters, the artefacts, the command line."""
    winner = report.winner
    if report.result.winner is None or winner is None:
        return _section("what-to-run", "What to run", tag("p", text(_nothing_to_run(report))))
    parts = []
    changed = report.result.winner.changed
    default = report.default
    if changed:
        rows = [
            Row(cells=[Cell(markup=tag("code", text(name))), cell(_asked(default, name)), cell(value_text(value), class_="winner")])
            for name, value in changed.items()
        ]
        parts.append(html.table(["parameter", "defaults", f"winner (trial {winner.number})"], rows, name="changed", sorts=False))
    else:
        parts.append(tag("p", text("The defaults: no other set of parameters was shown to be better.")))
    parts += [_artefacts(report), _argv(winner, "argv-winner", "The command line that was measured")]
    return _section("what-to-run", "What to run", *parts)


def _nothing_to_run(report: Report) -> str:
    if not report.trials:
        return "Nothing was tried yet."
    return "No trial has a score: none was measured at a level where every constraint holds. Each trial says why, below."


def _asked(scored: ScoredTrial | None, name: str) -> str:
    if scored is None or name not in scored.trial.params:
        return "left to the engine"
    return value_text(scored.trial.params[name])


def _artefacts(report: Report) -> str:
    if not report.artefacts:
        return ""
    items = [tag("li", tag("a", text(one.path), href=one.path), text(f": {one.what}")) for one in report.artefacts]
    return tag("p", text("Files to run it with, beside this one:")) + tag("ul", *items)


def _argv(scored: ScoredTrial, name: str, title: str) -> str:
    if not scored.trial.argv:
        return ""
    words = " \\\n  ".join(shlex.quote(word) for word in scored.trial.argv)
    return tag("h3", text(title)) + html.copier(name, "copy") + html.pre(words, name=name, wrap=True)


def _comparison(report: Report) -> str:
    if report.result.default is None and report.result.winner is None:
        return ""
    gain = _responsive(report, charts.gain)
    pair = tag("div", html.figure(_responsive(report, charts.lives)), html.figure(gain) if gain else "", class_="pair")
    note = tag("p", text(_gain_note(report)), class_="note")
    return _section("comparison", "Defaults against winner", pair, note, _comparison_table(report))


def _gain_note(report: Report) -> str:
    stated = next((one.gain for one in report.result.finalists if one.gain), None)
    if stated is None:
        return "No gain is stated: it takes server lives of both, measured in turns (search.confirm)."
    return (
        f"Bars begin at zero; each small mark is one life of a server. The gain is the mean of the log-ratios of {stated.pairs} pairs of "
        "server lives measured in turns, with Student's 95 % interval; it counts when the whole interval is above zero."
    )


def _comparison_table(report: Report) -> str:
    pairs = [(scored, candidate) for scored, candidate in (
        (report.default, report.result.default), (report.winner if report.changed else None, report.result.winner)) if scored]  # fmt: skip
    shown = [(scored, _level_of(scored)) for scored, _ in pairs]
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
    return next((summary for summary in scored.trial.levels if summary.level == scored.level), next(iter(scored.trial.levels), None))


Read = Callable[[Summary], float | None]


def _metrics(report: Report) -> list[tuple[str, Read]]:
    found: list[tuple[str, Read]] = [
        ("output_tokens_per_s", lambda summary: summary.output_tokens_per_s),
        ("requests_per_s", lambda summary: summary.requests_per_s),
    ]
    if report.spec.workload.slo:
        found.append(("goodput_rps", lambda summary: summary.goodput_rps))
    for metric in ("ttft_s", "tpot_s", "e2e_s"):
        for percentile in (50.0, 95.0):
            found.append((f"p{percentile:g} {metric}", _percentile(metric, percentile)))
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


def _curves(report: Report) -> str:
    if not any(scored.trial.levels for scored in report.trials):
        return ""
    _, percentile, limit = charts.latency_of(report)
    caption = "Up and to the left is better. Grey: the other trials. "
    if limit is not None:
        caption += f"Only levels left of the dashed line (p{percentile:g} within the limit) count. "
    caption += "× at the right end: failed or not measured. Hollow: limited by the client, or a lower percentile stands in."
    return _section("levels", "Throughput against latency", html.figure(_responsive(report, charts.curves), caption=caption))


def _parameters(report: Report) -> str:
    names = [name for name in parameter_names(report.trials) if name in report.spec.space]
    if not names:
        return ""
    drawn = [tag("figure", charts.parameter(report, SMALL, name)) for name in names]
    note = "Each mark is a trial. On the axis, without a score: × failed, △ refused by a rule, ○ measured, but no level counts. One trial varies several parameters at once."
    return _section("parameters", "Every parameter against the objective", tag("div", *drawn, class_="grid"), tag("p", text(note), class_="note"))


def _pareto(report: Report) -> str:
    if not report.result.pareto:
        return ""
    rows = [
        Row(
            cells=[_link(point.number), cell(point.level, sort=point.level.value), cell(f"{units.show_number(point.throughput)} tok/s", sort=point.throughput, number=True),
                   cell(units.show_seconds(point.latency_s), sort=point.latency_s, number=True), cell(_changed_words(report, point.number), class_="long")],
            class_=_row_class(report, point.number),
        )
        for point in reversed(report.result.pareto)
    ]  # fmt: skip
    caption = "Along the line no level of any trial gives more tokens at a shorter wait. Marks are named by trial and level."
    columns: list[str | tuple[str, bool]] = ["trial", "level", ("throughput", True), ("p95 time to first token", True), "parameters"]
    return _section("pareto", "Pareto set", html.figure(_responsive(report, charts.pareto), caption=caption), html.table(columns, rows, name="pareto-set"))


def _changed_words(report: Report, number: int) -> str:
    scored = report.trial(number)
    return _words(report, scored) if scored else ""


def _words(report: Report, scored: ScoredTrial) -> str:
    """What of a trial's parameters differs from the defaults."""
    base = report.default.trial.params if report.default else {}
    told = [f"{name}={value_text(value)}" for name, value in scored.trial.params.items() if name not in base or base[name] != value]
    return ", ".join(told) or "the defaults"


def _trials(report: Report) -> str:
    if not report.trials:
        return ""
    drawn = [html.figure(_responsive(report, chart)) for chart in (charts.progress, charts.timeline)]
    return _section("trials", "Trials", *drawn, tag("p", text("Faint: start and warm-up. Solid: measuring. × failed."), class_="note"), _trial_table(report))


def _trial_table(report: Report) -> str:
    names = [name for name in parameter_names(report.trials) if name in report.spec.space]
    unit = quantities.unit(report.result.metric, [scored.value for scored in report.trials if scored.value is not None])
    columns: list[str | tuple[str, bool]] = ["trial", *names, "outcome", "level", (f"{quantities.label(report.result.metric)}", True), ("ready", True), "why not"]
    rows = [
        Row(
            cells=[
                _link(scored.number, _TAGS.get(scored.trial.role, "")),
                *(_param(scored, name) for name in names),
                cell(scored.state),
                cell(scored.level or "", sort=scored.level.value if scored.level else ""),
                cell(unit.text(scored.value) if scored.value is not None else "", sort=scored.value if scored.value is not None else "", number=True),
                cell(units.show_seconds(scored.trial.ready_s) if scored.trial.ready_s else "", sort=scored.trial.ready_s or "", number=True),
                cell("; ".join(scored.reasons), class_="long"),
            ],
            class_=_row_class(report, scored.number),
        )
        for scored in report.trials
    ]  # fmt: skip
    return html.table(columns, rows, name="all-trials")


def _param(scored: ScoredTrial, name: str) -> Cell:
    if name not in scored.trial.params:
        return cell("default", sort="")
    value = scored.trial.params[name]
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return cell(value_text(value), sort=value_text(value), number=numeric)


def _link(number: int, words: str = "") -> Cell:
    label = tag("span", text(words), class_="tag") if words else ""
    return Cell(markup=tag("a", text(number), href=f"#trial-{number}") + label, sort=number)


def _row_class(report: Report, number: int) -> str:
    if report.changed and report.winner is not None and number == report.winner.number:
        return "winner"
    return "default" if report.default is not None and number == report.default.number else ""


def _failures(report: Report) -> str:
    found = report.result.failures
    if not found:
        return _section("failures", "Failures", tag("p", text("No trial failed, and no rule refused one.")))
    return _section("failures", "Failures, by class", *(_failure(report, one.name, one.kind, one.numbers) for one in found))


def _failure(report: Report, name: str, kind: str, numbers: Sequence[int]) -> str:
    first = report.trial(numbers[0])
    outcome = first.trial.outcome if first else None
    links = ", ".join(tag("a", text(number), href=f"#trial-{number}") for number in numbers)
    title = tag("h3", text(name), tag("span", text(kind), class_="tag"))
    parts = [title, tag("p", text("Trials "), links, ". ", text(_why(outcome)))]
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


def _each_trial(report: Report) -> str:
    if not report.trials:
        return ""
    return _section("each-trial", "Each trial", *(_trial(report, scored) for scored in report.trials))


def _trial(report: Report, scored: ScoredTrial) -> str:
    trial = scored.trial
    kind = _row_class(report, scored.number)
    named = {"winner": "winner", "default": "defaults"}.get(kind) or _TAGS.get(trial.role, "")
    label = tag("span", text(named), class_=f"tag {kind}") if named else ""
    unit = quantities.unit(report.result.metric, [scored.value] if scored.value else [])
    outcome = f"{unit.text(scored.value)} at {scored.level}" if scored.value is not None else scored.state
    summary = text(f"Trial {trial.number}: {_words(report, scored)}") + label + " " + tag("span", text(f"· {outcome}"), class_="state")
    parts = [
        tag("p", text(_phases(scored)), class_="note"),
        *(tag("p", text(reason)) for reason in scored.reasons),
        _levels(scored),
        _argv(scored, f"argv-{trial.number}", "Command line"),
        _differences(scored),
        _log(scored),
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
    limited = tag("span", text("client limited: " + ", ".join(summary.health.limited_by)), class_="tag") if summary.health.client_limited else ""
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
    return units.show_seconds(value) if value is not None else quantities.percentile_text(percentile, quantities.Unit(name="s"))


def _differences(scored: ScoredTrial) -> str:
    told = scored.trial.differences
    if not told:
        return tag("p", text("The server says it runs with what was asked for."), class_="note") if scored.trial.effective else ""
    return tag("h3", text("Not as asked for")) + tag("ul", *(tag("li", text(line)) for line in told))


def _log(scored: ScoredTrial) -> str:
    outcome = scored.trial.outcome
    if not isinstance(outcome, Failed) or not outcome.log:
        return ""
    return tag("h3", text("The end of its log")) + html.pre("\n".join(outcome.log))


def _method(report: Report) -> str:
    study = report.spec
    load = study.workload
    levels = [f"{value:g}" for value in (*load.levels.concurrency, *load.levels.rate)]
    offered = "requests in flight" if load.levels.concurrency else f"requests/s, {load.arrivals} arrivals"
    limits = [f"p{rule.percentile:g} {quantities.NAMES.get(rule.metric, rule.metric)} at most {rule.at_most:g}" + (" s" if rule.metric != "error_share" else "") for rule in study.constraints]
    told = [
        ("objective", f"{report.result.direction} {quantities.label(report.result.metric)}, at {'the best level' if study.objective.at == 'best' else f'level {study.objective.at:g}'}"),
        ("constraints", "; ".join(limits) or "none"),
        ("load", f"{load.scenario} tokens, {load.api}; levels {', '.join(levels)} {offered}; {load.requests} requests each"),
        ("search", f"{study.search.method}, seed {study.search.seed}, {study.search.trials} trials, {study.search.confirm} confirmations"),
        ("raw records", _refold_words(report)),
    ]
    note = (
        "Times are monotonic and taken in the client. TTFT: from sending a request to the first token with content. TPOT: (last − first) / (n − 1). "
        "Percentiles are over all issued requests, failures count as +∞; one with fewer than ten samples beyond it is not resolved. "
        "Levels are never averaged together. What the client limited is never ranked."
    )
    environment = [Row(cells=[cell(name), cell(value, class_="long")]) for name, value in _flat(report.run.environment)]
    parts = [
        html.table(["what", "how"], [Row(cells=[cell(name), cell(words, class_="long")]) for name, words in told], name="method", sorts=False),
        tag("p", text(note), class_="note"),
        tag("h3", text("Environment and versions")),
        html.table(["what", "value"], environment, name="environment", sorts=False),
        html.details(text("The study as written"), html.copier("study", "copy"), html.pre(report.document, name="study")),
    ]
    return _section("method", "How it was measured", *parts)


def _refold_words(report: Report) -> str:
    if report.refold is None:
        return "not read again for this report"
    if report.refold.equal:
        return f"{report.refold.files} files read again: every number here is their fold"
    return f"{len(report.refold.differing)} of {report.refold.files} files differ, {len(report.refold.missing)} are missing"


def _flat(tree: object, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(tree, dict):
        return [pair for key, value in tree.items() for pair in _flat(value, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False))]


def _footer(report: Report) -> str:
    words = f"Written by Lading {report.lading} at {report.written_at}. The same numbers: report.json, trials.csv, levels.csv."
    return tag("footer", tag("p", text(words)))


def _section(name: str, title: str, *markup: str) -> str:
    return tag("section", tag("h2", text(title), id=name), *markup)


def _responsive(report: Report, chart: Callable[[Report, Frame], str]) -> str:
    """A chart drawn twice: for a page, and for a phone, where shrinking it would make its words too small."""
    wide = chart(report, WIDE)
    return tag("div", wide, class_="wide") + tag("div", chart(report, NARROW), class_="narrow") if wide else ""


def _day(at: str) -> str:
    return at[:16].replace("T", " ") + " UTC" if at[10:11] == "T" else at
