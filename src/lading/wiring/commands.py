"""A command document against a mounted volume, with the flows that the command line runs."""

import asyncio
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lading import wiring
from lading.errors import InvalidInput, ModelBusy, SourceMissing, VerificationFailed
from lading.events import Emit, Event, Notice, PermissionsRepaired, Published, SourceListed, Unchanged, Verified
from lading.flows import pull as pulling
from lading.flows import push as pushing
from lading.flows import verify as verifying
from lading.flows.pull import Order
from lading.manifests import ours
from lading.ports.source import Source
from lading.spec import ref as refs
from lading.spec.command import (
    Command,
    ListSourceCommand,
    PullCommand,
    PushCommand,
    RepairPermissionsCommand,
    VerifyCommand,
)
from lading.spec.ref import ClaimRef, LocalRef
from lading.volume import faults, find, journal, permissions
from lading.volume.local import LocalVolume
from lading.weights import layout
from lading.weights import plan as planning
from lading.wiring import pushes, volumes

LOCK_WAIT_S = 150.0  # above `lading.volume.lock.STALE_S`
LOCK_LOOK_S = 3.0


async def perform(
    command: Command,
    root: Path,
    *,
    claim: str | None = None,
    namespace: str | None = None,
    user: str | None = None,
    emit: Emit,
) -> Event:
    """Do *command* on the volume mounted at *root*; the event that is its result, which was also emitted.

    Args:
        command: What to do.
        root: Where the volume is mounted. A pull makes it a volume, of *claim* in *namespace*.
        claim: The claim that is mounted there.
        namespace: Of the claim.
        user: Who asked for it; written into manifests.
        emit: Told each step.

    Raises:
        LadingError: As the flow raises it.
    """
    match command:
        case PullCommand():
            volume = await asyncio.to_thread(find.create_volume, root, claim=claim, namespace=namespace)
            return await _pull(command, volume, user, emit)
        case PushCommand():
            return await _push(command, root, user, emit)
        case VerifyCommand():
            return await _verify(command, root, emit)
        case ListSourceCommand():
            return await _list(command, root, emit)
        case RepairPermissionsCommand():
            return await _repair(command, root, emit)


async def _pull(command: PullCommand, volume: LocalVolume, user: str | None, emit: Emit) -> Event:
    """The pull, begun again where another writer has the model: one that was killed lets go of it within minutes."""
    with _source(command) as source:
        until = asyncio.get_running_loop().time() + LOCK_WAIT_S
        told = False
        while True:
            try:
                return await _pulled(command, source, volume, user, emit)
            except ModelBusy as busy:
                if asyncio.get_running_loop().time() >= until:
                    raise
                if not told:
                    emit(Notice(message=f"{busy.message}: waiting", hint=busy.hint))
                told = True
                await asyncio.sleep(LOCK_LOOK_S)


async def _pulled(
    command: PullCommand, source: Source, volume: LocalVolume, user: str | None, emit: Emit
) -> Published | Unchanged:
    order = await pulling.decide(
        source,
        volume,
        refs.parse(command.source),
        model=command.model,
        version=command.version,
        choices=command,
    )
    order = replace(order, replace=command.replace)
    return await pulling.fulfil(order, source, volume, use=command.use, user=user, emit=emit)


async def _push(command: PushCommand, root: Path, user: str | None, emit: Emit) -> Event:
    """The push, from the claim that is mounted at *root*."""
    ref = refs.parse(command.source)
    if not isinstance(ref, ClaimRef):
        raise InvalidInput(f"{command.source} is on no claim, and a Job pushes from the claim that it mounts")
    _mounted(ref, root)
    destination = pushes.destination(refs.parse(command.dest), pushes.of_destination(command))
    try:
        choices = pushes.of_source(ref, command, endpoint=None)
        async with pushes.sourced(ref, choices, emit=emit) as found:
            return await pushing.push(
                found.source, destination, ref, journals=found.journals, model=command.model, version=command.version,
                choices=choices, replacing=command.replace, removing=command.remove_extra,
                read_back=command.read_back, user=user, emit=emit,
            )  # fmt: skip
    finally:
        destination.close()


