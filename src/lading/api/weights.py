"""Weights onto a volume, and what is on it."""

from collections.abc import Sequence
from pathlib import Path

from lading.api import portal
from lading.events import Emit, Published, Unchanged, Verified, ignore
from lading.flows import pull as pulling
from lading.flows import verify as verifying
from lading.spec import ref as refs
from lading.volume import find
from lading.weights.manifest import Manifest
from lading.wiring import volumes


def pull(
    source: str | Path,
    dest: str | Path,
    *,
    model: str | None = None,
    version: str | None = None,
    endpoint: str | None = None,
    files: Path | None = None,
    exclude: Sequence[str] = (),
    expect: str = "auto",
    use: bool = True,
    emit: Emit = ignore,
) -> Published | Unchanged:
    """Bring weights from *source* onto the volume *dest*, as ``lading pull`` does.

    Args:
        source: A folder or file, ``s3://bucket/prefix``, or ``https://host/file``.
        dest: A volume: any folder; made when it is not there. Below a volume: the model's name on it.
        model: Its name on the volume; made from the source's name by default.
        version: The first 12 digits of the source's revision by default.
        endpoint: Address of an S3 store other than AWS.
        files: For an http(s) directory: a file that lists its names.
        exclude: Patterns of paths to leave out.
        expect: The format it must have; ``any`` for no check.
        use: Make it the current version of its model.
        emit: Told each step.

    Raises:
        LadingError: Nothing is visible under the model's name then; what was finished is kept for the next call.
    """
    reference = refs.parse(str(source))
    place, name, wanted = volumes.destination(refs.parse(str(dest)), model, version)
    adapter = volumes.source(reference, endpoint=endpoint, files=files)
    try:
        return portal.run(
            pulling.pull(
                adapter, find.create_volume(place), reference,
                model=name, version=wanted, expect=expect, exclude=exclude, use=use, emit=emit,
            )
        )  # fmt: skip
    finally:
        adapter.close()


def models(volume: str | Path = ".") -> list[Manifest]:
    """The published versions on *volume* (or of one model on it), by model, then by time of publication."""
    return list(volumes.selected(volumes.named(str(volume))))


def manifest(ref: str | Path) -> Manifest:
    """The manifest of a model on a volume, ``volume/model@version``; its current version by default.

    Raises:
        NotPublished: There is none; the hint names the nearest.
    """
    found = volumes.named(str(ref))
    return found.volume.manifest(volumes.model_of(found, str(ref)), found.version)


def verify(ref: str | Path, *, emit: Emit = ignore, threads: int | None = None) -> Verified:
    """Hash a version's files again and compare them with its manifest.

    Raises:
        VerificationFailed: Something differs; names the files.
    """
    found = volumes.named(str(ref))
    listed = found.volume.manifest(volumes.model_of(found, str(ref)), found.version)
    return portal.run(verifying.verify(found.volume, listed, emit=emit, threads=threads))


def use(ref: str | Path) -> None:
    """Make a version, ``volume/model@version``, the current one of its model.

    Raises:
        NotPublished: There is no such version.
    """
    found = volumes.named(str(ref))
    model = volumes.model_of(found, str(ref))
    found.volume.use(model, found.volume.manifest(model, found.version).version)
