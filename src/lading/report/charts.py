"""The charts of a report. Winner in the accent colour, default in black, all else grey; shapes say the same again."""

from collections.abc import Callable, Sequence
from datetime import datetime

from lading.measure.summary import Summary
from lading.report import quantities, svg
from lading.report.document import Report, ScoredTrial
from lading.report.svg import CIRCLE, CROSS, RING, SQUARE, TRIANGLE, Frame, Scale
from lading.tuning.trial import Infeasible

WIDE = Frame(width=860, height=380)
NARROW = Frame(width=358, height=320, left=46)
SMALL = Frame(width=380, height=240, left=50)

Chart = Callable[[Report, Frame], str]


def lives(report: Report, frame: Frame) -> str:
    """Bars from zero: the objective of the defaults and the winner, a dot for every server life."""
    default, winner = report.result.default, report.result.winner
    rows = [("defaults", default, "default", SQUARE)] if default else []
    if winner and report.changed:
        rows.append((f"trial {winner.number}", winner, "winner", CIRCLE))
    values = {row[1].number: _lives(report, row[1].confirmations) for row in rows}
    unit = quantities.unit(report.result.metric, [row[1].value for row in rows])
    left, height = 74.0, 34.0 * len(rows)
    plot = Frame(width=frame.width, height=height + 62, left=left, right=70, top=18)
    x = svg.scale([*(row[1].value for row in rows), *sum(values.values(), [])], plot.x0, plot.x1, zero=True)
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
    name = f"p{percentile:g} {quantities.NAMES[metric]}, {unit.name}"
    parts = [svg.axes(frame, x, y, x_title=name, y_title="output tokens/s", x_factor=unit.factor)]
    if limit is not None:
        parts.append(_limit_line(frame, x.at(limit), f"limit {unit.text(limit)}"))
    kinds = {scored.number: _kind(report, scored) for scored in shown}
    for scored in sorted(shown, key=lambda one: ("other", "default", "winner").index(kinds[one.number])):
        parts.append(plot.curve(scored, x, y, kinds[scored.number]))
    parts.append(_lost_levels(frame, shown, x))
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
        parts = [svg.path(places, class_=f"curve {kind}")]
        for (at_x, at_y), (summary, value, stands_for) in zip(places, self.points(scored), strict=True):
            limited = summary.health.client_limited
            drawn = svg.mark(RING if limited or stands_for else shape, at_x, at_y, class_=kind, size=size)
            parts.append(svg.titled(drawn, self._words(scored, summary, value, stands_for)))
            if kind != "other":
                parts.append(svg.text(at_x + 7, at_y + 15, f"{summary.level}", class_=f"small {kind}-text"))
        parts += [self._failed(scored, summary, y, kind) for summary in scored.trial.levels]
        if places and kind != "other":
            self_at = places[0] if kind == "default" else max(places, key=lambda place: -place[1])
            name = "defaults" if kind == "default" else f"winner: trial {scored.number}"
            parts.append(svg.text(self_at[0] + 6, self_at[1] - 9, name, class_=f"label {kind}-text halo"))
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


