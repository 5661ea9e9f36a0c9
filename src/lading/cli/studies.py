"""`lading studies`: what was tried, how far it is, its logs; cancel and copy."""

import time
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lading import wiring
from lading.answers import studies as answers
from lading.backends import asking, record
from lading.cli.output import Common, Output
from lading.errors import InvalidInput, StudyError
from lading.flows.study import stored
from lading.ports.study import Store, StudyRun
from lading.spec import documents, secret, units
from lading.spec.study import Study
from lading.store import runlock
from lading.tuning import contest, verdict
from lading.tuning import result as results
from lading.tuning import trial as trials
from lading.tuning.trial import Failed, Infeasible, Trial
from lading.wiring import runs

POLL_S = 0.3

app = cyclopts.App(name="studies", help="List, show, follow, cancel and copy studies.")


@app.default
def list_(*, common: Common | None = None) -> None:
    """List the studies of this machine, with how far they are."""
    output = Output(common)
    store = wiring.existing_store()
    if store is None or not store.runs():
        output.say("no studies yet; `lading tune STUDY.yaml` makes one")
        return
    rows = []
    for run in store.runs():
        try:
            answer = results.result(stored(run), trials.fold(store.facts(run.id)))
        except StudyError as error:  # of a newer version, maybe: the others are listed all the same
            output.say(error.message)
            continue
        if output.json:
            output.result(answers.StudyListed(run=_run_state(run), result=answer))
        rows.append((run.name, str(run.run), _state(run), str(answer.trials), run.created_at[:16], answer.verdict))
    if not output.json:
        output.table(("NAME", "RUN", "STATE", "TRIALS", "BEGAN", "ANSWER"), rows, right=("RUN", "TRIALS"))


@app.command
def show(name: str, *, run: int | None = None, common: Common | None = None) -> None:
    """Show a study's answer so far, and its trials.

    Args:
        name: The study.
        run: Which of its runs; the newest by default.
    """
    output = Output(common)
    store, found = runs.named(wiring.existing_store(), name, run)
    study, history = stored(found), trials.fold(store.facts(found.id))
    answer = results.result(study, history)
    if output.json:
        output.result(answers.StudyShown(run=_run_state(found), result=answer, trials=history))
        return
    output.result({}, f"{answer.verdict}\n{found.id}, {_state(found)}, began {found.created_at[:16]}")
    columns = ("TRIAL", "ROLE", "PARAMETERS", "OUTCOME", "SCORE", "LEVEL", "SECONDS")
    output.table(columns, _trial_rows(study, history), right=("TRIAL", "SECONDS"))
    output.next(f"lading report {name}")


@app.command
def logs(
    name: str,
    *,
    trial: int | None = None,
    attempt: int | None = None,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative=())] = False,
    run: int | None = None,
    common: Common | None = None,
) -> None:
    """Print the log of a trial's server.

    Args:
        name: The study.
        trial: The number of the trial; the last one by default.
        attempt: Which attempt at it; the last one by default.
        follow: Go on printing while the server lives.
        run: Which run of the study; the newest by default.
    """
    output = Output(common)
    store, found = runs.named(wiring.existing_store(), name, run)
    asked = _asked_trial(found, trials.fold(store.facts(found.id)), trial)
    awaited = follow and asked.outcome is None
    number = attempt or (max(asked.attempts, 1) if awaited else asked.attempts)
    live = record.log_file(wiring.home(), f"{found.id}.t{asked.number}.a{number}")
    kept = runs.directory(found.id) / f"trial-{asked.number}" / f"attempt-{number}" / "server.log"
    if awaited:
        _wait_for_either(live, kept, while_held=name)
    lines = _followed(live) if follow and live.exists() else _lines(live if live.exists() else kept)
    if lines is None:
        reason = getattr(asked.outcome, "reason", "")
        raise StudyError(
            f"attempt {number} at trial {asked.number} of {found.id} has no server log", hint=reason or None
        )
    for line in lines:
        if output.json:
            output.result(answers.StudyLogLine(trial=asked.number, attempt=number, line=line))
        else:
            print(asking.printable(line), flush=follow)


def _wait_for_either(live: Path, kept: Path, *, while_held: str) -> None:
    """Wait until a server that is about to start has a log, as long as someone works on the study."""
    while not live.exists() and not kept.exists() and runlock.is_held(wiring.home(), while_held):
        time.sleep(POLL_S)


@app.command
def cancel(name: str, *, common: Common | None = None) -> None:
    """Stop the process that works on a study; what was measured is kept.

    Args:
        name: The study.
    """
    output = Output(common)
    store, found = runs.named(wiring.existing_store(), name)
    if not runlock.is_held(wiring.home(), name):
        nothing = answers.StudyCancelled(run=found.id, cancelled=False)
        output.result(nothing, f"nobody works on {name}; nothing to stop")
        return
    store.cancel(found.id)
    asked = answers.StudyCancelled(run=found.id, cancelled=True)
    output.result(asked, f"{found.id} will stop within seconds, once its server is removed")


