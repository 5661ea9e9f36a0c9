"""`lading run`: what our pods run. The command is a document, its output are events, its last word is kept thrice.

The last word, a result or an error, is the last line of the log, the pod's termination message, and the report on the
claim: whoever waits for it finds it although the log, the pod or the Job is gone.
"""

import contextlib
import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lading.cli.interrupt import stoppable
from lading.cli.output import Common
from lading.errors import (
    Cancelled,
    ClusterUnreachable,
    InvalidInput,
    LadingError,
    ModelBusy,
    SourceChanged,
    SourceTransient,
)
from lading.events import CommandEnded, Event, Failed, PullProgress, VerifyProgress
from lading.manifests import ours
from lading.spec import command as commands
from lading.spec.base import dump
from lading.spec.clock import utc_now
from lading.spec.command import Command
from lading.wiring.pod import settled

if TYPE_CHECKING:
    from lading.answers.jobs import JobReport

TERMINATION_LOG = Path("/dev/termination-log")
TERMINATION_BYTES = 4096  # kubelet keeps no more
PROGRESS_EVERY_S = 1.0
#: What another attempt may do better; `Cancelled` is a pod that was drained, evicted or deleted.
_PASSING = (SourceTransient, SourceChanged, ModelBusy, ClusterUnreachable, Cancelled)


async def run(
    command: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    *,
    volume: Path = Path(ours.MOUNT),
    common: Common | None = None,
) -> int:
    """Do what a command document says, as pods of ours are told to.

    Events go to stdout, one JSON document a line; the last is command_ended, or failed. Exits with the error's code, or
    with 75 where another attempt may do it.

    Args:
        command: The document; `-` reads it from stdin; $LADING_COMMAND by default.
        volume: Where the claim is mounted.
    """
    del common  # events are its only output
    told = Told.of(os.environ)
    began = time.monotonic()
    try:
        order = commands.parse(_document(command))
        os.environ.update(settled(os.environ))
    except LadingError as error:
        return _fail(error)
    journal = _Report(volume, told, order)
    try:
        result = await stoppable(_perform(order, volume, told, journal), kept="finished files are kept")
    except LadingError as error:
        code = _fail(error)
        journal.end(code, error=_failed(error))
        return code
    journal.end(0, result=result)
    _last_word(result)
    _say(_ended(order, time.monotonic() - began))
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the environment of a pod says of it; None where this is no pod of ours."""

    job: str | None = None
    uid: str | None = None
    pod: str = "?"
    claim: str | None = None
    namespace: str | None = None
    started_by: str | None = None
    image: str | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Told":
        """As *environment* has it."""
        return cls(
            job=environment.get(ours.JOB_VARIABLE),
            uid=environment.get(ours.RUN_VARIABLE),
            pod=environment.get("HOSTNAME", "?"),
            claim=environment.get(ours.CLAIM_VARIABLE),
            namespace=environment.get(ours.NAMESPACE_VARIABLE),
            started_by=environment.get(ours.STARTED_BY_VARIABLE),
            image=environment.get(ours.IMAGE_VARIABLE),
        )


async def _perform(order: Command, volume: Path, told: Told, journal: "_Report") -> Event:
    from lading.spec.ref import LocalRef
    from lading.volume import find
    from lading.wiring import pod
    from lading.wiring.commands import perform

    os.environ.update(pod.settled(os.environ))
    find.locate(LocalRef(path=str(volume)))  # a newer layout than ours is refused before anything is written to it
    journal.begin()
    return await perform(
        order, volume, claim=told.claim, namespace=told.namespace, user=told.started_by, emit=_Thinned()
    )


class _Thinned:
    """Says events; progress once a second, so that the log of a long pull stays short."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, PullProgress | VerifyProgress):
            if time.monotonic() < self._next_s:
                return
            self._next_s = time.monotonic() + PROGRESS_EVERY_S
        _say(event)


class _Report:
    """The report on the claim. A volume that cannot take it fails by its own work, not by this."""

    def __init__(self, root: Path, told: Told, order: Command) -> None:
        self._root = root
        self._told = told
        self._order = order
        self._report: JobReport | None = None

    def begin(self) -> None:
        """Note that this pod begins, beside the pods before it of the same Job."""
        from lading import __version__
        from lading.answers.jobs import JobAttempt, JobReport  # only who runs in a Job needs them
        from lading.volume import reports

        told = self._told
        if told.job is None:
            return
        before = reports.read(self._root, told.job)
        attempts = before.attempts if before is not None and before.uid == told.uid else ()
        self._report = JobReport(
            job=told.job,
            uid=told.uid,
            command=dump(self._order),
            started_by=told.started_by,
            image=told.image,
            version=__version__,
            attempts=(*attempts, JobAttempt(pod=told.pod, began_at=utc_now())),
        )
        self._write()

    def end(self, exit_code: int, *, result: Event | None = None, error: Failed | None = None) -> None:
        """Note how it ended."""
        if self._report is None:
            return
        last = self._report.attempts[-1].model_copy(update={"ended_at": utc_now(), "exit_code": exit_code})
        ended = {
            "attempts": (*self._report.attempts[:-1], last),
            "result": dump(result) if result else None,
            "error": dump(error) if error else None,
        }
        self._report = self._report.model_copy(update=ended)
        self._write()

    def _write(self) -> None:
        from lading.volume import reports

        assert self._report is not None
        with contextlib.suppress(OSError):
            reports.write(self._root, self._report)


def _document(given: str | None) -> str:
    if given == "-":
        return sys.stdin.read()
    if given is not None and given.startswith("-"):
        raise InvalidInput(f"Unknown option: {given}", hint="`lading run --help` says what it takes")
    text = given or os.environ.get(ours.COMMAND_VARIABLE)
    if not text:
        raise InvalidInput(
            f"there is no command: neither an argument nor ${ours.COMMAND_VARIABLE}",
            hint="pods of ours run this; what you look for is in `lading --help`",
        )
    return text


def _failed(error: LadingError) -> Failed:
    return Failed(
        code=error.code,
        message=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
        retryable=isinstance(error, _PASSING),
    )


def _fail(error: LadingError) -> int:
    event = _failed(error)
    _last_word(event)
    _say(event)
    again = event.retryable and not isinstance(error, Cancelled)
    return ours.TRY_AGAIN if again else event.exit_code


def _ended(order: Command, seconds: float) -> CommandEnded:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return CommandEnded(command=order.command, seconds=seconds, peak_memory_bytes=peak * unit)


def _say(event: Event) -> None:
    print(event.model_dump_json(exclude_none=True), flush=True)


def _last_word(event: Event) -> None:
    """For kubelet, where this is a pod's first process; shortened to what it keeps."""
    if not TERMINATION_LOG.is_file():
        return
    if isinstance(event, Failed):
        event = event.model_copy(update={"message": event.message[:2000], "hint": (event.hint or "")[:800] or None})
    with contextlib.suppress(OSError):
        TERMINATION_LOG.write_bytes(event.model_dump_json(exclude_none=True).encode()[:TERMINATION_BYTES])
