"""From an error to a trial's outcome: which phase, which class to teach, what to tell.

The classes decide what the search learns (`Failed.kind`), so they are conservative: `configuration` only where the
parameters are surely the cause.
"""

from collections.abc import Sequence

from lading.engines.base import Engine, FailureClass, LaunchFailure
from lading.errors import (
    InvalidParameters,
    LadingError,
    PortInUse,
    ServerDied,
    ServerSilent,
    ServingError,
    WrongModelServed,
)
from lading.spec import units
from lading.tuning.trial import Failed, Phase, Trial

LOG_LINES = 60
#: The class of a trial that was cut off too often. No attempt follows it, unlike other unknown failures.
CUT_OFF = "cut-off"

#: Errors that say it all: no log can tell more.
_PLAIN: tuple[tuple[type[LadingError], str, FailureClass], ...] = (
    (InvalidParameters, "invalid-parameters", "configuration"),
    (PortInUse, "port-in-use", "infrastructure"),
    (WrongModelServed, "wrong-model", "configuration"),
    (ServerSilent, "server-silent", "unknown"),
)


def of_error(error: LadingError, phase: Phase, engine: Engine, log: Sequence[str]) -> Failed:
    """The outcome of an attempt that *error* ended in *phase*; *log* is the server's, used where *error* has none."""
    lines = tuple(error.log) if isinstance(error, ServingError) and error.log else tuple(log)
    cause = _cause(error, engine, lines)
    hint = cause.hint or error.hint or ""
    return Failed(phase=phase, kind=cause.kind, name=cause.name, reason=cause.reason, hint=hint, log=lines[-LOG_LINES:])


def of_deadline(phase: Phase, deadline_s: float, engine: Engine, log: Sequence[str]) -> Failed:
    """The outcome of an attempt that ran past the deadline of *phase*; the log may know why."""
    cause = engine.classify(log, None)
    key = "measure" if phase in {"warmup", "measure"} else "start"
    late = f"not through {phase} within {units.show_seconds(deadline_s)}"
    if cause.kind == "unknown":
        hint = f"allow more: deadlines.{key} in the study, or a smaller workload"
        return Failed(phase=phase, kind="unknown", name="deadline", reason=late, hint=hint, log=tuple(log[-LOG_LINES:]))
    reason = f"{cause.reason} ({late})"
    return Failed(
        phase=phase, kind=cause.kind, name=cause.name, reason=reason, hint=cause.hint, log=tuple(log[-LOG_LINES:])
    )


def of_cut_offs(trial: Trial) -> Failed:
    """The outcome of a trial whose attempts were all cut off: by itself or not, nobody was left to see it."""
    return Failed(
        phase="measure" if trial.levels else "warmup" if trial.ready_s is not None else "start",
        kind="unknown",
        name=CUT_OFF,
        reason=f"`lading tune` was killed {trial.cut_off} times during it",
        hint="these parameters may exhaust the machine's memory; if something else ended it, tune under a new name",
    )


def of_levels(reasons: Sequence[str], engine: Engine, log: Sequence[str], *, alive: bool) -> Failed:
    """The outcome of an attempt in which no level gave a single answer."""
    told = reasons[0] if reasons else "no level was measured"
    cause = (
        LaunchFailure(name="no-answer", kind="unknown", reason=f"no request was answered at any level: {told}")
        if alive
        else engine.classify(log, None)
    )
    reason = cause.reason if alive else f"the server died under load: {cause.reason}"
    return Failed(
        phase="measure",
        kind=cause.kind,
        name=cause.name,
        reason=reason,
        hint=cause.hint,
        log=tuple(log[-LOG_LINES:]),
    )


def _cause(error: LadingError, engine: Engine, log: Sequence[str]) -> LaunchFailure:
    for kind_of_error, name, kind in _PLAIN:
        if isinstance(error, kind_of_error):
            return LaunchFailure(name=name, kind=kind, reason=error.message)
    returncode = error.returncode if isinstance(error, ServerDied) else None
    return _read(error, engine, log, name=_dashed(error.code), returncode=returncode)


def _read(
    error: LadingError, engine: Engine, log: Sequence[str], *, name: str, returncode: int | None
) -> LaunchFailure:
    """What the engine reads in its log; its own words win over ours where it knows the line."""
    cause = engine.classify(log, returncode)
    if cause.kind != "unknown":
        return cause
    return LaunchFailure(name=name, kind="unknown", reason=error.message, hint=cause.hint)


def _dashed(code: str) -> str:
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in code).strip("-")
