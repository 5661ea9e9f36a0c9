"""The seams: Protocols that adapters implement and flows take, with the values that cross them.

`Source`, `Backend` (and `lading.engines.base.Engine`) are open to third parties through the entry points
``lading.sources``, ``lading.backends`` and ``lading.engines``. The others are internal. Each has a contract suite in
`lading.testing`, which says in tests what the docstrings say here in words.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from lading.engines.base import Engine, Value
from lading.events import Emit, Event
from lading.measure.records import Level
from lading.measure.summary import Summary
from lading.spec.ref import Reference
from lading.spec.workload import Workload
from lading.tuning.observe import Observation
from lading.tuning.trial import Fact, Params
from lading.weights.inventory import Adoption, Seen, Unmanaged, Usage
from lading.weights.layout import Leftover
from lading.weights.listing import Entry, Listing
from lading.weights.manifest import FileEntry, Manifest
from lading.weights.parts import Part
from lading.weights.pushing import Held

# ---------------------------------------------------------------------------------------------------------- weights


@runtime_checkable
class Source(Protocol):
    """A place weights come from. It never sees a path of the volume."""

    async def resolve(self, ref: Reference) -> Listing:
        """What is there now, pinned; the same content gives the same revision.

        Raises:
            SourceMissing, SourceDenied, SourceTransient, InvalidReference: As named.
        """

    def read_into(self, entry: Entry, offset: int, buffer: memoryview, *, end: int | None = None) -> int:
        """Read bytes of *entry* from *offset* on into *buffer*; how many, 0 only at its end (or where *end* is).

        Fewer than fit are no fault. *end*: this thread goes on reading up to there and no further (nor does *buffer*), so
        that one request for a range brings all of it; None: to the end of the file. Blocking and thread-safe; every wait inside is at
        most 5 s. Sequential reads of one entry by one thread may share a connection.

        Raises:
            SourceChanged: The content is no longer that of the listing.
            SourceTransient: Worth another try from the same offset; `SourceBusy`: but slower.
            RangesRefused: Its server gives whole files only: read it from its start, with one thread.
            SourceDenied, SourceMissing: As named.
        """

    def close(self) -> None:
        """Close all connections; idempotent."""


@runtime_checkable
class KnowsDigests(Protocol):
    """A source that can be asked what a file hashes to, where its listing does not say."""

    def digests(self, entry: Entry) -> Mapping[str, str]:
        """What the store says of the content, by algorithm (`lading.weights.digests`); asked once before a file is read.

        Blocking and thread-safe; empty where it says nothing. Raises as `Source.read_into`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPart:
    """A part of an unfinished upload, as the destination has it.

    Attributes:
        number: From 1 on, in the order of the file.
        etag: The destination's mark of its content.
        crc64nvme: Of its bytes; None where the destination does not say it later on.
    """

    number: int
    size_bytes: int
    etag: str
    crc64nvme: int | None


class Cancel(Protocol):
    """Says whether work is to stop (a `threading.Event`)."""

    def is_set(self) -> bool:
        """Whether it is."""


