"""`tune`: search, compare the best with the defaults, answer.

The history in the store is the only state, so the same call starts a study, goes on with one that was killed, and adds
twenty trials to one that had ended.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TypeVar

from lading import events
from lading.errors import Cancelled, StudyError
from lading.flows import trial as lives
from lading.flows.study import Setup
from lading.spec.study import Study
from lading.tuning import agenda, contest, estimate, failure
from lading.tuning import result as results
from lading.tuning.estimate import Estimate
from lading.tuning.result import StudyResult
from lading.tuning.trial import Ended, Outcome, Params, Proposed, Role, Trial

#: How often the store is asked whether someone cancelled the run.
CANCEL_POLL_S = 1.0

Result = TypeVar("Result")


async def tune(setup: Setup) -> StudyResult:
    """Work on the run until its budget is used and the best are compared with the defaults; its answer.

    Whoever calls it holds the run's lock. When it is cancelled, or the store is asked to cancel the run, the server is
    removed first; what was measured is kept, and the same call goes on from there.

    Raises:
        Cancelled: Someone asked in the store.
        TeardownFailed: A server could not be removed; nothing was measured beside it.
        StudyError: The defaults and everything else that was tried failed to run for want of infrastructure.
    """
    setup.store.uncancel(setup.run.id)
    await _clear(setup)
    setup.emit(_plan(setup))
    await _until_cancelled(setup, _work(setup))
    answer = results.result(setup.study, setup.history())
    setup.store.end(setup.run.id, setup.now())
    winner = answer.winner.number if answer.winner else None
    setup.emit(events.StudyEnded(name=setup.study.name, run=setup.run.run, verdict=answer.verdict, winner=winner))
    return answer


def planned(
    study: Study, run: int, history: Sequence[Trial], *, space_size: int | None, before: Estimate
) -> events.StudyPlanned:
    """What is about to happen: trials, comparisons, server starts, and how long. *before*: the estimate without history."""
    searching, comparing = _starts_left(study, history, space_size)
    told = estimate.measured(history, "this run") or before
    return events.StudyPlanned(
        name=study.name,
        run=run,
        trials=searching,
        confirmations=comparing,
        server_starts=searching + comparing,
        replacements_at_most=agenda.replacements_left(history, study.search) if comparing else 0,
        seconds_estimated=told.of(searching + comparing),
        estimated_from=told.origin,
        seconds_at_most=estimate.at_most_s(study.search, study.deadlines, (searching, comparing)),
        resumed_trials=sum(not agenda.is_open(trial) for trial in history),
    )


def _plan(setup: Setup) -> events.StudyPlanned:
    history = setup.history()
    return planned(setup.study, setup.run.run, history, space_size=setup.space_size, before=setup.estimate)


async def _clear(setup: Setup) -> None:
    """Remove what killed attempts left: by lease, and by name, for this run is ours alone now."""
    await setup.backend.reap()
    for name in await setup.backend.names():
        if name.startswith(setup.server_prefix):
            await lives.remove(setup, name)


async def _until_cancelled(setup: Setup, work: Coroutine[None, None, Result]) -> Result:
    """The result of *work*, which is cancelled when the store says so."""
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_watch(setup))
            result = await work
            watch.cancel()
    except BaseExceptionGroup as group_of_one:
        raise group_of_one.exceptions[0] from None
    return result


async def _watch(setup: Setup) -> None:
    while not setup.store.cancelled(setup.run.id):  # noqa: ASYNC110 - another process asks: there is no event to await
        await asyncio.sleep(CANCEL_POLL_S)
    raise Cancelled(
        f"{setup.run.id} was cancelled; what was measured is kept",
        hint="`lading tune` with its file goes on from there",
    )


async def _work(setup: Setup) -> None:
    began = asyncio.get_running_loop().time()
    used_before_s = agenda.time_used_s(setup.history())
    while True:
        history = setup.history()
        used_s = used_before_s + asyncio.get_running_loop().time() - began
        trial = agenda.next_open(history) or _propose(setup, history, used_s)
        if trial is None:
            return
        if not _ended_unstarted(setup, trial):
            outcome = await lives.attempt(setup, trial, ended=lambda now: _tell(setup, now))
            _check_infrastructure(setup, outcome)


def _propose(setup: Setup, history: tuple[Trial, ...], used_s: float) -> Trial | None:
    """Commit what to try next, and give the first of it; None: there is nothing left to try."""
    facts: tuple[Proposed, ...]
    params = _next_params(setup, history, used_s)
    if params is not None:
        role: Role = "search" if history else "default"
        facts = (Proposed(number=len(history), params=dict(params), role=role, seed=setup.study.search.seed),)
    else:
        facts = _comparison(setup, history)
    if not facts:
        return None
    setup.append(*facts)
    return agenda.next_open(setup.history())


def _next_params(setup: Setup, history: tuple[Trial, ...], used_s: float) -> Params | None:
    """The parameters of the next trial of the search; None when its budget or the space is used up."""
    search = setup.study.search
    if not history:
        return dict(setup.defaults)
    if not agenda.trials_left(history, search) or (search.time is not None and used_s >= search.time):
        return None
    observed = contest.observations(setup.study, history)
    proposed = setup.search.propose(observed, (), count=1, seed=search.seed)
    return proposed[0] if proposed else None


def _comparison(setup: Setup, history: tuple[Trial, ...]) -> tuple[Proposed, ...]:
    """The server lives that compare the best with the defaults; none when the defaults have no score."""
    default = contest.comparable_default(setup.study, history)
    if default is None:
        return ()
    _, others = contest.contest(setup.study, history)
    finalists = [trial for trial, _ in others[: setup.study.search.finalists]]
    spoiled = contest.spoiled(setup.study, history)
    return agenda.confirmations(history, default, finalists, setup.study.search, spoiled)


def _ended_unstarted(setup: Setup, trial: Trial) -> bool:
    """Whether the trial ends here: a rule refuses it, or it was cut off too often. Nothing is started for it (again)."""
    given_up = failure.of_cut_offs(trial) if agenda.is_given_up(trial) else None
    outcome: Outcome | None = given_up or setup.check(trial.params)
    if outcome is None:
        return False
    setup.append(Ended(number=trial.number, attempt=trial.attempts, outcome=outcome, at=setup.now()))
    _tell(setup, trial)
    return True


def _tell(setup: Setup, ended: Trial) -> None:
    """Tell how a trial ended, who leads, and how long the rest will take."""
    history = setup.history()
    trial = next(trial for trial in history if trial.number == ended.number)
    leader = next(iter(contest.ranking(setup.study, history)), None)
    own = contest.scored(setup.study, trial)
    setup.emit(
        events.TrialEnded(
            number=trial.number,
            attempt=trial.attempts,
            outcome=trial.outcome.outcome if trial.outcome else "open",
            value=own.value if own else None,
            level=own.level if own else None,
            reason=getattr(trial.outcome, "reason", None),
            best_number=leader[0].number if leader else None,
            best_value=leader[1].value if leader else None,
            eta_s=_plan(setup).seconds_estimated,
        )
    )


def _check_infrastructure(setup: Setup, outcome: Outcome) -> None:
    """Stop when every attempt so far failed for want of infrastructure: more of the same teaches nothing."""
    history = setup.history()
    if len(history) < 3 or any(not agenda.is_lost(trial) for trial in history):
        return
    reason = getattr(outcome, "reason", "")
    raise StudyError(
        f"the first {len(history)} trials could not be run at all: {reason}",
        hint=getattr(outcome, "hint", None) or f"`lading studies logs {setup.study.name}` shows the servers' logs",
    )


def _starts_left(study: Study, history: Sequence[Trial], space_size: int | None) -> tuple[int, int]:
    defaults_failed = bool(history) and not agenda.is_open(history[0]) and not agenda.is_measured(history[0])
    spoiled = contest.spoiled(study, history)
    return agenda.starts_left(
        history, study.search, space_size=space_size, confirms=not defaults_failed, spoiled=spoiled
    )