def parameter(report: Report, frame: Frame, name: str) -> str:
    """One parameter against the objective; trials without a score are marks on the axis."""
    shown = [scored for scored in report.trials if scored.trial.role != "confirm"]
    values = [scored.value for scored in shown if scored.value is not None]
    unit = quantities.unit(report.result.metric, values)
    y = svg.scale(values, frame.y0 - 14, frame.y1 + 6)
    place, axis = _positions(shown, name, frame)
    title = f"{quantities.label(report.result.metric)}, {unit.name}"
    parts = [_y_grid(frame, y, unit), axis, svg.axis_titles(frame, name, title)]
    order = {"other": 0, "default": 1, "winner": 2}
    for scored in sorted(shown, key=lambda one: order[_kind(report, one)]):
        parts.append(_trial_mark(report, scored, place(scored), y, frame, unit))
    counted = sum(scored.value is not None for scored in shown)
    return svg.chart(frame, *parts, name=f"{name} against {quantities.label(report.result.metric)}",
                     summary=f"{counted} trials with a score, {len(shown) - counted} without on the axis")  # fmt: skip


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
            x_title=f"p95 time to first token, {unit.name}",
            y_title="output tokens/s",
            x_factor=unit.factor,
        )
    ]
    for scored, summary, value in points:
        drawn = svg.mark(CIRCLE, x.at(value), y.at(summary.output_tokens_per_s), class_="other", size=2.5)
        parts.append(svg.titled(drawn, f"trial {scored.number} at {summary.level}"))
    places = [(x.at(point.latency_s), y.at(point.throughput)) for point in front]
    parts.append(svg.path(places, class_="curve front", step=True))
    winner = report.result.winner.number if report.result.winner else None
    for (at_x, at_y), point in zip(places, front, strict=True):
        kind = "winner" if point.number == winner and report.changed else "default"
        drawn = svg.mark(CIRCLE if kind == "winner" else SQUARE, at_x, at_y, class_=kind, size=4)
        parts.append(
            svg.titled(
                drawn,
                f"trial {point.number} at {point.level}: {point.throughput:.3g} tok/s at {unit.text(point.latency_s)}",
            )
        )
        parts.append(svg.text(at_x + 7, at_y + 14, f"{point.number} {point.level}", class_=f"small {kind}-text halo"))
    return svg.chart(
        frame, *parts, name="Pareto set: throughput and latency", summary=f"{len(front)} levels that none beats in both"
    )


def progress(report: Report, frame: Frame) -> str:
    """The objective of each trial in the order they ended, and the best so far."""
    shown = [scored for scored in report.trials if scored.trial.role != "confirm"]
    values = [scored.value for scored in shown if scored.value is not None]
    unit = quantities.unit(report.result.metric, values)
    numbers = [float(scored.number) for scored in shown]
    x = Scale(low=-0.5, high=max(numbers, default=1.0) + 0.5, start=frame.x0, end=frame.x1 - 14)
    y = svg.scale(values, frame.y0 - 14, frame.y1 + 6)
    parts = [_y_grid(frame, y, unit), _number_ticks(frame, x, numbers),
             svg.axis_titles(frame, "trial", f"{quantities.label(report.result.metric)}, {unit.name}")]  # fmt: skip
    best = _best_so_far(report, shown)
    steps = [(x.at(number), y.at(value)) for number, value in best]
    if steps:
        parts.append(svg.path([*steps, (x.end, steps[-1][1])], class_="curve front", step=True))
        parts.append(svg.text(x.end, steps[-1][1] - 8, "best so far", class_="small", anchor="end"))
    parts += [_trial_mark(report, scored, x.at(scored.number), y, frame, unit) for scored in shown]
    return svg.chart(
        frame, *parts, name="Trials in their order", summary=f"{len(shown)} trials; the line is the best so far"
    )


def timeline(report: Report, frame: Frame) -> str:
    """When each trial ran and what took the time: one row per trial, minutes since the first began."""
    timed = [(scored, *span) for scored in report.trials if (span := _span(scored))]
    if not timed:
        return ""
    origin = min(start for _, start, _ in timed)
    row = 16.0 if len(timed) <= 40 else 7.0
    plot = Frame(width=frame.width, height=row * len(timed) + 62, left=46, right=16, top=18)
    total_s = max(end for _, _, end in timed) - origin
    unit = quantities.Unit(name="min", factor=1 / 60) if total_s > 240 else quantities.Unit(name="s")
    x = Scale(low=0.0, high=max(total_s, 1.0) * unit.factor, start=plot.x0, end=plot.x1)
    parts = []
    for value in x.ticks(5 if frame.width < 420 else 9):
        parts.append(svg.tag("line", x1=x.at(value), x2=x.at(value), y1=plot.y1, y2=plot.y0, class_="grid"))
        parts.append(svg.text(x.at(value), plot.y0 + 17, svg.tick_text(value), class_="tick", anchor="middle"))
    for index, (scored, start, end) in enumerate(timed):
        top = plot.top + row * index
        parts.append(_row(report, scored, x, top, row, ((start - origin) * unit.factor, (end - origin) * unit.factor)))
    parts.append(svg.axis_titles(plot, f"{unit.name} since the first trial began", "trial"))
    return svg.chart(
        plot, *parts, name="When each trial ran", summary=f"{len(timed)} trials in {total_s / 60:.3g} minutes"
    )


