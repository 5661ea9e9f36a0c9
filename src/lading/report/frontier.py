"""Throughput against latency: curves through the levels of each trial, and the Pareto set."""

from collections.abc import Sequence

from lading.measure.summary import Summary
from lading.report import quantities, svg
from lading.report.chart_parts import kind_of, latency_of
from lading.report.document import Report, ScoredTrial
from lading.report.svg import CIRCLE, CROSS, RING, SQUARE, Frame, Scale


def curves(report: Report, frame: Frame) -> str:
    """Throughput against latency, one curve per trial through its levels, the limit as a dashed line."""
    metric, percentile, limit = latency_of(report)
    plot = Plot(report, frame, metric, percentile)
    shown = [scored for scored in report.trials if scored.trial.role != "confirm" and scored.trial.levels]
    values = [value for scored in shown for _, value, _ in plot.points(scored)]
    rates = [summary.output_tokens_per_s for scored in shown for summary in scored.trial.levels]
    unit = quantities.unit(metric, [*values, *([limit] if limit else [])])
    x = svg.scale([*values, *([limit] if limit else [])], frame.x0, frame.x1 - 24, log=None)
    y = svg.scale(rates, frame.y0, frame.y1 + 6, zero=True)
    name = quantities.title(f"p{percentile:g} {metric}", unit)
    parts = [svg.axes(frame, x, y, x_title=name, y_title="output tokens/s", x_factor=unit.factor)]
    if limit is not None:
        parts.append(_limit_line(frame, x.at(limit), f"limit {unit.text(limit)}"))
    kinds = {scored.number: kind_of(report, scored) for scored in shown}
    ordered = sorted(shown, key=lambda one: ("other", "default", "winner").index(kinds[one.number]))
    parts += [plot.curve(scored, x, y, kinds[scored.number]) for scored in ordered]
    parts.append(_lost_levels(frame, shown))
    said = "; ".join(plot.said(scored, unit) for scored in shown if kinds[scored.number] != "other")
    return svg.chart(frame, *parts, name="Throughput against latency, by level", summary=said)


class Plot:
    """One latency metric of one report, as points of curves."""

    def __init__(self, report: Report, frame: Frame, metric: str, percentile: float) -> None:
        self.report, self.frame, self.metric, self.percentile = report, frame, metric, percentile

    def points(self, scored: ScoredTrial) -> list[tuple[Summary, float, str]]:
        """(level, latency, what stands in for the percentile); levels without a number are left to `failed`."""
        found = [
            (summary, quantities.reading(summary, self.metric, self.percentile)) for summary in scored.trial.levels
        ]
        return [(summary, at.value, at.stands_for) for summary, at in found if at.value is not None]

    def curve(self, scored: ScoredTrial, x: Scale, y: Scale, kind: str) -> str:
        """The line and its marks; the levels are written on the curves that matter, the name at the end of each."""
        places = [(x.at(value), y.at(summary.output_tokens_per_s)) for summary, value, _ in self.points(scored)]
        shape, size = (SQUARE, 4.0) if kind == "default" else (CIRCLE, 5.0 if kind == "winner" else 2.5)
        many = " many" if kind == "other" and len(self.report.trials) > 40 else ""
        parts = [svg.path(places, class_=f"curve {kind}{many}")]
        for (at_x, at_y), (summary, value, stands_for) in zip(places, self.points(scored), strict=True):
            limited = summary.health.client_limited
            drawn = svg.mark(RING if limited or stands_for else shape, at_x, at_y, class_=kind, size=size)
            parts.append(svg.titled(drawn, self._words(scored, summary, value, stands_for)))
            if kind != "other":
                words = f"{summary.level}"
                parts.append(
                    svg.text(at_x, at_y + 18, words, class_="small halo", anchor="middle") if kind == "default"
                    else svg.text(at_x - 8, at_y - 5, words, class_="small winner-text halo", anchor="end")
                )  # fmt: skip
        parts += [self._failed(scored, summary, y, kind) for summary in scored.trial.levels]
        if places and kind != "other":
            at_x, at_y = max(places) if kind == "default" else min(places, key=lambda place: (place[1], place[0]))
            winner = f"trial {scored.number}" if self.frame.width < 420 else f"trial {scored.number}, the winner"
            name = "defaults" if kind == "default" else winner
            past = at_x > self.frame.x1 - 80
            parts.append(
                svg.text(
                    at_x if past else at_x + 2,
                    at_y - 11,
                    name,
                    class_=f"label {kind}-text halo",
                    anchor="end" if past else "start",
                )
            )
        return "".join(parts)

    def _failed(self, scored: ScoredTrial, summary: Summary, y: Scale, kind: str) -> str:
        """A level whose percentile falls among failed requests: a cross at the far end, at its throughput."""
        if not quantities.reading(summary, self.metric, self.percentile).failed:
            return ""
        drawn = svg.mark(CROSS, self.frame.x1 - 6, y.at(summary.output_tokens_per_s), class_=kind)
        return svg.titled(
            drawn, f"trial {scored.number} at {summary.level}: p{self.percentile:g} falls among failed requests"
        )

    def _words(self, scored: ScoredTrial, summary: Summary, value: float, stands_for: str) -> str:
        unit = quantities.unit(self.metric, [value])
        latency = f"{stands_for or f'p{self.percentile:g}'} {unit.text(value)}"
        limited = ", limited by the client" if summary.health.client_limited else ""
        rate = quantities.unit("output_tokens_per_s").text(summary.output_tokens_per_s)
        return f"trial {scored.number} at {summary.level}: {rate}, {latency}{limited}"

    def said(self, scored: ScoredTrial, unit: quantities.Unit) -> str:
        """One curve in words."""
        told = ", ".join(
            f"{summary.level} {summary.output_tokens_per_s:.3g} tok/s at {unit.text(value)}"
            for summary, value, _ in self.points(scored)
        )
        return f"trial {scored.number}: {told}"


