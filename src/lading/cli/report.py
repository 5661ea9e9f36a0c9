"""`lading report`."""

import re
from pathlib import Path

from lading import wiring
from lading.answers.studies import ReportWritten
from lading.cli.output import Common, Output
from lading.errors import InvalidInput
from lading.events import Event, Notice
from lading.flows import report as flow
from lading.flows.report import Placement
from lading.wiring import runs

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_CPUS = re.compile(r"[0-9]+(\.[0-9]+)?|[0-9]+m")
_MEMORY = re.compile(r"[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?")


def report(
    name: str,
    *,
    out: Path | None = None,
    run: int | None = None,
    claim: str | None = None,
    namespace: str | None = None,
    gpus: int | None = None,
    cpus: str | None = None,
    memory: str | None = None,
    common: Common | None = None,
) -> None:
    """Write a study's report and the manifests to run its winner.

    One page that needs no network (report.html), the same numbers for programs (report.json, trials.csv, levels.csv), and in
    manifests/ a shell script, a compose file, a KServe InferenceService with its runtime, and a plain Deployment. Works on a
    study that is still running, too.

    Args:
        name: The study.
        out: The folder to write to; NAME-report by default.
        run: Which of its runs; the newest by default.
        claim: The PersistentVolumeClaim that will hold the weights; without it the manifests have a placeholder.
        namespace: The namespace to write into the manifests.
        gpus: GPUs of the server; by default what its parameters need.
        cpus: CPUs to request, such as 4 or 500m.
        memory: Memory to request, such as 16Gi.
    """
    output = Output(common)
    placement = _placement(claim=claim, namespace=namespace, gpus=gpus, cpus=cpus, memory=memory)
    store, found = runs.named(wiring.existing_store(), name, run)
    folder = out or Path(f"{name}-report")
    written = flow.write(runs.material(store, found, placement), folder, emit=lambda event: _tell(output, event))
    answer, files = written.report.result, tuple(map(str, written.files))
    winner = answer.winner.number if answer.winner else None
    document = ReportWritten(run=found.id, verdict=answer.verdict, winner=winner, files=files)
    output.result(document, "\n".join([answer.verdict, *files]))
    if winner is None:
        output.say("no manifests: no trial has a score, so there is nothing to run")


def _tell(output: Output, event: Event) -> None:
    if isinstance(event, Notice):
        output.say(f"{event.message}; {event.hint}" if event.hint else event.message)
    output.event(event)


def _placement(
    *, claim: str | None, namespace: str | None, gpus: int | None, cpus: str | None, memory: str | None
) -> Placement:
    """The options, each checked: they end up in files that a cluster reads."""
    _check("--claim", claim, _CLAIM, "a claim's name: a-z, 0-9, '-' and '.'")
    _check("--namespace", namespace, _LABEL, "a namespace's name: a-z, 0-9 and '-', at most 63")
    _check("--cpus", cpus, _CPUS, "a number of CPUs such as 4 or 500m")
    _check("--memory", memory, _MEMORY, "an amount of memory such as 16Gi")
    if gpus is not None and gpus < 0:
        raise InvalidInput(f"--gpus {gpus} is less than none")
    return Placement(claim=claim, namespace=namespace, gpus=gpus, cpus=cpus, memory=memory)


def _check(option: str, value: str | None, pattern: re.Pattern[str], meaning: str) -> None:
    if value is not None and not pattern.fullmatch(value):
        raise InvalidInput(f"{option} {value!r} is not {meaning}")
