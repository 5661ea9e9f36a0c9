"""What a flow tells while it works: one frozen value each, one JSON line each in ``--format json``.

An event is for people and logs, never state: progress may be dropped, results are also returned. Every event has a
published schema (``lading schema event``).
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Discriminator

from lading.measure.records import Level
from lading.measure.summary import Summary
from lading.spec.base import Stored


class Notice(Stored):
    """A sentence a person should read; nothing is decided by it."""

    event: Literal["notice"] = "notice"
    message: str
    hint: str | None = None


class PreflightProblem(Stored):
    """Something that would keep a Job from its work; all of them are told, then the command fails."""

    event: Literal["preflight_problem"] = "preflight_problem"
    code: str
    """Stable name of its kind, such as ``claim-missing``."""
    message: str
    hint: str | None = None


class SourceListed(Stored):
    """What a source has, and the room there is for it, as a pod beside the volume sees both."""

    event: Literal["source_listed"] = "source_listed"
    source: str
    revision: str
    model: str
    """Its name on the volume."""
    version: str
    files: int
    size_bytes: int
    kept_bytes: int = 0
    """Of these, already on the volume from an interrupted pull."""
    format: str | None = None
    """None where it was not checked: the source does not say sizes."""
    free_bytes: int | None = None
    """None where the volume was not mounted."""
    writable: bool | None = None
    """Whether the modes of the volume's root let this pod write there; None where it was not mounted."""
    published: tuple[str, ...] = ()
    """Versions of that model on the volume."""
    replaceable_bytes: int = 0
    """What they take, and would give back."""
    unchanged: str | None = None
    """The version that has this very content."""
    left_out_files: int = 0
    """As `PullPlanned` says it."""
    left_out_bytes: int = 0


class OldRemoved(Stored):
    """Versions of a model made room for the one that comes: going back means pulling them again."""

    event: Literal["old_removed"] = "old_removed"
    model: str
    versions: tuple[str, ...]
    size_bytes: int
    """What was freed."""


class FilesShared(Stored):
    """What an older version has already was taken over from it: hashed again, not fetched, once on the disk."""

    event: Literal["files_shared"] = "files_shared"
    model: str
    versions: tuple[str, ...]
    """From which."""
    files: int
    size_bytes: int


class PullPlanned(Stored):
    """What a pull will do."""

    event: Literal["pull_planned"] = "pull_planned"
    source: str
    revision: str
    model: str
    version: str
    volume: str
    files: int
    size_bytes: int
    kept_bytes: int
    """Already on the volume from an interrupted pull."""
    left_out_files: int = 0
    """Files of the source that were not chosen: by patterns, or as another form of the same weights."""
    left_out_bytes: int = 0
    """What these would have taken."""


class PullProgress(Stored):
    """Bytes written so far, kept ones included."""

    event: Literal["pull_progress"] = "pull_progress"
    done_bytes: int
    total_bytes: int
    rate_bytes_per_s: float
    eta_s: float | None = None


class FilePulled(Stored):
    """One file is on the volume's disk, hashed."""

    event: Literal["file_pulled"] = "file_pulled"
    path: str
    size_bytes: int
    sha256: str
    seconds: float


class Published(Stored):
    """A version is visible: its manifest is written and `current` names it."""

    event: Literal["published"] = "published"
    model: str
    version: str
    path: str
    """The version's directory: an absolute path here, or a storageUri."""
    files: int
    size_bytes: int
    seconds: float


class Unchanged(Stored):
    """The source is what the volume has: nothing was done."""

    event: Literal["unchanged"] = "unchanged"
    model: str
    version: str
    path: str


class PushPlanned(Stored):
    """What a push will do."""

    event: Literal["push_planned"] = "push_planned"
    source: str
    revision: str
    model: str
    version: str
    destination: str
    files: int
    size_bytes: int
    kept_bytes: int
    """There already, with this content."""


class FilePushed(Stored):
    """One file is at the destination, whole."""

    event: Literal["file_pushed"] = "file_pushed"
    path: str
    size_bytes: int
    sha256: str
    seconds: float


