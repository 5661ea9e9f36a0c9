"""Each promise of the flow is shown to be tested: with one defect planted, the test that names it fails."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from tests.tune import test_tune_flow as promises
from tests.tune.conftest import Bench

from lading.flows import serve, trial, tune
from lading.measure.records import ClientHealth
from lading.ports.load import LevelLost
from lading.tuning import agenda, contest
from lading.tuning.trial import Ended, Proposed


def outcome_committed_after_the_teardown(patch):
    late = []
    append = tune.Setup.append

    def keep(setup, *facts):
        late.extend((setup, fact) for fact in facts if isinstance(fact, Ended))
        append(setup, *(fact for fact in facts if not isinstance(fact, Ended)))

    @asynccontextmanager
    async def removed(now):
        async with before(now):
            yield
        while late:
            setup, fact = late.pop(0)
            append(setup, fact)

    before = trial._removed
    patch.setattr(trial, "_removed", removed)
    patch.setattr(tune.Setup, "append", keep)


def configuration_failure_retried(patch):
    patch.setattr(agenda, "RETRIES", {**agenda.RETRIES, "configuration": 1})


def infrastructure_failure_not_retried(patch):
    patch.setattr(agenda, "RETRIES", {**agenda.RETRIES, "infrastructure": 0})


def infrastructure_failure_taught(patch):
    patch.setattr(agenda, "is_infeasible", lambda trial: not agenda.is_measured(trial) and not agenda.is_open(trial))


def unknown_failure_not_taught(patch):
    patch.setattr(agenda, "is_infeasible", lambda trial: getattr(trial.outcome, "kind", "") == "configuration")


def lost_level_erases_the_others(patch):
    async def measured(now, endpoint, left):
        found = [result async for result in now.setup.load.run(endpoint, now.setup.study.workload, now.directory,
                                                               emit=now.setup.emit)]  # fmt: skip
        lost = any(isinstance(result, LevelLost) for result in found)
        for result in found:
            left.remove(result.level)
            trial._note(now, LevelLost(level=result.level, reason="another level failed") if lost else result)

    patch.setattr(trial, "_measure_levels", measured)


def deadline_erases_the_levels_that_are_done(patch):
    async def measured(now, endpoint, left):
        found = [result async for result in now.setup.load.run(endpoint, now.setup.study.workload, now.directory,
                                                               emit=now.setup.emit)]  # fmt: skip
        for result in found:
            left.remove(result.level)
            trial._note(now, result)

    patch.setattr(trial, "_measure_levels", measured)


def removal_skipped_on_a_cancellation(patch):
    @asynccontextmanager
    async def removed(now):
        yield
        await trial.remove(now.setup, now.name)

    patch.setattr(trial, "_removed", removed)


def failed_removal_ignored(patch):
    async def stop(backend, name, *, emit, within_s=60.0):
        try:
            await backend.remove(name, within_s=within_s)
        except trial.TeardownFailed:
            backend.running.pop(name, None)

    patch.setattr(serve, "stop", stop)


def leftovers_kept(patch):
    async def clear(setup):
        del setup

    patch.setattr(tune, "_clear", clear)


def number_used_twice(patch):
    """What was cut off is proposed anew, under the next number."""
    patch.setattr(agenda, "next_open", lambda history: history[-1] if history and not history[-1].attempts else None)


def confirmations_not_interleaved(patch):
    before = agenda.confirmations

    def blocks(*arguments):
        found = sorted(before(*arguments), key=lambda fact: str(fact.params))
        first = min((fact.number for fact in found), default=0)
        return tuple(Proposed(**{**fact.model_dump(), "number": first + step}) for step, fact in enumerate(found))

    patch.setattr(agenda, "confirmations", blocks)


def client_limited_trial_ranked(patch):
    patch.setattr(ClientHealth, "client_limited", property(lambda health: False))


def spoiled_rounds_not_replaced(patch):
    patch.setattr(contest, "spoiled", lambda study, history: frozenset())


def life_that_broke_a_constraint_replaced(patch):
    patch.setattr(
        contest,
        "spoiled",
        lambda study, history: frozenset(
            life.number for life in history if life.role == "confirm" and contest.scored(study, life) is None
        ),
    )


def replacements_without_end(patch):
    before = agenda._lacking

    def lacking(lives, default, finalist, search, spoiled):
        return before(lives, default, finalist, search, spoiled) if len(lives) < 20 else 0

    patch.setattr(agenda, "_lacking", lambda *given: 1 if len(given[0]) < 20 and given[4] else lacking(*given))


def cut_off_trial_attempted_for_ever(patch):
    patch.setattr(agenda, "CUT_OFFS", 1_000)


def one_kill_is_enough(patch):
    patch.setattr(agenda, "CUT_OFFS", 1)


def stopping_counts_as_a_kill(patch):
    before = tune.Setup.append
    patch.setattr(tune.Setup, "append", lambda setup, *facts: before(setup, *(f for f in facts if f.fact != "stopped")))


def cancel_not_watched(patch):
    async def watch(setup):
        del setup
        await asyncio.Event().wait()

    patch.setattr(tune, "_watch", watch)


def rule_asked_too_late(patch):
    """The rule refuses only once the server was started."""
    before = tune._ended_unstarted
    patch.setattr(tune, "_ended_unstarted", lambda setup, one: one.attempts > 0 and before(setup, one))


def time_of_before_forgotten(patch):
    patch.setattr(agenda, "time_used_s", lambda history: 0.0)


PLANTED = [
    (outcome_committed_after_the_teardown, promises.test_the_outcome_is_committed_before_the_teardown),
    (configuration_failure_retried, promises.test_a_configuration_failure_is_recorded_and_not_repeated),
    (infrastructure_failure_not_retried, promises.test_an_infrastructure_failure_that_passes_leaves_a_result),
    (
        infrastructure_failure_taught,
        promises.test_an_infrastructure_failure_is_repeated_twice_at_most_and_is_not_taught,
    ),
    (unknown_failure_not_taught, promises.test_an_unknown_failure_is_repeated_once_then_taught),
    (lost_level_erases_the_others, promises.test_a_level_that_fails_is_data),
    (deadline_erases_the_levels_that_are_done, promises.test_the_measure_deadline_keeps_the_levels_that_are_done),
    (removal_skipped_on_a_cancellation, promises.test_an_attempt_that_was_cut_off_is_made_again_under_its_number),
    (failed_removal_ignored, promises.test_a_teardown_that_fails_stops_the_study),
    (leftovers_kept, promises.test_what_a_killed_run_left_is_removed_before_anything_starts),
    (number_used_twice, promises.test_an_attempt_that_was_cut_off_is_made_again_under_its_number),
    (confirmations_not_interleaved, promises.test_the_best_and_the_defaults_are_measured_again_interleaved),
    (client_limited_trial_ranked, promises.test_a_client_limited_trial_is_complete_and_unranked),
    (life_that_broke_a_constraint_replaced, promises.test_a_life_that_broke_a_constraint_is_not_replaced),
    (replacements_without_end, promises.test_a_comparison_that_is_always_spoiled_ends),
    (spoiled_rounds_not_replaced, promises.test_replacements_that_were_cut_off_go_on),
    (one_kill_is_enough, promises.test_two_kills_are_no_reason_to_give_a_trial_up),
    (stopping_counts_as_a_kill, promises.test_who_stops_a_study_often_loses_no_trial),
    (cancel_not_watched, promises.test_a_cancel_in_the_store_stops_within_seconds_and_is_forgotten_at_the_next_run),
    (rule_asked_too_late, promises.test_a_rule_refuses_before_anything_is_started),
    (time_of_before_forgotten, promises.test_time_used_before_a_restart_counts),
]


@pytest.mark.parametrize(("plant", "promise"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_defect_is_caught_by_the_test_of_that_promise(plant, promise, tmp_path, monkeypatch):
    plant(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        promise(Bench(directory=tmp_path))


def test_a_trial_that_is_never_given_up_is_caught(tmp_path, monkeypatch):
    cut_off_trial_attempted_for_ever(monkeypatch)
    with pytest.raises(promises._Killed):
        promises.test_a_trial_that_kills_the_study_three_times_is_given_up_and_taught(
            Bench(directory=tmp_path), "measure", "warmup"
        )


@pytest.mark.parametrize("promise", dict.fromkeys(promise for _, promise in PLANTED), ids=lambda one: one.__name__)
def test_without_a_defect_it_holds(promise, tmp_path):
    promise(Bench(directory=tmp_path))