async def _verify(command: VerifyCommand, root: Path, emit: Emit) -> Event:
    """All versions that the command names; the last one's result, or one error for all that differ."""
    found = find.find(LocalRef(path=str(root / (command.model or "")), version=command.version))
    failures: list[VerificationFailed] = []
    result: Verified | None = None
    for manifest in volumes.selected(found):
        try:
            result = await verifying.verify(found.volume, manifest, emit=emit, threads=command.threads)
        except VerificationFailed as failure:
            failures.append(failure)
    if failures:
        raise VerificationFailed("\n".join(failure.message for failure in failures), hint=failures[0].hint)
    return result or Verified(model="", version="", files=0, size_bytes=0, bad=0, seconds=0.0)


async def _repair(command: RepairPermissionsCommand, root: Path, emit: Emit) -> Event:
    found = await asyncio.to_thread(permissions.repair, root, group=command.group, dry_run=command.dry_run)
    counts = {key: value for key, value in asdict(found).items() if key != "refused"}
    event = PermissionsRepaired(dry_run=command.dry_run, refused=tuple(found.refused), **counts)
    emit(event)
    return event


async def _list(command: ListSourceCommand, root: Path, emit: Emit) -> SourceListed:
    """Reachable, allowed, whole by its own index, as a pull would find it; and what the volume has of it.

    Without a volume at *root* the source alone is looked at.
    """
    with _source(command) as source:
        order = await pulling.decide(
            source,
            None,
            refs.parse(command.source),
            model=command.model,
            version=command.version,
            choices=command,
        )
    event = SourceListed(
        source=str(order.listing.ref),
        revision=order.listing.revision,
        model=order.model,
        version=order.version,
        files=len(order.listing.entries),
        size_bytes=sum(entry.size_bytes or 0 for entry in order.listing.entries),
        format=order.foreseen,
        left_out_files=len(order.left_out),
        left_out_bytes=order.saved_bytes,
        **await asyncio.to_thread(_beside, order, root),
    )
    emit(event)
    return event


def _beside(order: Order, root: Path) -> dict[str, Any]:
    """What of an order the volume at *root* has, and the room on it."""
    if not root.is_dir():
        return {}
    found = find.locate(LocalRef(path=str(root)))
    room = {"free_bytes": faults.free_bytes(root), "writable": _may_write(root.stat(), os.geteuid(), os.getgroups())}
    if found is None:
        return room
    versions = [manifest for manifest in found.volume.manifests() if manifest.model == order.model]
    finished = dict(journal.read(root / layout.journal(pulling.transfer_id(order, found.volume.id))).finished)
    return {
        **room,
        "kept_bytes": pulling.plan(order, finished).kept_bytes,
        "published": tuple(manifest.version for manifest in versions),
        "replaceable_bytes": sum(manifest.size_bytes for manifest in versions),
        "unchanged": next((one.version for one in versions if planning.is_published(order.listing, one)), None),
    }


def _may_write(root: os.stat_result, user: int, groups: Sequence[int]) -> bool:
    """By the modes alone: the mount that is asked about is read-only here, and will not be."""
    bit = stat.S_IWUSR if root.st_uid == user else stat.S_IWGRP if root.st_gid in groups else stat.S_IWOTH
    return user == 0 or bool(root.st_mode & bit)


@contextmanager
def _source(command: PullCommand | ListSourceCommand) -> Iterator[Source]:
    """The source that *command* names, closed at the end; a claim is mounted beside the volume."""
    ref = refs.parse(command.source)
    if isinstance(ref, ClaimRef):
        with volumes.published(_mounted(ref, Path(ours.SOURCE_MOUNT))) as published:
            yield published
        return
    source = wiring.source(ref, command)
    try:
        yield source
    finally:
        source.close()


def _mounted(ref: ClaimRef, folder: Path) -> LocalVolume:
    if not (folder / layout.VOLUME).is_file():
        raise SourceMissing(
            f"{ref}: nothing is published on claim {ref.claim}",
            hint=f"what is there: lading ls pvc://{ref.claim}; a folder is taken over by `lading adopt`",
        )
    return find.open_volume(folder)
