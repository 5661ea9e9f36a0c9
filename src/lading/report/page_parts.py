"""What the sections of a page share."""

import shlex
from collections.abc import Callable, Sequence

from lading.report import html
from lading.report.chart_parts import NARROW, WIDE
from lading.report.document import Report, ScoredTrial
from lading.report.html import Cell, tag, text
from lading.report.quantities import value_text
from lading.report.svg import Frame

TAGS = {"default": "defaults", "confirm": "confirmation"}
"""What a trial is called beside its number, by its role."""


def section(name: str, title: str, *markup: str) -> str:
    """A part of the page under its heading."""
    return tag("section", tag("h2", text(title), id=name), *markup)


def responsive(report: Report, chart: Callable[[Report, Frame], str]) -> str:
    """A chart drawn twice: for a page, and for a phone, where shrinking it would make its words too small."""
    wide = chart(report, WIDE)
    return tag("div", wide, class_="wide") + tag("div", chart(report, NARROW), class_="narrow") if wide else ""


def row_class(report: Report, number: int) -> str:
    """How a trial's row is marked: ``winner``, ``default`` or not at all."""
    if report.changed and report.winner is not None and number == report.winner.number:
        return "winner"
    return "default" if report.default is not None and number == report.default.number else ""


def trial_link(number: int, words: str = "") -> Cell:
    """A cell that leads to the trial; *words* say what it was for."""
    label = tag("span", text(words), class_="tag") if words else ""
    return Cell(markup=tag("a", text(number), href=f"#trial-{number}") + label, sort=number)


def changed_words(report: Report, scored: ScoredTrial) -> str:
    """What of a trial's parameters differs from the defaults."""
    base = report.default.trial.params if report.default else {}
    told = [
        f"{name}={value_text(value)}"
        for name, value in scored.trial.params.items()
        if name not in base or base[name] != value
    ]
    return ", ".join(told) or "the defaults"


def command_line(scored: ScoredTrial, name: str, title: str) -> str:
    """A trial's argv, to read and to copy; empty where none was recorded."""
    if not scored.trial.argv:
        return ""
    words = " \\\n  ".join(_by_flag(scored.trial.argv))
    return tag("h3", text(title)) + html.pre(words, name=name, wrap=True) + html.copier(name, "copy")


def _by_flag(argv: Sequence[str]) -> list[str]:
    """*argv* quoted, each flag with its values on one line."""
    lines: list[str] = []
    for word in argv:
        if lines and not word.startswith("-"):
            lines[-1] += f" {shlex.quote(word)}"
        else:
            lines.append(shlex.quote(word))
    return lines
