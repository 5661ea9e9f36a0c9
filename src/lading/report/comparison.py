"""The defaults against the winner: bars from zero with every server life, and the gain with its interval."""

from collections.abc import Sequence

from lading.report import quantities, svg
from lading.report.chart_parts import best_other
from lading.report.document import Report
from lading.report.svg import CIRCLE, SQUARE, Frame, Scale


def lives(report: Report, frame: Frame) -> str:
    """Bars from zero: the objective of the defaults and the winner, a dot for every server life."""
    default, other = report.result.default, best_other(report)
    rows = [("defaults", default, "default", SQUARE)] if default else []
    if other:
        rows.append((f"trial {other.number}", other, "winner" if report.changed else "other", CIRCLE))
    values = {row[1].number: _lives(report, row[1].confirmations) for row in rows}
    unit = quantities.unit(report.result.metric, [row[1].value for row in rows])
    left, height = 74.0, 34.0 * len(rows)
    plot = Frame(width=frame.width, height=height + 62, left=left, right=70, top=18)
    x = svg.scale(
        [*(row[1].value for row in rows), *(value for found in values.values() for value in found)],
        plot.x0,
        plot.x1,
        zero=True,
    )
    parts = [_ticks_below(plot, x, unit, report.result.metric)]
    for index, (name, candidate, kind, shape) in enumerate(rows):
        middle = plot.top + 34 * index + 16
        end = x.at(candidate.value)
        parts.append(svg.text(left - 8, middle + 4, name, class_=f"label {kind}-text", anchor="end"))
        parts.append(
            svg.tag(
                "rect", x=x.start, y=middle - 10, width=round(max(1, end - x.start), 1), height=20, class_=f"bar {kind}"
            )
        )
        parts += [_life_dot(x.at(value), middle, shape, unit.text(value)) for value in values[candidate.number]]
        far = max([end, *(x.at(value) for value in values[candidate.number])])
        parts.append(svg.text(far + 8, middle + 4, unit.text(candidate.value), class_=f"label {kind}-text"))
    said = ", ".join(f"{name} {unit.text(candidate.value)}" for name, candidate, *_ in rows)
    return svg.chart(
        plot, *parts, name=f"{quantities.label(report.result.metric)}, defaults against winner", summary=said
    )


def gain(report: Report, frame: Frame) -> str:
    """The gain over the defaults with its 95 % interval on an axis with zero; empty where none was stated."""
    stated = [(one.number, one.gain) for one in report.result.finalists if one.gain]
    if not stated:
        return ""
    winner = report.result.winner.number if report.result.winner and report.changed else None
    plot = Frame(width=frame.width, height=34.0 * len(stated) + 62, left=74, right=24, top=18)
    ends = [end for _, found in stated for end in (found.low_percent, found.high_percent)]
    x = svg.scale([0.0, *ends], plot.x0, plot.x1)
    parts = [_percent_axis(plot, x)]
    for index, (number, found) in enumerate(stated):
        middle, kind = plot.top + 34 * index + 14, "winner" if number == winner else "other"
        low, high, at = x.at(found.low_percent), x.at(found.high_percent), x.at(found.percent)
        words = f"{found.percent:+.3g} % [{found.low_percent:.3g}, {found.high_percent:.3g}], {found.pairs} pairs of server lives"
        whisker = f"M{low} {middle - 5}v10m0 -5H{high}m0 -5v10"
        drawing = svg.tag("path", d=whisker, class_=f"whisker {kind}") + svg.mark(
            CIRCLE, at, middle, class_=kind, size=5
        )
        parts.append(svg.titled(drawing, words))
        parts.append(svg.text(66, middle + 4, f"trial {number}", class_=f"label {kind}-text", anchor="end"))
    said = "; ".join(
        f"trial {number}: {found.percent:+.3g} % from {found.low_percent:.3g} to {found.high_percent:.3g}"
        for number, found in stated
    )
    return svg.chart(plot, *parts, name="Gain over the defaults with its 95 % interval", summary=said)


def _lives(report: Report, numbers: Sequence[int]) -> list[float]:
    found = [report.trial(number) for number in numbers]
    return [scored.value for scored in found if scored is not None and scored.value is not None]


def _life_dot(x: float, y: float, shape: str, words: str) -> str:
    return svg.titled(svg.mark(shape, x, y, class_="life", size=3.5), f"one server life: {words}")


def _ticks_below(frame: Frame, x: Scale, unit: quantities.Unit, metric: str) -> str:
    parts = []
    for value in Scale(low=x.low * unit.factor, high=x.high * unit.factor, start=0, end=1).ticks(4):
        at = x.at(value / unit.factor)
        parts.append(svg.tag("line", x1=at, x2=at, y1=frame.y1 - 4, y2=frame.y0, class_="grid"))
        parts.append(svg.text(at, frame.y0 + 15, svg.tick_text(value), class_="tick", anchor="middle"))
    parts.append(svg.text(frame.x1, frame.y0 + 32, quantities.title(metric, unit), class_="title", anchor="end"))
    return "".join(parts)


def _percent_axis(frame: Frame, x: Scale) -> str:
    parts = []
    for value in x.ticks(4):
        at, zero = x.at(value), value == 0
        parts.append(svg.tag("line", x1=at, x2=at, y1=frame.y1 - 4, y2=frame.y0, class_="zero" if zero else "grid"))
        parts.append(
            svg.text(at, frame.y0 + 15, svg.tick_text(value) if zero else f"{value:+g}", class_="tick", anchor="middle")
        )
    parts.append(
        svg.text(
            frame.x1, frame.y0 + 32, "better than the defaults by, % (95 % interval)", class_="title", anchor="end"
        )
    )
    return "".join(parts)
