"""The rules of a study, each on a scripted server under a virtual clock."""

import asyncio

import pytest
from tests.tune.conftest import by_width, study_of

from lading.errors import Cancelled, MeasurementError, PortInUse, ServerDied, ServerSilent, StudyError, TeardownFailed
from lading.testing.fakes import NEVER, Life
from lading.tuning.trial import Completed, Failed, Infeasible, Measured, Proposed

FAST = Life(rate_otherwise=200)
WIDE = {"width": {"choice": list(range(1, 60))}}


def test_trial_0_is_the_defaults_with_what_is_fixed(bench):
    bench.run()
    assert bench.history[0].params == {"depth": 2}
    assert bench.history[0].role == "default"


def test_every_point_is_tried_once_and_the_best_wins(bench):
    bench.script = by_width(w8=FAST)
    answer = bench.run()
    assert [trial.params.get("width") for trial in bench.history] == [None, 1, 2, 8]
    assert answer.winner.params == {"depth": 2, "width": 8}
    assert answer.verdict.startswith("width=8 serves 200 tok/s at p50 TTFT 100 ms (c=")


def test_the_plan_comes_before_anything_is_started(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.run()
    planned = bench.told[0]
    assert planned.event == "study_planned"
    assert (planned.trials, planned.confirmations, planned.server_starts) == (4, 6, 10)
    assert planned.seconds_estimated == 300
    assert planned.estimated_from == "guess"
    assert planned.seconds_at_most == 10 * 690
    assert len(bench.backend.started) == planned.server_starts


def test_a_study_that_ended_answers_again_without_starting_anything(bench):
    first = bench.run()
    started = len(bench.backend.started)
    assert bench.run() == first
    assert len(bench.backend.started) == started


def test_more_trials_are_the_same_call(bench):
    bench.study = study_of(search={"trials": 2, "confirm": 0})
    bench.run()
    assert len(bench.history) == 2
    bench.study = study_of(search={"trials": 4, "confirm": 0})
    bench.run()
    assert [trial.number for trial in bench.history] == [0, 1, 2, 3]
    assert len(bench.backend.started) == 4


def test_the_trials_are_a_budget(bench):
    bench.study = study_of(search={"trials": 3, "confirm": 0})
    bench.run()
    assert len(bench.history) == 3


def test_time_is_a_budget_and_a_trial_under_way_ends(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 0, "time": "12s"})
    bench.run()
    assert len(bench.history) == 2
    assert all(isinstance(trial.outcome, Completed) for trial in bench.history)


def test_time_used_before_a_restart_counts(bench):
    bench.study = study_of(search={"trials": 2, "confirm": 0})
    bench.run()
    bench.study = study_of(search={"trials": 10, "confirm": 0, "time": "12s"})
    bench.run()
    assert len(bench.history) == 2


def test_a_rule_refuses_before_anything_is_started(bench):
    refusal = Infeasible(rule="area", reason="depth × width is above 8")
    bench.check = lambda params: refusal if params.get("width") == 8 else None
    answer = bench.run()
    assert bench.history[3].outcome == refusal
    assert bench.history[3].attempts == 0
    assert len(bench.backend.started) == 3
    assert answer.outcomes == {"completed": 3, "infeasible": 1}


def test_refused_trials_cost_no_budget(bench):
    bench.study = study_of(search={"trials": 3, "confirm": 0})
    bench.check = lambda params: Infeasible(rule="r", reason="no") if params.get("width") == 1 else None
    bench.run()
    assert len(bench.backend.started) == 3


def test_a_search_gives_up_where_rules_refuse_nearly_everything(bench):
    bench.study = study_of(search={"trials": 2, "confirm": 0, "method": "grid"}, space=WIDE)
    bench.check = lambda params: Infeasible(rule="r", reason="no") if "width" in params else None
    bench.run()
    assert len(bench.history) == 1 + 21


def test_a_configuration_failure_is_recorded_and_not_repeated(bench):
    died = ServerDied("exited with 1", returncode=1, log=("CUDA out of memory",))
    bench.script = by_width(w2=Life(ready_error=died))
    bench.run()
    trial = bench.history[2]
    assert isinstance(trial.outcome, Failed)
    assert (trial.outcome.phase, trial.outcome.kind, trial.outcome.name) == ("ready", "configuration", "out-of-memory")
    assert trial.outcome.hint == "less width"
    assert trial.outcome.log == ("CUDA out of memory",)
    assert trial.attempts == 1
    assert not bench.backend.running


