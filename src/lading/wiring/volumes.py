"""From what a user names to volumes, models on them, and sources. Imports little: `lading ls` must be quick."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lading import wiring
from lading.errors import InvalidInput, InvalidReference
from lading.spec import ref as refs
from lading.spec.ref import ClaimRef, LocalRef, Reference, SourceRef
from lading.volume import find
from lading.volume.find import Found
from lading.weights.manifest import Manifest

if TYPE_CHECKING:
    from lading.ports import Source


def named(text: str) -> Found:
    """The volume that *text* names, with model and version.

    Raises:
        InvalidReference: It is no folder of this machine.
    """
    ref = refs.parse(text)
    if not isinstance(ref, LocalRef):
        claim = isinstance(ref, ClaimRef)
        raise InvalidReference(
            f"{text} is no folder of this machine",
            hint="mount the claim and name the folder" if claim else f"lading pull {text} VOLUME",
        )
    return find.find(ref)


def model_of(found: Found, text: str) -> str:
    """The model that *text* names.

    Raises:
        InvalidReference: It names a whole volume.
    """
    if found.model is None:
        raise InvalidReference(
            f"{text} is a volume, not a model on one", hint=f"name a model, see lading ls {found.volume.root}"
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


def source(ref: Reference, *, endpoint: str | None, files: Path | None) -> "Source":
    """The source of *ref* with the options it knows.

    Raises:
        InvalidInput: An option is for another kind of source.
    """
    scheme = ref.scheme if isinstance(ref, SourceRef) else "file"
    if endpoint is not None and scheme != "s3":
        raise InvalidInput(f"--endpoint is for s3:// sources; {ref} is none", hint="leave it out")
    if files is not None and scheme not in {"http", "https"}:
        raise InvalidInput(f"--files is for http(s):// sources; {ref} is none", hint="leave it out")
    return wiring.source(ref, endpoint=endpoint, files=files)


def _one(what: str, option: str | None, written: str | None) -> str | None:
    if option and written and option != written:
        raise InvalidInput(f"--{what} {option} and DEST ({what} {written}) differ", hint=f"give the {what} once")
    return option or written
