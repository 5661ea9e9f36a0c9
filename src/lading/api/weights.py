"""Weights onto a volume, and what is on it."""

from pathlib import Path
from typing import Any

from lading.api import portal
from lading.events import Emit, Published, Pushed, Unchanged, Verified, ignore
from lading.flows import pull as pulling
from lading.flows import push as pushing
from lading.flows import verify as verifying
from lading.flows.sending import ReadBack
from lading.spec import ref as refs
from lading.spec.job import JobChoice
from lading.spec.placement import Choice
from lading.spec.pull import chosen
from lading.spec.ref import ClaimRef, SourceRef
from lading.volume import find
from lading.weights.manifest import Manifest
from lading.wiring import volumes


def pull(
    source: str | Path,
    dest: str | Path,
    *,
    model: str | None = None,
    version: str | None = None,
    use: bool = True,
    where: Choice | None = None,
    source_where: Choice | None = None,
    job: JobChoice | None = None,
    emit: Emit = ignore,
    **options: Any,
) -> Published | Unchanged:
    """Bring weights from *source* onto the volume *dest*, as ``lading pull`` does.

    Onto a claim, ``pvc://claim/model``, it runs in a Job, which goes on should this process end: the same call follows
    it again. A folder of this machine is streamed there.

    Args:
        source: A folder or file, ``s3://bucket/prefix``, ``https://host/file``, or ``pvc://claim/model``.
        dest: A volume: any folder; made when it is not there. Below a volume: the model's name on it. Or a claim.
        model: Its name on the volume; made from the source's name by default.
        version: The first 12 digits of the source's revision by default.
        use: Make it the current version of its model.
        where: For a claim: which cluster, and how our pods run there.
        source_where: For a *source* that is a claim of another cluster: that one.
        job: For a claim: how the Job gets at its source, and when it is given up.
        emit: Told each step.
        options: How the source is read and what of it is taken, by the names of `lading.spec.pull.Choices`:
            ``endpoint="http://minio:9000"``, ``exclude=["*.bin"]``, ``expect="any"`` …

    Raises:
        LadingError: Nothing is visible under the model's name then; what was finished is kept for the next call.
    """
    choices = chosen(**options)
    reference, target = refs.parse(str(source)), refs.parse(str(dest))
    if isinstance(target, ClaimRef):
        from lading.wiring import onto, pulls

        asked = pulls.Asked(
            source=reference,
            dest=target,
            model=model,
            version=version,
            choices=choices,
            use=use,
            source_choice=source_where,
        )
        return portal.run(onto.onto_claim(asked, choice=where or Choice(), job=job or JobChoice(), emit=emit))
    place, name, wanted = volumes.destination(target, model, version)

    async def bring() -> Published | Unchanged:
        async with volumes.sourced(reference, choices, source_where or where, emit=emit) as adapter:
            volume = find.create_volume(place)
            return await pulling.pull(
                adapter, volume, reference, model=name, version=wanted, choices=choices, use=use, emit=emit
            )

    return portal.run(bring())


def push(
    source: str | Path,
    dest: str | Path,
    *,
    replace: bool = False,
    remove_extra: bool = False,
    read_back: ReadBack = "checksums",
    model: str | None = None,
    version: str | None = None,
    source_endpoint: str | None = None,
    where: Choice | None = None,
    job: JobChoice | None = None,
    emit: Emit = ignore,
    **options: Any,
) -> Pushed:
    """Bring weights from *source* to an object store or a folder, as ``lading push`` does.

    From a claim that is not mounted here to a store it runs in a Job, which goes on should this process end.

    Args:
        source: A model on a volume, ``./volume/granite@v2`` or ``pvc://claim/model``, or anything that `pull` takes.
        dest: ``s3://bucket/prefix/``, or a folder.
        replace: Let files there be replaced that have other content.
        remove_extra: Remove files there that are not of this model, unasked.
        read_back: Verify by the checksums that the store keeps, or by reading and hashing all of it (``full``).
        model: Its name in the manifest; that of the version, or made from the source's name by default.
        version: That of the version, or the first 12 digits of the source's revision by default.
        source_endpoint: Address of *source*, where it is another store than *dest*.
        where: For a claim: which cluster, and how our pods run there.
        job: For a claim that is not mounted here, to a store: how the Job gets at it, and when it is given up.
        emit: Told each step.
        options: As for `pull`; ``endpoint`` is the address of *dest*.

    Raises:
        LadingError: There is no manifest beside *dest* then, or the old one; what was sent is kept for the next call.
    """
    from lading.wiring import pushes

    choices, ref, target = chosen(**options), refs.parse(str(source)), refs.parse(str(dest))
    if isinstance(ref, ClaimRef) and isinstance(target, SourceRef) and not volumes.is_here(ref, where):
        from lading.wiring import push_jobs

        order = push_jobs.command(
            ref, target, choices,
            model=model, version=version, replace=replace, remove_extra=remove_extra, read_back=read_back,
        )  # fmt: skip
        return portal.run(push_jobs.bring(ref, order, choice=where or Choice(), job=job or JobChoice(), emit=emit))

    async def work() -> Pushed:
        of_source = pushes.of_source(ref, choices, endpoint=source_endpoint)
        destination = pushes.destination(target, pushes.of_destination(choices))
        try:
            async with pushes.sourced(ref, of_source, where, emit=emit) as found:
                return await pushing.push(
                    found.source, destination, ref,
                    journals=found.journals, model=model, version=version, choices=of_source, replacing=replace,
                    removing=remove_extra, read_back=read_back, emit=emit,
                )  # fmt: skip
        finally:
            destination.close()

    return portal.run(work())


def models(volume: str | Path = ".", *, where: Choice | None = None) -> list[Manifest]:
    """The published versions on *volume* (or of one model on it), by model, then by time of publication.

    *volume* may be a claim, ``pvc://claim``, in the cluster that *where* names; so may the references below.
    """
    with volumes.opened(str(volume), where) as found:
        return list(volumes.selected(found))


def manifest(ref: str | Path, *, where: Choice | None = None) -> Manifest:
    """The manifest of a model on a volume, ``volume/model@version``; its current version by default.

    Raises:
        NotPublished: There is none; the hint names the nearest.
    """
    with volumes.opened(str(ref), where) as found:
        return found.volume.manifest(volumes.model_of(found, str(ref)), found.version)


def verify(
    ref: str | Path,
    *,
    quick: bool = False,
    emit: Emit = ignore,
    threads: int | None = None,
    where: Choice | None = None,
) -> Verified:
    """Hash a version's files again, where they lie, and compare them with its manifest.

    *quick* looks at names, sizes and heads of files only.

    Raises:
        VerificationFailed: Something differs; names the files.
    """
    with volumes.opened(str(ref), where, emit=emit) as found:
        listed = found.volume.manifest(volumes.model_of(found, str(ref)), found.version)
        return portal.run(verifying.verify(found.volume, listed, quick=quick, emit=emit, threads=threads))


def use(ref: str | Path, *, where: Choice | None = None) -> None:
    """Make a version, ``volume/model@version``, the current one of its model.

    Raises:
        NotPublished: There is no such version.
    """
    with volumes.opened(str(ref), where, write=True) as found:
        model = volumes.model_of(found, str(ref))
        found.volume.use(model, found.volume.manifest(model, found.version).version)
