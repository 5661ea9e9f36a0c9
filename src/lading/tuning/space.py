"""What a study may try: the dimensions of its document, checked against the engine's catalogue.

A point of the space is a canonical set of parameters (`Engine.parse`): the study's fixed ones and one value for each
dimension that exists there. Two candidates with equal canonical parameters are one trial. Which points an engine's
rules refuse is not decided here, see `feasible`.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lading.engines.base import Engine, Value
from lading.errors import InvalidDocument, InvalidParameters
from lading.spec import study as spec
from lading.spec.nearest import nearest
from lading.spec.study import Study
from lading.tuning.dimension import Condition, Dimension, Floats, Integers, Listed, Values, same
from lading.tuning.trial import Params

Key = tuple[tuple[str, str, Value], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong in a study's space; *location* is where in the document, as `spec.documents.line_of` takes it."""

    location: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.location)}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """All points of a study; see `of`.

    Attributes:
        fixed: Canonical parameters that every point has; alone they are the defaults (trial 0).
        dimensions: Each after those that its conditions name.
    """

    engine: Engine
    fixed: Params
    dimensions: tuple[Dimension, ...]

    @property
    def size(self) -> int | None:
        """How many points there are; None when a continuous dimension makes them endless."""
        count = _count(self.dimensions, self.fixed, _named(self.dimensions))
        return None if math.isinf(count) else int(count)

    def points(self) -> Iterator[Params]:
        """All points of a finite space in a fixed order: the last dimension turns fastest."""
        for chosen in _combinations(self.dimensions, dict(self.fixed)):
            yield self.complete(chosen)

    def draw(self, rng: random.Random) -> Params:
        """A random point; each dimension by its own scale."""
        chosen = dict(self.fixed)
        for dimension in self.dimensions:
            if dimension.exists(chosen):
                chosen[dimension.name] = dimension.values.draw(rng)
        return self.complete(chosen)

    def complete(self, chosen: Mapping[str, Value]) -> Params:
        """*chosen* with the fixed parameters, canonical; None leaves a parameter to the engine."""
        merged = {**self.fixed, **chosen}
        return self.engine.parse({key: value for key, value in merged.items() if value is not None})

    def locate(self, params: Params) -> dict[str, Value] | None:
        """The value of each dimension that exists at *params*; None when they are no point of this space.

        What *params* leave to the engine is taken from its known defaults, so that the defaults have a place too.
        """
        defaults = self.engine.resolved(self.fixed)
        chosen: dict[str, Value] = dict(self.fixed)
        located: dict[str, Value] = {}
        for dimension in self.dimensions:
            if dimension.exists(chosen):
                value = params.get(dimension.name)
                if value not in dimension.values:
                    value = defaults.get(dimension.name) if dimension.name not in params else value
                if value not in dimension.values:
                    return None
                chosen[dimension.name] = located[dimension.name] = value
        return located if self._only(params, located) else None

    def contains(self, params: Params) -> bool:
        """Whether *params* are a point: every existing dimension given, none that does not exist, fixed ones as fixed."""
        located = self.locate(params)
        return located is not None and key_of(self.complete(located)) == key_of(params)

    def _only(self, params: Params, located: Mapping[str, Value]) -> bool:
        return all(
            name in located or (name in self.fixed and same(value, self.fixed[name])) for name, value in params.items()
        )


def of(study: Study, engine: Engine) -> Space:
    """The space of *study* on *engine*.

    Raises:
        InvalidDocument: Something in `space` or `engine.parameters` cannot be; all problems at once, see `problems`.
    """
    found, wrong = _build(study, engine)
    if found is None:
        raise InvalidDocument(
            f"the space of study {study.name} cannot be searched",
            problems=[str(problem) for problem in wrong],
            hint=f"`lading engines {engine.name}` lists the parameters and their values",
        )
    return found


def problems(study: Study, engine: Engine) -> tuple[Problem, ...]:
    """What `of` refuses, for those who know the document's lines; empty when there is nothing."""
    return _build(study, engine)[1]


