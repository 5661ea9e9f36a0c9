"""Small static charts: scales, ticks, axes and marks as strings. Pure; colours and fonts are the page's (`page.css`)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lading.report.html import text as escape
from lading.spec import units

#: Shapes by what they stand for; colour is never alone.
CIRCLE, SQUARE, CROSS, TRIANGLE, RING = "circle", "square", "cross", "triangle", "ring"


def tag(name: str, *children: str, **attributes: object) -> str:
    """An element; ``class_`` is ``class``, ``_`` in names is ``-``; None leaves an attribute out. Children are markup already."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>"


def text(x: float, y: float, words: str, *, class_: str = "", anchor: str = "start") -> str:
    """Words at a point; they are escaped."""
    return tag(
        "text", escape(words), x=x, y=y, class_=class_ or None, text_anchor=None if anchor == "start" else anchor
    )


def titled(markup: str, words: str) -> str:
    """*markup* in a group that says *words* when pointed at."""
    return tag("g", tag("title", escape(words)), markup)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The size of a chart and the margins around its plot, in pixels of its own."""

    width: float
    height: float
    left: float = 54
    right: float = 16
    top: float = 22
    bottom: float = 44

    @property
    def x0(self) -> float:
        """Left edge of the plot."""
        return self.left

    @property
    def x1(self) -> float:
        """Right edge of the plot."""
        return self.width - self.right

    @property
    def y0(self) -> float:
        """Bottom edge of the plot."""
        return self.height - self.bottom

    @property
    def y1(self) -> float:
        """Top edge of the plot."""
        return self.top


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of *value*; beyond the ends it stays at them."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int) -> list[float]:
        """Round values on the scale, about *most* of them."""
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)


def scale(
    values: Iterable[float], start: float, end: float, *, zero: bool = False, log: bool | None = False, most: int = 5
) -> Scale:
    """A scale that holds *values* with round ends.

    Args:
        values: What must fit; none of them gives 0 to 1.
        start: Pixel of the low end.
        end: Pixel of the high end.
        zero: Begin at zero.
        log: None: where the largest is more than twelve times the smallest, and all are above zero.
        most: About how many ticks.
    """
    found = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(found), max(found)
    if log is None:
        log = low > 0 and high / low > 12 and not zero
    if log and low > 0:
        if high / low < 1.2:
            low, high = low / 1.5, high * 1.5
        return Scale(low=low / (high / low) ** 0.04, high=high * (high / low) ** 0.04, start=start, end=end, log=True)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high == low:
        low, high = (low - abs(low) * 0.1 - 0.5, high + abs(high) * 0.1 + 0.5) if not zero else (low, high or 1.0)
        low, high = (low, high) if high > low else (low, low + 1.0)
    step = _step(high - low, most)
    padded_low = low if zero and low == 0 else math.floor((low - 0.02 * (high - low)) / step) * step
    padded_high = high if zero and high == 0 else math.ceil((high + 0.02 * (high - low)) / step) * step
    return Scale(low=padded_low, high=padded_high, start=start, end=end)


def tick_text(value: float) -> str:
    """A tick's number, without digits that say nothing: ``0.5``, ``1,500``."""
    shown = units.show_number(value)
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def axes(
    frame: Frame, x: Scale, y: Scale, *, x_title: str, y_title: str, x_factor: float = 1.0, y_factor: float = 1.0
) -> str:
    """Grid, ticks and titles of both axes; a log axis says so. The factors turn stored values into shown ones."""
    few = frame.width < 420
    parts = []
    for value in Scale(low=y.low * y_factor, high=y.high * y_factor, start=0, end=1, log=y.log).ticks(5):
        at = y.at(value / y_factor)
        parts.append(tag("line", x1=frame.x0, x2=frame.x1, y1=at, y2=at, class_="grid"))
        parts.append(text(frame.x0 - 6, at + 4, tick_text(value), class_="tick", anchor="end"))
    parts.append(tag("line", x1=frame.x0, x2=frame.x1, y1=frame.y0, y2=frame.y0, class_="axis"))
    for value in Scale(low=x.low * x_factor, high=x.high * x_factor, start=0, end=1, log=x.log).ticks(4 if few else 7):
        at = x.at(value / x_factor)
        parts.append(tag("line", x1=at, x2=at, y1=frame.y0, y2=frame.y0 + 4, class_="axis"))
        parts.append(text(at, frame.y0 + 17, tick_text(value), class_="tick", anchor="middle"))
    parts.append(axis_titles(frame, x_title + (" (log)" if x.log else ""), y_title + (" (log)" if y.log else "")))
    return "".join(parts)


def axis_titles(frame: Frame, x_title: str, y_title: str) -> str:
    """The titles: x below, y above the plot, both read without turning the head."""
    return text(frame.x1, frame.y0 + 35, x_title, class_="title", anchor="end") + text(4, 12, y_title, class_="title")


def mark(shape: str, x: float, y: float, *, class_: str, size: float = 4.0) -> str:
    """A mark at a point."""
    match shape:
        case "square":
            return tag(
                "rect", x=round(x - size, 1), y=round(y - size, 1), width=2 * size, height=2 * size, class_=class_
            )
        case "cross":
            path = (
                f"M{x - size:.1f} {y - size:.1f}l{2 * size:g} {2 * size:g}m0 {-2 * size:g}l{-2 * size:g} {2 * size:g}"
            )
            return tag("path", d=path, class_=f"{class_} stroke")
        case "triangle":
            path = f"M{x - size:.1f} {y + size:.1f}h{2 * size:g}L{x:.1f} {y - size:.1f}z"
            return tag("path", d=path, class_=f"{class_} stroke")
        case "ring":
            return tag("circle", cx=x, cy=y, r=size, class_=f"{class_} stroke hollow")
        case _:
            return tag("circle", cx=x, cy=y, r=size, class_=class_)


def path(points: Sequence[tuple[float, float]], *, class_: str, step: bool = False) -> str:
    """A line through points; *step*: level until the next one."""
    if not points:
        return ""
    (x, y), *rest = points
    commands = f"M{x:g} {y:g}" + "".join(
        f"H{to_x:g}V{to_y:g}" if step else f"L{to_x:g} {to_y:g}" for to_x, to_y in rest
    )
    return tag("path", d=commands, class_=class_)


def chart(frame: Frame, *markup: str, name: str, summary: str) -> str:
    """The whole drawing; *name* and *summary* are read out to who cannot see it."""
    return tag(
        "svg", tag("title", escape(name)), tag("desc", escape(summary)), *markup,
        viewBox=f"0 0 {frame.width:g} {frame.height:g}", role="img", aria_label=f"{name}. {summary}",
        style=f"max-width:{frame.width * 1.15:g}px",
    )  # fmt: skip


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _step(span: float, most: int) -> float:
    raw = span / max(1, most)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    step = _step(high - low, most)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [factor * 10.0**power for power in decades for factor in factors if low <= factor * 10.0**power <= high]
        if len(found) <= most:
            return found if len(found) >= 2 else _linear_ticks(low, high, most)
    return found[:: math.ceil(len(found) / most)]
