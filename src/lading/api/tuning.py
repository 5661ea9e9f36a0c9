"""Search for the best configuration, and what came of it."""

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from lading import wiring
from lading.api import portal
from lading.events import Emit, ignore
from lading.flows import report as reporting
from lading.flows import tune as flow
from lading.flows.report import Placement
from lading.flows.study import stored
from lading.spec import documents
from lading.spec.base import dump
from lading.spec.study import Study
from lading.store import runlock
from lading.tuning import result as results
from lading.tuning import trial as trials
from lading.tuning.result import StudyResult
from lading.wiring import runs, studies


def load_study(path: str | Path) -> Study:
    """The study in a YAML file.

    Raises:
        InvalidDocument: All its problems at once, each with file, line and key.
    """
    return documents.load(Path(path), Study)


def tune(study: Study | str | Path, *, emit: Emit = ignore) -> StudyResult:
    """Search for the best configuration, as ``lading tune`` does: a study in a file, or one made here.

    A study that was stopped or killed goes on where it was. *emit* is told each step.

    Raises:
        InvalidDocument, Missing: Before anything is started.
        LadingError: What was measured is kept.
    """
    prepared = (
        studies.prepare_text(_text(study), name="the study")
        if isinstance(study, Study)
        else studies.prepare(Path(study))
    )
    store = wiring.store()
    with runlock.only_one(wiring.home(), prepared.study.name), wiring.lease() as lease:
        run = studies.open_run(store, studies.opening(prepared, store), prepared)
        return portal.run(flow.tune(prepared.setup(store, run, lease=lease.id, emit=emit)))


def study(name: str, *, run: int | None = None) -> StudyResult:
    """What the newest run of study *name* (or its run *run*) came to, so far.

    Raises:
        StudyError: There is none; the hint names those there are.
    """
    store, found = runs.named(wiring.existing_store(), name, run)
    return results.result(stored(found), trials.fold(store.facts(found.id)))


def write_report(
    name: str, out: str | Path, *, run: int | None = None, placement: Placement | None = None, emit: Emit = ignore
) -> tuple[Path, ...]:
    """Write the report of study *name* and the manifests of its winner to the folder *out*; the files written.

    *placement* says where the winner is to run: claim, namespace, GPUs, CPUs, memory.

    Raises:
        StudyError: There is no such study, or its raw records do not fold to the stored numbers.
    """
    store, found = runs.named(wiring.existing_store(), name, run)
    written = reporting.write(runs.material(store, found, placement or Placement()), Path(out), emit=emit)
    return tuple(written.files)


def _text(study: Study) -> str:
    """*study* as YAML, as a person would have written it."""
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(dump(study), stream)
    return str(stream.getvalue())
