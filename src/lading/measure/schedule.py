"""A level's whole schedule, computed before its first request: what is sent, and when it is due."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from lading.measure import arrivals, lengths, seeded
from lading.measure.prompts import Form, Prompt, Prompts
from lading.measure.records import Level
from lading.spec.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One request to come.

    Attributes:
        due_s: From the start of the level; None in a closed loop, where it is due when its stream is free.
    """

    index: int
    due_s: float | None
    prompt: Prompt
    answer_tokens: int


def levels(workload: Workload) -> tuple[Level, ...]:
    """The levels of *workload*, in the order they are measured."""
    return (
        *(Level(kind="concurrency", value=value) for value in workload.levels.concurrency),
        *(Level(kind="rate", value=value) for value in workload.levels.rate),
    )


def plan(workload: Workload, level: Level, form: Form) -> tuple[Planned, ...]:
    """All requests of *level*: a function of its arguments alone. Other levels of the workload have other prompts.

    Raises:
        InvalidInput: The scenario cannot be understood.
    """
    return _plan(workload, str(level), form, _due(workload, level), workload.requests)


def plan_warm_up(workload: Workload, form: Form, count: int) -> tuple[Planned, ...]:
    """*count* requests of the workload's shape, due when their stream is free; no level has their prompts.

    Raises:
        InvalidInput: As `plan`.
    """
    return _plan(workload, "warm-up", form, _unscheduled(), count)


def _plan(workload: Workload, key: str, form: Form, due: Iterator[float | None], count: int) -> tuple[Planned, ...]:
    scenario = lengths.parse(workload.scenario)
    shapes = seeded.generator(workload.seed, key, "lengths")
    prompts = Prompts(form=form, seed=workload.seed, key=key, shared=workload.shared_prefix)
    planned = []
    for index, due_s in enumerate(islice(due, count)):
        prompt_tokens, answer_tokens = scenario.draw(shapes)
        prompt = prompts.prompt(index, prompt_tokens)
        planned.append(Planned(index=index, due_s=due_s, prompt=prompt, answer_tokens=answer_tokens))
    return tuple(planned)


def _due(workload: Workload, level: Level) -> Iterator[float | None]:
    if level.kind == "concurrency":
        return _unscheduled()
    if workload.arrivals == "constant":
        return arrivals.constant(level.value)
    return arrivals.poisson(level.value, seeded.generator(workload.seed, str(level), "arrivals"))


def _unscheduled() -> Iterator[float | None]:
    while True:
        yield None
