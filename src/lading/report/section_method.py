"""How it was measured: objective, load, environment, the study itself."""

import json

from lading.report import html, quantities
from lading.report.document import Report
from lading.report.html import Row, cell, tag, text
from lading.report.page_parts import section


def method_section(report: Report) -> str:
    """What was asked, how it was measured, on what, and the study as written."""
    study = report.spec
    load = study.workload
    levels = [f"{value:g}" for value in (*load.levels.concurrency, *load.levels.rate)]
    offered = "requests in flight" if load.levels.concurrency else f"requests/s, {load.arrivals} arrivals"
    limits = [
        f"p{rule.percentile:g} {quantities.NAMES.get(rule.metric, rule.metric)} at most {rule.at_most:g}"
        + (" s" if rule.metric != "error_share" else "")
        for rule in study.constraints
    ]
    told = [
        (
            "objective",
            f"{report.result.direction} {quantities.label(report.result.metric)}, at {'the best level' if study.objective.at == 'best' else f'level {study.objective.at:g}'}",
        ),
        ("constraints", "; ".join(limits) or "none"),
        (
            "load",
            f"{load.scenario} tokens, {load.api}; levels {', '.join(levels)} {offered}; {load.requests} requests each",
        ),
        (
            "search",
            f"{study.search.method}, seed {study.search.seed}, {study.search.trials} trials, {study.search.confirm} confirmations",
        ),
        ("other programs", _foreign(report)),
        ("raw records", _refold_words(report)),
    ]
    note = (
        "Times are monotonic and taken in the client. TTFT: from sending a request to the first token with content. TPOT: (last − first) / (n − 1). "
        "Percentiles are over all issued requests, failures count as +∞; one with fewer than ten samples beyond it is not resolved. "
        "Levels are never averaged together. What the client limited is never ranked."
    )
    environment = [Row(cells=[cell(name), cell(value, class_="long")]) for name, value in _flat(report.run.environment)]
    parts = [
        html.table(
            ["what", "how"],
            [Row(cells=[cell(name), cell(words, class_="long")]) for name, words in told],
            name="method",
            sorts=False,
        ),
        tag("p", text(note), class_="note"),
        tag("h3", text("Environment and versions")),
        html.table(["what", "value"], environment, name="environment", sorts=False),
        html.details(
            text("The study as written"), html.pre(report.document, name="study"), html.copier("study", "copy")
        ),
    ]
    return section("method", "How it was measured", *parts)


def _foreign(report: Report) -> str:
    """How quiet the machine was: what others used is taken from the server."""
    used = report.result.foreign_cpus
    return "not known" if used is None else f"used {used:.2g} cores on average while levels were measured"


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
