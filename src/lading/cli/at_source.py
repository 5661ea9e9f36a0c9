"""`lading ls` of a source: the models that could be pulled from it."""

import shlex

from lading import wiring
from lading.answers.weights import ListedFile, SourceModel
from lading.cli.choosing import Reaching
from lading.cli.interrupt import stoppable
from lading.cli.output import Output
from lading.cli.volume import tell_files
from lading.flows import look
from lading.flows.look import Seen
from lading.spec import pull as choosing
from lading.spec import units
from lading.spec.ref import SourceRef
from lading.weights import unpacked
from lading.weights.folders import TOP
from lading.weights.listing import Listing


async def list_source(ref: SourceRef, reaching: Reaching, output: Output, *, files: bool) -> None:
    """Tell which models are at *ref*; *files*: and all their files."""
    source = wiring.source(ref, choosing.chosen(**reaching.options(output)))
    try:
        listing, seen = await stoppable(look.look(source, ref), kept="nothing was changed")
    finally:
        source.close()
    for note in listing.notes:
        output.warn(note)
    if files:
        tell_files(output, _files(seen))
    elif output.json:
        for one in seen:
            output.result(_document(listing, one))
    elif seen:
        _tell_rows(output, seen)
    elif unpacked.is_stream(listing):
        size = units.show_bytes(listing.size_bytes)
        output.say(f"{ref.shown} is an archive of {size}: what is in it is known only while it is unpacked")
    else:
        size = units.show_bytes(listing.size_bytes)
        output.say(f"no model is at {ref.shown}: {units.show_count(len(listing.entries), 'file')}, {size}")
    whole = next((one for one in seen if one.problem is None), None)
    if whole is not None and not files:
        output.next(f"lading pull {shlex.quote(_place(ref, whole))} VOLUME")


def _tell_rows(output: Output, seen: tuple[Seen, ...]) -> None:
    rows = [
        (
            one.folder.path,
            one.folder.format,
            "" if one.folder.size_bytes is None else units.show_bytes(one.folder.size_bytes),
            str(len(one.folder.entries)),
            one.problem or "",
        )
        for one in seen
    ]
    output.table(["model", "format", "size", "files", "problem"], rows, right=["size", "files"])


def _files(seen: tuple[Seen, ...]) -> list[ListedFile]:
    return [
        ListedFile(folder=one.folder.path, path=path, size_bytes=entry.size_bytes, sha256=entry.sha256)
        for one in seen
        for path, entry in one.folder.files.items()
    ]


def _document(listing: Listing, one: Seen) -> SourceModel:
    ref = listing.ref
    return SourceModel(
        source=ref.shown if isinstance(ref, SourceRef) else str(ref),
        path=one.folder.path,
        format=one.folder.format,
        files=len(one.folder.entries),
        size_bytes=one.folder.size_bytes,
        problem=one.problem,
    )


def _place(ref: SourceRef, one: Seen) -> str:
    """Where the model is, as a pull names it; a source that lists no folders is pulled as it is."""
    if one.folder.path == TOP or ref.scheme != "s3":
        return ref.shown
    return f"{ref.shown.rstrip('/')}/{one.folder.path}"
