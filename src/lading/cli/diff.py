"""`lading diff`: how two versions differ, or a version and what its source has now."""

import asyncio
import threading
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from lading import transfer, wiring
from lading.answers.weights import Changed, FileDifference, VersionDifference
from lading.cli.output import Common, Output
from lading.cli.where import Where, chosen
from lading.errors import VerificationFailed
from lading.flows import differ as flow
from lading.flows import pull
from lading.flows.differ import Difference, Side
from lading.spec import ref as refs
from lading.spec import units
from lading.spec.pull import Choices
from lading.spec.ref import LocalRef, SourceRef
from lading.volume import find
from lading.volume.find import Found
from lading.weights import difference
from lading.weights.difference import FileChange, ValueChange
from lading.wiring.volumes import beside, model_of, opened

if TYPE_CHECKING:
    from lading.ports.source import Source

DIFFERENT = VerificationFailed.exit_code
_SHOWN = 20


def diff(
    first: str,
    second: str,
    *,
    endpoint: str | None = None,
    where: Where | None = None,
    common: Common | None = None,
) -> int:
    """Show how two versions differ: files, keys of config.json, tensors.

    By manifests, listings and heads of files, so it is quick; `lading verify` says whether the bytes are still those. Exits with
    4 when they differ.

    Args:
        first: A version of a model on a volume or claim, such as ./volume/tiny@v1; or a source, such as hf://org/name.
        second: Another one, there or elsewhere.
        endpoint: Address of an S3 store other than AWS.
    """
    output = Output(common)
    with ExitStack() as stack:
        one, found = _side(stack, first, where, endpoint)
        same = beside(found, first, second) if found is not None else None
        other = _of_version(same, second) if same else _side(stack, second, where, endpoint)[0]
        differs = flow.compare(one, other)
    if output.json:
        for change in differs.files:
            output.result(_document(change))
        output.result(_summary(one, other, differs))
    else:
        _tell(output, one, other, differs)
    return DIFFERENT if differs.files else 0


def _side(stack: ExitStack, text: str, where: Where | None, endpoint: str | None) -> tuple[Side, Found | None]:
    """What *text* names, open until *stack* is left; with the volume that it is on, if it is on one."""
    ref = refs.parse(text, any_folder=True)
    if isinstance(ref, SourceRef) or (isinstance(ref, LocalRef) and ref.version is None and find.around(ref) is None):
        source = wiring.source(ref, Choices(endpoint=endpoint))
        stack.callback(source.close)
        return _of_source(source, ref), None
    found = stack.enter_context(opened(text, chosen(where)))
    return _of_version(found, text), found


def _of_version(found: Found, text: str) -> Side:
    volume = found.volume
    manifest = volume.manifest(model_of(found, text), found.version)

    def read(path: str, offset: int, size_bytes: int) -> bytes:
        with volume.open_file(manifest, path) as file:
            file.seek(offset)
            return file.read(size_bytes)

    files = {file.path: difference.published(file) for file in manifest.files}
    return Side(name=f"{manifest.model}@{manifest.version}", files=files, read=read)


def _of_source(source: "Source", ref: LocalRef | SourceRef) -> Side:
    found = asyncio.run(pull.resolved(source, ref))
    entries = {entry.path: entry for entry in found.entries}
    part = partial(transfer.part, source, cancel=threading.Event())

    def read(path: str, offset: int, size_bytes: int) -> bytes:
        return part(entries[path], offset, size_bytes)

    files = {path: difference.listed(entry) for path, entry in entries.items()}
    name = found.ref.shown if isinstance(found.ref, SourceRef) else str(found.ref)
    return Side(name=name, files=files, read=read)


def _tell(output: Output, one: Side, other: Side, found: Difference) -> None:
    names = f"{one.name} and {other.name}"
    if not found.files:
        print(f"{names} have the same {units.show_count(found.same, 'file')}, byte for byte")
        return
    count = units.show_count(len(found.files), "file")
    print(
        f"{names} differ in {count}; {found.same} {'is' if found.same == 1 else 'are'} the same; a switch to the second "
        f"loads {units.show_bytes(found.load_bytes)} anew"
    )
    rows = [(one.change, one.path, _size(one.before), _size(one.after)) for one in found.files]
    output.table(["change", "file", "first", "second"], rows, right=["first", "second"])
    _tell_values(output, "key of config.json", found.config)
    _tell_values(output, "tensor", found.tensors)
    if found.problem:
        output.say(f"keys or tensors could not be compared: {found.problem}")


def _tell_values(output: Output, what: str, found: tuple[ValueChange, ...]) -> None:
    rows = [(one.name, one.before or "", one.after or "") for one in found[:_SHOWN]]
    if rows:
        output.table([what, "first", "second"], rows)
    if len(found) > _SHOWN:
        output.say(f"and {len(found) - _SHOWN:,} more; all of them: --format json")


def _size(file: difference.File | None) -> str:
    return "" if file is None or file.size_bytes is None else units.show_bytes(file.size_bytes)


def _document(change: FileChange) -> FileDifference:
    before, after = change.before, change.after
    return FileDifference(
        path=change.path,
        change=change.change,
        size_bytes=(before.size_bytes if before else None, after.size_bytes if after else None),
        sha256=(before.sha256 if before else None, after.sha256 if after else None),
    )


def _summary(one: Side, other: Side, found: Difference) -> VersionDifference:
    return VersionDifference(
        first=one.name,
        second=other.name,
        same=not found.files,
        same_files=found.same,
        different_files=len(found.files),
        load_bytes=found.load_bytes,
        config=tuple(Changed(name=one.name, before=one.before, after=one.after) for one in found.config),
        tensors=tuple(Changed(name=one.name, before=one.before, after=one.after) for one in found.tensors),
        problem=found.problem,
    )
