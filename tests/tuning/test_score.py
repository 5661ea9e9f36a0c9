"""A trial is worth one level's value where every constraint holds; without one it has no score, but reasons."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tuning.summaries import level, trial

from lading.measure.records import Level
from lading.spec.study import Constraint, Objective
from lading.tuning import score as scores
from lading.tuning.trial import Failed

MOST = Objective(maximize="output_tokens_per_s")
FAST = Objective(minimize="ttft_s", percentile=95)
SLO = (Constraint(metric="ttft_s", percentile=95, at_most=0.5),)


def test_the_best_level_counts_when_nothing_is_constrained():
    found = scores.score(trial(0, level(1, 50), level(8, 300), level(32, 280)), MOST)
    assert (found.level.value, found.value, found.rank, found.reasons) == (8, 300, 300, ())


def test_only_levels_at_which_every_constraint_holds_count():
    found = scores.score(trial(0, level(1, 50, 0.1), level(8, 300, 0.5), level(32, 900, 0.51)), MOST, SLO)
    assert (found.level.value, found.value) == (8, 300)
    assert [one.reasons for one in found.levels] == [(), (), ("p95 ttft_s 510 ms > 500 ms",)]


def test_a_minimized_metric_ranks_the_other_way():
    found = scores.score(trial(0, level(1, 50, 0.2), level(8, 300, 0.4)), FAST)
    assert (found.level.value, found.value, found.rank) == (1, 0.2, -0.2)


def test_a_level_asked_for_by_number_is_the_only_one():
    asked = Objective(maximize="output_tokens_per_s", at=8)
    assert scores.score(trial(0, level(1, 900), level(8, 300)), asked).value == 300
    found = scores.score(trial(0, level(1, 900, 0.1), level(8, 300, 0.9)), asked, SLO)
    assert found.value is None
    assert found.reasons == ("c=8: p95 ttft_s 900 ms > 500 ms",)
    assert found.violation == pytest.approx(0.8)
    assert scores.score(trial(0, level(1, 900)), asked).reasons == ("level 8 was not measured",)


def test_a_level_that_could_not_be_measured_says_why():
    lost = ((Level(kind="concurrency", value=16), "the server closed every connection"),)
    assert scores.score(trial(0, failed_levels=lost), MOST).reasons == (
        "c=16: not measured: the server closed every connection",
    )
    assert scores.score(trial(0, level(1, 50), failed_levels=lost), MOST).value == 50, "it erases no other level"
    assert scores.score(trial(0), MOST).reasons == ("no level was measured",)


@pytest.mark.parametrize(
    ("ttft", "reason", "violation"),
    [
        ({"p95": "failed"}, "c=8: p95 ttft_s falls among failed requests", scores.FAR),
        ({"p95": ("few", 40)}, "c=8: p95 ttft_s is not resolved by 40 samples (it needs 200)", None),
        ({"p50": 0.1}, "c=8: p95 ttft_s was not computed", None),
    ],
)
def test_a_constraint_without_a_number_does_not_hold(ttft, reason, violation):
    """Failed requests are worse than any number; too few of them say nothing, and nothing is taught by them."""
    found = scores.score(trial(0, level(8, 300, ttft)), MOST, SLO)
    assert found.rank is None
    assert found.reasons == (reason,)
    assert found.violation == violation


def test_an_objective_without_a_number_has_no_say():
    found = scores.score(trial(0, level(8, 300, {"p95": ("few", 40)})), FAST, SLO)
    assert (found.value, found.violation) == (None, None)
    needs_slo = scores.score(trial(0, level(8, 300)), Objective(maximize="goodput_rps"))
    assert needs_slo.reasons == ("c=8: goodput_rps needs workload.slo",)
    assert scores.score(trial(0, level(8, goodput_rps=3.0)), Objective(maximize="goodput_rps")).value == 3.0


def test_a_level_that_the_client_limited_is_never_ranked():
    found = scores.score(trial(0, level(1, 50), level(32, 900, limited=("its CPU",))), MOST)
    assert found.value == 50
    alone = scores.score(trial(0, level(32, 900, 0.9, limited=("its CPU",))), MOST, SLO)
    assert (alone.rank, alone.violation) == (None, None), "nothing is taught by it"
    assert "the load client was the limit: its CPU" in alone.reasons[0]


def test_a_level_that_was_cut_off_is_never_ranked():
    assert scores.score(trial(0, level(1, 50), level(8, 900, ended="cancelled")), MOST).value == 50
    errors = scores.score(trial(0, level(8, 900, ended="errors", failed=120)), MOST)
    assert errors.reasons == ("c=8: the level ended early: 60% of the requests failed",)
    assert scores.score(trial(0, level(8, 900, ended="duration")), MOST).value == 900


def test_a_share_of_errors_can_be_constrained():
    limit = (Constraint(metric="error_share", at_most=0.01),)
    assert scores.score(trial(0, level(1, failed=2)), MOST, limit).value == 100
    found = scores.score(trial(0, level(1, failed=4)), MOST, limit)
    assert found.reasons == ("c=1: error_share 0.02 > 0.01",)
    assert found.violation == pytest.approx(1.0)


def test_the_least_bad_level_says_how_far_it_is():
    two = (*SLO, Constraint(metric="error_share", at_most=0.1))
    found = scores.score(trial(0, level(1, ttft=0.75, failed=40), level(8, ttft=1.0)), MOST, two)
    assert found.violation == pytest.approx(1.0), "c=1: 0.5 + 1.0; c=8: 1.0"


LEVELS = st.lists(
    st.builds(
        level, st.integers(1, 64), st.floats(1, 1e4), st.floats(0.01, 2), limited=st.sampled_from([(), (), ("cpu",)])
    ),
    max_size=6,
    unique_by=lambda summary: summary.level.value,
)


@given(LEVELS, st.floats(0.01, 2), st.randoms())
def test_the_order_of_levels_and_a_looser_limit_never_lower_a_score(levels, limit, rng):
    constraint = Constraint(metric="ttft_s", at_most=limit)
    found = scores.score(trial(0, *levels), MOST, [constraint])
    shuffled = levels[:]
    rng.shuffle(shuffled)
    assert scores.score(trial(0, *shuffled), MOST, [constraint]).rank == found.rank
    looser = scores.score(trial(0, *levels), MOST, [Constraint(metric="ttft_s", at_most=2 * limit)])
    if found.rank is not None:
        assert looser.rank >= found.rank
        assert found.value in [one.output_tokens_per_s for one in levels if not one.health.client_limited]
        assert found.violation is None
    else:
        assert found.reasons


def test_the_ranking_is_best_first_and_equals_keep_their_order():
    history = [trial(0, level(1, 100)), trial(1, level(1, 300)), trial(2, level(1, 100)), trial(3, level(1, 200, limited=("x",))),
               trial(4, level(1, 999), role="confirm"), trial(5, level(1, 999), outcome=None),
               trial(6, level(1, 999), outcome=Failed(phase="measure", kind="unknown", name="x", reason="y"))]  # fmt: skip
    assert [one.number for one, _ in scores.ranking(history, MOST)] == [1, 0, 2]
    assert scores.best(history, MOST)[0].number == 1
    assert scores.best(history[3:], MOST) is None


POINTS = st.lists(
    st.tuples(st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0]), st.sampled_from([0.1, 0.2, 0.4, 0.8])), max_size=9
)


@given(POINTS)
def test_the_pareto_set_is_what_none_beats(points):
    history = [trial(number, level(1, rate, ttft)) for number, (rate, ttft) in enumerate(points)]
    front = [(point.throughput, point.latency_s) for point in scores.pareto(history)]
    beaten = {one for one in points for other in points if other != one and other[0] >= one[0] and other[1] <= one[1]}
    assert set(front) == set(points) - beaten
    assert front == sorted(front)
    assert len(front) == len(set(front))


def test_the_pareto_set_has_no_level_without_numbers():
    history = [
        trial(0, level(1, 900, 0.1, limited=("cpu",)), level(2, 900, "failed"), level(4, 10, 0.3)),
        trial(1, outcome=None),
    ]
    assert [(point.number, point.level.value) for point in scores.pareto(history)] == [(0, 4)]


def test_how_many_requests_resolve_a_percentile():
    assert [scores.requests_needed(percentile) for percentile in (50, 90, 95, 99, 99.9)] == [20, 100, 200, 1000, 10000]
    assert scores.unresolvable(200, MOST, SLO) == ()
    assert scores.unresolvable(100, FAST, SLO) == ("p95 of ttft_s needs 200 requests per level, the workload has 100",)
    assert scores.unresolvable(10, MOST, [Constraint(metric="error_share", at_most=0.1)]) == ()


def test_scores_do_not_depend_on_when_they_are_asked():
    one = trial(0, *[level(at, random.Random(at).random(), 0.2) for at in (1, 2, 4, 8)])
    assert scores.score(one, MOST, SLO) == scores.score(one, MOST, SLO)