@runtime_checkable
class Destination(Protocol):
    """A place that weights are pushed to: a prefix of an object store, a folder. Blocking and thread-safe.

    A file is seen there when it is whole, and not before. Every method raises `SourceTransient` where it is worth another
    try (`SourceBusy`: but slower), `SourceDenied` and `SourceError` else.
    """

    @property
    def shown(self) -> str:
        """Where it is, as a person names it."""

    def files(self) -> Mapping[str, Held]:
        """What is there, by path; without what a push keeps beside the files."""

    def digests(self, path: str) -> Mapping[str, str]:
        """What it says that a file hashes to, by algorithm (`lading.weights.digests`); empty where it says nothing."""

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        """Read bytes of a file that is there; 0 only at its end."""

    def put(self, path: str, data: memoryview, *, cancel: Cancel | None = None) -> Held:
        """A small file, whole, in place of what was there; refused where other bytes arrived than were sent."""

    def begin(self, path: str, size_bytes: int | None) -> str:
        """Begin to upload a file in parts; gives the upload's id. Nothing is seen before `complete`."""

    def send(
        self, path: str, upload: str, number: int, data: memoryview, *, offset: int, cancel: Cancel | None = None
    ) -> SentPart:
        """One part, again where it was sent before; refused where other bytes arrived than were sent.

        All parts but the last are of one size, and *offset* is where its bytes lie in the file. *cancel* is looked at while
        it is sent (`Cancelled`).
        """

    def parts(self, path: str, upload: str) -> Mapping[int, SentPart] | None:
        """What an unfinished upload has, by number; None where there is no such upload any more."""

    def complete(self, path: str, upload: str, parts: Sequence[SentPart]) -> Held:
        """Make the file of *parts*, which are all of it, in order: it is there then, in place of what was."""

    def abort(self, path: str, upload: str) -> None:
        """Forget an upload; silent where there is none."""

    def remove(self, path: str) -> None:
        """Remove a file; silent where there is none."""

    def manifest(self) -> bytes | None:
        """The manifest that lies beside the files, as it is; None where there is none."""

    def require_manifest(self) -> None:
        """Nothing, if a manifest may be put beside the files, which is found out before any of them is sent.

        Raises:
            SourceDenied: It may not.
        """

    def put_manifest(self, data: bytes) -> str:
        """Put it there, in place of an older one; gives where it is, as a person names it."""

    def close(self) -> None:
        """Close all connections; idempotent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An upload that was begun: *mark* is that of the content it began with, *crcs* those of its parts, by their etag."""

    upload: str
    mark: str
    crcs: Mapping[str, int]


class UploadJournal(Protocol):
    """What a push did so far, for the next attempt at the same; thread-safe. A line that is lost costs work, never truth."""

    @property
    def unfinished(self) -> Mapping[str, Unfinished]:
        """Uploads that were neither completed nor forgotten, by path."""

    @property
    def finished(self) -> Mapping[str, FileEntry]:
        """Files that were completed, by path; `etag` is the destination's mark."""

    def begun(self, path: str, upload: str, mark: str) -> None:
        """An upload was begun."""

    def sent(self, path: str, part: SentPart) -> None:
        """A part of it is there."""

    def completed(self, file: FileEntry) -> None:
        """The file is there."""

    def forgotten(self, path: str) -> None:
        """The upload was aborted, or the file is not what was sent."""


class UploadJournals(Protocol):
    """Where the journals of pushes are, by the id of their transfer (`lading.weights.plan.transfer_id`)."""

    def finished(self, transfer: str) -> Mapping[str, FileEntry]:
        """What an earlier attempt completed, without making a journal."""

    def opened(self, transfer: str, destination: str) -> AbstractContextManager[UploadJournal]:
        """The journal, held by this process.

        Raises:
            ModelBusy: Another process is at the same push.
        """

    def stale(self, transfer: str, destination: str) -> Iterator[tuple[str, Mapping[str, Unfinished]]]:
        """Pushes of other content to *destination* that nobody is at: their ids, and the uploads that they left."""

    def remove(self, transfer: str) -> None:
        """Forget a push; silent where there is none."""


@runtime_checkable
class KeepsManifest(Protocol):
    """A source beside whose files a push left a manifest."""

    def manifest(self, ref: Reference) -> bytes | None:
        """That manifest, as it lies there: not to be trusted before it is read. None where there is none.

        Blocking. Raises as `Source.resolve`.
        """