def key_of(params: Params) -> Key:
    """A hashable stand-in for canonical *params*: equal exactly when they are one trial."""
    return tuple(sorted((name, type(value).__name__, value) for name, value in params.items()))


def _build(study: Study, engine: Engine) -> tuple[Space | None, tuple[Problem, ...]]:
    builder = _Builder(engine=engine, problems=[])
    fixed = builder.fixed(study.engine.parameters)
    dimensions = builder.dimensions(study.space, fixed)
    ordered = builder.ordered(dimensions)
    if not builder.problems and not any(_reachable(ordered, fixed)):
        builder.problems.append(Problem(location=("space",), message="is empty: no condition of any parameter holds"))
    if builder.problems:
        return None, tuple(builder.problems)
    return Space(engine=engine, fixed=fixed, dimensions=ordered), ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Builder:
    """Checks a document's parts one by one and keeps what is wrong."""

    engine: Engine
    problems: list[Problem]

    def fixed(self, given: Mapping[str, object]) -> Params:
        """The fixed parameters, canonical."""
        here = ("engine", "parameters")
        read = [self.parsed((*here, key), key, value) for key, value in given.items()]
        if self.problems:
            return {name: value for one in read for name, value in one.items()}
        try:
            return self.engine.parse(given)  # at once: two spellings of one parameter contradict each other only here
        except InvalidParameters as error:
            self.wrong(here, error.message)
            return {}

    def dimensions(self, given: Mapping[str, spec.Dimension], fixed: Params) -> tuple[Dimension, ...]:
        """The dimensions in the document's order, conditions checked."""
        found: dict[str, tuple[str, Values]] = {}
        for key, dimension in given.items():
            name, values = self.values(key, dimension)
            if name in found or name in fixed:
                where = (
                    "space, under another spelling" if name in found else "engine.parameters, which hold in every trial"
                )
                self.wrong(("space", key), f"is also in {where}: take one away")
            elif name and values:
                found[name] = (key, values)
        dimensions = {name: values for name, (_, values) in found.items()}
        return tuple(
            Dimension(name=name, values=values, when=self.conditions(key, given[key], dimensions, fixed))
            for name, (key, values) in found.items()
        )

    def ordered(self, dimensions: Sequence[Dimension]) -> tuple[Dimension, ...]:
        """Each after those its conditions name; otherwise as written."""
        waiting, ready = list(dimensions), list[Dimension]()
        while waiting:
            names = {dimension.name for dimension in waiting}
            free = [dimension for dimension in waiting if not names & {condition.key for condition in dimension.when}]
            if not free:
                ring = ", ".join(sorted(names))
                self.wrong(("space", waiting[0].name, "when"), f"the conditions of {ring} wait for each other")
                return ()
            ready.append(free[0])
            waiting.remove(free[0])
        return tuple(ready)

    def values(self, key: str, given: spec.Dimension) -> tuple[str, Values | None]:
        """A dimension's canonical name and values; the name is empty, or the values None, where they are wrong."""
        if isinstance(given, spec.Choice):
            return self.listed(key, given)
        read = [self.parsed(("space", key), key, bound) for bound in given.bounds]
        name = next((name for one in read for name in one), "")
        if not name:
            return "", None
        kind = self.engine.parameters[name].kind
        if kind not in {"int", "float"} or (kind == "int" and isinstance(given, spec.FloatRange)):
            better = "an int: range" if kind == "int" else "choice: [...]"
            self.wrong(("space", key), f"takes values of type {kind}: give {better}")
            return name, None
        if isinstance(given, spec.FloatRange):
            low, high = (float(bound) for bound in given.bounds)
            return name, Floats(low=low, high=high, log=given.log)
        return name, Integers(low=given.bounds[0], high=given.bounds[1], step=given.step, log=given.log)

    def listed(self, key: str, given: spec.Choice) -> tuple[str, Listed | None]:
        """A choice's canonical name and its values without repetition: ``8K`` and 8192 are one."""
        name, values = "", list[Value]()
        for written in given.choice:
            parsed = {} if written is None else self.parsed(("space", key), key, written)
            name = name or next(iter(parsed), "")
            new = [None] if written is None else list(parsed.values())
            values += [value for value in new if not any(same(value, known) for known in values)]
        if given.choice == (None,):
            self.wrong(("space", key), "lists nothing but the engine's own choice: give a value to compare it with")
        return name, Listed(values=tuple(values)) if values else None

    def conditions(
        self, key: str, given: spec.Dimension, dimensions: Mapping[str, Values], fixed: Params
    ) -> tuple[Condition, ...]:
        """The conditions of one dimension, each on a fixed parameter or on another dimension."""
        found = []
        for other, written in given.when.items():
            where = ("space", key, "when", other)
            read = [self.parsed(where, other, one) for one in (written if isinstance(written, tuple) else (written,))]
            name = next((name for one in read for name in one), "")
            if not name:
                continue
            if name not in dimensions and name not in fixed:
                near = nearest(name, [*dimensions, *fixed])
                self.wrong(where, "is neither in space nor in engine.parameters" + _did_you_mean(near))
                continue
            values = tuple(one[name] for one in read if name in one)
            self._possible(where, values, dimensions.get(name))
            found.append(Condition(key=name, values=values))
        return tuple(found)

    def _possible(self, where: tuple[str, ...], values: Sequence[Value], parent: Values | None) -> None:
        """A condition on a dimension names values that it can take."""
        for value in values:
            if parent is not None and value not in parent:
                known = [str(each) for each in parent] if isinstance(parent, Listed) else []
                self.wrong(
                    where, f"{value!r} is not among its values in space" + _did_you_mean(nearest(str(value), known))
                )

    def parsed(self, where: tuple[str, ...], key: str, value: object) -> Params:
        """One canonical parameter, or nothing when it is wrong."""
        try:
            return self.engine.parse({key: value})
        except InvalidParameters as error:
            self.wrong(where, error.message.removeprefix(f"{key}: "))
            return {}

    def wrong(self, where: tuple[str, ...], message: str) -> None:
        """Note a problem, once."""
        problem = Problem(location=where, message=message)
        if problem not in self.problems:
            self.problems.append(problem)


