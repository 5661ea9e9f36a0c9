"""When requests are due, in seconds from the start of a level: strictly increasing, and the same for the same seed."""

from collections.abc import Iterator
from itertools import count
from random import Random

#: Closed loop: the gap between the starts of two streams, and the longest the starts of all may take.
STAGGER_S = 0.010
STAGGER_ALL_S = 1.0


def stagger(streams: int) -> Iterator[float]:
    """When each of *streams* starts: one after another, so that their first requests do not meet in one tick.

    Many requests that start in the same tick bias the first TTFTs upward, in the client as in the server.
    """
    gap_s = min(STAGGER_S, STAGGER_ALL_S / streams)
    return (number * gap_s for number in range(streams))


def poisson(rate_rps: float, random: Random) -> Iterator[float]:
    """Endless arrivals of a Poisson process: independent exponential gaps of mean 1 / *rate_rps*."""
    due_s = 0.0
    while True:
        gap_s = random.expovariate(rate_rps)
        if due_s + gap_s > due_s:  # a gap that is lost in rounding would not increase
            due_s += gap_s
            yield due_s


def constant(rate_rps: float) -> Iterator[float]:
    """Endless arrivals in equal gaps of 1 / *rate_rps*, the first at 0."""
    return (number / rate_rps for number in count())
