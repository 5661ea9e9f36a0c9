"""Each clause of the contract of a store fails when a store breaks it."""

import dataclasses
import time

import pytest
from _pytest.outcomes import Failed

from lading.errors import StudyError
from lading.testing.fakes import MemoryStore
from lading.testing.stores import StoreContract
from lading.tuning.trial import Proposed


class CountsAllRunsTogether(MemoryStore):
    def create(self, name, *, document, spec, environment):
        made = super().create(name, document=document, spec=spec, environment=environment)
        number = len(self._runs)
        return dataclasses.replace(made, run=number, id=f"{name}.{number}")


class TrimsTheDocument(MemoryStore):
    def create(self, name, *, document, spec, environment):
        return super().create(name, document=document.strip(), spec=spec, environment=environment)


class NewestFirst(MemoryStore):
    def runs(self):
        return super().runs()[::-1]


class FindsByPrefix(MemoryStore):
    def latest(self, name, run=None):
        found = [one for one in self.runs() if one.name.startswith(name) and run in (None, one.run)]
        return found[-1] if found else None


class LatestWhateverTheNumber(MemoryStore):
    def latest(self, name, run=None):
        return super().latest(name)


class NewestFactFirst(MemoryStore):
    def facts(self, run_id):
        return super().facts(run_id)[::-1]


class RoundsNumbers(MemoryStore):
    def append(self, run_id, facts):
        super().append(run_id, [_rounded(fact) for fact in facts])


def _rounded(fact):
    if not isinstance(fact, Proposed):
        return fact
    rounded = {key: round(value, 1) if type(value) is float else value for key, value in fact.params.items()}
    return fact.model_copy(update={"params": rounded})


class KeepsRepetitions(MemoryStore):
    def facts(self, run_id):
        return tuple(getattr(self, "all", {}).get(run_id, ()))

    def append(self, run_id, facts):
        super().append(run_id, facts)
        self.all = getattr(self, "all", {})
        self.all.setdefault(run_id, []).extend(facts)


class OneFactPerTrial(MemoryStore):
    def append(self, run_id, facts):
        known = {(fact.fact, fact.number): fact for fact in (*facts[::-1], *self.facts(run_id))}
        super().append(run_id, list(known.values()))


class EqualByPython(MemoryStore):
    """As if `True` were 1."""

    def append(self, run_id, facts):
        fresh = []
        for fact in facts:
            if fact not in fresh and fact not in self.facts(run_id):
                fresh.append(fact)
        super().append(run_id, fresh)


class OneByOne(MemoryStore):
    def append(self, run_id, facts):
        for fact in facts:
            super().append(run_id, [fact])


class TakesAnyRun(MemoryStore):
    def append(self, run_id, facts):
        if run_id in self._runs:
            super().append(run_id, facts)


class CancelsTheUnknown(MemoryStore):
    def cancel(self, run_id):
        if run_id in self._runs:
            super().cancel(run_id)


class ShowsTheLiveList(MemoryStore):
    def facts(self, run_id):
        self.lists = getattr(self, "lists", {})
        live = self.lists.setdefault(run_id, _Live())
        live[:] = super().facts(run_id)
        return live

    def append(self, run_id, facts):
        super().append(run_id, facts)
        self.facts(run_id)


class _Live(list):
    def __eq__(self, other):
        return tuple(self) == tuple(other)

    __hash__ = None


class KeepsTheCallersSpec(MemoryStore):
    def create(self, name, *, document, spec, environment):
        made = super().create(name, document=document, spec=spec, environment=environment)
        self._runs[made.id] = dataclasses.replace(self._runs[made.id], spec=spec)
        return made


class CancelsAll(MemoryStore):
    def cancel(self, run_id):
        self._known(run_id)
        for known in list(self._runs):
            super().cancel(known)


class NeverForgetsACancel(MemoryStore):
    def uncancel(self, run_id):
        self._known(run_id)


class ReplacesTheDocument(MemoryStore):
    def rebudget(self, run_id, *, document, spec):
        changed = super().rebudget(run_id, document=document, spec=spec)
        self._documents[run_id] = [document]
        return changed


class EndedForEver(MemoryStore):
    def rebudget(self, run_id, *, document, spec):
        ended_at = self._known(run_id).ended_at
        super().rebudget(run_id, document=document, spec=spec)
        return self._change(run_id, ended_at=ended_at)


class FirstEndCounts(MemoryStore):
    def end(self, run_id, at):
        if self._known(run_id).ended_at is None:
            super().end(run_id, at)


class ReadsThenWrites(MemoryStore):
    """As if nobody else wrote between."""

    def append(self, run_id, facts):
        before = dict(self._facts.get(run_id, {}))
        time.sleep(0.001)
        super().append(run_id, facts)
        self._facts[run_id] = before | {fact.model_dump_json(): fact for fact in facts}


class ClosesOnce(MemoryStore):
    closed = False

    def close(self):
        if self.closed:
            raise StudyError("closed")
        self.closed = True


class ForgetsOnClose(MemoryStore):
    def close(self):
        self._runs.clear()


BROKEN = [
    (StoreContract.test_runs_of_a_name_are_numbered_from_one, CountsAllRunsTogether),
    (StoreContract.test_a_run_is_kept_as_it_was_created, TrimsTheDocument),
    (StoreContract.test_runs_are_listed_oldest_first, NewestFirst),
    (StoreContract.test_the_latest_run_is_found_by_name_and_number, FindsByPrefix),
    (StoreContract.test_the_latest_run_is_found_by_name_and_number, LatestWhateverTheNumber),
    (StoreContract.test_facts_come_back_in_order_as_they_were, NewestFactFirst),
    (StoreContract.test_facts_come_back_in_order_as_they_were, RoundsNumbers),
    (StoreContract.test_the_same_fact_twice_is_one, KeepsRepetitions),
    (StoreContract.test_what_differs_is_kept_apart, OneFactPerTrial),
    (StoreContract.test_what_differs_is_kept_apart, EqualByPython),
    (StoreContract.test_an_append_is_all_or_none, OneByOne),
    (StoreContract.test_an_unknown_run_is_refused, TakesAnyRun),
    (StoreContract.test_an_unknown_run_is_refused, CancelsTheUnknown),
    (StoreContract.test_history_once_read_does_not_change, ShowsTheLiveList),
    (StoreContract.test_what_was_given_or_read_may_be_changed, KeepsTheCallersSpec),
    (StoreContract.test_a_cancel_is_seen_by_all_until_it_is_forgotten, CancelsAll),
    (StoreContract.test_a_cancel_is_seen_by_all_until_it_is_forgotten, NeverForgetsACancel),
    (StoreContract.test_a_new_budget_keeps_both_documents, ReplacesTheDocument),
    (StoreContract.test_a_new_budget_keeps_both_documents, EndedForEver),
    (StoreContract.test_an_end_is_noted, FirstEndCounts),
    (StoreContract.test_several_writers_lose_nothing, ReadsThenWrites),
    (StoreContract.test_close_may_be_called_twice, ClosesOnce),
    (StoreContract.test_close_may_be_called_twice, ForgetsOnClose),
]


@pytest.mark.parametrize(("clause", "broken"), BROKEN, ids=lambda value: value.__name__)
def test_a_broken_store_fails_its_clause(clause, broken):
    store = broken()
    with pytest.raises((AssertionError, StudyError, Failed, ExceptionGroup)):
        clause(StoreContract(), holder=lambda: store)


def test_every_clause_has_a_mutant():
    clauses = {name for name in vars(StoreContract) if name.startswith("test_")}
    assert {clause.__name__ for clause, _ in BROKEN} == clauses