class StagedFile(Protocol):
    """One file being written to staging. Several threads write to it, each its own parts."""

    @property
    def kept(self) -> Sequence[Part]:
        """Parts that an earlier attempt wrote and journalled, by offset; their bytes are to be checked before they count."""

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Read what was written at *offset*; fewer bytes than fit where the file ends."""

    def write(self, data: memoryview, offset: int) -> None:
        """Write *data* at *offset*; quickest where both are aligned to 4096 bytes.

        Raises:
            VolumeFull, VolumeNotWritable: As named; the staging stays for a later attempt.
        """

    def keep(self, part: Part) -> None:
        """Say that all bytes of *part* were written: soon durable and journalled, it is in `kept` of a later attempt."""

    def finish(self, size_bytes: int, sha256: str) -> FileEntry:
        """Make it durable and journal it, or a small one soon, together with others; gives what is journalled.

        The caller hashed what it wrote. All that was finished is durable once `Staging.finished` is asked for, at `publish`,
        and when the staging is left.
        """

    def leave(self) -> None:
        """Let go of it, with the parts that were kept; idempotent, silent after `finish`."""

    def abandon(self) -> None:
        """Forget what was written; idempotent, silent after `finish`."""


class Staging(Protocol):
    """A transfer's own directory on the volume's file system, under the model's lock."""

    @property
    def in_order(self) -> bool:
        """Whether a file takes its bytes only from its start to its end, by one thread (a stream to elsewhere)."""

    @property
    def partial_bytes(self) -> int:
        """Room that unfinished files of an earlier attempt have taken already: it is not needed again."""

    @property
    def finished(self) -> Mapping[str, FileEntry]:
        """Files an earlier attempt completed and journalled, by path; their size on disk was checked again."""

    def open(self, entry: Entry) -> StagedFile:
        """A file for *entry*, whose name is checked: as an interrupted attempt left it, else a new one. Thread-safe.

        Raises:
            HostileName: The name must not be written.
        """

    def read(self, path: str, offset: int, size_bytes: int) -> bytes:
        """Up to *size_bytes* of a finished file from *offset* on, for format checks; empty at its end."""


Progress = Callable[[int], None]
"""Told how many more bytes are done (fewer where work begins again); what it raises stops the work."""


@runtime_checkable
class Settles(Protocol):
    """A staging that makes small files durable many at a time."""

    def settle(self) -> None:
        """Make durable and journal what still waits for that; raises as `StagedFile.finish`."""


@runtime_checkable
class TakesOver(Protocol):
    """A staging that can go on with what an earlier transfer has, of the same source a moment ago."""

    def take_over(self, transfer: str, entries: Sequence[Entry]) -> None:
        """Take of *entries* what that transfer finished or began, where it is still that content; the rest is left there."""


@runtime_checkable
class KeepsFiles(Protocol):
    """A staging that can take files of published versions over without their bytes."""

    def take(self, manifest: Manifest, file: FileEntry, *, progress: Progress) -> bool:
        """Take *file* of the version of *manifest* over as finished, its bytes hashed again; False where that cannot be.

        Thread-safe. *progress* is told of hashed bytes; what it raises stops it.
        """


