"""Sizes and durations as people write them, and numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.spec import units


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("80GiB", 80 * 2**30),
        ("1.5 GB", 1_500_000_000),
        ("512Mi", 512 * 2**20),
        ("7", 7),
        (7, 7),
        ("0", 0),
        ("2k", 2000),
    ],
)
def test_sizes(text, size_bytes):
    assert units.parse_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "x", "-1", -1, "1 parsec", True, None, "1e400", float("inf"), "GiB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="not a size"):
        units.parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("1h30m", 5400), ("250ms", 0.25), (2.5, 2.5), ("4h", 14400), ("1 d", 86400)]
)
def test_durations(text, seconds):
    assert units.parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "30", "m", "-5s", 0, -1, True, None, "1 fortnight", "5s!", float("nan"), float("inf")]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        units.parse_seconds(text)


@given(st.floats(min_value=1e-6, max_value=1e15))
def test_a_shown_number_is_within_half_of_its_third_digit(value):
    assert float(units.show_number(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1940, "1,940"), (41.23, "41.2"), (0.41312, "0.413"), (0, "0"), (99.99, "100"), (1234567, "1,230,000")],
)
def test_shown_numbers(value, text):
    assert units.show_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.35, "350 ms"), (1.2, "1.20 s"), (270, "4 min 30 s"), (7260, "2 h 1 min"), (89.9, "89.9 s")]
)
def test_shown_durations(seconds, text):
    assert units.show_seconds(seconds) == text


def test_shown_sizes():
    assert units.show_bytes(1_073_741_824) == "1.07 GB"
    assert units.show_bytes(17) == "17 B"
    assert units.show_rate(830e6) == "830 MB/s"
