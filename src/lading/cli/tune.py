"""`lading tune`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading import wiring
from lading.answers.studies import Defaults, TunePlan
from lading.backends.process import ProcessBackend
from lading.cli.interrupt import stoppable
from lading.cli.output import Common, Output
from lading.cli.tune_view import TuneView, in_words
from lading.errors import LadingError
from lading.events import Event, Notice, StudyPlanned, TrialEnded
from lading.flows import tune as flow
from lading.flows.study import Opening
from lading.load import loops
from lading.spec import units
from lading.store import runlock
from lading.tuning import trial as trials
from lading.tuning.result import StudyResult
from lading.wiring import runs
from lading.wiring import studies as setups
from lading.wiring.studies import Prepared

KEPT = "what was measured is kept"
#: More of others' load than this, in cores, is worth a word: it makes intervals wide.
NOISY_CPUS = 0.25


def tune(
    study: Path,
    *,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    common: Common | None = None,
) -> int:
    """Search for the best configuration of a server for a load.

    The whole study is checked before anything is started; then it says how many servers it will start and how long that
    takes. Stop it at any moment (Ctrl-C) and run it again: it goes on where it was. A changed budget (search.trials, time,
    confirm, finalists, deadlines) goes on too; any other change starts a new run, and says what differs.

    Args:
        study: The study, a YAML file.
        dry_run: Check it, show the plan and the command line of the defaults, and stop.
    """
    prepared = setups.prepare(study)
    view = TuneView(prepared.study)
    output = Output(common, live=view)
    if dry_run:
        _show_plan(output, prepared)
        return 0
    answer = loops.run(_tune(prepared, output, view))
    _show_answer(output, answer, _write_report(output, prepared.study.name))
    return 0 if answer.winner is not None else LadingError.exit_code


async def _tune(prepared: Prepared, output: Output, view: TuneView) -> StudyResult:
    name = prepared.study.name
    store = wiring.store()
    with runlock.only_one(wiring.home(), name), wiring.lease() as lease, view.shown(output.watched):
        found = setups.opening(prepared, store)
        _tell_differences(output, found)
        run = setups.open_run(store, found, prepared)
        setup = prepared.setup(store, run, lease=lease.id, emit=lambda event: _tell(output, prepared, event))
        backend = prepared.backend
        leaving = backend.kill_started if isinstance(backend, ProcessBackend) else lambda: None
        return await stoppable(flow.tune(setup), kept=KEPT, leaving=leaving)


def _show_plan(output: Output, prepared: Prepared) -> None:
    """What the run would do, from the store as it is; a store that is not there is not made."""
    store = wiring.existing_store()
    found = setups.opening(prepared, store)
    history = trials.fold(store.facts(found.latest.id)) if store and found.latest and found.resumes else ()
    past = setups.past(store, prepared.study) if store else None
    plan = flow.planned(
        prepared.study,
        found.run_number,
        history,
        space_size=prepared.space.size,
        before=past or prepared.guess(),
    )
    _tell_differences(output, found)
    defaults = Defaults(params=dict(prepared.space.fixed), program=prepared.program, argv=prepared.argv)
    document = TunePlan(plan=plan, defaults=defaults, differences=tuple(map(str, found.differences)))
    argv = " ".join(prepared.argv)
    output.result(document, f"{in_words(plan)}\ndefaults: {argv}\nnothing was started (--dry-run)")


def _tell_differences(output: Output, found: Opening) -> None:
    """What the document changes against the newest run of its name, key by key, and what follows."""
    if found.latest is None or not found.differences:
        return
    what = (
        f"only the budget differs: {found.latest.id} goes on"
        if found.resumes
        else f"this is another study: run {found.run_number} begins, {found.latest.id} stays"
    )
    sentence = "\n".join(
        [f"{found.latest.name} differs from its last run; {what}", *(f"  {d}" for d in found.differences)]
    )
    if output.json:
        output.event(Notice(message=sentence))
    output.say(sentence)


def _tell(output: Output, prepared: Prepared, event: Event) -> None:
    """Events for programs and the live view; what must not be missed also for those who only read lines."""
    match event:
        case StudyPlanned():
            output.say(in_words(event))
        case TrialEnded() if not output.watched:
            output.say(TuneView.line(prepared.study, event))
        case _:
            pass
    output.event(event)


def _write_report(output: Output, name: str) -> tuple[Path, ...]:
    """The report and the manifests of the newest run, written beside its records; none where they cannot be."""
    from lading.flows import report as flow_of_report

    store, run = runs.named(wiring.existing_store(), name)
    folder = runs.directory(run.id) / "report"
    try:
        return flow_of_report.write(
            runs.material(store, run, flow_of_report.Placement()), folder, emit=output.event
        ).files
    except LadingError as error:  # the study has its answer all the same
        output.say(f"no report: {error.message}")
        return ()


def _show_answer(output: Output, answer: StudyResult, files: Sequence[Path]) -> None:
    counted = ", ".join(f"{count} {word}" for word, count in answer.outcomes.items())
    lines = [answer.verdict, f"{answer.server_starts} server starts: {counted}"]
    lines += [f"failed: {one.name} ({one.kind}) × {one.count}" for one in answer.failures]
    if answer.foreign_cpus is not None and answer.foreign_cpus > NOISY_CPUS:
        cores = units.show_number(answer.foreign_cpus)
        lines.append(f"note: other programs used {cores} cores on average meanwhile, so the numbers are noisy")
    if files:
        lines.append(f"report: {files[0]}")
        lines += [
            f"manifests: {folder}"
            for folder in dict.fromkeys(path.parent for path in files if path.parent != files[0].parent)
        ]
    output.result(answer, "\n".join(lines))
    output.next(f"lading report {answer.name}")