@runtime_checkable
class Volume(Protocol):
    """Models on a volume: the only writer to it. Blocking; each method is safe to repeat."""

    @property
    def root(self) -> Path:
        """The directory that is the volume, here."""

    @property
    def shown(self) -> str:
        """The volume as a person names it: a folder's path, ``pvc://claim``. Messages name it so."""

    @property
    def cores(self) -> int:
        """How many files are worth hashing at once, where the volume is."""

    @property
    def id(self) -> str:
        """The volume's own id: the same through every mount."""

    def stage(self, model: str, version: str, transfer: str) -> AbstractContextManager[Staging]:
        """The staging of *transfer* (an id that is the same for the same source, revision and destination).

        Leaving the context releases the lock and keeps the staging, so that a rerun goes on, unless it was published.

        Raises:
            ModelBusy: Another live writer has this model; VolumeNotWritable, VolumeTooNew: as named.
        """

    def publish(self, staging: Staging, manifest: Manifest, *, use: bool = True) -> Path:
        """Make the staged files the version of *manifest*: fsync, rename, manifest last, then `current` if *use*.

        Before it returns, or at a crash in any place, the version is either wholly there with its manifest, or not
        listed at all. Publishing what is published is silent.
        """

    def mend(self, manifest: Manifest, transfer: str) -> AbstractContextManager[Staging]:
        """A staging for files of a published version that are broken, under its model's lock.

        What was staged and not put in place is kept for a later attempt.

        Raises:
            NotPublished: It is not listed; ModelBusy: another live writer has this model.
        """

    def replace(self, staging: Staging, manifest: Manifest, paths: Sequence[str]) -> None:
        """Put the staged *paths* in the place of a version's broken files, each by a rename; the manifest stays as it is.

        Raises:
            VolumeError: One is not staged with the bytes that the manifest says; nothing was replaced.
        """

    def discard(self, manifest: Manifest, paths: Sequence[str]) -> None:
        """Remove what lies in a version's directory and is not in its manifest (`extra_files`); other *paths* are silent.

        Raises:
            VolumeError: The version was adopted: what else lies there is somebody's.
        """

    def manifests(self) -> Iterator[Manifest]:
        """All published versions, by model, then by time of publication."""

    def manifest(self, model: str, version: str | None = None) -> Manifest:
        """One version's manifest; None: the current one.

        Raises:
            NotPublished: There is none; the hint names the nearest.
        """

    def directory(self, manifest: Manifest) -> Path:
        """Where the files of a published version lie, here; absolute."""

    def place(self, manifest: Manifest) -> str:
        """Where a version lies, as a person names it; a claim's is its storageUri."""

    def current(self, model: str) -> str | None:
        """The version `current` names, or the only one, when it was adopted; None without."""

    def currents(self, models: Sequence[str]) -> Mapping[str, str | None]:
        """The current version of each of *models*."""

    def use(self, model: str, version: str) -> None:
        """Switch `current` atomically; logged in ``.lading/history.jsonl``."""

    def adopt(self, adoption: Adoption, *, progress: Progress) -> Manifest:
        """Hash a folder where it lies and list it as a version, which is not moved; again is silent while it is the same.

        *progress* may be called from several threads.

        Raises:
            InvalidReference: It is no folder, or it and a published version lie in one another.
            FormatRefused: It is no whole model, or has links in it.
            ModelBusy: Another live writer has this model.
            VolumeError: Its files changed since it was adopted, or while it was hashed.
        """

    def unmanaged(self, known: Sequence[Manifest] | None = None) -> tuple[Unmanaged, ...]:
        """Folders that look like a model and have no manifest, by path; judged by names, sizes and heads of files.

        *known*: all published versions, where the caller has read them already.
        """

    def usage(self) -> Usage:
        """What all that lies there takes, each byte counted once."""

    def open_file(self, manifest: Manifest, path: str) -> BufferedReader:
        """A file of a published version, for reading.

        Raises:
            OSError: It is not there, no plain file, behind a link, or cannot be read.
        """

    def open_plain(self, path: str) -> BufferedReader:
        """A plain file anywhere on the volume but in ``.lading``, by its path from the root, for reading.

        Raises:
            HostileName: *path* leads out of the volume, or into ``.lading``.
            OSError: As `open_file`.
        """

    def hash_plain(self, path: str, size_bytes: int, progress: Progress) -> tuple[int, str]:
        """Size and SHA-256 of a plain file, hashed where the volume is; empty where its size is not *size_bytes*.

        Raises:
            HostileName, OSError: As `open_plain`.
        """

    def look(self, manifest: Manifest) -> tuple[Seen, ...]:
        """Each of its files as it lies there, in the manifest's order: opened, not read."""

    def extra_files(self, manifest: Manifest) -> tuple[str, ...]:
        """Paths in the version's directory that its manifest does not have."""

    def remove(self, model: str, version: str) -> None:
        """Remove a version, its manifest first; a missing one is silent. `current` never dangles.

        Raises:
            VolumeError: It is the current one, and others are left.
        """

    def sweep(self, *, idle_s: float = 0.0) -> tuple[Path, ...]:
        """Remove what killed runs left, and say what it was: exactly the paths of `leftovers`.

        An interrupted pull that nobody runs now loses its progress, where nothing of it changed for *idle_s*; what a
        live writer holds is left alone.
        """

    def leftovers(self) -> tuple[Leftover, ...]:
        """What `sweep` would remove."""

    def free_bytes(self) -> int:
        """Bytes an ordinary user may still write."""

    def require_free(self, size_bytes: int) -> None:
        """Return when *size_bytes* more fit.

        Raises:
            VolumeFull: They do not; names what is needed and what is free.
        """


