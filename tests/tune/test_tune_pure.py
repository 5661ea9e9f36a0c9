"""The pure parts of a study: what changed, what a failure teaches, how long it takes."""

import pytest
from tests.tune.conftest import study_of

from lading.errors import (
    InvalidParameters,
    MeasurementError,
    NotReady,
    PortInUse,
    ServerDied,
    ServerSilent,
    WrongModelServed,
)
from lading.spec import changes
from lading.spec.study import Deadlines, Search
from lading.spec.workload import Workload
from lading.testing.fakes import FakeEngine
from lading.tuning import agenda, estimate, failure, result
from lading.tuning.trial import Completed, Failed, Proposed, Trial


def test_changes_are_told_by_dotted_key_and_lists_are_compared_whole():
    before = {"a": {"b": 1, "c": [1, 2]}, "gone": True, "same": {"x": None}}
    after = {"a": {"b": 2, "c": [1, 3]}, "new": "x", "same": {"x": None}}
    assert [str(change) for change in changes.between(before, after)] == [
        "a.b: 1 → 2",
        "a.c: [1, 2] → [1, 3]",
        "new: (not given) → x",
        "gone: True → (not given)",
    ]


def test_true_and_1_are_different():
    assert len(changes.between({"a": True}, {"a": 1})) == 1


@pytest.mark.parametrize(
    "key", ["search.trials", "search.time", "search.confirm", "search.finalists", "deadlines.start"]
)
def test_how_long_and_how_often_is_budget(key):
    assert changes.Change(key=key, before=1, after=2).is_budget


@pytest.mark.parametrize("key", ["search.seed", "search.method", "space.x", "workload.requests", "search.timeout"])
def test_what_is_measured_and_where_is_no_budget(key):
    assert not changes.Change(key=key, before=1, after=2).is_budget


@pytest.mark.parametrize(
    ("error", "kind", "name"),
    [
        (InvalidParameters("no"), "configuration", "invalid-parameters"),
        (PortInUse("taken"), "infrastructure", "port-in-use"),
        (WrongModelServed("another"), "configuration", "wrong-model"),
        (ServerSilent("hangs"), "unknown", "server-silent"),
        (ServerDied("gone", returncode=1), "unknown", "server-died"),
        (ServerDied("gone", log=["out of memory"]), "configuration", "out-of-memory"),
        (ServerDied("gone", log=["no device"]), "infrastructure", "no-device"),
        (NotReady("late"), "unknown", "not-ready"),
        (MeasurementError("none"), "unknown", "measurement-error"),
    ],
)
def test_a_failure_has_the_class_that_is_sure(error, kind, name):
    found = failure.of_error(error, "ready", FakeEngine(), ["loading"])
    assert (found.phase, found.kind, found.name) == ("ready", kind, name)
    assert found.reason
    assert found.log


def test_the_log_that_is_kept_is_its_end():
    found = failure.of_error(ServerDied("gone"), "start", FakeEngine(), [str(line) for line in range(500)])
    assert found.log[-1] == "499"
    assert len(found.log) == failure.LOG_LINES


def test_an_estimate_is_the_mean_of_what_was_measured_else_nothing():
    lives = [
        Trial(number=0, params={}, outcome=Completed(), seconds={"start": 2, "measure": 6}),
        Trial(number=1, params={}, outcome=Completed(), seconds={"start": 2, "measure": 10}),
        Trial(number=2, params={}, seconds={"start": 100}),
    ]
    assert estimate.measured(lives, "this run").of(3) == 30
    assert estimate.measured([], "past runs") is None


def test_a_guess_grows_with_the_work_and_knows_an_open_loop_exactly():
    small, large = (Workload(requests=requests, levels={"concurrency": (1, 8)}) for requests in (10, 100))
    assert estimate.guess(small, 100, 10).seconds < estimate.guess(large, 100, 10).seconds
    paced = Workload(requests=60, levels={"rate": (0.5, 2)})
    assert estimate.shortest_s(paced) == 60 / 0.5 + 60 / 2
    assert estimate.shortest_s(paced.model_copy(update={"duration": 40})) == 40 + 30


def test_the_longest_a_study_takes_is_bounded_by_its_time():
    deadlines = Deadlines(start=10, measure=80, teardown=10)
    assert estimate.at_most_s(Search(), deadlines, (5, 6)) == 1100
    assert estimate.at_most_s(Search(time=150), deadlines, (5, 6)) == 150 + 100 + 600


def test_a_trial_is_open_until_its_failure_is_worth_no_more():
    def failed(kind, times):
        one = Failed(phase="ready", kind=kind, name="x", reason="y")
        return Trial(number=0, params={}, outcome=one, failures=(one,) * times)

    assert agenda.is_open(Trial(number=0, params={}))
    assert not agenda.is_open(failed("configuration", 1))
    assert [agenda.is_open(failed("infrastructure", times)) for times in (1, 2, 3)] == [True, True, False]
    assert [agenda.is_open(failed("unknown", times)) for times in (1, 2)] == [True, False]
    assert agenda.is_infeasible(failed("unknown", 2))
    assert not agenda.is_infeasible(failed("infrastructure", 3))


def test_confirmations_are_balanced_and_proposed_once():
    default = Trial(number=0, params={}, role="default", outcome=Completed())
    best = Trial(number=1, params={"width": 8}, outcome=Completed())
    search = Search(confirm=4)
    proposed = agenda.confirmations([default, best], default, [best], search)
    assert [fact.params.get("width") for fact in proposed] == [None, 8, 8, None, None, 8, 8, None]
    assert [fact.number for fact in proposed] == list(range(2, 10))
    lives = [Trial(**fact.model_dump(exclude={"fact"})) for fact in proposed]
    assert agenda.confirmations([default, best, *lives], default, [best], search) == ()
    more = agenda.confirmations([default, best, *lives], default, [best], Search(confirm=5))
    assert [(fact.number, fact.replicate) for fact in more] == [(10, 4), (11, 4)]
    assert all(isinstance(fact, Proposed) for fact in more)


def test_a_study_without_history_says_so():
    answer = result.result(study_of(), ())
    assert answer.verdict == "nothing was measured yet"
    assert answer.winner is None
    assert result.StudyResult.model_validate_json(answer.model_dump_json()) == answer
