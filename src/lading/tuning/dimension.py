"""One varied parameter: which values it can take, and when it exists at all."""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lading.engines.base import Value


def same(left: Value, right: Value) -> bool:
    """Whether two canonical values are one: ``True`` and ``1`` are not, ``8`` and ``8.0`` are."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The values of a list, in its order; None stands for leaving the parameter to the engine."""

    values: tuple[Value, ...]

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.values)

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers, so that neighbours resemble each other."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @property
    def ranked(self) -> tuple[Value, ...]:
        """The values by size where they are ordered, else as listed."""
        return tuple(sorted(self.values)) if self.ordered else self.values  # type: ignore[type-var]  # all are numbers

    def __iter__(self) -> Iterator[Value]:
        return iter(self.values)

    def __contains__(self, value: object) -> bool:
        return any(same(value, known) for known in self.values)  # type: ignore[arg-type]  # any object may be asked for

    def draw(self, rng: random.Random) -> Value:
        """One of them, each as likely."""
        return self.values[rng.randrange(len(self.values))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Integers:
    """Whole numbers from *low* to *high*, both included, *step* apart; *log*: each factor is as likely as the other."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def size(self) -> int:
        """How many there are."""
        return (self.high - self.low) // self.step + 1

    @property
    def last(self) -> int:
        """The highest that is reached by whole steps."""
        return self.low + self.step * (self.size - 1)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.low, self.high + 1, self.step))

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def draw(self, rng: random.Random) -> int:
        """One of them."""
        if not self.log:
            return self.low + self.step * rng.randrange(self.size)
        return self.snap(math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))))

    def snap(self, value: float) -> int:
        """The number of this range nearest to *value*."""
        steps = round((value - self.low) / self.step)
        return self.low + self.step * min(max(steps, 0), self.size - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floats:
    """Numbers from *low* to *high*, both included, to about four digits: more would look like meaning."""

    low: float
    high: float
    log: bool = False

    @property
    def size(self) -> float:
        """1 for a single value, else without bound."""
        return 1 if self.low == self.high else math.inf

    def __iter__(self) -> Iterator[float]:
        if self.size != 1:
            raise ValueError(f"[{self.low}, {self.high}] is continuous: its numbers cannot be listed")
        return iter((self.low,))

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def draw(self, rng: random.Random) -> float:
        """One of them, evenly (*log*: each factor is as likely as the other)."""
        if self.log:
            return self.snap(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return self.snap(rng.uniform(self.low, self.high))

    def snap(self, value: float) -> float:
        """*value* to four digits (of itself when *log*, else of the range), inside the bounds."""
        scale = abs(value) if self.log else self.high - self.low
        digits = 3 - math.floor(math.log10(scale)) if scale > 0 else 0
        return min(max(round(value, digits), self.low), self.high)


Values = Listed | Integers | Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Another parameter must have one of these values."""

    key: str
    values: tuple[Value, ...]

    def holds(self, chosen: Mapping[str, Value]) -> bool:
        """Whether it does; a parameter that does not exist has no value."""
        return self.key in chosen and any(same(chosen[self.key], value) for value in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One varied parameter, by its canonical name; it exists only when every condition holds."""

    name: str
    values: Values
    when: tuple[Condition, ...] = ()

    def exists(self, chosen: Mapping[str, Value]) -> bool:
        """Whether it does beside *chosen*: the fixed parameters and the dimensions before it."""
        return all(condition.holds(chosen) for condition in self.when)
