"""Weights onto a claim, from start to end, by the way that fits the source: a Job beside the volume, or a stream into a pod.

The command line does the same in steps, because a person is asked and told between them.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lading.errors import InvalidInput, PodFailed
from lading.events import Emit, Event, Published, Unchanged
from lading.flows import pull as flow
from lading.ports import Source
from lading.spec import units
from lading.spec.job import JobChoice
from lading.spec.placement import Choice
from lading.spec.ref import ClaimRef, LocalRef, Reference
from lading.volume.find import Found
from lading.wiring import claims, pulls, volumes

FILES_BYTES = 128 << 10  # the names travel in the Job's document, twice


async def onto_claim(
    source: Reference,
    dest: ClaimRef,
    *,
    model: str | None,
    version: str | None,
    endpoint: str | None,
    files: Path | None,
    exclude: Sequence[str],
    expect: str,
    use: bool,
    choice: Choice,
    job: JobChoice,
    emit: Emit,
) -> Published | Unchanged:
    """What is on the claim then. Cancelled, it leaves a Job running.

    Raises:
        PreflightFailed: All that is in the way of a Job.
        LadingError: As the pull raises it.
    """
    if isinstance(source, LocalRef):
        async with upload(
            source, dest, model=model, version=version, exclude=exclude, expect=expect, choice=choice, emit=emit
        ) as streamed:
            return await streamed.bring(use=use)
    order = pulls.command(
        source,
        dest,
        model=model,
        version=version,
        endpoint=endpoint,
        files=names(files),
        exclude=exclude,
        expect=expect,
        use=use,
        replace_old=job.replace_old,
    )
    async with pulls.cluster_of(dest, choice) as cluster:
        planned = await pulls.plan(cluster, order, dest.claim, choice=choice, job=job, emit=emit)
        room = await pulls.room(cluster, planned, job)
        if isinstance(planned.answer, Unchanged) and not room.healed:
            emit(planned.answer)
            return planned.answer
        async with pulls.freed(cluster, room, emit=emit) as freed:
            run = await pulls.start(cluster, planned, emit=emit)
            return _result(await pulls.followed(cluster, run, freed, emit=emit, choice=choice, model=planned.model))


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A folder of this machine on its way to a claim's volume; made by `upload`."""

    source: Source
    ref: LocalRef
    found: Found
    model: str | None
    version: str | None
    exclude: Sequence[str]
    expect: str
    emit: Emit

    async def decided(self) -> flow.Order:
        """What it would do."""
        return await flow.decide(
            self.source,
            self.found.volume,
            self.ref,
            model=self.model or self.found.model,
            version=self.version or self.found.version,
            expect=self.expect,
            exclude=self.exclude,
        )

    async def bring(self, *, use: bool) -> Published | Unchanged:
        """Do it, over broken streams."""
        user = await asyncio.to_thread(pulls.who)

        async def once() -> Published | Unchanged:
            order = await self.decided()
            return await flow.fulfil(order, self.source, self.found.volume, use=use, user=user, emit=self.emit)

        return await claims.persistent(once, emit=self.emit)


@asynccontextmanager
async def upload(
    source: Reference,
    dest: ClaimRef,
    *,
    model: str | None,
    version: str | None,
    exclude: Sequence[str],
    expect: str,
    choice: Choice,
    emit: Emit,
    write: bool = True,
) -> AsyncIterator[Upload]:
    """The way from a folder of this machine to *dest*: through a pod, or straight where the claim is mounted here."""
    assert isinstance(source, LocalRef)
    adapter = volumes.source(source, endpoint=None, files=None)
    try:
        async with claims.reached(dest, choice, write=write, emit=emit) as found:
            yield Upload(
                source=adapter,
                ref=source,
                found=found,
                model=model,
                version=version,
                exclude=exclude,
                expect=expect,
                emit=emit,
            )
    finally:
        adapter.close()


def names(files: Path | None) -> tuple[str, ...] | None:
    """The lines of a file of names, as they travel with the command.

    Raises:
        InvalidInput: It cannot be read, or is too long to travel.
    """
    if files is None:
        return None
    try:
        text = files.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--files {files} cannot be read: {error}") from error
    if len(text) > FILES_BYTES:
        raise InvalidInput(
            f"--files {files} has {units.show_bytes(len(text))}, a Job carries {units.show_bytes(FILES_BYTES)}",
            hint="put the list beside the files as SHA256SUMS and name that",
        )
    return tuple(text.splitlines())


def _result(event: Event) -> Published | Unchanged:
    if isinstance(event, Published | Unchanged):
        return event
    raise PodFailed(f"the Job ended with {event.event}, which is no result of a pull")
