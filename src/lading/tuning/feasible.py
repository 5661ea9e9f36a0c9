"""Which parameters are refused before anything is started: the engine's rules, and memory that cannot suffice.

What only a started server can tell is learned by the search from `Observation.infeasible`.
"""

import random
from collections import Counter
from dataclasses import dataclass
from itertools import islice

from lading.engines import gpus
from lading.engines.base import Engine, HardwareFacts, ModelFacts, RuleInput, Violation
from lading.errors import InvalidParameters
from lading.spec import units
from lading.tuning.space import Space
from lading.tuning.trial import Infeasible, Params

#: Points looked at to find one that every rule allows.
SAMPLED_POINTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What rules may know beside the parameters; unknown facts refuse nothing."""

    model: ModelFacts | None = None
    hardware: HardwareFacts | None = None
    longest_request_tokens: int | None = None


def check(engine: Engine, params: Params, facts: Facts) -> Infeasible | None:
    """Why *params* cannot work; None where nothing is known against them. Rules first, then memory."""
    given = RuleInput(
        params=params,
        model=facts.model,
        hardware=facts.hardware,
        longest_request_tokens=facts.longest_request_tokens,
    )
    broken = engine.violations(given)
    return _of_rules(broken) if broken else _of_memory(engine, params, facts)


def require_feasible(space: Space, facts: Facts) -> Params:
    """A point of the space that nothing known is against: there is one to try, before anything is started.

    All points of a small space are looked at, else `SAMPLED_POINTS` random ones.

    Raises:
        InvalidParameters: None is allowed; the rule that refuses the most is named with one of its messages.
    """
    size = space.size
    refusals: list[Infeasible] = []
    for params in _candidates(space, size):
        refusal = check(space.engine, params, facts)
        if refusal is None:
            return params
        refusals.append(refusal)
    rule, count = Counter(refusal.rule for refusal in refusals).most_common(1)[0]
    example = next(refusal for refusal in refusals if refusal.rule == rule)
    looked = (
        f"all {len(refusals)} points" if size == len(refusals) else f"{len(refusals)} of {size or 'endless'} points"
    )
    raise InvalidParameters(
        f"no point of the space can work: {looked} break a rule, {count} of them `{rule}`: {example.reason}",
        hint=example.hint or "change space or engine.parameters",
    )


def _candidates(space: Space, size: int | None) -> list[Params]:
    if size is not None and size <= SAMPLED_POINTS:
        return list(islice(space.points(), SAMPLED_POINTS))
    rng = random.Random(0)  # noqa: S311 - not a secret: the same points each time
    return [space.draw(rng) for _ in range(SAMPLED_POINTS)]


def _of_rules(broken: tuple[Violation, ...]) -> Infeasible:
    first = broken[0]
    return Infeasible(rule=first.rule, reason="; ".join(violation.message for violation in broken), hint=first.hint)


def _of_memory(engine: Engine, params: Params, facts: Facts) -> Infeasible | None:
    """The estimate against the memory of one device, of the host where there is none."""
    hardware = facts.hardware
    if facts.model is None or hardware is None:
        return None
    on_host = not hardware.gpus or gpus.kept_off(engine, params)
    if not on_host and gpus.by_layers(engine):
        return None  # its layers are on both: its own rule knows
    available = hardware.memory_bytes if on_host else hardware.gpu_memory_bytes
    estimate = engine.memory(params, facts.model, hardware)
    if available is None or estimate is None or estimate.total_bytes <= available:
        return None
    parts = f"weights {units.show_bytes(estimate.weights_bytes)}, KV cache {units.show_bytes(estimate.kv_bytes)}"
    place = "this host" if on_host else "a GPU"
    return Infeasible(
        rule="memory",
        reason=f"about {units.show_bytes(estimate.total_bytes)} needed ({parts}), {place} has {units.show_bytes(available)}",
        hint="a shorter context, fewer sequences, a smaller KV type or more devices",
    )