@app.command
def copy(
    name: str,
    new: str | None = None,
    *,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    out: Path | None = None,
    run: int | None = None,
    common: Common | None = None,
) -> None:
    """Write a study's file under a new name, with some keys changed; its comments stay.

    Args:
        name: The study.
        new: The new study's name; NAME-2 by default.
        set_: A key and its YAML value, such as workload.levels.concurrency=[1,4,8]; may be repeated.
        out: The file to write; NEW.yaml by default.
        run: Which run of the study; the newest by default.
    """
    output = Output(common)
    store, found = runs.named(wiring.existing_store(), name, run)
    new = new or _free_name(store, name)
    path = out or Path(f"{new}.yaml")
    text = changed(found.document, {"name": new, **_settings(set_)})
    copied = documents.parse(text, Study, name=f"the copy of {found.id}")
    for name_of_secret in secret.literal(copied.backend.env):
        raise InvalidInput(
            f"{name_of_secret} may not stand in a document with its value",
            hint=f"--set backend.env.{name_of_secret}= , and export it",
        )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InvalidInput(f"{path} is already there", hint="name another file with --out") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error
    output.result(answers.StudyCopied(name=new, path=str(path)), f"{path} is study {new}")
    output.next(f"lading tune {path}")


def changed(text: str, settings: Mapping[str, object]) -> str:
    """The YAML document *text* with dotted keys set; comments and order stay.

    Raises:
        InvalidInput: A key leads through something that is no mapping.
    """
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 4096
    tree = yaml.load(text)
    for key, value in settings.items():
        *parents, last = key.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise InvalidInput(f"--set {key}: {'.'.join(parents)} holds no keys")
        place[last] = value
    stream = StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _settings(given: tuple[str, ...]) -> dict[str, object]:
    settings: dict[str, object] = {}
    for setting in given:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise InvalidInput(f"--set {setting} is not KEY=VALUE", hint="such as --set workload.requests=200")
        try:
            settings[key] = YAML(typ="rt", pure=True).load(value)
        except YAMLError as error:
            raise InvalidInput(f"--set {setting}: {value} is not YAML") from error
    return settings


def _free_name(store: Store, name: str) -> str:
    taken = {run.name for run in store.runs()}
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def _state(run: StudyRun) -> answers.State:
    """Where a run is: ``running``, ``ended``, ``cancelled``, or ``stopped`` before its answer."""
    if runlock.is_held(wiring.home(), run.name) and run.ended_at is None:
        return "running"
    if run.ended_at is not None:
        return "ended"
    return "cancelled" if run.cancelled else "stopped"


def _run_state(run: StudyRun) -> answers.RunState:
    return answers.RunState(id=run.id, name=run.name, run=run.run, created_at=run.created_at, state=_state(run))


def _trial_rows(study: Study, history: tuple[Trial, ...]) -> Iterator[tuple[str, ...]]:
    defaults = history[0].params if history else {}
    unit = verdict.unit_of(study.objective)
    for trial in history:
        score = contest.scored(study, trial)
        different = {key: value for key, value in trial.params.items() if key not in defaults or defaults[key] != value}
        yield (
            str(trial.number),
            trial.role,
            verdict.show_changed(different),
            _outcome(study, trial),
            verdict.show_value(score.value, unit) if score and score.value is not None else "",
            str(score.level) if score else "",
            units.show_number(sum(trial.seconds.values())) if trial.seconds else "",
        )


def _outcome(study: Study, trial: Trial) -> str:
    word = results.outcome_of(study, trial)
    match trial.outcome:
        case Failed() as failed:
            return f"{word} at {failed.phase}: {failed.name}"
        case Infeasible() as refused:
            return f"{word}: {refused.rule}"
        case _:
            return word


def _asked_trial(run: StudyRun, history: tuple[Trial, ...], number: int | None) -> Trial:
    started = [trial for trial in history if trial.attempts]
    if number is None and started:
        return started[-1]
    found = next((trial for trial in history if trial.number == number), None)
    if found is None:
        last = history[-1].number if history else None
        hint = f"its trials are 0 to {last}" if last is not None else "it has no trials yet"
        raise StudyError(
            f"{run.id} has no trial {number}" if number is not None else f"{run.id} has no log yet", hint=hint
        )
    return found


def _lines(path: Path) -> Iterator[str] | None:
    if not path.exists():
        return None
    return iter(path.read_text(encoding="utf-8", errors="replace").splitlines())


def _followed(path: Path) -> Iterator[str]:
    """The lines of a file as they come, until it is removed (with its server)."""
    with path.open(encoding="utf-8", errors="replace") as file:
        while True:
            line = file.readline()
            if line:
                yield line.rstrip("\n")
            elif path.exists():
                time.sleep(POLL_S)
            else:
                yield from (rest.rstrip("\n") for rest in file)
                return
