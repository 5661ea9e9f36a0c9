"""From what a user names to the two ends of a push, and to where its journal is."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lading import wiring
from lading.errors import InvalidInput, NotPublished
from lading.spec.placement import Choice
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import ClaimRef, LocalRef, Reference, SourceRef
from lading.volume import find
from lading.volume.find import Found
from lading.volume.local import LocalVolume
from lading.volume.uploads import Journals
from lading.weights import layout
from lading.wiring import volumes

if TYPE_CHECKING:
    from lading.events import Emit
    from lading.ports.destination import Destination
    from lading.ports.source import Source
    from lading.ports.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class From:
    """Where a push comes from: the source, and where what was done is written down."""

    source: "Source"
    journals: Journals


@asynccontextmanager
async def sourced(
    ref: Reference, choices: Choices = PLAIN, choice: Choice | None = None, *, emit: "Emit | None" = None
) -> AsyncIterator[From]:
    """The source of *ref*, closed on leaving: a version on a volume by its manifest, else as a pull reads it.

    Raises:
        InvalidInput: *ref* names a whole volume, or *choices* do not fit.
        LadingError: As `wiring.volumes.sourced`.
    """
    if isinstance(ref, LocalRef) and (found := _published(ref)) is not None:
        wiring.require_understood(ref, choices)
        with volumes.published(found.volume, model=found.model, version=found.version) as source:
            yield From(source=source, journals=_journals(found.volume))
        return
    if isinstance(ref, ClaimRef):
        from lading.events import ignore
        from lading.wiring import claims  # brings all that speaks to a cluster

        wiring.require_understood(ref, choices)
        async with claims.reached(ref, choice or Choice(), write=False, emit=emit or ignore) as found:
            with volumes.published(found.volume) as source:
                yield From(source=source, journals=_journals(found.volume))
        return
    async with volumes.sourced(ref, choices, choice, emit=emit) as source:
        yield From(source=source, journals=_journals(None))


def destination(ref: Reference, choices: Choices = PLAIN) -> "Destination":
    """What *ref* names, to be pushed to; *choices* are those of a store.

    Raises:
        InvalidInput: It cannot be pushed to, or is on a volume.
    """
    match ref:
        case SourceRef(scheme="s3"):
            from lading.sources.s3_upload import S3Destination

            return S3Destination(ref, choices=choices)
        case LocalRef():
            from lading.sources.folder_upload import FolderDestination

            path = Path(str(ref)).expanduser()
            if find.around(LocalRef(path=str(path))) is not None:
                raise InvalidInput(f"{ref} is on a volume", hint=f"`lading pull SOURCE {ref}` brings weights onto it")
            if path.is_file():
                raise InvalidInput(f"{ref} is a file", hint="name a folder, or s3://bucket/prefix/")
            return FolderDestination(path)
        case _:
            shown = ref.shown if isinstance(ref, SourceRef) else str(ref)
            onto = f"`lading pull SOURCE {shown}` brings weights onto a claim" if isinstance(ref, ClaimRef) else None
            raise InvalidInput(
                f"{shown} cannot be pushed to", hint=onto or "name s3://bucket/prefix/, or a folder"
            )  # fmt: skip


def of_source(ref: Reference, choices: Choices, *, endpoint: str | None) -> Choices:
    """What of *choices* is for the source of a push: `Choices.endpoint` is its destination's.

    Where both ends are S3 they are one store, unless *endpoint* says where the source is.
    """
    scheme = ref.scheme if isinstance(ref, SourceRef) else None
    return choices.model_copy(
        update={
            "endpoint": endpoint or (choices.endpoint if scheme == "s3" else None),
            "requester_pays": choices.requester_pays and scheme == "s3",
            "verify_tls": choices.verify_tls or scheme is None,
        }
    )


def of_destination(choices: Choices) -> Choices:
    """What of *choices* is for the store that a push goes to."""
    return Choices(
        endpoint=choices.endpoint, requester_pays=choices.requester_pays, verify_tls=choices.verify_tls
    )  # fmt: skip


def _published(ref: LocalRef) -> Found | None:
    """The version on a volume that *ref* names; None where it is a plain folder, on a volume or not.

    Raises:
        InvalidInput: It is a whole volume.
        NotPublished: It names a version of a model, and there is none.
    """
    found = find.locate(ref)
    if found is None:
        return None
    if found.model is None:
        raise InvalidInput(f"{ref} is a volume, not a model on one", hint=f"name a model, see lading ls {ref}")
    try:
        found.volume.manifest(found.model, found.version)
    except NotPublished:
        if ref.version is None and Path(ref.path).expanduser().exists():
            return None
        raise
    return found


def _journals(volume: "Volume | None") -> Journals:
    """On the volume that is read from, where this user may write there; else among this user's state."""
    if isinstance(volume, LocalVolume):
        folder = volume.root / layout.PUSHES
        if os.access(folder if folder.exists() else folder.parent, os.W_OK):
            return Journals(folder)
    return Journals(wiring.home() / "pushes")
