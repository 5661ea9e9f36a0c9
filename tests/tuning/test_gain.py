"""A gain has an interval over server lives, or is not stated."""

import math
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lading.tuning.gain import T_975, Gain, NoGain, gain, t_975

VALUES = st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0.1, 1e4)), min_size=3, max_size=12)


def density(value, degrees):
    """Student's t, from its definition."""
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(degrees * math.pi)
    return scale * (1 + value * value / degrees) ** (-(degrees + 1) / 2)


@pytest.mark.parametrize("degrees", range(1, len(T_975) + 1))
def test_the_table_holds_the_0975_quantile(degrees):
    """Simpson's rule over the density from 0 to the quantile gives 0.475, to the table's three decimals."""
    steps, end = 4000, t_975(degrees)
    width = end / steps
    weights = [1 if index in (0, steps) else 4 if index % 2 else 2 for index in range(steps + 1)]
    area = sum(weight * density(index * width, degrees) for index, weight in enumerate(weights)) * width / 3
    assert area == pytest.approx(0.475, abs=0.0006 * density(end, degrees) + 1e-7)


def test_beyond_the_table_the_interval_is_wider_never_narrower():
    assert t_975(1000) == T_975[-1] > 1.96
    assert list(T_975) == sorted(T_975, reverse=True)


@pytest.mark.parametrize("lives", [3, 5, 10])
@pytest.mark.parametrize("minimize", [False, True])
def test_the_interval_covers_the_true_gain_in_95_of_100_studies(lives, minimize):
    """Simulated with a known gain of 20 %, a drift that both sides share, and 5 % between lives."""
    rng, studies, covered = random.Random(lives), 4000, 0
    factor = 0.8 if minimize else 1.2
    for _ in range(studies):
        drift = [rng.gauss(0, 0.3) for _ in range(lives)]
        default = [100 * math.exp(each + rng.gauss(0, 0.05)) for each in drift]
        winner = [100 * factor * math.exp(each + rng.gauss(0, 0.05)) for each in drift]
        found = gain(winner, default, minimize=minimize)
        covered += found.low_percent <= 20 <= found.high_percent
    assert 0.94 <= covered / studies <= 0.96


def test_without_a_gain_it_is_claimed_in_one_of_forty_studies():
    rng = random.Random(1)
    studies = [[[rng.lognormvariate(0, 0.1) for _ in range(5)] for _ in "wd"] for _ in range(4000)]
    claimed = sum(gain(*study, minimize=False).significant for study in studies)
    assert 0.018 <= claimed / 4000 <= 0.032


@given(VALUES)
def test_swapping_the_sides_negates_the_log_ratio(pairs):
    winner, default = zip(*pairs, strict=True)
    one, other = gain(winner, default, minimize=False), gain(default, winner, minimize=False)
    assume(isinstance(one, Gain) and isinstance(other, Gain))
    for there, back in [(one.percent, other.percent), (one.low_percent, other.high_percent)]:
        assume(min(there, back) > -99.9999)
        assert math.log1p(there / 100) == pytest.approx(-math.log1p(back / 100), abs=1e-6)


@given(VALUES, st.floats(1e-3, 1e3), st.booleans())
def test_the_unit_does_not_matter(pairs, scale, minimize):
    winner, default = zip(*pairs, strict=True)
    one = gain(winner, default, minimize=minimize)
    other = gain([scale * value for value in winner], [scale * value for value in default], minimize=minimize)
    assume(isinstance(one, Gain))
    assert other.percent == pytest.approx(one.percent, rel=1e-6, abs=1e-6)
    assert other.low_percent == pytest.approx(one.low_percent, rel=1e-6, abs=1e-6)


@given(VALUES, st.booleans())
def test_the_estimate_lies_inside_its_interval(pairs, minimize):
    found = gain(*zip(*pairs, strict=True), minimize=minimize)
    assume(isinstance(found, Gain))
    assert found.low_percent <= found.percent <= found.high_percent
    assert not (found.significant and found.worse)


def test_a_rate_rises_and_a_time_falls():
    """Both are an improvement in positive percent: 31 % more, 31 % less."""
    more = gain([131, 131.1, 130.9], [100, 100, 100], minimize=False)
    less = gain([0.69, 0.691, 0.689], [1, 1, 1], minimize=True)
    assert more.percent == pytest.approx(31, abs=0.1)
    assert less.percent == pytest.approx(31, abs=0.1)
    assert more.significant
    assert less.significant
    assert gain([1.2, 1.21, 1.19], [1, 1, 1], minimize=True).worse


def test_the_sentences():
    assert str(Gain(percent=31.04, low_percent=24.2, high_percent=38.1, pairs=5)) == (
        "+31 % [24.2, 38.1] over the defaults (5 server lives each)"
    )
    assert str(Gain(percent=2.0, low_percent=-3.0, high_percent=7.5, pairs=3)) == (
        "no significant gain over the defaults: +2 % [-3, 7.5] (3 server lives each)"
    )
    assert str(Gain(percent=-5.0, low_percent=-7.0, high_percent=-3.0, pairs=3)) == (
        "worse than the defaults: -5 % [-7, -3] (3 server lives each)"
    )
    assert str(NoGain(reason="2 pairs of server lives, it needs 3", pairs=2)) == (
        "gain over the defaults not resolved: 2 pairs of server lives, it needs 3"
    )


@pytest.mark.parametrize(
    ("winner", "default", "reason"),
    [
        ([2.0, 2.0], [1.0, 1.0], "2 pairs of server lives, it needs 3"),
        ([2.0, None, 2.1, 2.0], [1.0, 1.0, None, 1.0], "2 pairs"),
        ([], [], "0 pairs"),
        ([2.0, 0.0, 2.0], [1.0, 1.0, 1.0], "a value of 0 or less has no ratio"),
        ([1e300, 1e-300, 1e300], [1e-300, 1e300, 1e-300], "differ beyond all measure"),
    ],
)
def test_what_cannot_be_resolved_says_why(winner, default, reason):
    found = gain(winner, default, minimize=False)
    assert isinstance(found, NoGain)
    assert reason in str(found)


def test_pairs_are_by_round():
    """A drift that both sides share is no spread: the same values in another order are."""
    drift = [100, 200, 300, 400]
    paired = gain([1.1 * value for value in drift], drift, minimize=False)
    crossed = gain([1.1 * value for value in drift], drift[::-1], minimize=False)
    assert paired.significant
    assert not crossed.significant