def test_an_infrastructure_failure_is_repeated_twice_at_most_and_is_not_taught(bench):
    bench.script = by_width(w2=Life(apply_error=PortInUse("port 1 is taken")))
    bench.run()
    trial = bench.history[2]
    assert trial.attempts == 3
    assert len(trial.failures) == 3
    assert trial.outcome.kind == "infrastructure"
    learned = _observed(bench)[2]
    assert learned.value is None
    assert not learned.infeasible


def test_an_infrastructure_failure_that_passes_leaves_a_result(bench):
    bench.script = lambda params, before: (
        Life(apply_error=PortInUse("taken")) if params.get("width") == 2 and before == 0 else Life()
    )
    bench.run()
    trial = bench.history[2]
    assert isinstance(trial.outcome, Completed)
    assert trial.attempts == 2
    assert [failure.name for failure in trial.failures] == ["port-in-use"]


def test_an_unknown_failure_is_repeated_once_then_taught(bench):
    bench.script = by_width(w2=Life(ready_error=ServerSilent("says ready, answers nothing")))
    bench.run()
    assert bench.history[2].attempts == 2
    assert _observed(bench)[2].infeasible


def test_a_server_that_is_never_ready_ends_at_its_deadline(bench):
    bench.script = by_width(w1=Life(ready_s=NEVER))
    bench.run()
    outcome = bench.history[1].outcome
    assert (outcome.phase, outcome.kind) == ("ready", "unknown")
    assert "60" in outcome.reason
    assert not bench.backend.running


def test_a_level_that_fails_is_data(bench):
    bench.script = by_width(w1=Life(lost={4: "connection refused"}, rate={1: 150}))
    bench.run()
    trial = bench.history[1]
    assert isinstance(trial.outcome, Completed)
    assert [summary.level.value for summary in trial.levels] == [1]
    assert [(level.value, why) for level, why in trial.failed_levels] == [(4, "connection refused")]


def test_a_trial_without_any_level_failed_while_it_was_measured(bench):
    bench.script = by_width(w1=Life(lost={1: "reset", 4: "reset"}))
    bench.run()
    assert (bench.history[1].outcome.phase, bench.history[1].outcome.name) == ("measure", "no-answer")


def test_a_server_that_dies_under_load_is_read_in_its_log(bench):
    bench.script = by_width(w1=Life(lost={1: "reset", 4: "refused"}, dead=True, log=("out of memory",)))
    bench.run()
    assert bench.history[1].outcome.kind == "configuration"
    assert "died under load" in bench.history[1].outcome.reason


def test_the_measure_deadline_keeps_the_levels_that_are_done(bench):
    bench.script = by_width(w1=Life(hangs_at=4))
    bench.run()
    trial = bench.history[1]
    assert isinstance(trial.outcome, Completed)
    assert [summary.level.value for summary in trial.levels] == [1]
    assert "deadlines.measure (10 min 0 s)" in trial.failed_levels[0][1]


def test_a_load_generator_that_gives_up_keeps_the_levels_that_are_done(bench):
    bench.script = by_width(w1=Life(breaks_at=(4, MeasurementError("the endpoint is gone"))))
    bench.run()
    trial = bench.history[1]
    assert isinstance(trial.outcome, Completed)
    assert [why for _, why in trial.failed_levels] == ["the endpoint is gone"]


def test_a_warm_up_that_fails_is_a_failure_of_its_phase(bench):
    bench.script = by_width(w1=Life(warm_up_error=MeasurementError("none was answered")))
    bench.run()
    assert bench.history[1].outcome.phase == "warmup"


def test_a_client_limited_trial_is_complete_and_unranked(bench):
    bench.script = by_width(w8=Life(rate_otherwise=500, limited=True))
    answer = bench.run()
    assert isinstance(bench.history[3].outcome, Completed)
    assert bench.history[3].client_limited
    assert answer.winner.number != 3
    assert answer.outcomes == {"completed": 3, "unranked": 1}


