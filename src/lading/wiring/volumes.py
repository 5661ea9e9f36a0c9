"""From what a user names to volumes, models on them, and sources. Imports little: `lading ls` must be quick."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lading import wiring
from lading.errors import FormatRefused, InvalidInput, InvalidReference
from lading.spec import ref as refs
from lading.spec.placement import Choice
from lading.spec.pull import PLAIN, Choices
from lading.spec.ref import ClaimRef, LocalRef, Reference, SourceRef
from lading.volume import find
from lading.volume.find import Found
from lading.weights.manifest import Manifest

if TYPE_CHECKING:
    from lading.events import Emit
    from lading.ports.source import Source
    from lading.ports.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place on a volume: what a model's name leads to, or any folder.

    Attributes:
        path: From the volume's root; ``.`` is the root itself.
        made: Whether it is a volume; else a folder of this machine that is looked at as if it were an empty one.
    """

    volume: "Volume"
    path: str
    version: str | None = None
    made: bool = True

    def named(self) -> Found:
        """The model and version that it names.

        Raises:
            InvalidReference: It cannot name a model.
        """
        return find.resolve(self.volume, self.path, self.version)


@contextmanager
def opened(
    text: str, choice: Choice | None = None, *, write: bool = False, emit: "Emit | None" = None
) -> Iterator[Found]:
    """The volume that *text* names, with model and version: a folder, or a claim in the cluster of *choice*.

    Raises:
        InvalidReference: It is neither.
        LadingError: As `volume.find.find` and `wiring.claims.opened`.
    """
    ref = _reference(text)
    if isinstance(ref, LocalRef):
        yield find.find(ref)
        return
    with _claim(ref, choice, write=write, emit=emit) as place:
        yield place.named()


@contextmanager
def placed(
    text: str, choice: Choice | None = None, *, write: bool = False, emit: "Emit | None" = None
) -> Iterator[Place]:
    """As `opened`, but what *text* names may be any folder; one of this machine need not be on a volume."""
    ref = _reference(text)
    if isinstance(ref, LocalRef):
        yield _placed_here(ref)
        return
    with _claim(ref, choice, write=write, emit=emit) as place:
        yield place


def beside(found: Found, text: str, other: str) -> Found | None:
    """What *other* names, where it is on the claim of *text*, which is open as *found*; None elsewhere.

    Raises:
        InvalidReference: It is neither a folder nor a claim, or cannot name a model.
    """
    here, there = _reference(text), _reference(other)
    if not isinstance(here, ClaimRef) or not isinstance(there, ClaimRef) or _whole(here) != _whole(there):
        return None
    return _place(found, there).named()


@asynccontextmanager
async def reached(
    text: str, choice: Choice | None = None, *, write: bool = False, emit: "Emit | None" = None
) -> AsyncIterator[Place]:
    """As `placed`, for coroutines: cancelling them cleans up, too."""
    ref = _reference(text)
    if isinstance(ref, LocalRef):
        yield _placed_here(ref)
        return
    from lading.events import ignore
    from lading.wiring import claims  # brings all that speaks to a cluster

    async with claims.reached(_whole(ref), choice or Choice(), write=write, emit=emit or ignore) as found:
        yield _place(found, ref)


def is_here(ref: ClaimRef, choice: Choice | None = None) -> bool:
    """Whether the claim is mounted on this machine."""
    from lading.wiring import claims

    return claims.here(ref, choice or Choice()) is not None


@asynccontextmanager
async def sourced(
    ref: Reference, choices: Choices = PLAIN, choice: Choice | None = None, *, emit: "Emit | None" = None
) -> "AsyncIterator[Source]":
    """The source that reads *ref* by *choices*, closed on leaving; a claim is one in the cluster of *choice*.

    Raises:
        InvalidInput: It cannot honour one of *choices*.
        LadingError: As `wiring.claims.reached`.
    """
    if not isinstance(ref, ClaimRef):
        source = wiring.source(ref, choices)
        try:
            yield source
        finally:
            source.close()
        return
    from lading.events import ignore
    from lading.wiring import claims  # brings all that speaks to a cluster

    wiring.require_understood(ref, choices)
    async with claims.reached(_whole(ref), choice or Choice(), write=False, emit=emit or ignore) as found:
        with published(found.volume) as source:
            yield source


