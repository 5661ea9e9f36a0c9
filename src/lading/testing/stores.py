"""The contract of a `lading.ports.study.Store`, clause by clause.

Subclass `StoreContract`, override the fixture `holder`, and your store is held to it::

    class TestMine(StoreContract):
        @pytest.fixture
        def holder(self, tmp_path):
            return lambda: MyStore(tmp_path)  # each call: the same store, as another process would open it
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import overload

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lading.errors import StudyError
from lading.measure.records import ClientHealth, Level
from lading.measure.summary import Distribution, FailedPercentile, NotResolved, Resolved, Summary
from lading.ports.study import Store, StudyRun
from lading.tuning.trial import (
    Completed,
    Ended,
    Fact,
    Failed,
    Infeasible,
    LevelFailed,
    Measured,
    Proposed,
    Served,
    Started,
)

Holder = Callable[[], Store]
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.one_of(st.booleans(), st.integers(-(2**62), 2**62), _FLOATS, _TEXT, st.none())
_PARAMS = st.dictionaries(_TEXT, _VALUES, max_size=4)
_COUNTS = st.integers(0, 9)
_LEVELS = st.builds(Level, kind=st.sampled_from(["concurrency", "rate"]), value=st.floats(0.1, 4096))
_PERCENTILES = st.dictionaries(
    st.sampled_from(["p50", "p95", "p99.9"]),
    st.one_of(st.builds(Resolved, value=_FLOATS), st.just(FailedPercentile()), st.builds(NotResolved, not_resolved=_COUNTS)),
)  # fmt: skip
_DISTRIBUTIONS = st.builds(Distribution, count=_COUNTS, mean=st.none() | _FLOATS, issued=_PERCENTILES)
_HEALTH = st.builds(ClientHealth, cpu_share=_FLOATS, schedule_lag_p99_s=_FLOATS, loop_lag_p99_s=_FLOATS,
                    limited_by=st.tuples(_TEXT) | st.just(()))  # fmt: skip
_SUMMARIES = st.builds(
    Summary, level=_LEVELS, requests=_COUNTS, completed=_COUNTS, duration_s=_FLOATS, ttft_s=_DISTRIBUTIONS,
    tpot_s=_DISTRIBUTIONS, itl_s=_DISTRIBUTIONS, e2e_s=_DISTRIBUTIONS, e2e_scheduled_s=st.none() | _DISTRIBUTIONS,
    requests_per_s=_FLOATS, output_tokens_per_s=_FLOATS, input_tokens_per_s=_FLOATS, total_tokens_per_s=_FLOATS,
    health=_HEALTH,
)  # fmt: skip
_OUTCOMES = st.one_of(
    st.just(Completed()),
    st.builds(Failed, phase=st.sampled_from(["start", "measure"]), kind=st.sampled_from(["configuration", "unknown"]),
              name=_TEXT, reason=_TEXT, log=st.tuples(_TEXT, _TEXT)),
    st.builds(Infeasible, rule=_TEXT, reason=_TEXT),
)  # fmt: skip
#: Any fact of any kind.
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(Proposed, number=_COUNTS, params=_PARAMS, seed=st.integers(0, 2**40), replicate=_COUNTS),
    st.builds(Started, number=_COUNTS, attempt=_COUNTS, lease=_TEXT, at=_TEXT, argv=st.tuples(_TEXT)),
    st.builds(Served, number=_COUNTS, attempt=_COUNTS, ready_s=_FLOATS, effective=_PARAMS),
    st.builds(Measured, number=_COUNTS, attempt=_COUNTS, level=_LEVELS, summary=_SUMMARIES, record_file=_TEXT),
    st.builds(LevelFailed, number=_COUNTS, attempt=_COUNTS, level=_LEVELS, reason=_TEXT),
    st.builds(Ended, number=_COUNTS, attempt=_COUNTS, outcome=_OUTCOMES, at=_TEXT, seconds=st.dictionaries(_TEXT, _FLOATS)),
)  # fmt: skip
_AWKWARD = Proposed(
    number=0,
    params={
        "float": 0.1234567890123,
        "whole": 2.0,
        "int": 2**53 + 1,
        "no": False,
        "text": "ü\u2028'\x00",
        "none": None,
    },
)
_ANY = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


class StoreContract:
    """Every store passes this."""

    @pytest.fixture
    def holder(self) -> Holder:
        """Override: a function that opens one and the same store again, empty at first."""
        raise NotImplementedError("override the fixture `holder`")

    def test_runs_of_a_name_are_numbered_from_one(self, holder: Holder) -> None:
        """Each name by itself; the id is name and number."""
        store = holder()
        runs = [_create(store, name) for name in ("a", "b", "a", "a")]
        assert [run.run for run in runs] == [1, 1, 2, 3]
        assert [run.id for run in runs] == ["a.1", "b.1", "a.2", "a.3"]

    def test_a_run_is_kept_as_it_was_created(self, holder: Holder) -> None:
        """Document, spec and environment, seen by another holder too."""
        run = holder().create("a", document="name: ü\n", spec={"n": [1, None, 2.5]}, environment={"cpus": 2})
        assert (run.document, run.spec, run.environment) == ("name: ü\n", {"n": [1, None, 2.5]}, {"cpus": 2})
        assert (run.name, run.cancelled, run.ended_at) == ("a", False, None)
        assert holder().latest("a") == run

    def test_runs_are_listed_oldest_first(self, holder: Holder) -> None:
        """All of them, whatever their names."""
        store = holder()
        made = [_create(store, name) for name in ("z", "a", "m", "a")]
        assert list(store.runs()) == made

    def test_the_latest_run_is_found_by_name_and_number(self, holder: Holder) -> None:
        """None where there is none."""
        store = holder()
        first, second = _create(store, "a"), _create(store, "a")
        _create(store, "ab")
        assert store.latest("a") == second
        assert store.latest("a", 1) == first
        assert store.latest("a", 3) is None
        assert store.latest("c") is None

    @_ANY
    @given(facts=st.lists(FACTS, max_size=8))
    def test_facts_come_back_in_order_as_they_were(self, holder: Holder, facts: list[Fact]) -> None:
        """Of every kind, with every value; by another holder too; appended one by one or together."""
        facts = [*facts, _AWKWARD]
        store = holder()
        one, all_at_once = _create(store, "one"), _create(store, "all")
        for fact in facts:
            store.append(one.id, [fact])
        store.append(all_at_once.id, facts)
        expected = _without_repetition(facts)
        for run in (one, all_at_once):
            assert [_content(fact) for fact in holder().facts(run.id)] == expected

    @_ANY
    @given(facts=st.lists(FACTS, min_size=1, max_size=5))
    def test_the_same_fact_twice_is_one(self, holder: Holder, facts: list[Fact]) -> None:
        """In one append, in two, and by two holders."""
        store = holder()
        run = _create(store)
        store.append(run.id, [*facts, *facts])
        before = store.facts(run.id)
        store.append(run.id, facts[::-1])
        holder().append(run.id, facts)
        assert store.facts(run.id) == before
        assert len(before) == len(_without_repetition(facts))

    def test_what_differs_is_kept_apart(self, holder: Holder) -> None:
        """Another attempt, another run, ``True`` and 1: each its own fact."""
        store = holder()
        run, other = _create(store), _create(store)
        facts: list[Fact] = [_started(0, attempt=1), _started(0, attempt=2)]
        facts += [Proposed(number=1, params={"on": value}) for value in (True, 1, "1")]
        store.append(run.id, facts)
        store.append(other.id, facts[:1])
        assert [_content(fact) for fact in store.facts(run.id)] == [_content(fact) for fact in facts]
        assert store.facts(other.id) == (facts[0],)

    def test_an_append_is_all_or_none(self, holder: Holder) -> None:
        """A sequence that breaks half-way leaves nothing; the store goes on."""
        store = holder()
        run = _create(store)
        with pytest.raises(ZeroDivisionError):
            store.append(run.id, _Breaks([_started(0), _started(1)]))
        assert store.facts(run.id) == ()
        store.append(run.id, [_started(2)])
        assert holder().facts(run.id) == (_started(2),)

    def test_an_unknown_run_is_refused(self, holder: Holder) -> None:
        """By everything that writes; nothing is kept of it."""
        store = holder()
        writes: list[Callable[[], object]] = [
            lambda: store.append("no.1", [_started(0)]),
            lambda: store.rebudget("no.1", document="", spec={}),
            lambda: store.cancel("no.1"),
            lambda: store.uncancel("no.1"),
            lambda: store.end("no.1", "2026-01-01T00:00:00+00:00"),
        ]
        for write in writes:
            with pytest.raises(StudyError, match=r"no\.1"):
                write()
        assert store.runs() == ()
        assert store.facts("no.1") == ()

    def test_history_once_read_does_not_change(self, holder: Holder) -> None:
        """Facts are a value: later appends do not reach it."""
        store = holder()
        run = _create(store)
        store.append(run.id, [_started(0)])
        read, listed = store.facts(run.id), store.runs()
        store.append(run.id, [_started(1)])
        store.cancel(run.id)
        assert read == (_started(0),)
        assert not listed[0].cancelled

    def test_what_was_given_or_read_may_be_changed(self, holder: Holder) -> None:
        """The store keeps its own copy of a spec."""
        spec: dict[str, object] = {"trials": [1]}
        store = holder()
        run = store.create("a", document="", spec=spec, environment={})
        spec["trials"] = "changed"
        run.spec["more"] = 1  # type: ignore[index]  # what a careless caller can do
        found = store.latest("a")
        assert found is not None
        assert found.spec == {"trials": [1]}

    def test_a_cancel_is_seen_by_all_until_it_is_forgotten(self, holder: Holder) -> None:
        """Asked twice equals once; of that run alone."""
        store = holder()
        run, other = _create(store), _create(store)
        for _ in range(2):
            holder().cancel(run.id)
            assert store.cancelled(run.id)
        assert [one.cancelled for one in store.runs()] == [True, False]
        for _ in range(2):
            store.uncancel(run.id)
            assert not holder().cancelled(run.id)
        store.cancel(run.id)
        assert store.cancelled(run.id)
        assert not store.cancelled(other.id)

    def test_a_new_budget_keeps_both_documents(self, holder: Holder) -> None:
        """The newest counts, the old ones stay readable, facts stay, the answer is open again."""
        store = holder()
        run, other = _create(store), _create(store)
        store.append(run.id, [_started(0)])
        store.end(run.id, "2026-01-01T00:00:00+00:00")
        changed = store.rebudget(run.id, document="second", spec={"trials": 2})
        assert (changed.id, changed.document, changed.spec) == (run.id, "second", {"trials": 2})
        assert changed.ended_at is None
        assert holder().documents(run.id) == (run.document, "second")
        assert holder().facts(run.id) == (_started(0),)
        assert store.latest(run.name, run.run) == changed
        assert holder().documents(other.id) == (other.document,)

    def test_an_end_is_noted(self, holder: Holder) -> None:
        """With its time; the last one counts."""
        store = holder()
        run = _create(store)
        for at in ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"):
            store.end(run.id, at)
            assert [one.ended_at for one in holder().runs()] == [at]

    def test_several_writers_lose_nothing(self, holder: Holder) -> None:
        """Runs get different numbers, facts are all there, in the order of each writer."""
        shared = _create(holder())

        def write(writer: int) -> int:
            store = holder()
            run = _create(store, "many")
            for attempt in range(10):
                store.append(shared.id, [_started(writer, attempt=attempt), Proposed(number=100 + attempt, params={})])
            store.close()
            return run.run

        with ThreadPoolExecutor(4) as threads:
            numbers = sorted(threads.map(write, range(4)))
        facts = holder().facts(shared.id)
        assert numbers == [1, 2, 3, 4]
        assert len(facts) == 4 * 10 + 10
        for writer in range(4):
            mine = [fact for fact in facts if isinstance(fact, Started) and fact.number == writer]
            assert [fact.attempt for fact in mine] == list(range(10))

    def test_close_may_be_called_twice(self, holder: Holder) -> None:
        """And what was written stays."""
        store = holder()
        run = _create(store)
        store.close()
        store.close()
        assert holder().latest("study") == run


class _Breaks(Sequence[Fact]):
    """Facts of which reading the last one fails."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._facts = facts

    def __len__(self) -> int:
        return len(self._facts) + 1

    def __iter__(self) -> Iterator[Fact]:
        yield from self._facts
        raise ZeroDivisionError

    @overload
    def __getitem__(self, index: int) -> Fact: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Fact]: ...
    def __getitem__(self, index: int | slice) -> Fact | Sequence[Fact]:
        if index == len(self._facts):
            raise ZeroDivisionError
        return self._facts[index]


def _create(store: Store, name: str = "study") -> StudyRun:
    return store.create(name, document=f"name: {name}", spec={"name": name}, environment={})


def _started(number: int, attempt: int = 1) -> Started:
    return Started(number=number, attempt=attempt, lease="lease", at="2026-01-01T00:00:00+00:00")


def _content(fact: Fact) -> str:
    return fact.model_dump_json()


def _without_repetition(facts: Sequence[Fact]) -> list[str]:
    return list(dict.fromkeys(_content(fact) for fact in facts))
