"""`report`: what a study came to, written to a folder: the page, its numbers, and the files to run the winner.

The raw records are read again first: a report whose numbers are not their fold is not written.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from lading.engines.base import Engine
from lading.errors import InvalidInput, StudyError
from lading.events import Emit, Notice, Wrote, ignore
from lading.manifests import artefacts, names
from lading.manifests.place import model_place
from lading.manifests.target import Target
from lading.measure import records
from lading.measure.summary import Summary, summarize
from lading.ports.study import StudyRun
from lading.report import document, page, table
from lading.report.document import Artefact, Refold, Report, RunHead
from lading.spec import ref as refs
from lading.spec import secret
from lading.spec.base import dump
from lading.spec.study import Study
from lading.tuning import result as results
from lading.tuning.trial import Trial

FOLDER = "manifests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the winner will run, as far as the user says; None: a placeholder, or what follows from the parameters."""

    claim: str | None = None
    namespace: str | None = None
    gpus: int | None = None
    cpus: str | None = None
    memory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a report is made from.

    Attributes:
        directory: The run's own folder: record files are relative to it.
        version: Of Lading, as shown.
        written_at: UTC, ISO 8601.
    """

    run: StudyRun
    study: Study
    history: Sequence[Trial]
    directory: Path
    engine: Engine
    version: str
    written_at: str
    placement: Placement = field(default_factory=Placement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written, in the order it was; the page first."""

    report: Report
    files: tuple[Path, ...]


def write(material: Material, folder: Path, *, emit: Emit = ignore) -> Written:
    """Write the report to *folder*, each file whole or not at all; what lies there under the same names is replaced.

    Raises:
        StudyError: Numbers of the store are not what the raw records fold to: nothing is written.
        InvalidInput: The folder cannot be written.
    """
    refold = refolded(material.history, material.directory)
    if refold.differing:
        raise StudyError(
            f"{len(refold.differing)} of {refold.files} raw record files of {material.run.id} do not fold to the stored numbers: "
            + ", ".join(refold.differing[:3]),
            hint=f"the files in {material.directory} were changed after they were measured; measure again",
        )
    if refold.missing:
        emit(Notice(message=f"{len(refold.missing)} raw record files are missing: the report says so",
                    hint=f"they belong in {material.directory}"))  # fmt: skip
    report, texts = _texts(material, refold)
    files = []
    for name, (text, what) in texts.items():
        path = folder / name
        _replace(path, text)
        files.append(path)
        emit(Wrote(path=str(path), what=what))
    return Written(report=report, files=tuple(files))


def refolded(history: Sequence[Trial], directory: Path) -> Refold:
    """Every raw record file of *history*, folded again and compared with the stored summary."""
    files, differing, missing = 0, [], []
    for summary, name in _measured(history):
        files += 1
        try:
            with (directory / name).open(encoding="utf-8") as lines:
                header, found = records.parse(lines)
        except FileNotFoundError:
            missing.append(name)
            continue
        except (ValueError, OSError):
            differing.append(name)
            continue
        if not _holds(dump(summarize(header, found)), dump(summary)):
            differing.append(name)
    return Refold(files=files, differing=tuple(differing), missing=tuple(missing))


def _measured(history: Sequence[Trial]) -> Iterator[tuple[Summary, str]]:
    for trial in history:
        yield from zip(trial.levels, trial.record_files, strict=True)


def _holds(new: Any, stored: Any) -> bool:
    """Whether *new* has all that *stored* has; a newer version may have added statistics, never changed one."""
    if isinstance(stored, Mapping):
        return isinstance(new, Mapping) and all(key in new and _holds(new[key], value) for key, value in stored.items())
    return bool(new == stored)


def _texts(material: Material, refold: Refold) -> tuple[Report, dict[str, tuple[str, str]]]:
    """The report, and the text of each file with what it is, by path relative to the folder."""
    report = _report(material, refold, ())
    target = _target(material, report)
    written = artefacts.render_all(target) if target else {}
    listed = tuple(Artefact(path=f"{FOLDER}/{name}", what=artefacts.ARTEFACTS[name][1]) for name in written)
    report = report.model_copy(update={"artefacts": listed})
    texts = {
        "report.html": (page.page(report), "the report, for a browser"),
        "report.json": (report.model_dump_json(indent=1, exclude_none=True) + "\n", "the same numbers, for programs"),
        "trials.csv": (table.trials_csv(report), "one row per trial"),
        "levels.csv": (table.levels_csv(report), "one row per measured level"),
    }
    texts.update({f"{FOLDER}/{name}": (text, artefacts.ARTEFACTS[name][1]) for name, text in written.items()})
    return report, texts


def _report(material: Material, refold: Refold, listed: tuple[Artefact, ...]) -> Report:
    run = material.run
    return document.build(
        run=RunHead(id=run.id, name=run.name, run=run.run, created_at=run.created_at, ended_at=run.ended_at,
                    environment=dict(run.environment)),
        study=material.study, document=run.document, history=material.history,
        result=results.result(material.study, material.history), lading=material.version, written_at=material.written_at,
        artefacts=listed, refold=refold,
    )  # fmt: skip


def _target(material: Material, report: Report) -> Target | None:
    """What the artefacts run; None where nothing has a score."""
    winner = report.result.winner
    trial = next((one for one in material.history if winner and one.number == winner.number), None)
    if winner is None or trial is None:
        return None
    study, placement = material.study, material.placement
    model = material.run.environment.get("model")
    recorded = model if isinstance(model, Mapping) else {}
    place = model_place(refs.parse(study.model.ref), recorded, claim=placement.claim)
    program = material.run.environment.get("program")
    return Target(
        name=names.dns(study.name),
        served_name=str(
            recorded.get("served_name") or study.model.served_name or names.dns(PurePosixPath(place.host_path).name)
        ),
        engine=material.engine,
        params=trial.params,
        model=place,
        argv=secret.public_argv(trial.argv),
        program=str(program) if program in material.engine.programs else None,
        env=secret.public_env(study.backend.env),
        passed_env=secret.passed_on(study.backend.env),
        origin=_origin(report, winner.number, winner.changed, str(program or "")),
        namespace=placement.namespace,
        gpus=placement.gpus,
        cpus=placement.cpus,
        memory=placement.memory,
    )


def _origin(report: Report, number: int, changed: Mapping[str, object], program: str) -> tuple[str, ...]:
    """Where an artefact came from, in lines for its head."""
    told = ", ".join(f"{name}={value}" for name, value in changed.items()) or "the defaults"
    with_program = f", measured with {program}" if program else ""
    passed = ", ".join(secret.passed_on(report.spec.backend.env))
    return (
        f"Written by Lading {report.lading} on {report.written_at[:10]}.",
        f"Study {report.run.name}, run {report.run.run}, trial {number}{with_program}: {told}",
        report.result.verdict,
        *((f"It needs in its environment, and has no value for them here: {passed}.",) if passed else ()),
    )


def _replace(path: Path, text: str) -> None:
    """Write *text* to a file beside *path* and rename it: a reader sees the old or the new, never half."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
        ) as file:
            temporary = Path(file.name)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o755 if path.suffix == ".sh" else 0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror}", hint="name another folder with --out"
        ) from error
