"""`lading ls`, `show`, `use`, `rm`, `prune`: what is on a volume Imports little: `ls` must be quick."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lading.cli.choosing import Reaching
from lading.cli.output import Common, Output
from lading.cli.where import Where, chosen
from lading.errors import InvalidReference, NotPublished
from lading.spec import ref as refs
from lading.spec import units
from lading.spec.ref import SourceRef
from lading.weights import layout
from lading.weights.manifest import Manifest
from lading.wiring.volumes import Place, model_of, named, opened, placed, selected

if TYPE_CHECKING:  # for people, `ls` is quicker without
    from lading.answers.weights import ListedFile
    from lading.weights.inventory import Unmanaged


def ls(
    volume: str = ".",
    *,
    files: Annotated[bool, Parameter(negative=())] = False,
    reaching: Reaching | None = None,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """List the models and versions on a volume, or the models at a source.

    Folders that look like a model and have no manifest are listed, too, with what is wrong with them. At a source only names,
    sizes and heads of files are read.

    Args:
        volume: A volume, or a model or folder on it, such as ./volume or pvc://claim; or a source, such as s3://bucket/prefix.
        files: List the files of each.
    """
    output = Output(common)
    if isinstance(ref := refs.parse(volume, any_folder=True), SourceRef):
        import asyncio

        from lading.cli.at_source import list_source

        asyncio.run(list_source(ref, reaching or Reaching(), output, files=files))
        return
    with placed(volume, chosen(where)) as place:
        with _uncollected():
            contents = _contents(place, volume)
        current = place.volume.currents(sorted({manifest.model for manifest in contents.versions}))
        shown = place.volume.shown
    if files:
        _tell_files(output, contents)
    elif output.json:
        _tell_documents(output, contents, current)
    elif not contents:
        output.say(f"nothing is published on {shown}")
        output.next(f"lading pull SOURCE {volume}")
    else:
        _tell_rows(output, contents, current)
    if contents.folders and not files:
        folder = next((folder for folder in contents.folders if folder.problem is None), contents.folders[0])
        output.next(f"lading adopt {layout.place(shown, folder.path)}")


def show(
    ref: str,
    *,
    sha256sums: Annotated[bool, Parameter(negative=())] = False,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Show the manifest of a model.

    Args:
        ref: A model on a volume, such as ./volume/tiny or pvc://claim/tiny@v1; the current version by default.
        sha256sums: Print the input of `sha256sum -c`, to be run in the version's directory.
    """
    output = Output(common)
    with opened(ref, chosen(where)) as found:
        manifest = found.volume.manifest(model_of(found, ref), found.version)
        directory = found.volume.place(manifest)
        current = found.volume.current(manifest.model) == manifest.version
    if sha256sums:
        print(manifest.sha256sums(), end="")
        return
    from lading.answers.weights import ShownVersion

    output.result(
        ShownVersion.of(manifest, current=current, directory=directory),
        _described(manifest, current=current, directory=directory),
    )
    if output.json:
        return
    rows = [(file.path, units.show_bytes(file.size_bytes), file.sha256) for file in manifest.files]
    output.table(["file", "size", "sha256"], rows, right=["size"])


def use(ref: str, *, where: Where | None = None, common: Common | None = None) -> None:
    """Make a version the current one of its model.

    Servers that run are not touched: they see it at their next start, where they were given `current`.

    Args:
        ref: Model and version, such as ./volume/tiny@v1.
    """
    output = Output(common)
    with opened(ref, chosen(where), write=True) as found:
        model, version = model_of(found, ref), found.version
        if version is None:
            raise InvalidReference(f"{ref} names no version", hint=f"lading use {ref}@VERSION; see lading ls {ref}")
        before = found.volume.current(model)
        found.volume.use(model, version)
        loading = _by_current(ref, model, where) if before != version else ""
    said = "is already" if before == version else "is now"
    was = f", before: {before}" if before not in {None, version} else ""
    from lading.answers.weights import CurrentVersion

    document = CurrentVersion(model=model, version=version, before=before)
    output.result(document, f"{model}@{version} {said} the current version{was}")
    if loading:
        output.say(f"these load it when they start next: {loading}")


