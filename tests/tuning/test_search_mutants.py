"""Each clause of the contract of a search fails when a search breaks it."""

import itertools

import pytest
from _pytest.outcomes import Failed

from lading.testing.search import LearningSearchContract, SearchContract
from lading.tuning.grid import GridSearch
from lading.tuning.observe import Observation
from lading.tuning.random import RandomSearch
from lading.tuning.tpe import TpeSearch


class MoreThanAsked(RandomSearch):
    def propose(self, history, pending, *, count, seed):
        return super().propose(history, pending, count=count + 1, seed=seed)


class ForgetsTheFixedParameters(RandomSearch):
    def propose(self, history, pending, *, count, seed):
        found = super().propose(history, pending, count=count, seed=seed)
        return tuple({**params, "context": 777} for params in found)


class IgnoresHistory(RandomSearch):
    def propose(self, history, pending, *, count, seed):
        return super().propose((), pending, count=count, seed=seed)


class IgnoresPending(RandomSearch):
    def propose(self, history, pending, *, count, seed):
        return super().propose(history, (), count=count, seed=seed)


class SameTwiceInOneProposal(RandomSearch):
    def propose(self, history, pending, *, count, seed):
        return (super().propose(history, pending, count=1, seed=seed) * count)[:count]


class GivesUpEarly(RandomSearch):
    def propose(self, history, pending, *, count, seed):
        return super().propose(history, pending, count=count, seed=seed)[: max(1, count - 1)]


class MissesTheLastPoint(GridSearch):
    def __init__(self, space):
        super().__init__(space, budget=40)
        self._points = self._points[:-1] or self._points


class RandomOfItsOwn(RandomSearch):
    counter = itertools.count()

    def propose(self, history, pending, *, count, seed):
        return super().propose(history, pending, count=count, seed=seed + next(self.counter))


class RemembersItsQuestions(RandomSearch):
    asked = 0

    def propose(self, history, pending, *, count, seed):
        self.asked += 1
        return super().propose(history, pending, count=count, seed=seed + self.asked)


class SortsHistory(RandomSearch):
    def propose(self, history, pending, *, count, seed):
        if isinstance(history, list):
            history.sort(key=lambda observation: (observation.value or 0.0, -observation.number))
        return super().propose(history, pending, count=count, seed=seed)


class AddsToPending(RandomSearch):
    def propose(self, history, pending, *, count, seed):
        found = super().propose(history, pending, count=count, seed=seed)
        if isinstance(pending, list):
            pending.extend(found)
        return found


class LendsItsOwnPoints(GridSearch):
    def __init__(self, space):
        super().__init__(space, budget=40)

    def propose(self, history, pending, *, count, seed):
        found = super().propose(history, pending, count=count, seed=seed)
        return tuple(next(point for point in self._points if point == params) for params in found)


class OneWhenNoneIsAsked(RandomSearch):
    def propose(self, history, pending, *, count, seed):
        return super().propose(history, pending, count=max(1, count), seed=seed)


class NeedsAValue(RandomSearch):
    def propose(self, history, pending, *, count, seed):
        assert all(observation.value > -1e9 for observation in history if not observation.infeasible)
        return super().propose(history, pending, count=count, seed=seed)


class _Tpe(TpeSearch):
    def __init__(self, space):
        super().__init__(space, budget=40)


class Backwards(_Tpe):
    def propose(self, history, pending, *, count, seed):
        turned = [
            Observation(number=o.number, params=o.params, value=None if o.value is None else -o.value) for o in history
        ]
        return super().propose(turned, pending, count=count, seed=seed)


class IgnoresFailures(_Tpe):
    def propose(self, history, pending, *, count, seed):
        forgotten = [Observation(number=o.number, params=o.params, value=o.value) for o in history]
        return super().propose(forgotten, pending, count=count, seed=seed)


BROKEN = [
    (SearchContract.test_proposals_are_points_of_the_space, MoreThanAsked),
    (SearchContract.test_proposals_are_points_of_the_space, ForgetsTheFixedParameters),
    (SearchContract.test_nothing_is_proposed_twice, IgnoresHistory),
    (SearchContract.test_nothing_is_proposed_twice, SameTwiceInOneProposal),
    (SearchContract.test_pending_points_are_not_proposed, IgnoresPending),
    (SearchContract.test_fewer_than_asked_means_there_are_no_more, GivesUpEarly),
    (SearchContract.test_fewer_than_asked_means_there_are_no_more, MissesTheLastPoint),
    (SearchContract.test_the_same_arguments_give_the_same_proposal, RandomOfItsOwn),
    (SearchContract.test_the_same_arguments_give_the_same_proposal, RemembersItsQuestions),
    (SearchContract.test_history_and_pending_are_left_as_they_are, SortsHistory),
    (SearchContract.test_history_and_pending_are_left_as_they_are, AddsToPending),
    (SearchContract.test_a_proposal_belongs_to_the_caller, LendsItsOwnPoints),
    (SearchContract.test_none_asked_none_given, OneWhenNoneIsAsked),
    (SearchContract.test_any_history_is_taken, NeedsAValue),
    (LearningSearchContract.test_good_values_draw_it_near, Backwards),
    (LearningSearchContract.test_an_infeasible_region_is_avoided, IgnoresFailures),
]


@pytest.mark.parametrize(("clause", "broken"), BROKEN, ids=lambda value: value.__name__)
def test_a_broken_search_fails_its_clause(clause, broken):
    contract = LearningSearchContract()
    contract.endless = not issubclass(broken, GridSearch)
    with pytest.raises((AssertionError, TypeError, Failed, ExceptionGroup)):
        clause(contract, make=broken)


def test_every_clause_has_a_mutant():
    clauses = {name for name in dir(LearningSearchContract) if name.startswith("test_")}
    assert {clause.__name__ for clause, _ in BROKEN} == clauses
