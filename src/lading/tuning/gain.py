"""How much better than the defaults, with an interval, or an honest "no".

The unit of replication is a server life: requests of one life share its placement, caches and neighbours, so that
resampling them says nothing about the next start. Lives of winner and defaults are run interleaved and compared in
pairs; the mean of the paired log-ratios has a Student t-interval (95 %).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

#: Fewest pairs that give an interval worth stating.
MIN_PAIRS = 3

#: t quantiles at 0.975 for 1, 2, … 30 degrees of freedom: NIST/SEMATECH e-Handbook of Statistical Methods, section
#: 1.3.6.7.2, "Critical Values of the Student's t Distribution" (two-sided 95 %).
T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """An improvement over the defaults in percent, with its 95 % interval, over *pairs* of server lives each.

    Positive is better, for a minimized metric too: there 31 is 31 % less.
    """

    percent: float
    low_percent: float
    high_percent: float
    pairs: int

    @property
    def significant(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.low_percent > 0

    @property
    def worse(self) -> bool:
        """Whether the whole interval is below zero."""
        return self.high_percent < 0

    def __str__(self) -> str:
        interval = f"{self.percent:+.3g} % [{self.low_percent:.3g}, {self.high_percent:.3g}]"
        lives = f"({self.pairs} server lives each)"
        if self.significant:
            return f"{interval} over the defaults {lives}"
        if self.worse:
            return f"worse than the defaults: {interval} {lives}"
        return f"no significant gain over the defaults: {interval} {lives}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoGain:
    """No interval can be stated; *reason* says why."""

    reason: str
    pairs: int

    def __str__(self) -> str:
        return f"gain over the defaults not resolved: {self.reason}"


def gain(winner: Sequence[float | None], default: Sequence[float | None], *, minimize: bool) -> Gain | NoGain:
    """The gain of *winner* over *default*, paired by position (`replicate`).

    Args:
        winner: The objective of each server life of the winner; None for a life without a score.
        default: That of the defaults, in the same rounds.
        minimize: Whether less is better.
    """
    pairs = [(one, other) for one, other in zip(winner, default, strict=False) if one is not None and other is not None]
    if len(pairs) < MIN_PAIRS:
        return NoGain(reason=f"{len(pairs)} pairs of server lives, it needs {MIN_PAIRS}", pairs=len(pairs))
    if not all(math.isfinite(value) and value > 0 for pair in pairs for value in pair):
        return NoGain(reason="a value of 0 or less has no ratio", pairs=len(pairs))
    ratios = [(math.log(one) - math.log(other)) * (-1 if minimize else 1) for one, other in pairs]
    middle, half = fmean(ratios), half_width(ratios)
    percent, low, high = (_percent(ratio, minimize=minimize) for ratio in (middle, middle - half, middle + half))
    if not all(map(math.isfinite, (percent, low, high))):
        return NoGain(reason="the server lives differ beyond all measure", pairs=len(pairs))
    return Gain(percent=percent, low_percent=low, high_percent=high, pairs=len(pairs))


def half_width(samples: Sequence[float]) -> float:
    """Half of the 95 % t-interval of the mean of at least two *samples*."""
    return t_975(len(samples) - 1) * stdev(samples) / math.sqrt(len(samples))


def t_975(degrees: int) -> float:
    """The 0.975 quantile of Student's t; beyond 30 degrees of freedom that of 30, which is wider, never narrower."""
    return T_975[min(degrees, len(T_975)) - 1]


def _percent(log_improvement: float, *, minimize: bool) -> float:
    """A log-ratio (larger is better) in percent: more of a rate, or less of a time."""
    try:
        return -100 * math.expm1(-log_improvement) if minimize else 100 * math.expm1(log_improvement)
    except OverflowError:
        return -math.inf if minimize else math.inf