def latency_of(report: Report) -> tuple[str, float, float | None]:
    """(Metric, percentile, limit) of the latency that matters: the first constraint on a time, else the objective's, else TTFT."""
    study = report.spec
    for rule in study.constraints:
        if rule.metric != "error_share":
            return rule.metric, rule.percentile, rule.at_most
    if study.objective.minimize:
        return study.objective.minimize, study.objective.percentile, None
    return "ttft_s", 95.0, None


def _kind(report: Report, scored: ScoredTrial) -> str:
    if report.changed and report.winner is not None and scored.number == report.winner.number:
        return "winner"
    return "default" if scored.trial.role == "default" else "other"


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
    parts.append(
        svg.text(frame.x1, frame.y0 + 32, f"{quantities.label(metric)}, {unit.name}", class_="title", anchor="end")
    )
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


def _limit_line(frame: Frame, x: float, words: str) -> str:
    near_end = x > frame.x1 - 90
    return svg.tag("line", x1=x, x2=x, y1=frame.y1 - 6, y2=frame.y0, class_="limit") + svg.text(
        x - 5 if near_end else x + 5, frame.y1 + 4, words, class_="label halo", anchor="end" if near_end else "start"
    )


def _lost_levels(frame: Frame, shown: Sequence[ScoredTrial], x: Scale) -> str:
    """Levels that were not measured at all: crosses on the axis, at its far end."""
    lost = [(scored, level, why) for scored in shown for level, why in scored.trial.failed_levels]
    parts = [
        svg.titled(
            svg.mark(CROSS, frame.x1 - 6 - 12 * index, frame.y0, class_="other"),
            f"trial {scored.number} at {level} was not measured: {why}",
        )
        for index, (scored, level, why) in enumerate(lost[:12])
    ]
    del x
    return "".join(parts)


def _y_grid(frame: Frame, y: Scale, unit: quantities.Unit) -> str:
    parts = [svg.tag("line", x1=frame.x0, x2=frame.x1, y1=frame.y0, y2=frame.y0, class_="axis")]
    for value in Scale(low=y.low * unit.factor, high=y.high * unit.factor, start=0, end=1).ticks(4):
        at = y.at(value / unit.factor)
        parts.append(svg.tag("line", x1=frame.x0, x2=frame.x1, y1=at, y2=at, class_="grid"))
        parts.append(svg.text(frame.x0 - 6, at + 4, svg.tick_text(value), class_="tick", anchor="end"))
    return "".join(parts)


