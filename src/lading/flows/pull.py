"""Bring weights from a source onto a volume: resolve, plan, transfer, check, publish.

Nothing is visible under the model's name before all of it is there. Interrupted anywhere, the same pull goes on: files
that were finished are not fetched again.
"""

import asyncio
import getpass
import random
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import lading
from lading import transfer
from lading.errors import Cancelled, NotPublished, SourceChanged, SourceMissing, SourceTransient
from lading.events import Emit, Notice, Published, PullPlanned, Unchanged, ignore
from lading.flows import room, sharing, signed, threads
from lading.ports.source import KeepsManifest, Source
from lading.ports.volume import Staging, TakesOver, Volume
from lading.spec import ref as refs
from lading.spec.clock import utc_now
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import Reference
from lading.weights import beside, formats, layout, selection, signing, unpacked
from lading.weights import plan as planning
from lading.weights.listing import Listing
from lading.weights.manifest import FileEntry, Manifest, PublishedBy, SourceEntry
from lading.weights.plan import TransferPlan
from lading.weights.selection import Selection

T = TypeVar("T")
VERSION_DIGITS = 12
CHANGES_BORNE = 3
"""How often a source may change during one pull: one that never rests is told."""
RESOLVE = transfer.Patience(attempts=4, first_wait_s=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody wants: enough to decide it again where the source changes meanwhile."""

    ref: Reference
    model: str | None
    version: str | None
    choices: Choices


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to become which version: decided before anything is written.

    Attributes:
        choices: What it was decided by.
        asked: From which it was decided; None: it cannot be decided again.
        published: The manifest of that version, or of another one of the same model with this very content.
        replace: The model's other versions go before it comes (`lading.flows.room`).
        foreseen: Its format, checked at the source; None where it was not.
        left_out: Paths of the source that were not chosen: a signature may cover them all the same.
        saved_bytes: What these would have taken, as far as the source says sizes.
        notes: What a person should read of what was chosen, before it is fetched.
    """

    listing: Listing
    model: str
    version: str
    choices: Choices = PLAIN
    asked: Asked | None = None
    published: Manifest | None = None
    foreseen: str | None = None
    replace: bool = False
    left_out: frozenset[str] = frozenset()
    saved_bytes: int = 0
    notes: tuple[str, ...] = ()


async def pull(
    source: Source,
    volume: Volume,
    ref: Reference,
    *,
    model: str | None = None,
    version: str | None = None,
    choices: Choices = PLAIN,
    use: bool = True,
    emit: Emit = ignore,
) -> Published | Unchanged:
    """Publish what *source* has at *ref* on *volume*, and make it the current version if *use*.

    *model* is made from the source's name by default, *version* of the first 12 digits of its revision. Cancelling waits
    for all threads and keeps what was finished.

    Raises:
        LadingError: As the source, the volume and the checks raise it; nothing is then visible under the model's name.
    """
    order = await decide(source, volume, ref, model=model, version=version, choices=choices)
    return await fulfil(order, source, volume, use=use, emit=emit)


async def decide(
    source: Source,
    volume: Volume | None,
    ref: Reference,
    *,
    model: str | None = None,
    version: str | None = None,
    choices: Choices = PLAIN,
) -> Order:
    """What `pull` would do; nothing is written. *volume* None: one that does not exist yet.

    Raises:
        InvalidInput: The version is published with other content, or a name may not be used.
        SourceError, HostileName, FormatRefused: As named.
    """
    model = refs.check_model(model) if model else None
    version = refs.check_version(version) if version else None
    asked = Asked(ref=ref, model=model, version=version, choices=choices)
    if choices.signed_by is not None:
        signing.signer(choices.signed_by)  # a key that is none is told before anything else is done
    listed = await resolved(source, ref)
    choices = _as_published(listed, choices)
    selected = _selected(listed, choices)
    found = selected.listing
    name = model or refs.model_name(found.name)
    published = await asyncio.to_thread(_published, volume, name, version, found) if volume else None
    order = Order(
        listing=found,
        model=name,
        version=published.version if published else version or proposed(found),
        choices=choices,
        asked=asked,
        published=published,
        left_out=frozenset(entry.path for entry in selected.left_out),
        saved_bytes=selected.bytes_saved,
        notes=selected.notes,
    )
    plan(order)
    if volume is not None:
        return order
    cancel = threading.Event()
    foreseen = await threads.in_thread(lambda: _foresee(order, source, cancel), cancel)
    return replace(order, foreseen=foreseen)


async def fulfil(
    order: Order, source: Source, volume: Volume, *, use: bool = True, user: str | None = None, emit: Emit = ignore
) -> Published | Unchanged:
    """Do what was decided; see `pull`. *user* asked for it; None: who runs this process.

    Where the source changes meanwhile it is decided again, a few times: what is as it was is not fetched again, and no two
    contents are mixed.
    """
    earlier: tuple[str, ...] = ()
    while True:
        try:
            return await _fulfilled(order, source, volume, earlier, use=use, user=user, emit=emit)
        except (SourceChanged, SourceMissing) as change:
            newer = await _decided_again(order, source, volume) if len(earlier) < CHANGES_BORNE else None
            if newer is None:
                raise
            emit(Notice(message=f"{change.message}: going on with what is there now"))
            earlier = (*earlier, transfer_id(order, volume.id))
            order = newer


async def _decided_again(order: Order, source: Source, volume: Volume) -> Order | None:
    """*order* for what the source has now; None where that is what it had."""
    asked = order.asked
    if asked is None:
        return None
    newer = await decide(source, volume, asked.ref, model=asked.model, version=asked.version, choices=asked.choices)
    return None if newer.listing == order.listing else replace(newer, replace=order.replace)


async def _fulfilled(
    order: Order,
    source: Source,
    volume: Volume,
    earlier: Sequence[str],
    *,
    use: bool,
    user: str | None,
    emit: Emit,
) -> Published | Unchanged:
    for note in order.listing.notes:
        emit(Notice(message=note))
    if order.published is not None:
        if order.choices.signed_by is not None:
            await asyncio.to_thread(
                signed.require_published, volume, order.published, order.choices.signed_by, order.left_out
            )
        return _unchanged(volume, order.published, emit)
    for note in order.notes:
        emit(Notice(message=note))

    def bring(tell: Emit, cancel: threading.Event) -> Published:
        return _bring(order, source, volume, earlier, use=use, by=who(user), cancel=cancel, emit=tell)

    return await threads.told(bring, emit)


def plan(order: Order, finished: dict[str, FileEntry] | None = None) -> TransferPlan:
    """What *order* has to fetch, given the *finished* files of an earlier attempt."""
    return planning.plan(order.listing, finished or {}, order.published)


def transfer_id(order: Order, volume_id: str) -> str:
    """The id under which the volume keeps what an interrupted attempt at *order* finished."""
    return planning.transfer_id(
        str(order.listing.ref), order.listing.revision, f"{volume_id}/{order.model}@{order.version}"
    )


def proposed(found: Listing) -> str:
    """What a version of *found* is called where nobody says: as on the volume that it comes from, else by its revision."""
    return refs.check_version(found.version or found.revision[:VERSION_DIGITS])


async def resolved(source: Source, ref: Reference) -> Listing:
    """The source's listing, held to the manifest that a push left beside it; a fault that passes within seconds is borne.

    Raises:
        VerificationFailed: It is not what that manifest says.
    """
    found = await _borne(lambda: source.resolve(ref))
    if not isinstance(source, KeepsManifest):
        return found
    text = await _borne(lambda: asyncio.to_thread(source.manifest, ref))
    return found if text is None else beside.attested(found, beside.read(text, str(ref)))


async def _borne(ask: Callable[[], Awaitable[T]]) -> T:
    for failures in range(1, RESOLVE.attempts):
        try:
            return await ask()
        except SourceTransient as error:
            jitter = random.random()  # noqa: S311 - spreads retries, no secret
            await asyncio.sleep(RESOLVE.wait_after_s(error, failures, jitter))
    return await ask()


def _as_published(found: Listing, choices: Choices) -> Choices:
    """*choices* for *found*: a version on a volume was chosen and checked when it came there, and is taken whole and as it is."""
    if found.format is None:
        return choices
    expect = "any" if found.format == "files" else found.format
    said = {"prefer": "all" if choices.prefer == "auto" else choices.prefer}
    return choices.model_copy(update=said | ({"expect": expect} if choices.expect == "auto" else {}))


def _selected(found: Listing, choices: Choices) -> Selection:
    """What of *found* is taken; of an archive, only its patterns are known now."""
    if unpacked.is_stream(found):
        return Selection(listing=unpacked.chosen(found, choices))
    return selection.choose(found, choices)


def _published(volume: Volume, model: str, version: str | None, found: Listing) -> Manifest | None:
    """The manifest of *version*; without one, of the version that has this content already, the current one first.

    Where none has it, of the one that is called as the source calls its own.
    """
    if version is not None:
        return _called(volume, model, version)
    same = [
        manifest
        for manifest in volume.manifests()
        if manifest.model == model and planning.is_published(found, manifest)
    ]
    if not same:
        return _called(volume, model, found.version) if found.version else None
    current = volume.current(model)
    return next((manifest for manifest in same if manifest.version == current), same[-1])


def _called(volume: Volume, model: str, version: str) -> Manifest | None:
    try:
        return volume.manifest(model, version)
    except NotPublished:
        return None


def _unchanged(volume: Volume, published: Manifest, emit: Emit) -> Unchanged:
    event = Unchanged(model=published.model, version=published.version, path=volume.place(published))
    emit(event)
    return event


def _bring(
    order: Order,
    source: Source,
    volume: Volume,
    earlier: Sequence[str],
    *,
    use: bool,
    by: PublishedBy,
    cancel: threading.Event,
    emit: Emit,
) -> Published:
    """The blocking part, under the model's lock. *earlier* are transfers of what the same source had a moment ago."""
    began = time.monotonic()
    origin = SourceEntry(ref=order.listing.origin or str(order.listing.ref), revision=order.listing.revision)
    with volume.stage(order.model, order.version, transfer_id(order, volume.id)) as staging:
        if isinstance(staging, TakesOver):
            for transfer_of in earlier:
                staging.take_over(transfer_of, order.listing.entries)
        todo = planning.plan(order.listing, staging.finished)
        emit(planned(order, todo, volume.shown))
        if not todo.keep and order.foreseen is None:
            _foresee(order, source, cancel)
        found, model = order.listing, order.model
        if order.replace:
            todo = room.make(found, model, todo, volume=volume, staging=staging, emit=emit)
        else:
            todo = sharing.share(found, model, todo, volume=volume, staging=staging, cancel=cancel, emit=emit)
        volume.require_free(max(0, todo.fetch_bytes - staging.partial_bytes))
        files = _files(todo, order.choices, source, staging, cancel=cancel, emit=emit)
        if order.choices.signed_by is not None:
            signed.require(files, staging.read, order.choices.signed_by, order.left_out)
        sizes = {file.path: file.size_bytes for file in files}
        manifest = Manifest(
            model=order.model,
            version=order.version,
            path=layout.version(order.model, order.version).as_posix(),
            source=origin,
            format=formats.check(sizes, staging.read, expect=order.choices.expect).kind,
            files=files,
            published_at=utc_now(),
            published_by=by,
        )
        unforeseen = selection.warnings(sizes, found.ref) if unpacked.is_stream(found) else []
        for note in (*unforeseen, *selection.inside(sizes, staging.read)):
            emit(Notice(message=note))
        if cancel.is_set():
            raise Cancelled("interrupted")
        volume.publish(staging, manifest, use=use)
    event = Published(
        model=order.model,
        version=order.version,
        path=volume.place(manifest),
        files=len(files),
        size_bytes=manifest.size_bytes,
        seconds=time.monotonic() - began,
    )
    emit(event)
    return event


def _foresee(order: Order, source: Source, cancel: threading.Event) -> str | None:
    """Check the format at the source, so that half a model is refused before its bulk is fetched.

    Gives the format. Reads indexes and heads only; None where the source does not say sizes. What is published is checked again, as it
    lies on the volume.
    """
    entries = {entry.path: entry for entry in order.listing.entries}
    sizes = {path: entry.size_bytes for path, entry in entries.items() if entry.size_bytes is not None}
    if len(sizes) < len(entries) or unpacked.is_stream(order.listing):
        return None

    def read(path: str, offset: int, size_bytes: int) -> bytes:
        return transfer.part(source, entries[path], offset, size_bytes, cancel=cancel)

    if order.choices.signed_by is not None:
        signed.require_names(sizes, read, order.choices.signed_by, order.left_out)
    return formats.check(sizes, read, expect=order.choices.expect).kind


def planned(order: Order, todo: TransferPlan, volume: str) -> PullPlanned:
    """The event that tells a plan."""
    return PullPlanned(
        source=str(order.listing.ref),
        revision=order.listing.revision,
        model=order.model,
        version=order.version,
        volume=volume,
        files=len(order.listing.entries),
        size_bytes=todo.total_bytes,
        kept_bytes=todo.kept_bytes,
        left_out_files=len(order.left_out),
        left_out_bytes=order.saved_bytes,
    )


def _files(
    todo: TransferPlan, choices: Choices, source: Source, staging: Staging, *, cancel: threading.Event, emit: Emit
) -> tuple[FileEntry, ...]:
    meter = transfer.Meter(todo.total_bytes, done_bytes=todo.kept_bytes, emit=emit)
    rate = transfer.Rate(choices.max_rate_bytes_per_s)
    files = [entry for entry in todo.fetch if entry.archive is None]
    written = transfer.run(files, source, staging, cancel=cancel, meter=meter, emit=emit, rate=rate)
    for archive in (entry for entry in todo.fetch if entry.archive is not None):
        written += transfer.unpack(
            archive, source, staging, cancel=cancel, meter=meter, emit=emit, rate=rate,
            taken=partial(selection.is_taken, choices=choices),
        )  # fmt: skip
    meter.last()
    return tuple(sorted((*todo.keep, *written), key=lambda file: file.path))


def who(user: str | None = None) -> PublishedBy:
    """Who publishes: *user*, or whoever runs this, here."""
    try:
        user = user or getpass.getuser()
    except (KeyError, OSError):
        pass  # an arbitrary uid, as on OpenShift, has no name
    return PublishedBy(version=lading.__version__, user=user, host=socket.gethostname())