def _did_you_mean(near: str | None) -> str:
    return f"; did you mean `{near}`?" if near else ""


def _combinations(dimensions: Sequence[Dimension], chosen: Params) -> Iterator[Params]:
    if not dimensions:
        yield chosen
        return
    first, rest = dimensions[0], dimensions[1:]
    if not first.exists(chosen):
        yield from _combinations(rest, chosen)
        return
    for value in first.values:
        yield from _combinations(rest, {**chosen, first.name: value})


def _named(dimensions: Sequence[Dimension]) -> dict[str, tuple[Value, ...]]:
    """The values of each parameter that a condition asks for."""
    named: dict[str, tuple[Value, ...]] = {}
    for condition in (condition for dimension in dimensions for condition in dimension.when):
        known = named.get(condition.key, ())
        new = tuple(value for value in condition.values if not any(same(value, old) for old in known))
        named[condition.key] = known + new
    return named


def _count(dimensions: Sequence[Dimension], chosen: Mapping[str, Value], named: Mapping[str, Sequence[Value]]) -> float:
    """How many points *dimensions* have beside *chosen*; only values that a condition names are told apart."""
    if not dimensions:
        return 1
    first, rest = dimensions[0], dimensions[1:]
    if not first.exists(chosen):
        return _count(rest, chosen, named)
    asked = [value for value in named.get(first.name, ()) if value in first.values]
    others = first.values.size - len(asked)
    count = sum(_count(rest, {**chosen, first.name: value}, named) for value in asked)
    return count + (others * _count(rest, chosen, named) if others else 0)


def _reachable(dimensions: Sequence[Dimension], fixed: Params) -> Iterator[Dimension]:
    """The dimensions that exist somewhere in the space, conservatively: a dimension's parents exist somewhere."""
    known = set(fixed)
    for dimension in dimensions:
        on_fixed = [condition for condition in dimension.when if condition.key in fixed]
        if all(condition.key in known for condition in dimension.when) and all(
            condition.holds(fixed) for condition in on_fixed
        ):
            known.add(dimension.name)
            yield dimension