class Pushed(Stored):
    """All files are at the destination, read back, and their manifest lies beside them."""

    event: Literal["pushed"] = "pushed"
    source: str
    destination: str
    model: str
    version: str
    manifest: str
    """Where it lies."""
    files: int
    size_bytes: int
    sent_files: int
    """The others were there already, with this content."""
    sent_bytes: int
    """What went over this time."""
    read_back: Literal["checksums", "full"]
    """How it was verified: by the destination's checksums, or by reading all of it."""
    extra: tuple[str, ...] = ()
    """Files there that are none of the model's."""
    seconds: float


class VerifyProgress(Stored):
    """Bytes hashed again so far."""

    event: Literal["verify_progress"] = "verify_progress"
    done_bytes: int
    total_bytes: int
    rate_bytes_per_s: float


class Failed(Stored):
    """The last line of a command in a pod that could not be done. Here, the same is an error with this exit code."""

    event: Literal["failed"] = "failed"
    code: str
    """The kind of error, such as ``SourceDenied``."""
    message: str
    hint: str | None = None
    exit_code: int
    retryable: bool = False
    """Whether another attempt may do it: the pod then exits with 75."""


class PermissionsRepaired(Stored):
    """What of a volume not everybody could read, or its group not write, and what became of it."""

    event: Literal["permissions_repaired"] = "permissions_repaired"
    dry_run: bool
    """Whether it was only looked at; what was changed would be."""
    group: int | None = None
    """The group that owns all; null: groups are left alone."""
    files: int
    directories: int
    """The volume itself is one."""
    unreadable: int
    """Files and directories that not everybody could read."""
    not_writable: int
    """That their group could not write, or directories that did not pass it on."""
    wrong_group: int
    changed: int
    refused: tuple[str, ...] = ()
    """The first of those that a pod without root may not mend, relative to the volume."""
    refused_count: int = 0
    closed: int = 0
    """Directories it cannot look into; what is in them is not counted."""


class CommandEnded(Stored):
    """The last line of a command in a pod that was done; its result came before."""

    event: Literal["command_ended"] = "command_ended"
    command: str
    seconds: float
    peak_memory_bytes: int
    """The most memory its process held."""


Problem = Literal["missing", "size", "sha256", "unreadable", "extra", "head"]


class FileBad(Stored):
    """A file is not what the manifest says."""

    event: Literal["file_bad"] = "file_bad"
    path: str
    problem: Problem
    """``head``: its beginning is not that of a whole file of its kind."""
    detail: str = ""
    noticed: str = ""
    """Which server would notice, and how, as a sentence."""
    model: str | None = None
    version: str | None = None


class Verified(Stored):
    """A version was hashed again, or looked at."""

    event: Literal["verified"] = "verified"
    model: str
    version: str
    files: int
    size_bytes: int
    bad: int
    seconds: float
    quick: bool = False
    """Whether only names, sizes and heads of files were looked at: the bytes were not read."""


class RepairPlanned(Stored):
    """What would make a version what its manifest says again."""

    event: Literal["repair_planned"] = "repair_planned"
    model: str
    version: str
    source: str
    """Where the files come from; their digests are those of the manifest."""
    files: tuple[str, ...]
    """To be fetched and put in place of the broken ones."""
    size_bytes: int
    extra: tuple[str, ...] = ()
    """What does not belong there: removed only with ``--yes``."""


class Repaired(Stored):
    """The broken files of a version were replaced; its manifest is as it was."""

    event: Literal["repaired"] = "repaired"
    model: str
    version: str
    files: tuple[str, ...]
    size_bytes: int
    removed: tuple[str, ...] = ()
    """Files that did not belong there."""
    seconds: float


class ServerStarting(Stored):
    """A server's command was validated and is being started."""

    event: Literal["server_starting"] = "server_starting"
    name: str
    engine: str
    argv: tuple[str, ...]
    argv_sha256: str


class ServerReady(Stored):
    """A real request was answered under the served name."""

    event: Literal["server_ready"] = "server_ready"
    name: str
    url: str
    served_name: str
    ready_s: float
    effective: dict[str, Any] = {}
    differences: tuple[str, ...] = ()