def pareto(report: Report, frame: Frame) -> str:
    """Every level of every trial, and the front: no other is better in both throughput and latency."""
    front = report.result.pareto
    points = [
        (scored, summary, at.value)
        for scored in report.trials
        for summary in scored.trial.levels
        if (at := quantities.reading(summary, "ttft_s", 95)).value is not None and not summary.health.client_limited
    ]
    latencies = [value for _, _, value in points]
    unit = quantities.unit("ttft_s", latencies)
    x = svg.scale(latencies, frame.x0, frame.x1 - 10, log=None)
    y = svg.scale([summary.output_tokens_per_s for _, summary, _ in points], frame.y0, frame.y1 + 6, zero=True)
    parts = [
        svg.axes(
            frame,
            x,
            y,
            x_title=quantities.title("p95 ttft_s", unit),
            y_title="output tokens/s",
            x_factor=unit.factor,
        )
    ]
    for scored, summary, value in points:
        drawn = svg.mark(CIRCLE, x.at(value), y.at(summary.output_tokens_per_s), class_="other", size=2.5)
        parts.append(svg.titled(drawn, f"trial {scored.number} at {summary.level}"))
    places = [(x.at(point.latency_s), y.at(point.throughput)) for point in front]
    parts.append(svg.path(places, class_="curve front", step=True))
    labelled: list[tuple[float, float]] = []
    for (at_x, at_y), point in reversed(list(zip(places, front, strict=True))):
        found = report.trial(point.number)
        kind = kind_of(report, found) if found else "other"
        drawn = svg.mark(SQUARE if kind == "default" else CIRCLE, at_x, at_y, class_=kind, size=4.5)
        words = f"trial {point.number} at {point.level}: {point.throughput:.3g} tok/s at {unit.text(point.latency_s)}"
        parts.append(svg.titled(drawn, words))
        if all(abs(at_x - x) > 60 or abs(at_y - y) > 14 for x, y in labelled):
            labelled.append((at_x, at_y))
            parts.append(
                svg.text(at_x + 8, at_y + 14, f"{point.number}, {point.level}", class_=f"small {kind}-text halo")
            )
    return svg.chart(
        frame, *parts, name="Pareto set: throughput and latency", summary=f"{len(front)} levels that none beats in both"
    )


def _limit_line(frame: Frame, x: float, words: str) -> str:
    near_end = x > frame.x1 - 90
    return svg.tag("line", x1=x, x2=x, y1=frame.y1 - 6, y2=frame.y0, class_="limit") + svg.text(
        x - 5 if near_end else x + 5, frame.y1 + 4, words, class_="label halo", anchor="end" if near_end else "start"
    )


def _lost_levels(frame: Frame, shown: Sequence[ScoredTrial]) -> str:
    """Levels that were not measured at all: crosses on the axis, at its far end."""
    lost = [(scored, level, why) for scored in shown for level, why in scored.trial.failed_levels]
    parts = [
        svg.titled(
            svg.mark(CROSS, frame.x1 - 6 - 12 * index, frame.y0, class_="other"),
            f"trial {scored.number} at {level} was not measured: {why}",
        )
        for index, (scored, level, why) in enumerate(lost[:12])
    ]
    return "".join(parts)