def test_defaults_that_only_the_client_limited_are_compared_all_the_same(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.script = lambda params, before: Life(
        limited=not params.get("width") and before == 0, rate_otherwise=200 if params.get("width") == 8 else 100
    )
    answer = bench.run()
    assert answer.default.number == 0
    assert answer.winner.gain.percent == pytest.approx(100)


def test_the_outcome_is_committed_before_the_teardown(bench):
    at_teardown = []

    def look(event):
        if event.event == "phase_started" and event.phase == "teardown":
            at_teardown.append(bench.history[event.number].outcome)

    bench.told = _Listener(look)
    bench.run()
    assert len(at_teardown) == 4
    assert all(isinstance(outcome, Completed) for outcome in at_teardown)


def test_a_teardown_that_fails_stops_the_study(bench):
    bench.script = by_width(w1=Life(remove_error=TeardownFailed("pid 7 is still there")))
    with pytest.raises(TeardownFailed, match=r"the study stops.*pid 7 is still there"):
        bench.run()
    assert isinstance(bench.history[1].outcome, Completed)
    assert len(bench.backend.started) == 2


def test_what_a_killed_run_left_is_removed_before_anything_starts(bench):
    bench.run()
    setup = bench.setup()
    left = [bench.leave(setup, setup.server_name(3, 9)), bench.leave(setup, "someone-elses")]
    bench.study = study_of(search={"trials": 10, "confirm": 1})
    bench.run()
    assert left[0] not in bench.backend.running
    assert bench.backend.removed[4] == left[0]
    assert left[1] in bench.backend.running


def test_an_attempt_that_was_cut_off_is_made_again_under_its_number(bench):
    async def interrupt(task):
        await asyncio.sleep(16)
        task.cancel()

    with pytest.raises(asyncio.CancelledError):
        bench.run(during=interrupt)
    assert not bench.backend.running
    assert bench.history[-1].outcome is None
    number = bench.history[-1].number
    bench.run()
    assert [trial.number for trial in bench.history] == [0, 1, 2, 3]
    assert bench.history[number].attempts == 2
    assert all(isinstance(trial.outcome, Completed) for trial in bench.history)


def test_a_cancel_in_the_store_stops_within_seconds_and_is_forgotten_at_the_next_run(bench):
    async def cancel(_task):
        await asyncio.sleep(16)
        bench.store.cancel("fast.1")

    with pytest.raises(Cancelled):
        bench.run(during=cancel)
    assert bench.seconds < 18
    assert not bench.backend.running
    bench.run()
    assert len(bench.history) == 4


def test_the_best_and_the_defaults_are_measured_again_interleaved(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.script = by_width(w8=FAST)
    answer = bench.run()
    lives = [trial for trial in bench.history if trial.role == "confirm"]
    assert [life.params.get("width") for life in lives] == [None, 8, 8, None, None, 8]
    assert [life.replicate for life in lives] == [0, 0, 1, 1, 2, 2]
    assert answer.winner.gain.pairs == 3
    assert answer.winner.gain.percent == pytest.approx(100)
    assert answer.verdict == "width=8 serves 200 tok/s at p50 TTFT 100 ms (c=1): +100 % [100, 100] over the defaults"


def test_no_significant_gain_is_an_answer(bench):
    rates = {(0, 1): 100.0, (0, 2): 130.0, (0, 3): 90.0, (8, 1): 120.0, (8, 2): 110.0, (8, 3): 125.0}
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.script = lambda params, before: Life(
        rate_otherwise=rates.get((params.get("width", 0), before), 105.0 + (params.get("width") == 8))
    )
    answer = bench.run()
    assert answer.verdict.startswith("no significant gain: ")
    assert answer.winner.number == 0
    assert answer.finalists[0].gain.significant is False


def test_a_minimized_metric_is_told_as_less(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3}, objective={"minimize": "ttft_s", "percentile": 50})
    bench.script = by_width(w8=Life(ttft_s=0.05))
    verdict = bench.run().verdict
    assert verdict == "width=8 has p50 TTFT 50.0 ms at c=1: 50 % [50, 50] less than the defaults"


def test_too_few_pairs_for_an_interval_are_said_to_be(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 2})
    bench.script = by_width(w8=FAST)
    answer = bench.run()
    assert answer.winner.params["width"] == 8
    assert answer.verdict.endswith(
        ": +100 % over the defaults, without an interval: 2 pairs of server lives, it needs 3"
    )


def test_a_store_that_fails_is_no_failure_of_the_trial(bench):
    append = bench.store.append

    def full(run_id, facts):
        if any(isinstance(fact, Measured) for fact in facts):
            raise StudyError("the disk is full")
        append(run_id, facts)

    bench.store.append = full
    with pytest.raises(StudyError, match="the disk is full"):
        bench.run()
    assert bench.history[0].outcome is None
    assert not bench.backend.running