class ServerStopped(Stored):
    """A server and all its children are gone."""

    event: Literal["server_stopped"] = "server_stopped"
    name: str


class ImageProgress(Stored):
    """Bytes of a container image that have arrived, of those known of so far; both 0 as the pull begins."""

    event: Literal["image_progress"] = "image_progress"
    image: str
    done_bytes: int
    total_bytes: int


class ImagePulled(Stored):
    """An image that was not on this machine is there now."""

    event: Literal["image_pulled"] = "image_pulled"
    image: str
    size_bytes: int
    """As it was transferred."""
    seconds: float


class LevelStarted(Stored):
    """Load of one level begins."""

    event: Literal["level_started"] = "level_started"
    level: Level
    requests: int


class LevelProgress(Stored):
    """How far a level is."""

    event: Literal["level_progress"] = "level_progress"
    level: Level
    ended: int
    failed: int
    requests: int
    seconds: float
    tokens: int | None = None
    """Chunks seen so far; None where they are not counted before the run ends."""


class LevelMeasured(Stored):
    """One level was measured."""

    event: Literal["level_measured"] = "level_measured"
    summary: Summary
    record_file: str


class LevelNotMeasured(Stored):
    """One level could not be measured; the others stand."""

    event: Literal["level_not_measured"] = "level_not_measured"
    level: Level
    reason: str


class StudyPlanned(Stored):
    """What a study will do, before it starts."""

    event: Literal["study_planned"] = "study_planned"
    name: str
    run: int
    trials: int
    confirmations: int
    server_starts: int
    """When no attempt is repeated and no life of the comparison replaced."""
    replacements_at_most: int = 0
    """Server starts beyond these, where the client or the machine spoils lives of the comparison."""
    seconds_estimated: float | None = None
    """None where nothing is known yet of how long a trial takes."""
    estimated_from: Literal["this run", "past runs", "guess"] = "guess"
    """What the estimate rests on: trials that were measured, or the workload alone."""
    seconds_at_most: float
    resumed_trials: int = 0
    """Trials of an earlier attempt that stand."""


class TrialStarted(Stored):
    """An attempt at a trial begins."""

    event: Literal["trial_started"] = "trial_started"
    number: int
    attempt: int
    role: str
    params: dict[str, Any]


class PhaseStarted(Stored):
    """A trial enters a phase."""

    event: Literal["phase_started"] = "phase_started"
    number: int
    phase: str
    deadline_s: float


class TrialEnded(Stored):
    """An attempt at a trial ended; *value* is its score where it has one."""

    event: Literal["trial_ended"] = "trial_ended"
    number: int
    attempt: int
    outcome: str
    value: float | None = None
    level: Level | None = None
    reason: str | None = None
    best_number: int | None = None
    best_value: float | None = None
    eta_s: float | None = None


class StudyEnded(Stored):
    """A study has its answer."""

    event: Literal["study_ended"] = "study_ended"
    name: str
    run: int
    verdict: str
    """One sentence: the winner, its value, its gain over the defaults with its interval."""
    winner: int | None = None


class Wrote(Stored):
    """A file for the user was written."""

    event: Literal["wrote"] = "wrote"
    path: str
    what: str


Event = Annotated[
    Notice | PreflightProblem | SourceListed | OldRemoved | FilesShared | PullPlanned | PullProgress | FilePulled | Published | Unchanged
    | PushPlanned | FilePushed | Pushed
    | Failed | CommandEnded | PermissionsRepaired | VerifyProgress | FileBad | Verified
    | RepairPlanned | Repaired
    | ImageProgress | ImagePulled
    | ServerStarting | ServerReady | ServerStopped | LevelStarted | LevelProgress | LevelMeasured | LevelNotMeasured
    | StudyPlanned | TrialStarted | PhaseStarted | TrialEnded | StudyEnded | Wrote,
    Discriminator("event"),
]  # fmt: skip

Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An `Emit` for callers that do not listen."""
    del event
