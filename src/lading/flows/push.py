"""Bring weights from a source to an object store or a folder: resolve, compare, send, read back, then the manifest.

Nothing is replaced unasked. Interrupted anywhere, the same push goes on: parts that are there are compared with the source
and not sent again. The manifest comes last, so that where one lies every file beside it was there, whole and right.
"""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lading.errors import InvalidInput
from lading.events import (
    Emit,
    Notice,
    Pushed,
    PushPlanned,
    ignore,
)
from lading.flows import pull as pulling
from lading.flows import sending, threads
from lading.flows.sending import ReadBack
from lading.ports.destination import Destination, UploadJournals
from lading.ports.source import Source
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import Reference
from lading.transfer.patience import Attempts
from lading.weights import beside, pushing, unpacked
from lading.weights import plan as planning
from lading.weights.listing import Listing
from lading.weights.manifest import FileEntry, Manifest
from lading.weights.pushing import Held, PushPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOrder:
    """What is to lie where: decided before anything is sent.

    Attributes:
        wanted: What the source has, as a pull would order it.
        there: The files of the destination.
        todo: What is to be done with them.
        before: The manifest that lies there.
        transfer: The id of the journal.
    """

    wanted: pulling.Order
    destination: str
    there: Mapping[str, Held]
    todo: PushPlan
    before: Manifest | None
    transfer: str

    @property
    def listing(self) -> Listing:
        """All files of the source."""
        return self.wanted.listing

    @property
    def planned(self) -> PushPlanned:
        """The event that tells it."""
        return PushPlanned(
            source=str(self.listing.ref),
            revision=self.listing.revision,
            model=self.wanted.model,
            version=self.wanted.version,
            destination=self.destination,
            files=len(self.listing.entries),
            size_bytes=self.listing.size_bytes,
            kept_bytes=sum(file.size_bytes for file in self.todo.same),
        )

    def require_free(self) -> None:
        """Nothing, if the destination has nothing that a push would replace.

        Raises:
            InvalidInput: It has another model, or other content under a name of this one.
        """
        other = [entry.path for entry in self.todo.other]
        if other:
            whose = f", of {self.before.model}@{self.before.version} by its manifest" if self.before else ""
            raise InvalidInput(f"{self.destination} has other content in {beside.named(other)}{whose}", hint=_REPLACE)
        if self.before is not None and pushing.is_another(self.before, self.listing):
            raise InvalidInput(
                f"{self.destination} has {self.before.model}@{self.before.version}, by its manifest", hint=_REPLACE
            )


_REPLACE = "push to another prefix, or replace what is there: --replace"


async def push(
    source: Source,
    destination: Destination,
    ref: Reference,
    *,
    journals: UploadJournals,
    model: str | None = None,
    version: str | None = None,
    choices: Choices = PLAIN,
    replacing: bool = False,
    removing: bool = False,
    read_back: ReadBack = "checksums",
    user: str | None = None,
    emit: Emit = ignore,
) -> Pushed:
    """Have all that *source* has at *ref* at *destination*, with its manifest; see `decide` and `fulfil`."""
    order = await decide(source, destination, ref, journals=journals, model=model, version=version, choices=choices)
    return await fulfil(
        order, source, destination, journals=journals, replacing=replacing, removing=removing, read_back=read_back,
        user=user, emit=emit,
    )  # fmt: skip


async def decide(
    source: Source,
    destination: Destination,
    ref: Reference,
    *,
    journals: UploadJournals,
    model: str | None = None,
    version: str | None = None,
    choices: Choices = PLAIN,
) -> PushOrder:
    """What `push` would do; nothing is sent, and files that can only be compared by reading them are not.

    *model*, *version* and *choices* are those of a pull (`lading.flows.pull.decide`), and so are its errors.
    """
    wanted = await pulling.decide(source, None, ref, model=model, version=version, choices=choices)
    if unpacked.is_stream(wanted.listing):
        raise InvalidInput(
            f"{ref} is an archive that is unpacked while it comes", hint="pull it, then push the version"
        )
    target = f"{destination.shown} {wanted.model}@{wanted.version}"
    transfer_id = planning.transfer_id(str(wanted.listing.ref), wanted.listing.revision, target)

    def look() -> PushOrder:
        attempts = Attempts(pulling.RESOLVE, threading.Event())
        there = attempts.until_progress(destination.files)
        text = attempts.until_progress(destination.manifest)
        before = beside.read(text, destination.shown) if text is not None else None
        known = {file.path: file for file in before.files} if before else {}
        sent = journals.finished(transfer_id)
        todo = pushing.plan(_with_sums(wanted.listing, sent), there, {**known, **sent})
        return PushOrder(
            wanted=wanted,
            destination=destination.shown,
            there=there,
            todo=todo,
            before=before,
            transfer=transfer_id,
        )

    return await asyncio.to_thread(look)


async def fulfil(
    order: PushOrder,
    source: Source,
    destination: Destination,
    *,
    journals: UploadJournals,
    replacing: bool = False,
    removing: bool = False,
    read_back: ReadBack = "checksums",
    user: str | None = None,
    emit: Emit = ignore,
) -> Pushed:
    """Do what was decided.

    *replacing* lets other content be replaced, *removing* has what is there and not in the source removed. *read_back* says
    how what lies there then is verified: by the checksums that the destination keeps, or by reading and hashing all of it.
    Cancelling waits for all threads; what was sent stays for the next attempt.

    Raises:
        InvalidInput: Something would be replaced unasked.
        VerificationFailed: A file of the source is not what its manifest says, or what came back is not what was sent.
        ModelBusy: Another process is at the same push.
        LadingError: As the source and the destination raise it.
    """
    if not replacing:
        order.require_free()
    for note in (*order.listing.notes, *order.wanted.notes):
        emit(Notice(message=note))

    def work(tell: Emit, cancel: threading.Event) -> Pushed:
        with journals.opened(order.transfer, order.destination) as journal:
            way = sending.Way(order, source, destination, journal, cancel=cancel, emit=tell)
            _abort_stale(order, destination, journals)
            pushed = way.go(replacing=replacing, removing=removing, read_back=read_back, user=user)
        journals.remove(order.transfer)
        return pushed

    pushed = await threads.told(work, emit)
    emit(pushed)
    return pushed


def _abort_stale(order: PushOrder, destination: Destination, journals: UploadJournals) -> None:
    """Uploads that pushes of other content left at the destination: they would cost their space for ever."""
    for transfer_id, uploads in journals.stale(order.transfer, order.destination):
        for path, unfinished in uploads.items():
            destination.abort(path, unfinished.upload)
        journals.remove(transfer_id)


def _with_sums(found: Listing, sent: Mapping[str, FileEntry]) -> Listing:
    """*found*, each file with the SHA-256 that an earlier attempt found when it sent this very revision of the source."""
    return replace(
        found,
        entries=tuple(
            replace(entry, sha256=sent[entry.path].sha256)
            if entry.sha256 is None and entry.path in sent and entry.size_bytes == sent[entry.path].size_bytes
            else entry
            for entry in found.entries
        ),
    )
