"""Scales and marks: what a value's place on paper promises."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.report import svg

VALUES = st.lists(
    st.floats(min_value=-1e9, max_value=1e9, allow_nan=False).map(lambda value: round(value, 6)),
    min_size=1,
    max_size=20,
)


@given(values=VALUES, zero=st.booleans(), log=st.sampled_from([None, False, True]))
def test_every_value_lies_on_its_scale_in_order_and_its_ticks_too(values, zero, log):
    scale = svg.scale(values, 50, 350, zero=zero, log=log)
    assert scale.low < scale.high
    places = [scale.at(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(50 <= place <= 350 for place in places)
    slack = 1e-9 * max(abs(scale.low), abs(scale.high), 1)
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in scale.ticks(5))
    assert len(scale.ticks(5)) <= 12
    if zero:
        assert scale.log or (scale.low <= 0 <= scale.high)


@pytest.mark.parametrize("values", [[], [0.0], [5.0], [3.0, 3.0], [math.inf, 2.0], [math.nan, 1.0]])
def test_too_few_or_wild_values_still_give_a_scale(values):
    scale = svg.scale(values, 0, 100)
    assert scale.low < scale.high
    assert scale.ticks(5)


def test_a_wide_range_of_positive_values_becomes_logarithmic_when_left_to_it():
    assert svg.scale([0.01, 1.0], 0, 100, log=None).log
    assert not svg.scale([0.5, 1.0], 0, 100, log=None).log
    assert not svg.scale([0.0, 1.0], 0, 100, log=None).log


def test_ticks_are_round():
    assert svg.scale([0, 97], 0, 1, zero=True).ticks(5) == [0, 20, 40, 60, 80, 100]
    assert svg.scale([0.07, 6.5], 0, 1, log=True).ticks(7) == [0.1, 0.2, 0.5, 1.0, 2.0, 5.0]


@given(words=st.text())
def test_words_and_attributes_cannot_become_markup(words):
    markup = svg.chart(
        svg.Frame(width=10, height=10), svg.text(1, 1, words), svg.titled("", words), name=words, summary=words
    )
    inside = re.sub(
        r"</?(svg|title|desc|text|g)( [a-z-]+=\"[^\"<>]*\"|[a-zA-Z-]+=\"[^\"<>]*\"| viewBox=\"[^\"]*\")*>", "", markup
    )
    assert "<" not in inside


@pytest.mark.parametrize("shape", [svg.CIRCLE, svg.SQUARE, svg.CROSS, svg.TRIANGLE, svg.RING])
def test_each_shape_is_drawn_differently(shape):
    others = {
        svg.mark(other, 5, 5, class_="x")
        for other in (svg.CIRCLE, svg.SQUARE, svg.CROSS, svg.TRIANGLE, svg.RING)
        if other != shape
    }
    assert svg.mark(shape, 5, 5, class_="x") not in others
