"""Weights onto a claim, from start to end, by the way that fits the source: a Job beside the volume, or a stream into a pod.

The command line does the same in steps, because a person is asked and told between them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lading.errors import PodFailed
from lading.events import Emit, Event, Published, Unchanged
from lading.flows import pull as flow
from lading.ports.source import Source
from lading.spec.job import JobChoice
from lading.spec.placement import Choice
from lading.volume.find import Found
from lading.wiring import claims, pulls, volumes
from lading.wiring.pulls import Asked


async def onto_claim(asked: Asked, *, choice: Choice, job: JobChoice, emit: Emit) -> Published | Unchanged:
    """What is on the claim then. Cancelled, it leaves a Job running.

    Raises:
        PreflightFailed: All that is in the way of a Job.
        LadingError: As the pull raises it.
    """
    if asked.is_streamed(choice):
        async with streamed(asked, choice=choice, emit=emit) as stream:
            return await stream.bring()
    order, dest = pulls.command(asked, replace_old=job.replace_old), asked.dest
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
class Stream:
    """Weights on their way to a claim's volume through this process; made by `streamed`."""

    asked: Asked
    source: Source
    found: Found
    emit: Emit

    async def decided(self) -> flow.Order:
        """What it would do."""
        return await flow.decide(
            self.source,
            self.found.volume,
            self.asked.source,
            model=self.asked.model or self.found.model,
            version=self.asked.version or self.found.version,
            choices=self.asked.choices,
        )

    async def bring(self) -> Published | Unchanged:
        """Do it, over broken streams."""
        user = await asyncio.to_thread(pulls.who)

        async def once() -> Published | Unchanged:
            order = await self.decided()
            volume, use = self.found.volume, self.asked.use
            return await flow.fulfil(order, self.source, volume, use=use, user=user, emit=self.emit)

        return await claims.persistent(once, emit=self.emit)


@asynccontextmanager
async def streamed(asked: Asked, *, choice: Choice, emit: Emit, write: bool = True) -> AsyncIterator[Stream]:
    """The way from a folder of this machine, or from a claim elsewhere, to a claim.

    Each claim is reached through a pod, or straight where it is mounted here.

    Raises:
        InvalidInput: A choice is for other sources.
    """
    async with (
        volumes.sourced(asked.source, asked.choices, asked.source_choice or choice, emit=emit) as source,
        claims.reached(asked.dest, choice, write=write, emit=emit) as found,
    ):
        yield Stream(asked=asked, source=source, found=found, emit=emit)


def _result(event: Event) -> Published | Unchanged:
    if isinstance(event, Published | Unchanged):
        return event
    raise PodFailed(f"the Job ended with {event.event}, which is no result of a pull")
