"""The Tree-structured Parzen Estimator of Optuna, as a sampler only: rebuilt from history for every proposal.

How history is told follows what Optuna 5 does with it (`optuna.samplers._tpe.sampler._split_trials`):

* a score is a completed trial;
* an infeasible point is a *pruned* trial with a violated constraint and no value: the estimator counts it with the bad
  ones, behind every other, whereas a failed trial would be ignored and a made-up value would bend the scores;
* a trial that missed its constraints at every level is the same with a finite violation, so that less bad ones lead back;
* a trial about which nothing can be said (limited by the client, lost to infrastructure) is left out;
* pending points are running trials: the constant liar keeps new ones away from them.
"""

import math
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lading.engines.base import Value
from lading.tuning.dimension import Dimension, Floats, Integers, Listed, same
from lading.tuning.observe import Observation
from lading.tuning.random import generator, unseen
from lading.tuning.risk import Risk
from lading.tuning.space import Key, Space, key_of
from lading.tuning.trial import Params

if TYPE_CHECKING:
    import optuna

#: Asks per proposal before what is missing is taken from risky and then from random points.
MOST_ASKS = 20


class TpeSearch:
    """TPE over all dimensions that always exist together, and one by one over conditional ones."""

    def __init__(self, space: Space, *, budget: int) -> None:
        self._space = space
        self._start_up = min(10, max(4, budget // 4))

    def propose(
        self, history: Sequence[Observation], pending: Sequence[Params], *, count: int, seed: int
    ) -> tuple[Params, ...]:
        """Random points until a quarter of the budget (4 to 10) has a score, then what the estimator expects most of.

        Both pass over points that will probably fail (`Risk`) while there are others.
        """
        rng = generator(seed, len(history) + len(pending))
        seen = {key_of(params) for params in (*(observation.params for observation in history), *pending)}
        scored = sum(observation.value is not None for observation in history)
        if scored < self._start_up:
            asks = (self._space.draw(rng) for _ in range(MOST_ASKS + count))
            return self._choose(asks, history, seen, count, rng)
        with _quiet():
            study = _study(self._space, history, pending, seed=rng.getrandbits(32))
            # an ask stays open in the study, so that the next one keeps away from it
            asks = (_suggest(self._space, study.ask()) for _ in range(MOST_ASKS + count))
            return self._choose(asks, history, seen, count, rng)

    def _choose(
        self, asks: Iterable[Params], history: Sequence[Observation], seen: set[Key], count: int, rng: random.Random
    ) -> tuple[Params, ...]:
        """The first *count* new points of *asks* that are not risky, then risky ones, then random unseen ones."""
        risk = Risk(self._space, history)
        good: list[Params] = []
        risky: list[Params] = []
        for params in asks if count else ():
            if key_of(params) not in seen:
                seen.add(key_of(params))
                (risky if risk.is_high(params) else good).append(params)
            if len(good) == count:
                break
        chosen = [*good, *risky][:count]
        return (*chosen, *unseen(self._space, seen, count=count - len(chosen), rng=rng))


def _study(space: Space, history: Sequence[Observation], pending: Sequence[Params], *, seed: int) -> "optuna.Study":
    """An in-memory study that knows what *history* says about *space*."""
    import optuna

    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=1)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for observation in history:
        told = _told(observation)
        located = space.locate(observation.params) if told else None
        if told and located is not None:
            study.add_trial(_trial(space, located, **told))
    for params in pending:
        located = space.locate(params)
        if located is not None:
            study.add_trial(_trial(space, located, state=optuna.trial.TrialState.RUNNING))
    return study


def _told(observation: Observation) -> dict[str, Any] | None:
    """State, value and constraints as Optuna takes them; None: nothing can be said."""
    from optuna.trial import TrialState

    if observation.value is not None:
        return {"state": TrialState.COMPLETE, "value": observation.value}
    if observation.infeasible:
        return {"state": TrialState.PRUNED, "constraints": {"works": math.inf}}
    if observation.violation:
        return {"state": TrialState.PRUNED, "constraints": {"limits": observation.violation}}
    return None


def _trial(space: Space, located: Mapping[str, Value], **told: Any) -> "optuna.trial.FrozenTrial":
    import optuna

    dimensions = [dimension for dimension in space.dimensions if dimension.name in located]
    return optuna.trial.create_trial(
        params={dimension.name: _inner(dimension, located[dimension.name]) for dimension in dimensions},
        distributions={dimension.name: _distribution(dimension) for dimension in dimensions},
        **told,
    )


def _suggest(space: Space, trial: "optuna.Trial") -> Params:
    """Ask for each dimension that exists beside those before it."""
    chosen = dict(space.fixed)
    for dimension in space.dimensions:
        if dimension.exists(chosen):
            chosen[dimension.name] = _outer(dimension, _suggest_inner(dimension, trial))
    return space.complete(chosen)


def _suggest_inner(dimension: Dimension, trial: "optuna.Trial") -> Any:
    name, values = dimension.name, dimension.values
    match values:
        case Listed() if values.ordered:
            return trial.suggest_int(name, 0, values.size - 1)
        case Listed():
            return trial.suggest_categorical(name, tuple(range(values.size)))
        case Integers():
            return trial.suggest_int(name, values.low, values.last, step=values.step, log=values.log)
        case Floats():
            return trial.suggest_float(name, values.low, values.high, log=values.log)


def _distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    """Numbers, listed ones too by their rank, are ordered; other lists are not, and go by index."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = dimension.values
    match values:
        case Listed() if values.ordered:
            return IntDistribution(0, values.size - 1)
        case Listed():
            return CategoricalDistribution(tuple(range(values.size)))
        case Integers():
            return IntDistribution(values.low, values.last, log=values.log, step=values.step)
        case Floats():
            return FloatDistribution(values.low, values.high, log=values.log)


def _inner(dimension: Dimension, value: Value) -> Any:
    values = dimension.values
    if isinstance(values, Listed):
        return next(index for index, known in enumerate(values.ranked) if same(known, value))
    return int(value) if isinstance(values, Integers) else float(value)  # type: ignore[arg-type]  # located: a number


def _outer(dimension: Dimension, inner: Any) -> Value:
    values = dimension.values
    return values.ranked[inner] if isinstance(values, Listed) else values.snap(inner)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna's own log and its warnings are for its own users."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
