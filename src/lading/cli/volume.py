"""`lading ls`, `show`, `use`, `rm`, `prune`: what is on a volume. Imports little: `ls` must be quick."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lading.cli.output import Common, Output
from lading.errors import InvalidInput, InvalidReference
from lading.spec import units
from lading.volume.find import Found
from lading.volume.local import LocalVolume
from lading.weights.layout import Leftover
from lading.weights.manifest import Manifest
from lading.wiring.volumes import model_of, named, selected

if TYPE_CHECKING:  # for people, `ls` is quicker without
    from lading.answers.weights import Removed


def ls(volume: str = ".", *, common: Common | None = None) -> None:
    """List the models and versions on a volume.

    Args:
        volume: A volume, or a model on it.
    """
    output = Output(common)
    found = named(volume)
    with _uncollected():
        listed = selected(found)
    current = {model: found.volume.current(model) for model in {manifest.model for manifest in listed}}
    if output.json:
        from lading.answers.weights import ListedVersion

        for manifest in listed:
            output.result(ListedVersion.of(manifest, current=current[manifest.model] == manifest.version))
        return
    if not listed:
        output.say(f"nothing is published on {found.volume.root}")
        output.next(f"lading pull SOURCE {volume}")
        return
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
        for manifest in listed
    ]
    columns = ["model", "version", "current", "size", "files", "format", "published", "source"]
    output.table(columns, rows, right=["size", "files"])


def show(
    ref: str, *, sha256sums: Annotated[bool, Parameter(negative=())] = False, common: Common | None = None
) -> None:
    """Show the manifest of a model.

    Args:
        ref: A model on a volume, such as ./volume/tiny or ./volume/tiny@v1; the current version by default.
        sha256sums: Print the input of `sha256sum -c`, to be run in the version's directory.
    """
    output = Output(common)
    found = named(ref)
    manifest = found.volume.manifest(model_of(found, ref), found.version)
    if sha256sums:
        print(manifest.sha256sums(), end="")
        return
    from lading.answers.weights import ShownVersion

    directory = str(found.volume.directory(manifest))
    current = found.volume.current(manifest.model) == manifest.version
    output.result(
        ShownVersion.of(manifest, current=current, directory=directory),
        _described(manifest, current=current, directory=directory),
    )
    if output.json:
        return
    rows = [(file.path, units.show_bytes(file.size_bytes), file.sha256) for file in manifest.files]
    output.table(["file", "size", "sha256"], rows, right=["size"])


def use(ref: str, *, common: Common | None = None) -> None:
    """Make a version the current one of its model.

    Servers that run are not touched: they see it at their next start, where they were given `current`.

    Args:
        ref: Model and version, such as ./volume/tiny@v1.
    """
    output = Output(common)
    found = named(ref)
    model, version = model_of(found, ref), found.version
    if version is None:
        raise InvalidReference(f"{ref} names no version", hint=f"lading use {ref}@VERSION; see lading ls {ref}")
    before = found.volume.current(model)
    found.volume.use(model, version)
    said = "is already" if before == version else "is now"
    was = f", before: {before}" if before not in {None, version} else ""
    from lading.answers.weights import CurrentVersion

    document = CurrentVersion(model=model, version=version, before=before)
    output.result(document, f"{model}@{version} {said} the current version{was}")


def rm(
    ref: str,
    *,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    common: Common | None = None,
) -> None:
    """Remove a version, or a whole model, from a volume.

    Args:
        ref: A version, such as ./volume/tiny@v1, or a model: all its versions.
        yes: Do not ask.
        dry_run: Print what would be removed.
    """
    output = Output(common)
    found = named(ref)
    model = model_of(found, ref)
    removal = _removal(found, model)
    _carry_out(output, removal, dry_run=dry_run, yes=yes, volume=found.volume)


def prune(
    volume: str = ".",
    *,
    keep: Annotated[int, Parameter(validator=Number(gte=1))] = 3,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    common: Common | None = None,
) -> None:
    """Remove old versions and what interrupted pulls left.

    A current version is never removed. An interrupted pull that nobody runs now loses its progress.

    Args:
        volume: A volume, or a model on it.
        keep: How many of the newest versions of each model stay.
        yes: Do not ask.
        dry_run: Print what would be removed.
    """
    output = Output(common)
    found = named(volume)
    if found.version:
        raise InvalidInput(f"{volume} names one version", hint=f"lading rm {volume}")
    leftovers = () if found.model else found.volume.leftovers()
    removal = Removal(versions=found.volume.prunable(found.model, keep), leftovers=leftovers)
    _carry_out(output, removal, dry_run=dry_run, yes=yes, volume=found.volume)


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


def _carry_out(output: Output, removal: Removal, *, dry_run: bool, yes: bool, volume: LocalVolume) -> None:
    from lading.answers.weights import Removed

    going: list[Manifest | Leftover] = [*removal.versions, *removal.leftovers]
    documents = [Removed.of(gone, dry_run=dry_run) for gone in going]
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
    output.confirm(f"Remove {removal.sentence()} from {volume.root}?", yes=yes)
    for manifest, document in zip(removal.versions, documents, strict=False):
        volume.remove(manifest.model, manifest.version)
        output.result(document, f"removed {_line(document)}")
    if removal.leftovers:
        gone = set(map(str, volume.sweep()))
        for document in documents[len(removal.versions) :]:
            if document.path in gone:
                output.result(document, f"removed {_line(document)}")


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
