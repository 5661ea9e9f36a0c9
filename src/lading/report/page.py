"""`report.html`: one file that needs nothing else. The answer first, evidence after it, how it was measured last."""

import base64
import hashlib
from collections import Counter
from importlib.resources import files

from lading.report import html
from lading.report.document import Report
from lading.report.html import tag, text
from lading.report.section_answer import comparison_section, what_to_run
from lading.report.section_evidence import levels_section, parameters_section, pareto_section, trials_section
from lading.report.section_method import method_section
from lading.report.section_trials import each_trial, failures_section
from lading.spec import units

_SECTIONS = (
    what_to_run, comparison_section, levels_section, parameters_section, pareto_section, trials_section,
    failures_section, each_trial, method_section,
)  # fmt: skip


def page(report: Report) -> str:
    """The whole file. Everything from outside is shown as text; no address is in it that a browser would open."""
    title = f"{report.run.name}: {report.result.verdict}"
    style, script = _asset("page.css"), _asset("page.js")
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">',
        f'<meta name="generator" content="lading {text(report.lading)}">',
        tag("title", text(title)),
        f"<style>{style}</style>",
    ]
    body = [
        _top(report),
        tag("main", *(section(report) for section in _SECTIONS)),
        _footer(report),
        f"<script>{script}</script>",
    ]
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
    told = [("trials", str(result.trials)), ("of them", _states(report)), ("confirmations", str(result.confirmations)), ("server starts", str(result.server_starts)),
            ("time in trials", units.show_seconds(result.seconds) if result.seconds else "0 s")]  # fmt: skip
    return tag(
        "header",
        tag("p", text(over), class_="over"),
        tag("h1", text(_sentence(result.verdict))),
        html.facts(told),
        _warnings(report),
        class_="top",
    )


def _sentence(verdict: str) -> str:
    """The verdict with a capital, unless it begins with a parameter's name."""
    first = verdict.split(" ", 1)[0]
    return verdict if "=" in first or "_" in first else verdict[:1].upper() + verdict[1:]


def _states(report: Report) -> str:
    """The trials of the search by state, in words."""
    counts = Counter(scored.state for scored in report.trials if scored.trial.role != "confirm")
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "none"


def _warnings(report: Report) -> str:
    said = []
    if report.refold is not None and not report.refold.equal:
        wrong = ", ".join([*report.refold.differing, *report.refold.missing])
        said.append(f"These numbers are not what the raw records say. Differing or missing: {wrong}.")
    still_open = [scored.number for scored in report.trials if scored.state == "open"]
    if still_open:
        said.append(f"The study has not ended: {len(still_open)} trials are open. This is its state now.")
    return "".join(tag("p", text(words), class_="warning", role="alert") for words in said)


def _footer(report: Report) -> str:
    words = f"Written by Lading {report.lading} at {report.written_at}. The same numbers: report.json, trials.csv, levels.csv."
    return tag("footer", tag("p", text(words)))


def _day(at: str) -> str:
    return at[:16].replace("T", " ") + " UTC" if at[10:11] == "T" else at