@contextmanager
def published(volume: "Volume", *, model: str | None = None, version: str | None = None) -> "Iterator[Source]":
    """The models on *volume* as a source; *model* and *version* are what a reference to a folder names."""
    from lading.sources.volume import VolumeSource

    source = VolumeSource(volume, model=model, version=version)
    try:
        yield source
    finally:
        source.close()


def adoptable(place: Place, text: str) -> Place:
    """The folder that *place* is, on a volume: one that lies on none makes the folder it lies in a volume.

    The root of a mount is a volume of its own: so a claim lies whose weights were put at its root.

    Raises:
        FormatRefused: There is no model in it: which folder is to be the volume is then not plain.
    """
    if place.made:
        return place
    from lading.volume import unmanaged

    folder = place.volume.root
    if unmanaged.at(folder.parent, folder.name).format == "files":
        raise FormatRefused(f"no model is in {text}", hint=f"its models, if it has any: lading ls {text}")
    if folder.is_mount():
        return Place(volume=find.create_volume(folder), path=".")
    return Place(volume=find.create_volume(folder.parent), path=folder.name)


@contextmanager
def _claim(ref: ClaimRef, choice: Choice | None, *, write: bool, emit: "Emit | None") -> Iterator[Place]:
    from lading.events import ignore
    from lading.wiring import claims

    with claims.opened(_whole(ref), choice or Choice(), write=write, emit=emit or ignore) as found:
        yield _place(found, ref)


def _reference(text: str) -> LocalRef | ClaimRef:
    ref = refs.parse(text, any_folder=True)
    if isinstance(ref, SourceRef):
        raise InvalidReference(f"{text} is neither a folder nor a claim", hint=f"lading pull {text} VOLUME")
    return ref


def _whole(ref: ClaimRef) -> ClaimRef:
    return ClaimRef(claim=ref.claim, namespace=ref.namespace)


def _place(found: Found, ref: ClaimRef) -> Place:
    return Place(volume=found.volume, path=ref.model or ".", version=ref.version)


def _placed_here(ref: LocalRef) -> Place:
    """A folder of this machine; where it is on no volume, it is looked at as if it were an empty one."""
    within = find.around(ref)
    if within is not None:
        return Place(volume=within[0], path=within[1], version=ref.version)
    if not Path(ref.path).expanduser().is_dir():
        find.find(ref)  # raises, and says what to do
    return Place(volume=find.open_or_empty(Path(ref.path)), path=".", version=ref.version, made=False)


def named(text: str) -> Found:
    """The volume on this machine that *text* names, with model and version.

    Raises:
        InvalidReference: It is no folder of this machine.
    """
    ref = _reference(text)
    if isinstance(ref, ClaimRef):
        raise InvalidReference(f"{text} is no folder of this machine", hint="mount the claim and name the folder")
    return find.find(ref)


def model_of(found: Found, text: str) -> str:
    """The model that *text* names.

    Raises:
        InvalidReference: It names a whole volume.
    """
    if found.model is None:
        raise InvalidReference(
            f"{text} is a volume, not a model on one", hint=f"name a model, see lading ls {found.volume.shown}"
        )
    return found.model


def selected(found: Found) -> Sequence[Manifest]:
    """What the reference selects: the volume's versions, a model's, or one."""
    if found.model is not None and found.version is not None:
        return (found.volume.manifest(found.model, found.version),)
    listed = list(found.volume.manifests())
    if found.model is None:
        return listed
    return [manifest for manifest in listed if manifest.model == found.model] or (found.volume.manifest(found.model),)


def destination(dest: Reference, model: str | None, version: str | None) -> tuple[Path, str | None, str | None]:
    """The volume's folder, and the names that *dest* gives where the options do not.

    Raises:
        InvalidInput: *dest* is no folder, or says something else than the options.
    """
    if not isinstance(dest, LocalRef):
        raise InvalidInput(f"{dest} cannot be written to by this version", hint="name a folder, such as ./volume")
    if Path(dest.path).expanduser().is_file():
        raise InvalidInput(f"{dest} is a file; a volume is a folder", hint="name a folder, such as ./volume")
    found = find.locate(dest)
    if found is None:
        return Path(dest.path).expanduser(), model, _one("version", version, dest.version)
    root = found.volume.root if found.model else Path(dest.path).expanduser()
    return root, _one("model", model, found.model), _one("version", version, found.version)


def _one(what: str, option: str | None, written: str | None) -> str | None:
    if option and written and option != written:
        raise InvalidInput(f"--{what} {option} and DEST ({what} {written}) differ", hint=f"give the {what} once")
    return option or written