def _number_ticks(frame: Frame, x: Scale, numbers: Sequence[float]) -> str:
    every = max(1, len(numbers) // 12)
    return "".join(
        svg.text(x.at(number), frame.y0 + 17, f"{number:g}", class_="tick", anchor="middle")
        for number in numbers[::every]
    )


def _positions(shown: Sequence[ScoredTrial], name: str, frame: Frame) -> tuple[Callable[[ScoredTrial], float], str]:
    """Where each trial stands on the axis of a parameter, and the axis. Trials that leave it to the engine stand at "default"."""
    given = [scored.trial.params[name] for scored in shown if name in scored.trial.params]
    absent = any(name not in scored.trial.params for scored in shown)
    start = frame.x0 + (58 if absent else 16)
    numeric = (
        all(isinstance(value, int | float) and not isinstance(value, bool) for value in given) and len(set(given)) > 1
    )
    parts = [svg.text(frame.x0 + 22, frame.y0 + 17, "default", class_="tick", anchor="middle")] if absent else []
    if numeric:
        x = svg.scale(
            [float(value) for value in given], start, frame.x1 - 12, log=None if min(given) > 0 else False, most=4
        )
        ticks = Scale(low=x.low, high=x.high, start=0, end=1, log=x.log).ticks(4)
        parts += [
            svg.text(x.at(value), frame.y0 + 17, svg.tick_text(value), class_="tick", anchor="middle")
            for value in ticks
        ]
        if x.log:
            parts.append(svg.text(frame.x0, frame.y0 + 35, "log axis", class_="small"))
        return (
            lambda scored: x.at(float(scored.trial.params[name])) if name in scored.trial.params else frame.x0 + 22,
            "".join(parts),
        )
    known = sorted({quantities.value_text(value) for value in given})
    gap = (frame.x1 - 12 - start) / max(1, len(known))
    at = {value: start + gap * (index + 0.5) for index, value in enumerate(known)}
    parts += [svg.text(x, frame.y0 + 17, _short(value, gap), class_="tick", anchor="middle") for value, x in at.items()]
    return (
        lambda scored: (
            at[quantities.value_text(scored.trial.params[name])] if name in scored.trial.params else frame.x0 + 22
        ),
        "".join(parts),
    )


def _short(words: str, width: float) -> str:
    most = max(3, int(width / 7))
    return words if len(words) <= most else words[: most - 1] + "…"


def _trial_mark(report: Report, scored: ScoredTrial, x: float, y: Scale, frame: Frame, unit: quantities.Unit) -> str:
    kind = _kind(report, scored)
    if scored.value is not None:
        shape = {"winner": CIRCLE, "default": SQUARE}.get(kind, CIRCLE)
        drawn = svg.mark(shape, x, y.at(scored.value), class_=kind, size={"winner": 5.5, "default": 4.5}.get(kind, 3.5))
        words = f"trial {scored.number}: {unit.text(scored.value)} at {scored.level}"
    else:
        shape = (
            TRIANGLE if isinstance(scored.trial.outcome, Infeasible) else CROSS if scored.state == "failed" else RING
        )
        drawn = svg.mark(shape, x, frame.y0, class_=kind, size=4)
        words = f"trial {scored.number}: {scored.state}: {'; '.join(scored.reasons)}"
    return svg.tag("a", svg.titled(drawn, words), href=f"#trial-{scored.number}")


def _best_so_far(report: Report, shown: Sequence[ScoredTrial]) -> list[tuple[float, float]]:
    """Each trial that was better than all before it."""
    larger = report.result.direction == "maximize"
    found: list[tuple[float, float]] = []
    for scored in shown:
        if scored.value is not None and (not found or (scored.value > found[-1][1]) == larger):
            found.append((float(scored.number), scored.value))
    return found


def _span(scored: ScoredTrial) -> tuple[float, float] | None:
    """(Start, end) of the last attempt, seconds since the epoch."""
    trial = scored.trial
    if not trial.started_at or not trial.ended_at:
        return None
    return datetime.fromisoformat(trial.started_at).timestamp(), datetime.fromisoformat(trial.ended_at).timestamp()


def _row(report: Report, scored: ScoredTrial, x: Scale, top: float, row: float, span: tuple[float, float]) -> str:
    """One trial's bar, its phases side by side in their share of it; a failure's bar ends in a cross."""
    start, end = span
    kind, height = _kind(report, scored), row - (4 if row > 10 else 1)
    parts = [_bar(x.at(start), x.at(end), top, height, f"bar {kind} faint")]
    seconds = scored.trial.seconds
    before = sum(seconds.get(phase, 0.0) for phase in ("start", "ready", "warmup"))
    total = sum(seconds.values())
    if seconds.get("measure") and total:
        first = start + (end - start) * before / total
        last = first + (end - start) * seconds["measure"] / total
        parts.append(_bar(x.at(first), x.at(last), top, height, f"bar {kind}"))
    if scored.state == "failed":
        parts.append(svg.mark(CROSS, x.at(end) + 7, top + height / 2, class_=kind, size=3))
    if row > 10:
        parts.append(svg.text(40, top + height - 2, str(scored.number), class_=f"tick {kind}-text", anchor="end"))
    told = ", ".join(f"{phase} {value:.3g} s" for phase, value in seconds.items())
    return svg.titled("".join(parts), f"trial {scored.number} ({scored.trial.role}, {scored.state}): {told}")


def _bar(start: float, end: float, top: float, height: float, class_: str) -> str:
    return svg.tag("rect", x=start, y=top, width=round(max(1.0, end - start), 1), height=height, class_=class_)
