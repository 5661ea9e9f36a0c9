"""The contract of a `lading.ports.study.Search`, clause by clause.

Subclass `SearchContract`, override the fixture `make`, and your strategy is held to it::

    class TestMine(SearchContract):  # or LearningSearchContract, when it uses the values of its history
        @pytest.fixture
        def make(self):
            return lambda space: MySearch(space)
"""

import copy
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lading.ports.study import Search
from lading.testing import toy_engine
from lading.tuning.observe import Observation
from lading.tuning.random import generator
from lading.tuning.space import Space, key_of
from lading.tuning.trial import Params

Make = Callable[[Space], Search]
#: The fixture only builds searches, and a contract is run by several classes: neither is a fault here.
_ANY = settings(
    max_examples=20, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
_FINITE = toy_engine.any_space(endless=False, most_points=120)
_SEEDS = st.integers(0, 2**40)


class SearchContract:
    """Every search passes this."""

    #: Whether it takes spaces with a continuous dimension.
    endless = True

    @pytest.fixture
    def make(self) -> Make:
        """Override: how a search over a space is made, for a budget of 40 trials."""
        raise NotImplementedError("override the fixture `make`")

    @_ANY
    @given(data=st.data(), seed=_SEEDS)
    def test_proposals_are_points_of_the_space(self, make: Make, data: st.DataObject, seed: int) -> None:
        """Canonical, fixed parameters included, conditions hold; in a study's whole course, no more than asked for."""
        space = data.draw(self._spaces())
        for proposed in _course(make(space), space, seed, rounds=8, count=3):
            assert len(proposed) <= 3
            assert all(space.contains(params) for params in proposed)

    @_ANY
    @given(data=st.data(), seed=_SEEDS)
    def test_nothing_is_proposed_twice(self, make: Make, data: st.DataObject, seed: int) -> None:
        """Not within one proposal, nor from history."""
        space = data.draw(self._spaces())
        keys = [
            key_of(params) for proposed in _course(make(space), space, seed, rounds=8, count=3) for params in proposed
        ]
        assert len(keys) == len(set(keys))

    @_ANY
    @given(data=st.data(), seed=_SEEDS)
    def test_pending_points_are_not_proposed(self, make: Make, data: st.DataObject, seed: int) -> None:
        """What runs elsewhere is not run again, with and without a history."""
        space = data.draw(self._spaces())
        search, rng = make(space), generator(seed, 0)
        for known in (0, 12):
            history = _history(space, rng, known)
            pending = search.propose(history, (), count=4, seed=seed)
            proposed = search.propose(history, pending, count=4, seed=seed)
            assert not {key_of(params) for params in pending} & {key_of(params) for params in proposed}

    @_ANY
    @given(space=_FINITE, seed=_SEEDS)
    def test_fewer_than_asked_means_there_are_no_more(self, make: Make, space: Space, seed: int) -> None:
        """A finite space is proposed to its last point, each once; then nothing comes."""
        search, history = make(space), list[Observation]()
        while proposed := search.propose(history, (), count=7, seed=seed):
            history += _observed(proposed, len(history))
            if len(proposed) < 7:
                break
        assert search.propose(history, (), count=7, seed=seed) == ()
        points = {key_of(params) for params in space.points()}
        assert {key_of(observation.params) for observation in history} == points
        assert len(history) == len(points)

    @_ANY
    @given(data=st.data(), seed=_SEEDS, known=st.sampled_from([0, 3, 15]))
    def test_the_same_arguments_give_the_same_proposal(
        self, make: Make, data: st.DataObject, seed: int, known: int
    ) -> None:
        """Asked twice, asked of another instance, asked after other questions."""
        space = data.draw(self._spaces())
        history = _history(space, generator(seed, 0), known)
        one, other = make(space), make(space)
        first = one.propose(history, (), count=3, seed=seed)
        one.propose(history[: known // 2], first, count=2, seed=seed + 1)
        assert one.propose(history, (), count=3, seed=seed) == first
        assert other.propose(history, (), count=3, seed=seed) == first

    @_ANY
    @given(data=st.data(), seed=_SEEDS, known=st.sampled_from([3, 15]))
    def test_history_and_pending_are_left_as_they_are(
        self, make: Make, data: st.DataObject, seed: int, known: int
    ) -> None:
        """Nothing given is changed."""
        space = data.draw(self._spaces())
        history = _history(space, generator(seed, 0), known)
        pending = _points(space, generator(seed + 1, 0), 2)
        before = copy.deepcopy((history, pending))
        make(space).propose(history, pending, count=3, seed=seed)
        assert (history, pending) == before

    @_ANY
    @given(data=st.data(), seed=_SEEDS)
    def test_a_proposal_belongs_to_the_caller(self, make: Make, data: st.DataObject, seed: int) -> None:
        """Changing what was proposed changes no later proposal."""
        space = data.draw(self._spaces())
        search = make(space)
        first = search.propose((), (), count=3, seed=seed)
        kept = copy.deepcopy(first)
        for params in first:
            params.clear()
        assert search.propose((), (), count=3, seed=seed) == kept

    def test_none_asked_none_given(self, make: Make) -> None:
        """A count of 0 is answered with nothing."""
        assert make(toy_engine.space({"slots": {"int": [1, 9]}})).propose((), (), count=0, seed=0) == ()

    def test_any_history_is_taken(self, make: Make) -> None:
        """Trials without a score, infeasible ones, ones beyond their limits, and the defaults, which are no point."""
        space = toy_engine.space({"slots": {"int": [1, 90]}, "mode": {"choice": ["plain", "draft"]}}, context=2048)
        points = list(space.points())[::9]
        history = [Observation(number=0, params=space.fixed, value=3.0)]
        history += [
            Observation(
                number=number,
                params=params,
                value=-5.0 if number % 2 else None,
                infeasible=number % 4 == 0,
                violation=0.5 if number % 4 == 2 else None,
            )
            for number, params in enumerate(points, 1)
        ]
        for size in (1, 5, len(history)):
            assert len(make(space).propose(history[:size], (), count=5, seed=1)) == 5
        nothing_works = [Observation(number=n, params=p, value=None, infeasible=True) for n, p in enumerate(points)]
        assert len(make(space).propose(nothing_works, (), count=5, seed=1)) == 5

    def _spaces(self) -> st.SearchStrategy[Space]:
        return toy_engine.any_space() if self.endless else _FINITE


class LearningSearchContract(SearchContract):
    """Every search that uses the values of its history passes this too."""

    def test_good_values_draw_it_near(self, make: Make) -> None:
        """Most proposals lie in the better half once both were seen."""
        space = toy_engine.space({"slots": {"int": [1, 400]}, "rate": {"float": [0.0, 1.0]}})
        history = _history(space, generator(5, 0), 30, value=lambda params: float(params["slots"] or 0))
        assert self._share(make(space), history, lambda params: int(params["slots"] or 0) > 200) > 0.8

    def test_an_infeasible_region_is_avoided(self, make: Make) -> None:
        """It keeps away from where configurations failed, though it was never told a number there."""
        space = toy_engine.space({"slots": {"int": [1, 400]}, "rate": {"float": [0.0, 1.0]}})
        shares = []
        for seed in range(4):
            history = [
                Observation(
                    number=number, params=params, value=None if fails else float(params["rate"] or 0), infeasible=fails
                )
                for number, params in enumerate(_points(space, generator(seed, 0), 15))
                for fails in [int(params["slots"] or 0) > 200]
            ]
            shares.append(self._share(make(space), history, lambda params: int(params["slots"] or 0) > 200))
        assert sum(shares) / len(shares) < 0.15

    def _share(self, search: Search, history: Sequence[Observation], inside: Callable[[Params], bool]) -> float:
        proposed = [params for seed in range(30) for params in search.propose(history, (), count=1, seed=seed)]
        return sum(map(inside, proposed)) / len(proposed)


def _course(search: Search, space: Space, seed: int, *, rounds: int, count: int) -> list[tuple[Params, ...]]:
    """What a study of *rounds* proposals is given; the defaults are its first trial."""
    history = [Observation(number=0, params=space.fixed, value=0.5)]
    course = []
    for _ in range(rounds):
        proposed = search.propose(history, (), count=count, seed=seed)
        history += _observed(proposed, len(history))
        course.append(proposed)
    return course


def _observed(proposed: Sequence[Params], first: int) -> list[Observation]:
    """What came of them: every fifth is infeasible, every seventh has no score."""
    return [
        Observation(
            number=number,
            params=params,
            value=None if number % 5 == 0 or number % 7 == 0 else float(hash_of(params) % 97),
            infeasible=number % 5 == 0,
        )
        for number, params in enumerate(proposed, first)
    ]


def _history(
    space: Space, rng: random.Random, known: int, value: Callable[[Params], float] | None = None
) -> list[Observation]:
    score = value or (lambda params: float(hash_of(params) % 97))
    return [
        Observation(number=number, params=params, value=score(params))
        for number, params in enumerate(_points(space, rng, known))
    ]


def _points(space: Space, rng: random.Random, count: int) -> list[Params]:
    drawn = {key_of(params): params for params in (space.draw(rng) for _ in range(count))}
    return list(drawn.values())


def hash_of(params: Params) -> int:
    """A number that depends on *params* alone, on every machine."""
    return sum(map(ord, repr(key_of(params))))
