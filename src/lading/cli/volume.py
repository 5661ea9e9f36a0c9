"""`lading ls`, `show`, `use`, `rm`, `prune`: what is on a volume. Imports little: `ls` must be quick."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lading.cli.output import Common, Output
from lading.cli.where import Where, chosen
from lading.errors import InvalidInput, InvalidReference, NotPublished
from lading.spec import units
from lading.volume.find import Found
from lading.weights import layout
from lading.weights.layout import Leftover
from lading.weights.manifest import Manifest
from lading.wiring.volumes import Place, model_of, named, opened, placed, selected

if TYPE_CHECKING:  # for people, `ls` is quicker without
    from lading.answers.weights import Removed
    from lading.ports import Volume
    from lading.weights.inventory import Unmanaged


def ls(
    volume: str = ".",
    *,
    files: Annotated[bool, Parameter(negative=())] = False,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """List the models and versions on a volume.

    Folders that look like a model and have no manifest are listed, too, with what is wrong with them.

    Args:
        volume: A volume, or a model or folder on it, such as ./volume or pvc://claim.
        files: List the files of each.
    """
    output = Output(common)
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


def rm(
    ref: str,
    *,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Remove a version, or a whole model, from a volume.

    Args:
        ref: A version, such as ./volume/tiny@v1, or a model: all its versions.
        yes: Do not ask.
        dry_run: Print what would be removed.
    """
    output = Output(common)
    with opened(ref, chosen(where), write=not dry_run) as found:
        removal = _removal(found, model_of(found, ref))
        for manifest, who in _pointed(ref, removal.versions, where).items():
            output.say(f"{manifest.model}@{manifest.version} is what {who} may be loading")
        _carry_out(output, removal, dry_run=dry_run, yes=yes, volume=found.volume)


def prune(
    volume: str = ".",
    *,
    keep: Annotated[int, Parameter(validator=Number(gte=1))] = 3,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Remove old versions and what interrupted pulls left.

    A current version is never removed, nor, on a claim, one that a workload points to. An interrupted pull that nobody runs
    now loses its progress.

    Args:
        volume: A volume, or a model on it.
        keep: How many of the newest versions of each model stay.
        yes: Do not ask.
        dry_run: Print what would be removed.
    """
    output = Output(common)
    with opened(volume, chosen(where), write=not dry_run) as found:
        if found.version:
            raise InvalidInput(f"{volume} names one version", hint=f"lading rm {volume}")
        leftovers = () if found.model else found.volume.leftovers()
        versions = found.volume.prunable(found.model, keep)
        kept = _pointed(volume, versions, where)
        for manifest, who in kept.items():
            output.say(f"{manifest.model}@{manifest.version} stays: {who} may be loading it")
        versions = tuple(manifest for manifest in versions if manifest not in kept)
        removal = Removal(versions=versions, leftovers=leftovers)
        _carry_out(output, removal, dry_run=dry_run, yes=yes, volume=found.volume)


def _pointed(text: str, versions: Sequence[Manifest], where: Where | None) -> dict[Manifest, str]:
    """The versions that workloads of the claim's namespace point to, with whom; none on a folder of this machine."""
    from lading.wiring import pointing

    found = pointing.users(text, chosen(where)) if versions else None
    if found is None:
        return {}
    pointed = {manifest: pointing.into(found, manifest) for manifest in versions}
    return {manifest: pointing.told(who) for manifest, who in pointed.items() if who}


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
    if output.json:
        for file in listed:
            output.result(file)
        return
    rows = [(file.folder, file.path, units.show_bytes(file.size_bytes), file.sha256 or "") for file in listed]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What is to go: decided, shown, then done."""

    versions: tuple[Manifest, ...] = ()
    leftovers: tuple[Leftover, ...] = ()

    @property
    def size_bytes(self) -> int:
        """What it frees."""
        return sum(version.size_bytes for version in self.versions) + sum(left.size_bytes for left in self.leftovers)

    def sentence(self) -> str:
        """What it is, for people."""
        parts = [_count(len(self.versions), "version"), _count(len(self.leftovers), "leftover")]
        return f"{' and '.join(part for part in parts if part)}, {units.show_bytes(self.size_bytes)}"


def _removal(found: Found, model: str) -> Removal:
    """A version of *model*, or all, the current one last: it cannot go while others are left."""
    if found.version is not None:
        return Removal(versions=(found.volume.manifest(model, found.version),))
    versions = [manifest for manifest in found.volume.manifests() if manifest.model == model]
    if not versions:
        found.volume.manifest(model)  # raises, with the nearest name
    current = found.volume.current(model)
    return Removal(versions=tuple(sorted(versions, key=lambda manifest: manifest.version == current)))


def _carry_out(output: Output, removal: Removal, *, dry_run: bool, yes: bool, volume: "Volume") -> None:
    from lading.answers.weights import Removed

    going: list[Manifest | Leftover] = [*removal.versions, *removal.leftovers]
    documents = [Removed.of(gone, path=_where(volume, gone), dry_run=dry_run) for gone in going]
    if not documents:
        output.result(Removed(dry_run=dry_run), "nothing to remove")
        return
    if dry_run:
        for document in documents:
            output.result(document, f"would remove {_line(document)}")
        return
    if not yes:
        for one in documents:
            output.say(f"  {one.model}@{one.version}  {one.removed}  {units.show_bytes(one.size_bytes)}")
    output.confirm(f"Remove {removal.sentence()} from {volume.shown}?", yes=yes)
    for manifest, document in zip(removal.versions, documents, strict=False):
        volume.remove(manifest.model, manifest.version)
        output.result(document, f"removed {_line(document)}")
    if removal.leftovers:
        gone = set(volume.sweep())
        for left, document in zip(removal.leftovers, documents[len(removal.versions) :], strict=True):
            if left.path in gone:
                output.result(document, f"removed {_line(document)}")


def _where(volume: "Volume", gone: Manifest | Leftover) -> str:
    """A version's path from the volume's root; a leftover's as a person names it."""
    if isinstance(gone, Manifest) or not gone.path.is_relative_to(volume.root):
        return str(gone.path)
    return layout.place(volume.shown, gone.path.relative_to(volume.root).as_posix())


def _line(gone: "Removed") -> str:
    what = {"staging": " (interrupted pull)", "removal": " (unfinished removal)"}.get(gone.removed or "", "")
    return f"{gone.model}@{gone.version}{what}, {units.show_bytes(gone.size_bytes)}"


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