def _by_current(text: str, model: str, where: Where | None) -> str:
    """Who loads the model's `current` at its next start, in words; empty on a folder of this machine."""
    from lading.wiring import pointing

    found = pointing.users(text, chosen(where))
    return pointing.told(pointing.by_current(found, model)) if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """What `ls` lists."""

    versions: Sequence[Manifest] = ()
    folders: "Sequence[Unmanaged]" = ()

    def __bool__(self) -> bool:
        return bool(self.versions or self.folders)


def _contents(place: Place, text: str) -> _Contents:
    """What lies at *place*: all of the volume, what a model's name leads to, or folders without a manifest.

    Raises:
        VolumeError: It is no volume, and there is no model in it either.
        NotPublished, InvalidReference: Nothing is there.
    """
    if place.path == "." and place.version is None:
        versions = list(place.volume.manifests())
        contents = _Contents(versions=versions, folders=place.volume.unmanaged(versions))
        if not contents and not place.made:
            named(text)  # raises: it is no volume
        return contents
    try:
        return _Contents(versions=selected(place.named()))
    except (NotPublished, InvalidReference):
        below = f"{place.path}/"
        folders = [one for one in place.volume.unmanaged() if f"{one.path}/".startswith(below)]
        if not folders:
            raise
        return _Contents(folders=folders)


def _tell_files(output: Output, contents: _Contents) -> None:
    from lading.answers.weights import ListedFile

    listed = [
        ListedFile(
            model=manifest.model, version=manifest.version, folder=manifest.path, path=file.path,
            size_bytes=file.size_bytes, sha256=file.sha256,
        )
        for manifest in contents.versions
        for file in manifest.files
    ]  # fmt: skip
    listed += [
        ListedFile(folder=folder.path, path=path, size_bytes=size_bytes)
        for folder in contents.folders
        for path, size_bytes in folder.files.items()
    ]
    tell_files(output, listed)


def tell_files(output: Output, listed: "Sequence[ListedFile]") -> None:
    """One line or document for each file."""
    if output.json:
        for file in listed:
            output.result(file)
        return
    rows = [
        (
            file.folder,
            file.path,
            "" if file.size_bytes is None else units.show_bytes(file.size_bytes),
            file.sha256 or "",
        )
        for file in listed
    ]
    output.table(["folder", "file", "size", "sha256"], rows, right=["size"])


def _tell_documents(output: Output, contents: _Contents, current: Mapping[str, str | None]) -> None:
    from lading.answers.weights import ListedVersion, UnmanagedFolder

    for manifest in contents.versions:
        output.result(ListedVersion.of(manifest, current=current[manifest.model] == manifest.version))
    for folder in contents.folders:
        output.result(UnmanagedFolder.of(folder))


def _tell_rows(output: Output, contents: _Contents, current: Mapping[str, str | None]) -> None:
    rows = [
        (
            manifest.model,
            manifest.version,
            "*" if current[manifest.model] == manifest.version else "",
            units.show_bytes(manifest.size_bytes),
            str(len(manifest.files)),
            manifest.format,
            manifest.published_at,
            manifest.source.ref,
        )
        for manifest in contents.versions
    ]
    rows += [
        (
            folder.path,
            "",
            "",
            units.show_bytes(folder.size_bytes),
            str(len(folder.files)),
            folder.format,
            "",
            f"no manifest: {folder.problem}" if folder.problem else "no manifest",
        )
        for folder in contents.folders
    ]
    columns = ["model", "version", "current", "size", "files", "format", "published", "source"]
    output.table(columns, rows, right=["size", "files"])


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: a thousand manifests are all kept, and looking for garbage takes as long as reading them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number > 1 else ''}" if number else ""


def _described(manifest: Manifest, *, current: bool, directory: str) -> str:
    by = " on ".join(filter(None, [manifest.published_by.user, manifest.published_by.host]))
    lines = {
        "directory": directory,
        "source": f"{manifest.source.ref} at {manifest.source.revision}",
        "published": f"{manifest.published_at}{f' by {by}' if by else ''}",
        "digest": manifest.digest,
    }
    head = (
        f"{manifest.model}@{manifest.version}: {manifest.format}, {_count(len(manifest.files), 'file')}, "
        f"{units.show_bytes(manifest.size_bytes)}{', the current version' if current else ''}"
    )
    return "\n".join([head, *(f"  {key:<10} {value}" for key, value in lines.items())])
