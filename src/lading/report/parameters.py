"""One parameter against the objective."""

from collections.abc import Callable, Sequence
from typing import Any

from lading.report import quantities, svg
from lading.report.chart_parts import kind_of, trial_mark, y_grid
from lading.report.document import Report, ScoredTrial
from lading.report.svg import Frame, Scale


def parameter(report: Report, frame: Frame, name: str) -> str:
    """One parameter against the objective; trials without a score are marks on the axis."""
    shown = [scored for scored in report.trials if scored.trial.role != "confirm"]
    values = [scored.value for scored in shown if scored.value is not None]
    unit = quantities.unit(report.result.metric, values)
    y = svg.scale(values, frame.y0 - 14, frame.y1 + 6)
    place, axis = _positions(report, shown, name, frame)
    title = quantities.title(report.result.metric, unit)
    parts = [y_grid(frame, y, unit), axis, svg.axis_titles(frame, name, title)]
    order = {"other": 0, "default": 1, "winner": 2}
    ordered = sorted(shown, key=lambda one: order[kind_of(report, one)])
    parts += [trial_mark(report, scored, x=place(scored), y=y, frame=frame, unit=unit) for scored in ordered]
    counted = sum(scored.value is not None for scored in shown)
    return svg.chart(frame, *parts, name=f"{name} against {quantities.label(report.result.metric)}",
                     summary=f"{counted} trials with a score, {len(shown) - counted} without on the axis")  # fmt: skip


def _positions(
    report: Report, shown: Sequence[ScoredTrial], name: str, frame: Frame
) -> tuple[Callable[[ScoredTrial], float], str]:
    """Where each trial stands on the axis of a parameter, and the axis. Trials that leave it to the engine stand at "default"."""
    given = [scored.trial.params[name] for scored in shown if name in scored.trial.params]
    absent = any(name not in scored.trial.params for scored in shown)
    start = frame.x0 + (62 if absent else 18)
    drawn = [svg.text(frame.x0 + 24, frame.y0 + 17, "default", class_="tick", anchor="middle")] if absent else []
    numbers = [float(value) for value in given if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(given) and len(set(numbers)) > 1:
        at, ticks = _number_axis(numbers, start, frame, log=getattr(report.spec.space.get(name), "log", None))
    else:
        at, ticks = _word_axis(given, start, frame)
    places = {scored.number: at(scored.trial.params[name]) for scored in shown if name in scored.trial.params}
    return lambda scored: places.get(scored.number, frame.x0 + 24), "".join([*drawn, ticks])


def _number_axis(
    numbers: Sequence[float], start: float, frame: Frame, *, log: bool | None
) -> tuple[Callable[[Any], float], str]:
    """An axis of numbers; a few distinct ones are its ticks."""
    x = svg.scale(numbers, start, frame.x1 - 14, log=(log or None) if min(numbers) > 0 else False, most=4)
    few = (
        sorted(set(numbers))
        if len(set(numbers)) <= 5
        else Scale(low=x.low, high=x.high, start=0, end=1, log=x.log).ticks(4)
    )
    ticks = [svg.text(x.at(value), frame.y0 + 17, f"{value:g}", class_="tick", anchor="middle") for value in few]
    if x.log:
        ticks.append(svg.text(frame.x0, frame.y0 + 35, "log axis", class_="small"))
    return lambda value: x.at(float(value)), "".join(ticks)


def _word_axis(given: Sequence[Any], start: float, frame: Frame) -> tuple[Callable[[Any], float], str]:
    """An axis of words, side by side."""
    known = sorted({quantities.value_text(value) for value in given})
    gap = (frame.x1 - 12 - start) / max(1, len(known))
    at = {value: start + gap * (index + 0.5) for index, value in enumerate(known)}
    ticks = [svg.text(x, frame.y0 + 17, _short(value, gap), class_="tick", anchor="middle") for value, x in at.items()]
    return lambda value: at[quantities.value_text(value)], "".join(ticks)


def _short(words: str, width: float) -> str:
    most = max(3, int(width / 7))
    return words if len(words) <= most else words[: most - 1] + "…"
