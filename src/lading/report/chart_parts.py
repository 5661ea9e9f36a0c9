"""What the charts of a report share. Winner in the accent colour, default in black, all else grey; shapes say the same again."""

from lading.report import quantities, svg
from lading.report.document import Report, ScoredTrial
from lading.report.svg import CIRCLE, CROSS, RING, SQUARE, TRIANGLE, Frame, Scale
from lading.tuning.result import Candidate

WIDE = Frame(width=860, height=380)
NARROW = Frame(width=358, height=320, left=46)
HALF = Frame(width=450, height=240)
SMALL = Frame(width=330, height=230, left=46)


def best_other(report: Report) -> Candidate | None:
    """What the defaults are compared with: the winner, else the best that did not beat them."""
    return report.result.winner if report.changed else next(iter(report.result.finalists), None)


def latency_of(report: Report) -> tuple[str, float, float | None]:
    """(Metric, percentile, limit) of the latency that matters: the first constraint on a time, else the objective's, else TTFT.

    Without a constraint, the highest percentile up to p95 that most levels resolve.
    """
    study = report.spec
    for rule in study.constraints:
        if rule.metric != "error_share":
            return rule.metric, rule.percentile, rule.at_most
    if study.objective.minimize:
        return study.objective.minimize, study.objective.percentile, None
    summaries = [summary for scored in report.trials for summary in scored.trial.levels]
    for percentile in (95.0, 90.0, 75.0):
        exact = [quantities.reading(summary, "ttft_s", percentile).stands_for == "" for summary in summaries]
        if 2 * sum(exact) > len(exact):
            return "ttft_s", percentile, None
    return "ttft_s", 50.0, None


def kind_of(report: Report, scored: ScoredTrial) -> str:
    """How a trial is drawn: ``winner``, ``default`` or ``other``."""
    if report.changed and report.winner is not None and scored.number == report.winner.number:
        return "winner"
    return "default" if scored.trial.role == "default" else "other"


def y_grid(frame: Frame, y: Scale, unit: quantities.Unit) -> str:
    """The line below and the ticks of an axis of values."""
    parts = [svg.tag("line", x1=frame.x0, x2=frame.x1, y1=frame.y0, y2=frame.y0, class_="axis")]
    for value in Scale(low=y.low * unit.factor, high=y.high * unit.factor, start=0, end=1).ticks(4):
        at = y.at(value / unit.factor)
        parts.append(svg.tag("line", x1=frame.x0, x2=frame.x1, y1=at, y2=at, class_="grid"))
        parts.append(svg.text(frame.x0 - 6, at + 4, svg.tick_text(value), class_="tick", anchor="end"))
    return "".join(parts)


def trial_mark(report: Report, scored: ScoredTrial, *, x: float, y: Scale, frame: Frame, unit: quantities.Unit) -> str:
    """A trial's mark at *x*: at its value, or on the axis with the shape of what it came to; it leads to the trial."""
    kind = kind_of(report, scored)
    if scored.value is not None:
        shape = {"winner": CIRCLE, "default": SQUARE}.get(kind, CIRCLE)
        drawn = svg.mark(shape, x, y.at(scored.value), class_=kind, size={"winner": 5.5, "default": 4.5}.get(kind, 3.5))
        words = f"trial {scored.number}: {unit.text(scored.value)} at {scored.level}"
    else:
        shape = {"infeasible": TRIANGLE, "failed": CROSS}.get(scored.state, RING)
        drawn = svg.mark(shape, x, frame.y0, class_=kind, size=4)
        words = f"trial {scored.number}: {scored.state}: {'; '.join(scored.reasons)}"
    return svg.tag("a", svg.titled(drawn, words), href=f"#trial-{scored.number}")