class Channel(Protocol):
    """Bytes both ways between us and a program elsewhere (its stdin and stdout); blocking, and thread-safe per direction."""

    def send(self, data: bytes | memoryview) -> None:
        """Hand all of *data* on; returns when it may be reused. Waits where the other side does not keep up.

        Raises:
            ChannelClosed: The other side is gone.
        """

    def receive(self) -> bytes:
        """The next bytes, as many as there are; empty when the other side has ended.

        Raises:
            ChannelClosed: The stream broke before its end.
        """

    def close(self) -> None:
        """End the stream; idempotent. A `receive` under way returns."""


# ---------------------------------------------------------------------------------------------------------- serving


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """What to serve.

    Attributes:
        name: Unique among what runs here; labels everything that is created.
        model: Path of the model as the server will see it.
        params: Canonical (`Engine.parse`), only what was asked for.
        port: None: a free one, chosen at start.
        lease: The run that owns it; None: it belongs to the user and stays until stopped.
    """

    name: str
    model: str
    served_name: str
    engine: Engine
    params: Params
    env: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int | None = None
    lease: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What a backend will create, decided and validated; printed by ``--dry-run``.

    Attributes:
        argv: The whole command line; where the port is chosen at start it reads ``{port}``.
        argv_sha256: Of *argv*, as 64 hex digits.
    """

    name: str
    backend: str
    engine: Engine
    program: str
    argv: tuple[str, ...]
    argv_sha256: str
    env: Mapping[str, str]
    model: str
    served_name: str
    params: Params
    host: str
    port: int | None
    lease: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server that can be asked.

    Attributes:
        base_url: Without ``/v1`` and without a trailing slash.
        served_name: The model name requests carry.
        takes_token_ids: Whether ``/v1/completions`` takes a list of ids; None: find out.
        request_body: Keys every measured request needs (`Engine.request_body`).
        reach: From where it can be asked.
        headers: Sent with every request (authorization); secret, never stored or shown.
    """

    base_url: str
    served_name: str
    takes_token_ids: bool | None = None
    vocabulary: int | None = None
    request_body: Mapping[str, object] = field(default_factory=dict)
    reach: Literal["host", "cluster"] = "host"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A server answered one real request under its served name.

    Attributes:
        argv: What really runs, from the operating system or the object; None where it cannot be known.
        effective: What the server says it runs with (`Engine.effective`).
    """

    endpoint: Endpoint
    ready_s: float
    argv: tuple[str, ...] | None
    effective: Mapping[str, Value]


@runtime_checkable
class Backend(Protocol):
    """A place where servers run."""

    @property
    def kind(self) -> str:
        """Its name: ``process`` or ``endpoint``."""

    def plan(self, request: ServeRequest) -> Deployment:
        """What `apply` will create. Pure: the same request gives the same deployment.

        Raises:
            InvalidParameters, MissingProgram: As named.
        """

    async def apply(self, deployment: Deployment) -> None:
        """Start it. Applying the same deployment twice equals once.

        Raises:
            PortInUse, ServerDied, ServingError: As named.
        """

    async def ready(self, name: str, *, within_s: float) -> Ready:
        """Wait until one real request was answered under the served name.

        Past its deadline, or when the server died, it raises and leaves the object for `remove`.

        Raises:
            ServerDied, NotReady, ServerSilent, WrongModelServed: With the log.
        """

    async def alive(self, name: str) -> bool:
        """Whether it still runs."""

    def log(self, name: str, *, lines: int = 200) -> tuple[str, ...]:
        """The last lines of the server's own log, oldest first; empty where there is none."""

    async def remove(self, name: str, *, within_s: float = 60.0) -> None:
        """Stop it with all its children and verify that they are gone; an unknown name is silent.

        Raises:
            TeardownFailed: Something is still there after *within_s*.
        """

    async def names(self) -> tuple[str, ...]:
        """What of ours runs here, or is recorded and not yet removed."""

    async def reap(self) -> tuple[str, ...]:
        """Remove what belongs to leases that nobody holds any more (killed runs); what was removed."""


