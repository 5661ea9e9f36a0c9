"""The errors a user meets: a fact in the message, the remedy in the hint.

A library call raises one of these or lets a bug crash; it never returns a made-up value. The command line prints
``error: MESSAGE`` and ``hint: HINT`` and exits with ``exit_code``; these codes are a documented contract
(`docs/exit-codes.md`).

::

    LadingError                      1   something could not be done
    ├── InvalidInput                 2   what the user wrote is wrong; nothing was started
    │   ├── InvalidReference             a reference (s3://…, pvc://…, a folder) that cannot be understood
    │   ├── InvalidDocument              a YAML or JSON file: names file, line and key
    │   └── InvalidParameters            engine parameters: unknown, out of range, or against a rule
    ├── Missing                      3   this machine lacks something
    │   ├── MissingExtra                 an optional dependency; the hint is the `pip install`
    │   └── MissingProgram               an engine's program
    ├── SourceError                  1   the place weights come from, or are pushed to
    │   ├── SourceMissing                nothing there
    │   ├── SourceDenied                 credentials refused
    │   ├── SourceChanged                an object changed while it was read
    │   ├── RangesRefused                its server gives whole files only
    │   └── SourceTransient              worth another try (time-out, reset, 5xx)
    │       └── SourceBusy               but slower (429, 503)
    ├── WeightsError                 1
    │   ├── HostileName                  a path from outside that must not be written
    │   ├── FormatRefused                half a model, wrong format
    │   └── VerificationFailed       4   bytes on the volume differ from the manifest
    ├── VolumeError                  1
    │   ├── VolumeFull, VolumeNotWritable, VolumeTooNew, ModelBusy, NotPublished
    ├── ServingError                 1   a server did not come to serve; carries phase, class and log
    │   ├── PortInUse, GpusUnavailable, ServerDied, NotReady, WrongModelServed, ServerSilent, TeardownFailed
    ├── ClusterError                 1   the Kubernetes API did not do as asked
    │   ├── ClusterUnreachable           no answer, or no configuration that says where
    │   ├── ClusterDenied                a right is missing; the hint is the RBAC rule to add
    │   ├── ChannelClosed                a stream into a pod broke
    │   ├── ClusterConflict              another owner of a field, or the object changed meanwhile
    │   └── ObjectMissing                there is no such object
    ├── PlacementError               1   something on the cluster keeps our pod or Job from its work
    │   ├── PreflightFailed              found before anything was started: all problems, each with its remedy
    │   ├── PodFailed                    our pod or Job ended, or cannot start; carries the log
    │   └── ClaimUnusable                the claim cannot be bound, mounted or written
    ├── StillRunning                 5   a deadline passed, and what was waited for goes on
    ├── VersionSkew                  3   command, image, layout or store of another major version
    ├── MeasurementError             1   a level could not be measured at all
    ├── StudyError                   1   the study cannot go on as asked
    └── Cancelled                  130   the user stopped it; what was done is kept
"""

from collections.abc import Sequence
from typing import ClassVar


class LadingError(Exception):
    """Something could not be done: *message* states the fact with its values, *hint* the remedy."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def code(self) -> str:
        """The stable name of this kind of error in JSON output."""
        return type(self).__name__


class InvalidInput(LadingError):
    """What the user wrote is wrong; nothing was started."""

    exit_code = 2


class InvalidReference(InvalidInput):
    """A reference that cannot be understood, shown with what is wrong in it."""


class InvalidDocument(InvalidInput):
    """A document with one or more problems, each naming file, line and key."""

    def __init__(self, message: str, *, problems: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__("\n".join([message, *(f"  {problem}" for problem in problems)]), hint=hint)
        self.problems = tuple(problems)


class InvalidParameters(InvalidInput):
    """Engine parameters that are unknown, out of range or against a rule; with several *problems* each has its line."""

    def __init__(self, message: str, *, problems: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__("\n".join([message, *(f"  {problem}" for problem in problems)]), hint=hint)
        self.problems = tuple(problems) or (message,)


class Missing(LadingError):
    """This machine lacks something the command needs."""

    exit_code = 3


class MissingExtra(Missing):
    """An optional dependency is not installed."""

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f"{what} needs the extra `{extra}`", hint=f'pip install "lading[{extra}]"')
        self.extra = extra


class MissingProgram(Missing):
    """No program of the engine was found on this machine."""


class SourceError(LadingError):
    """The place weights come from did not give them, or the one that they are pushed to did not take them."""


class SourceMissing(SourceError):
    """Nothing is at the reference."""


class SourceDenied(SourceError):
    """The source refused the credentials, or there are none."""


class SourceChanged(SourceError):
    """An object changed while it was being read: its bytes may not be mixed."""


class SourceTransient(SourceError):
    """A fault worth another try: a time-out, a reset, a server error."""


class SourceBusy(SourceTransient):
    """The source asks for fewer requests, perhaps with the seconds to wait."""

    def __init__(self, message: str, *, hint: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class RangesRefused(SourceError):
    """The source gives whole files only: what was asked for begins in the middle."""


class WeightsError(LadingError):
    """Weights that must not be published, or are not what they should be."""


class HostileName(WeightsError):
    """A path from outside that must not be written to a volume."""


class FormatRefused(WeightsError):
    """Not a servable model: half of it is missing, or a file is not what its name says."""


class VerificationFailed(WeightsError):
    """Bytes on the volume differ from the manifest."""

    exit_code = 4


class VolumeError(LadingError):
    """A volume could not be read or written as asked."""


class VolumeFull(VolumeError):
    """Not enough free space."""


class VolumeNotWritable(VolumeError):
    """The volume refuses writes."""


class VolumeTooNew(VolumeError):
    """The volume was laid out by a newer version of Lading."""


class ModelBusy(VolumeError):
    """Another writer holds this model's lock."""


