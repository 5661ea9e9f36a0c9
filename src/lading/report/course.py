"""How a study went: the trials in their order, and when each ran."""

from collections.abc import Sequence
from datetime import datetime

from lading.report import quantities, svg
from lading.report.chart_parts import kind_of, trial_mark, y_grid
from lading.report.document import Report, ScoredTrial
from lading.report.svg import CROSS, Frame, Scale


def progress(report: Report, frame: Frame) -> str:
    """The objective of each trial in the order they ended, and the best so far."""
    shown = [scored for scored in report.trials if scored.trial.role != "confirm"]
    values = [scored.value for scored in shown if scored.value is not None]
    unit = quantities.unit(report.result.metric, values)
    numbers = [float(scored.number) for scored in shown]
    x = Scale(low=-0.5, high=max(numbers, default=1.0) + 0.5, start=frame.x0, end=frame.x1 - 14)
    y = svg.scale(values, frame.y0 - 14, frame.y1 + 6)
    parts = [y_grid(frame, y, unit), _number_ticks(frame, x, numbers),
             svg.axis_titles(frame, "trial", quantities.title(report.result.metric, unit))]  # fmt: skip
    best = _best_so_far(report, shown)
    steps = [(x.at(number), y.at(value)) for number, value in best]
    if steps:
        parts.append(svg.path([*steps, (x.end, steps[-1][1])], class_="curve front", step=True))
        parts.append(svg.text(x.end, steps[-1][1] - 8, "best so far", class_="small", anchor="end"))
    parts += [trial_mark(report, scored, x=x.at(scored.number), y=y, frame=frame, unit=unit) for scored in shown]
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
        parts.append(
            _row(
                report, scored, x, top=top, row=row, span=((start - origin) * unit.factor, (end - origin) * unit.factor)
            )
        )
    parts.append(svg.axis_titles(plot, f"{unit.name} since the first trial began", "trial"))
    return svg.chart(
        plot, *parts, name="When each trial ran", summary=f"{len(timed)} trials in {total_s / 60:.3g} minutes"
    )


def _number_ticks(frame: Frame, x: Scale, numbers: Sequence[float]) -> str:
    every = max(1, len(numbers) // 12)
    return "".join(
        svg.text(x.at(number), frame.y0 + 17, f"{number:g}", class_="tick", anchor="middle")
        for number in numbers[::every]
    )


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


def _row(report: Report, scored: ScoredTrial, x: Scale, *, top: float, row: float, span: tuple[float, float]) -> str:
    """One trial's bar, its phases side by side in their share of it; a failure's bar ends in a cross."""
    start, end = span
    kind, height = kind_of(report, scored), row - (4 if row > 10 else 1)
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
