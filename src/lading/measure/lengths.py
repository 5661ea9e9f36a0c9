"""How long prompts and answers are: the scenario of a workload, parsed and drawn from.

``D(in,out)`` is fixed, ``N(mean,sd)/(mean,sd)`` normal, ``U(low,high)/(low,high)`` uniform; the first part is the
prompt, the second the answer, all in tokens. `parse` and ``str`` are inverse to each other.
"""

import re
from dataclasses import dataclass
from random import Random
from typing import Protocol

from lading.errors import InvalidInput

LONGEST = 10_000_000
_EXAMPLES = "D(512,128), N(512,64)/(128,16) or U(256,768)/(64,192)"
_NUMBER = r"\s*(\d+(?:\.\d+)?)\s*"
_SHAPE = re.compile(rf"\s*([A-Za-z]+)\s*\({_NUMBER},{_NUMBER}\)(?:\s*/\s*\({_NUMBER},{_NUMBER}\))?\s*")


class Scenario(Protocol):
    """A distribution of requests' shapes."""

    def draw(self, random: Random) -> tuple[int, int]:
        """Tokens of one prompt and of its answer, each at least 1."""

    @property
    def longest(self) -> int | None:
        """The most tokens prompt and answer may have together; None where there is no bound."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Every request has the same shape."""

    prompt: int
    answer: int

    def draw(self, random: Random) -> tuple[int, int]:
        """Always the same."""
        del random
        return self.prompt, self.answer

    @property
    def longest(self) -> int | None:
        """The one length there is."""
        return self.prompt + self.answer

    def __str__(self) -> str:
        return f"D({self.prompt},{self.answer})"


@dataclass(frozen=True, slots=True)
class Normal:
    """Prompt and answer are normal and independent, rounded, and at least 1 token."""

    prompt_mean: float
    prompt_sd: float
    answer_mean: float
    answer_sd: float

    def draw(self, random: Random) -> tuple[int, int]:
        """Rounded to whole tokens; what falls below 1 becomes 1."""
        prompt = random.gauss(self.prompt_mean, self.prompt_sd)
        answer = random.gauss(self.answer_mean, self.answer_sd)
        return max(1, round(prompt)), max(1, round(answer))

    @property
    def longest(self) -> int | None:
        """A normal distribution has no bound, unless nothing varies."""
        return None if self.prompt_sd or self.answer_sd else round(self.prompt_mean) + round(self.answer_mean)

    def __str__(self) -> str:
        return f"N({self.prompt_mean:.15g},{self.prompt_sd:.15g})/({self.answer_mean:.15g},{self.answer_sd:.15g})"


@dataclass(frozen=True, slots=True)
class Uniform:
    """Prompt and answer are uniform and independent, both bounds included."""

    prompt_low: int
    prompt_high: int
    answer_low: int
    answer_high: int

    def draw(self, random: Random) -> tuple[int, int]:
        """Whole tokens between the bounds."""
        return random.randint(self.prompt_low, self.prompt_high), random.randint(self.answer_low, self.answer_high)

    @property
    def longest(self) -> int | None:
        """Both upper bounds together."""
        return self.prompt_high + self.answer_high

    def __str__(self) -> str:
        return f"U({self.prompt_low},{self.prompt_high})/({self.answer_low},{self.answer_high})"


def parse(text: str) -> Fixed | Normal | Uniform:
    """The scenario that *text* describes.

    Raises:
        InvalidInput: It describes none; the message says what is wrong.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise _wrong(text, "it is not a letter and pairs of numbers in parentheses")
    letter = found[1].upper()
    numbers = [float(group) for group in found.groups()[1:] if group is not None]
    if letter not in {"D", "N", "U"}:
        raise _wrong(text, f"{found[1]!r} is not one of D (fixed), N (normal) and U (uniform)")
    if len(numbers) != (2 if letter == "D" else 4):
        raise _wrong(text, "D takes one pair, N and U take two, prompt/answer")
    if max(numbers) > LONGEST:
        raise _wrong(text, f"{max(numbers):,.0f} tokens are more than {LONGEST:,}")
    match letter:
        case "D":
            return _fixed(text, numbers)
        case "N":
            return _normal(text, numbers)
        case _:
            return _uniform(text, numbers)


def _fixed(text: str, numbers: list[float]) -> Fixed:
    prompt, answer = _whole(text, numbers)
    return Fixed(prompt, answer)


def _normal(text: str, numbers: list[float]) -> Normal:
    if min(numbers[0], numbers[2]) < 1:
        raise _wrong(text, "a mean is below 1 token")
    return Normal(*numbers)


def _uniform(text: str, numbers: list[float]) -> Uniform:
    prompt_low, prompt_high, answer_low, answer_high = _whole(text, numbers)
    if prompt_low > prompt_high or answer_low > answer_high:
        raise _wrong(text, "a lower bound is above its upper bound")
    return Uniform(prompt_low, prompt_high, answer_low, answer_high)


def _whole(text: str, numbers: list[float]) -> list[int]:
    if any(number < 1 or number != int(number) for number in numbers):
        raise _wrong(text, "tokens are whole numbers from 1 on")
    return [int(number) for number in numbers]


def _wrong(text: str, why: str) -> InvalidInput:
    return InvalidInput(f"{text!r} is not a scenario: {why}", hint=f"write {_EXAMPLES}")