def test_what_does_worse_is_said_to(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.script = lambda params, _before: Life(rate_otherwise=50 if "width" in params else 100)
    verdict = bench.run().verdict
    assert verdict.startswith(
        "no significant gain: width=1 does worse, -50 % [-50, -50] over the defaults; theirs: 100 tok/s"
    )


def test_a_comparison_that_was_cut_off_goes_on(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.script = by_width(w8=FAST)

    async def interrupt(task):
        while len(bench.backend.started) < 7:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        task.cancel()

    with pytest.raises(asyncio.CancelledError):
        bench.run(during=interrupt)
    answer = bench.run()
    lives = [trial for trial in bench.history if trial.role == "confirm"]
    assert len(lives) == 6
    assert answer.winner.gain.pairs == 3


def test_new_trials_that_win_are_compared_in_rounds_of_their_own(bench):
    bench.study = study_of(search={"trials": 3, "confirm": 3})
    bench.script = by_width(w2=Life(rate_otherwise=150), w8=FAST)
    assert bench.run().winner.params["width"] == 2
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    answer = bench.run()
    assert answer.winner.params["width"] == 8
    assert answer.winner.gain.pairs == 3
    assert [trial.number for trial in bench.history] == list(range(4 + 12))
    assert {life.replicate for life in bench.history if life.params.get("width") == 8 and life.role == "confirm"} == {
        3,
        4,
        5,
    }


def test_several_finalists_share_the_rounds(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3, "finalists": 2})
    bench.script = by_width(w2=Life(rate_otherwise=150), w8=FAST)
    answer = bench.run()
    assert len([trial for trial in bench.history if trial.role == "confirm"]) == 9
    assert [candidate.params["width"] for candidate in answer.finalists] == [8, 2]
    assert all(candidate.gain.significant for candidate in answer.finalists)


def test_defaults_that_do_not_run_leave_a_winner_without_a_gain(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.script = by_width(w0=Life(ready_error=ServerDied("exited", log=("out of memory",))), w8=FAST)
    answer = bench.run()
    assert answer.default is None
    assert answer.winner.params["width"] == 8
    assert answer.verdict.endswith("the defaults have no score to compare with: out of memory")
    assert answer.confirmations == 0


def test_constraints_that_nothing_meets_are_said_to_be(bench):
    bench.study = study_of(constraints=[{"metric": "ttft_s", "percentile": 50, "at_most": 0.01}])
    answer = bench.run()
    assert answer.winner is None
    assert answer.verdict.startswith("no trial of 4 meets the constraints at any level: ")


def test_a_machine_that_runs_nothing_stops_the_study_early(bench):
    bench.study = study_of(space=WIDE, search={"trials": 30, "confirm": 0, "method": "grid"})
    bench.script = lambda _params, _before: Life(ready_error=ServerDied("exited", log=("no device",)))
    with pytest.raises(StudyError, match="the first 3 trials could not be run at all"):
        bench.run()
    assert len(bench.history) == 3


def test_what_the_server_runs_with_is_compared_with_what_was_asked(bench):
    bench.script = by_width(w8=Life(effective={"width": 6, "depth": 2}))
    bench.run()
    assert bench.history[3].effective == {"width": 6, "depth": 2}
    assert bench.history[3].differences == ("width: asked for 8, runs with 6",)


def test_the_servers_log_and_the_records_are_kept(bench):
    bench.run()
    folder = bench.directory / "fast.1" / "trial-1" / "attempt-1"
    assert (folder / "server.log").read_text() == "loading\nlistening\n"
    assert (bench.directory / "fast.1" / bench.history[1].record_files[0]).exists()


def test_each_trial_tells_who_leads_and_how_long_the_rest_takes(bench):
    bench.script = by_width(w2=FAST)
    bench.run()
    ended = bench.events("trial_ended")
    assert [event.best_number for event in ended] == [0, 0, 2, 2]
    assert ended[-1].eta_s == 0
    assert ended[0].eta_s == pytest.approx(3 * (5 + 2 + 4), rel=0.1)


def _observed(bench):
    from lading.tuning import contest

    return contest.observations(bench.study, bench.history)


class _Listener(list):
    def __init__(self, hear):
        super().__init__()
        self.hear = hear

    def append(self, event):
        super().append(event)
        self.hear(event)


def test_proposals_carry_the_seed(bench):
    bench.study = study_of(search={"trials": 2, "confirm": 0, "seed": 7})
    bench.run()
    assert [fact.seed for fact in bench.store.facts("fast.1") if isinstance(fact, Proposed)] == [7, 7]


@pytest.mark.parametrize("side", [None, 8])
def test_a_round_of_the_comparison_that_the_client_limited_is_run_again(bench, side):
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.script = lambda params, before: Life(
        rate_otherwise=200 if params.get("width") == 8 else 100,
        limited=params.get("width") == side and before == 2,
    )
    answer = bench.run()
    lives = [trial for trial in bench.history if trial.role == "confirm"]
    assert [(life.params.get("width"), life.replicate) for life in lives[6:]] == [(8, 3), (None, 3)]
    assert answer.winner.gain.pairs == 3
    assert bench.told[0].server_starts + 2 == len(bench.backend.started) <= 10 + bench.told[0].replacements_at_most
    assert bench.run() == answer


def test_a_comparison_that_is_always_spoiled_ends(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.script = lambda params, before: Life(
        rate_otherwise=200 if params.get("width") == 8 else 100, limited=params.get("width") == 8 and before > 0
    )
    answer = bench.run()
    lives = [trial for trial in bench.history if trial.role == "confirm"]
    assert len(lives) == 12
    assert len(bench.backend.started) == 10 + bench.told[0].replacements_at_most
    assert answer.winner.gain is None
    assert "0 pairs of server lives, it needs 3" in answer.verdict


def test_a_life_that_broke_a_constraint_is_not_replaced(bench):
    """To run it again until it holds would be to choose the answer."""
    bench.study = study_of(
        search={"trials": 10, "confirm": 3},
        constraints=[{"metric": "ttft_s", "percentile": 50, "at_most": 0.2}],
    )
    bench.script = lambda params, before: (
        Life(rate_otherwise=200, ttft_s=0.5 if before == 2 else 0.1) if params.get("width") == 8 else Life()
    )
    assert bench.run().winner.no_gain == "2 pairs of server lives, it needs 3"
    assert sum(trial.role == "confirm" for trial in bench.history) == 6


def test_replacements_that_were_cut_off_go_on(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.script = lambda params, before: Life(
        rate_otherwise=200 if params.get("width") == 8 else 100, limited=params.get("width") == 8 and before == 2
    )

    async def interrupt(task):
        while len(bench.backend.started) < 11:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        task.cancel()

    with pytest.raises(asyncio.CancelledError):
        bench.run(during=interrupt)
    bench.told.clear()
    answer = bench.run()
    assert bench.told[0].server_starts == 2
    assert answer.winner.gain.pairs == 3
    assert [trial.number for trial in bench.history] == list(range(12))


def test_the_rest_counts_the_rounds_to_be_replaced(bench):
    bench.study = study_of(search={"trials": 10, "confirm": 3})
    bench.script = lambda params, before: Life(
        rate_otherwise=200 if params.get("width") == 8 else 100, limited=params.get("width") == 8 and before == 3
    )
    bench.run()
    ended = bench.events("trial_ended")
    assert [event.eta_s > 0 for event in ended] == [True] * 11 + [False]


class _Killed(BaseException):
    """The process is gone: nothing catches this."""


def _kill_in(bench, number, phase):
    """From now on the process is killed whenever trial *number* comes to *phase*."""

    def look(event):
        if event.event == "phase_started" and (event.number, event.phase) == (number, phase):
            raise _Killed

    bench.told = _Listener(look)


def _killed_run(bench):
    with pytest.raises(_Killed):
        bench.run()
    bench.backend.running.clear()


@pytest.mark.parametrize(("phase", "recorded"), [("start", "start"), ("ready", "start"), ("measure", "warmup")])
def test_a_trial_that_kills_the_study_three_times_is_given_up_and_taught(bench, phase, recorded):
    _kill_in(bench, 2, phase)
    for _ in range(3):
        _killed_run(bench)
    answer = bench.run()
    outcome = bench.history[2].outcome
    assert (outcome.name, outcome.kind, outcome.phase) == ("cut-off", "unknown", recorded)
    assert outcome.reason == "`lading tune` was killed 3 times during it"
    assert bench.history[2].attempts == 3
    assert _observed(bench)[2].infeasible
    assert answer.outcomes == {"completed": 3, "failed": 1}


def test_two_kills_are_no_reason_to_give_a_trial_up(bench):
    _kill_in(bench, 2, "measure")
    for _ in range(2):
        _killed_run(bench)
    bench.told = []
    bench.run()
    assert isinstance(bench.history[2].outcome, Completed)
    assert bench.history[2].attempts == 3


def test_who_stops_a_study_often_loses_no_trial(bench):
    async def interrupt(task):
        while len(bench.backend.running) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        task.cancel()

    for _ in range(5):
        with pytest.raises(asyncio.CancelledError):
            bench.run(during=interrupt)
    bench.run()
    assert bench.history[0].attempts == 6
    assert all(isinstance(trial.outcome, Completed) for trial in bench.history)
