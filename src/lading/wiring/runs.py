"""Runs of studies as the store and the disk have them: by name, their folder, what a report is made from."""

from pathlib import Path

import lading
from lading import wiring
from lading.errors import StudyError
from lading.flows import study as studies
from lading.flows.report import Material, Placement
from lading.ports.study import Store, StudyRun
from lading.spec.clock import utc_now
from lading.tuning import trial as trials


def directory(run_id: str) -> Path:
    """The folder of a run: raw records and server logs."""
    return wiring.home() / "studies" / run_id


def named(store: Store | None, name: str, number: int | None = None) -> tuple[Store, StudyRun]:
    """The store, and the newest run of study *name* or its run *number*.

    Raises:
        StudyError: There is none; the hint names those there are.
    """
    run = store.latest(name, number) if store else None
    if store is None or run is None:
        known = sorted({run.name for run in store.runs()}) if store else []
        word = f"run {number} of study {name}" if number is not None else f"study called {name}"
        raise StudyError(
            f"there is no {word}", hint=f"known: {', '.join(known)}" if known else "`lading tune STUDY.yaml` makes one"
        )
    return store, run


def material(store: Store, run: StudyRun, placement: Placement) -> Material:
    """What the report of *run* is made from, as the store has it now."""
    study = studies.stored(run)
    return Material(
        run=run,
        study=study,
        history=trials.fold(store.facts(run.id)),
        directory=directory(run.id),
        engine=wiring.engine(study.engine.name),
        version=lading.__version__,
        written_at=utc_now(),
        placement=placement,
    )