# ---------------------------------------------------------------------------------------------------------- load


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelDone:
    """One level measured: its summary is a fold of the records in *record_file*."""

    level: Level
    summary: Summary
    record_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelLost:
    """One level that could not be measured at all."""

    level: Level
    reason: str


class LoadGenerator(Protocol):
    """Offers a workload to an endpoint: values in, raw record files and events out."""

    async def warm_up(self, endpoint: Endpoint, workload: Workload, *, emit: Emit) -> int:
        """Send requests until throughput is steady (or `workload.warmup` of them); how many were sent.

        Raises:
            MeasurementError: None was answered.
        """

    def run(
        self, endpoint: Endpoint, workload: Workload, directory: Path, *, emit: Emit
    ) -> AsyncGenerator[LevelDone | LevelLost, None]:
        """Measure each level in turn, giving its result as it ends; a level that fails never ends the others.

        The schedule of a level is computed before its first request. Record files are written to *directory*, whole or
        not at all. Closing the generator cancels what is in flight and closes every connection.
        """


# ---------------------------------------------------------------------------------------------------------- studies


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """One run of a study: the document as it was when the run began.

    Attributes:
        id: ``name`` and run number, ``granite-chat.1``: also its folder's name.
        document: The text as written.
        spec: The study as JSON (`lading.spec.base.dump`).
        environment: Versions and hardware when it began.
    """

    id: str
    name: str
    run: int
    created_at: str
    document: str
    spec: Mapping[str, object]
    environment: Mapping[str, object]
    cancelled: bool = False
    ended_at: str | None = None


class Store(Protocol):
    """Studies and their facts, append-only. Blocking; several processes may hold one store."""

    def create(
        self, name: str, *, document: str, spec: Mapping[str, object], environment: Mapping[str, object]
    ) -> StudyRun:
        """A new run of *name*, numbered one above the last."""

    def runs(self) -> tuple[StudyRun, ...]:
        """All runs, oldest first."""

    def latest(self, name: str, run: int | None = None) -> StudyRun | None:
        """The newest run of *name*, or the run numbered *run*; None without one."""

    def rebudget(self, run_id: str, *, document: str, spec: Mapping[str, object]) -> StudyRun:
        """Take a document in which only the budget differs; both documents stay readable."""

    def documents(self, run_id: str) -> tuple[str, ...]:
        """The run's documents as they were written, oldest first: one, and one for each `rebudget`."""

    def append(self, run_id: str, facts: Sequence[Fact]) -> None:
        """Append *facts*, all or none, durable on return. A fact already there (same content) is silent.

        Raises:
            StudyError: The run is unknown.
        """

    def facts(self, run_id: str) -> tuple[Fact, ...]:
        """All facts in the order they were appended; a value that later appends do not change."""

    def cancel(self, run_id: str) -> None:
        """Ask the process that works on the run to stop; idempotent."""

    def uncancel(self, run_id: str) -> None:
        """Forget the request: someone runs it again."""

    def cancelled(self, run_id: str) -> bool:
        """Whether someone asked."""

    def end(self, run_id: str, at: str) -> None:
        """Note that the run has its answer."""

    def close(self) -> None:
        """Let go of the database; idempotent."""


class Search(Protocol):
    """A strategy as a pure function of history and a seed."""

    def propose(
        self, history: Sequence[Observation], pending: Sequence[Params], *, count: int, seed: int
    ) -> tuple[Params, ...]:
        """Up to *count* new parameter sets of its space, none in history, pending or twice; fewer means there are no more.

        The same arguments give the same proposal, on every machine; *history* is not changed.
        """


class Runner(Protocol):
    """Where a command of ours runs: here, in a pod, in a Job. The command is a document, not argv."""

    def run(self, command: Mapping[str, object]) -> AsyncIterator[Event]:
        """Its events, until it ended."""