class NotPublished(VolumeError):
    """No such model or version has a manifest on the volume."""


class ServingError(LadingError):
    """A server did not come to serve.

    Attributes:
        log: The last lines of the server's own log, oldest first.
    """

    def __init__(self, message: str, *, hint: str | None = None, log: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.log = tuple(log)


class PortInUse(ServingError):
    """Something else listens on the port asked for."""


class GpusUnavailable(ServingError):
    """Fewer GPUs can be had than the server asks for; of each it is said why."""


class ServerDied(ServingError):
    """The server's process ended before or while serving.

    Attributes:
        returncode: Its exit status; negative for a signal, None where unknown.
    """

    def __init__(
        self, message: str, *, returncode: int | None = None, hint: str | None = None, log: Sequence[str] = ()
    ) -> None:
        super().__init__(message, hint=hint, log=log)
        self.returncode = returncode


class NotReady(ServingError):
    """The deadline of a phase passed before the server answered a real request."""


class ServerSilent(NotReady):
    """The server says it is ready, but a real request is never answered."""


class WrongModelServed(ServingError):
    """A request was answered, but under another model's name."""


class TeardownFailed(ServingError):
    """Something of a server is still there after removal."""


class ClusterError(LadingError):
    """The Kubernetes API did not do as asked.

    Attributes:
        status: The HTTP status, None where there was no answer.
    """

    def __init__(self, message: str, *, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ClusterUnreachable(ClusterError):
    """No answer from the API server, or nothing says where it is."""


class ClusterDenied(ClusterError):
    """A right is missing; the hint is the RBAC rule to add."""


class ChannelClosed(ClusterError):
    """A stream into a pod broke before its end; worth another connection."""


class ClusterConflict(ClusterError):
    """Another manager owns a field, or the object changed meanwhile."""


class ObjectMissing(ClusterError):
    """There is no such object."""


class PlacementError(LadingError):
    """Something on the cluster keeps our pod or Job from its work."""


class PreflightFailed(PlacementError):
    """Found before anything was started: all *problems*, each a fact with its remedy."""

    def __init__(self, message: str, *, problems: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__("\n".join([message, *(f"  {problem}" for problem in problems)]), hint=hint)
        self.problems = tuple(problems)


class PodFailed(PlacementError):
    """A pod or Job of ours ended without its result, or cannot start.

    Attributes:
        log: The last lines of its log, oldest first.
    """

    def __init__(self, message: str, *, hint: str | None = None, log: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.log = tuple(log)


class ClaimUnusable(PlacementError):
    """The claim cannot be bound, mounted or written."""


class StillRunning(LadingError):
    """A deadline of the user's passed; what was waited for goes on."""

    exit_code = 5


class VersionSkew(LadingError):
    """Command, image, layout or store of another major version than ours."""

    exit_code = 3


class MeasurementError(LadingError):
    """A level could not be measured at all."""


class StudyError(LadingError):
    """A study cannot go on as asked."""


class Cancelled(LadingError):
    """The user stopped it; what was finished is kept."""

    exit_code = 130
