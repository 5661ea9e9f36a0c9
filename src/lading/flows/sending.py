"""What a decided push does: compare, send, read back, then the manifest. Blocking; the flow runs it in a thread."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from lading import transfer
from lading.errors import Cancelled, VerificationFailed
from lading.events import (
    Emit,
    Event,
    FilePulled,
    FilePushed,
    Notice,
    PullProgress,
    Pushed,
    PushPlanned,
    VerifyProgress,
)
from lading.flows import comparing, signed
from lading.flows import pull as pulling
from lading.ports.destination import Destination, UploadJournal
from lading.ports.source import Source
from lading.spec.clock import utc_now
from lading.spec.ref import Reference, SourceRef
from lading.transfer.upload import Uploading
from lading.weights import beside, formats, layout, pushing
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry, Manifest, SourceEntry
from lading.weights.pushing import Held

if TYPE_CHECKING:
    from lading.flows.push import PushOrder

T = TypeVar("T")
R = TypeVar("R")
ReadBack = Literal["checksums", "full"]
READERS = 8
SENDERS = 12
"""Connections at most: each holds a part in memory, and so do parts whose turn to be hashed has not come."""


class Way:
    """The blocking part of one push."""

    def __init__(
        self,
        order: "PushOrder",
        source: Source,
        destination: Destination,
        journal: UploadJournal,
        *,
        cancel: threading.Event,
        emit: Emit,
    ) -> None:
        self._order = order
        self._source = source
        self._destination = destination
        self._cancel = cancel
        self._emit = emit
        self._journal = journal
        self._uploading = Uploading(source, destination, journal, cancel=cancel)
        self._began_s = time.monotonic()

    def go(self, *, replacing: bool, removing: bool, read_back: ReadBack, user: str | None) -> Pushed:
        """From the plan to the manifest."""
        order = self._compared()
        if not replacing:
            order.require_free()
        self._emit(order.planned)
        todo = order.todo
        self._uploading.tried(self._destination.require_manifest)
        sent = self._send([*todo.send, *todo.other], order.planned)
        files = tuple(sorted((*todo.same, *sent), key=lambda file: file.path))
        self._verify(files, {file.path for file in sent}, read_back)
        self._extras(todo.extra, removing=removing)
        manifest = self._manifest(files, user)
        if self._cancel.is_set():
            raise Cancelled("interrupted")
        text = manifest.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"
        place = self._uploading.tried(lambda: self._destination.put_manifest(text))
        return Pushed(
            source=str(order.listing.ref),
            destination=order.destination,
            model=manifest.model,
            version=manifest.version,
            manifest=place,
            files=len(files),
            size_bytes=manifest.size_bytes,
            sent_files=len(sent),
            sent_bytes=self._uploading.sent_bytes,
            read_back=read_back,
            extra=() if removing else todo.extra,
            seconds=time.monotonic() - self._began_s,
        )

    def _compared(self) -> "PushOrder":
        """The order with nothing left that is unsure: read from the source, and compared by what the destination says."""
        todo = self._order.todo
        source, destination, there = self._source, self._destination, self._order.there

        def compare(entry: Entry) -> FileEntry | None:
            held = there[entry.path]
            return comparing.same(entry, held, source=source, destination=destination, cancel=self._cancel)

        found = dict(zip(todo.unsure, _at_once(compare, todo.unsure), strict=True))
        same = [file for file in found.values() if file is not None]
        other = [entry for entry, file in found.items() if file is None]
        decided = replace(
            todo,
            unsure=(),
            same=tuple(sorted((*todo.same, *same), key=lambda file: file.path)),
            other=(*todo.other, *other),
        )
        return replace(self._order, todo=decided)

    def _send(self, entries: Sequence[Entry], planned: PushPlanned) -> tuple[FileEntry, ...]:
        meter = transfer.Meter(planned.size_bytes, done_bytes=planned.kept_bytes, emit=self._emit)
        rate = transfer.Rate(self._order.wanted.choices.max_rate_bytes_per_s)
        shape = transfer.Shape(workers=SENDERS, part_bytes=self._uploading.part_bytes)
        try:
            sent = transfer.run(
                entries, self._source, self._uploading,
                cancel=self._cancel, meter=meter, emit=self._pushed, rate=rate, shape=shape,
            )  # fmt: skip
        except VerificationFailed as error:
            raise _damaged(self._order.listing.ref, error) from error
        meter.last()
        return sent

    def _pushed(self, event: Event) -> None:
        """The engine tells of files as it does in a pull; here they went the other way."""
        if isinstance(event, FilePulled):
            event = FilePushed(path=event.path, size_bytes=event.size_bytes, sha256=event.sha256, seconds=event.seconds)
        self._emit(event)

    def _read(self, event: Event) -> None:
        """The meter tells of bytes as in a pull; here they come back to be hashed."""
        if isinstance(event, PullProgress):
            event = VerifyProgress(
                done_bytes=event.done_bytes, total_bytes=event.total_bytes, rate_bytes_per_s=event.rate_bytes_per_s
            )
        self._emit(event)

    def _verify(self, files: Sequence[FileEntry], sent: set[str], read_back: ReadBack) -> None:
        """That what lies there now is what was sent.

        Raises:
            VerificationFailed: It is not; it is sent again by the next attempt.
        """
        there = self._uploading.tried(self._destination.files)
        wrong = [file for file in files if not _is_there(file, there.get(file.path))]
        if read_back == "full":
            meter = transfer.Meter(sum(file.size_bytes for file in files), emit=self._read)
            check: Callable[[FileEntry], bool] = partial(
                comparing.reads_back, destination=self._destination, cancel=self._cancel, progress=meter.add
            )
            told = files
        else:
            check = partial(
                comparing.is_told, destination=self._destination, crcs=self._uploading.crcs, cancel=self._cancel
            )
            told = [file for file in files if file.path in sent and file.size_bytes > pushing.WHOLE_BYTES]
        wrong += [file for file, right in zip(told, _at_once(check, told), strict=True) if not right]
        for file in wrong:
            self._journal.forgotten(file.path)
        if wrong:
            raise VerificationFailed(
                f"{self._order.destination} does not have what was sent: {beside.named(file.path for file in wrong)}",
                hint="remove these there, and run the same command again: it sends them anew",
            )

    def _extras(self, extra: Sequence[str], *, removing: bool) -> None:
        """Name what lies there and is none of the model's, or remove it, where that was asked."""
        if removing:
            for path in extra:
                self._uploading.tried(partial(self._destination.remove, path))
        elif extra:
            self._emit(
                Notice(
                    message=f"{self._order.destination} has files that are not of this model: {beside.named(extra)}",
                    hint="a server that loads all of it loads these, too; --remove-extra removes them",
                )
            )

    def _manifest(self, files: tuple[FileEntry, ...], user: str | None) -> Manifest:
        wanted, found = self._order.wanted, self._order.listing
        sizes = {file.path: file.size_bytes for file in files}
        if wanted.choices.signed_by is not None:
            signed.require(files, self._uploading.read, wanted.choices.signed_by, wanted.left_out)
        kind = wanted.foreseen or formats.check(sizes, self._uploading.read, expect=wanted.choices.expect).kind
        return Manifest(
            model=wanted.model,
            version=wanted.version,
            path=layout.version(wanted.model, wanted.version).as_posix(),
            source=SourceEntry(ref=found.origin or _shown(found.ref), revision=found.revision),
            format=kind,
            files=files,
            published_at=utc_now(),
            published_by=pulling.who(user),
        )


def _damaged(ref: Reference, error: VerificationFailed) -> VerificationFailed:
    """A file of the source is not what is said of it; on a volume that is bit rot."""
    here = not isinstance(ref, SourceRef)
    hint = f"`lading verify {ref}` says what else is damaged" if here else error.hint
    return VerificationFailed(f"{_shown(ref)} is damaged, and was not sent: {error.message}", hint=hint)


def _at_once(call: Callable[[T], R], values: Sequence[T]) -> list[R]:
    """What *call* gives for each, several at once."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="lading-push") as pool:
        return list(pool.map(call, values))


def _is_there(file: FileEntry, held: Held | None) -> bool:
    return held is not None and (held.size_bytes, held.etag) == (file.size_bytes, file.etag)


def _shown(ref: Reference) -> str:
    """A reference without secrets."""
    return ref.shown if isinstance(ref, SourceRef) else str(ref)
