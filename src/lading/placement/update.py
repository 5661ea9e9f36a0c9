"""Room for the writer of a claim that a server holds: stop it, write, bring it back, whatever happens in between.

What is stopped is written on the claim (annotation `lading.dev/update`) before it is, with what it was: a client that was
killed is healed by the next pull onto the claim, or by hand.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.errors import ClusterError, ObjectMissing, PlacementError, StillRunning
from lading.events import Emit, Notice, ignore
from lading.manifests import stopping
from lading.manifests.stopping import Recorded, Stop
from lading.placement import mounts as mounting
from lading.placement.mounts import Mount, Owner
from lading.placement.problems import Problem, failed
from lading.spec.clock import utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePlan:
    """What will be done around the write of *claim*, in order; nothing where there is nothing to say.

    Attributes:
        before: Stopped before the write, and started after it.
        after: Stopped and started after the write, so that it serves what was written.
        healed: Of *before*, those that an earlier command has stopped and not brought back.
        needs: The model whose old version will be removed, or is: what is stopped is started only when it is there.
    """

    claim: str
    before: tuple[Stop, ...] = ()
    after: tuple[Stop, ...] = ()
    healed: tuple[Stop, ...] = ()
    needs: str | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """One sentence each, for people."""
        restarts = tuple(f"restart {one} when the new version is there" for one in self.after)
        going_back = ("remove the old version before the new one comes: going back means pulling it again",) * (
            self.needs is not None
        )
        healed = tuple(f"start {one} again, which an earlier update has left stopped" for one in self.healed)
        stopped = tuple(one.said for one in self.before if one not in self.healed)
        return (*healed, *stopped, *going_back, *restarts)


@dataclass(slots=True)
class Freed:
    """What is known while the claim is free.

    Attributes:
        intact: A version of the model is surely there; set by who looked after the writer had failed.
    """

    intact: bool


async def plan(
    cluster: Cluster, claim: Object, during_update: str | None, *, model: str, replace_old: bool = False
) -> UpdatePlan:
    """What *during_update* means for those that hold *claim* now, when *model* is pulled; nothing is changed.

    Raises:
        PreflightFailed: Something that holds it cannot be stopped by us.
    """
    found, problems = await planned(cluster, claim, during_update, model=model, replace_old=replace_old)
    if problems:
        raise failed(problems, "the claim cannot be freed")
    return found


async def planned(
    cluster: Cluster, claim: Object, during_update: str | None, *, model: str, replace_old: bool = False
) -> tuple[UpdatePlan, tuple[Problem, ...]]:
    """As `plan`, with what is in the way beside it."""
    name = claim["metadata"]["name"]
    earlier = stopping.recorded(claim)
    stopping_now = during_update in ("scale", "recreate") or replace_old
    if earlier.needs not in (None, model):  # another model's: this pull does not bring what its servers wait for
        return UpdatePlan(claim=name), (_open(name, earlier),) if stopping_now else ()
    needs = model if replace_old else earlier.needs
    if not stopping_now:
        return UpdatePlan(claim=name, before=earlier.stops, healed=earlier.stops, needs=needs), ()
    held = [mount for mount in await mounting.mounting(cluster, name) if mount.purpose is None]
    stops, problems = await _stops(cluster, held)
    running = {str(one) for one in stops}
    healed = tuple(one for one in earlier.stops if str(one) not in running)
    if during_update == "recreate" and not replace_old:
        return UpdatePlan(claim=name, before=healed, healed=healed, after=stops, needs=needs), problems
    return UpdatePlan(claim=name, before=(*healed, *stops), healed=healed, needs=needs), problems


def _open(claim: str, earlier: Recorded) -> Problem:
    return Problem(
        code="update-open",
        message=f"an update of {earlier.needs} on claim {claim} has not ended: since {earlier.at} "
        f"{', '.join(map(str, earlier.stops))} stays stopped, by {earlier.by}",
        hint=f"finish that first: run the pull of {earlier.needs} onto pvc://{claim} again",
    )


@asynccontextmanager
async def freed(
    cluster: Cluster, todo: UpdatePlan, *, by: str = "", emit: Emit = ignore, wait_s: float = 300
) -> AsyncIterator["Freed"]:
    """The claim is free inside; what held it is brought back on leaving, however that comes about.

    Only where the old version may be gone, and the new one not there, it stays stopped: kubelet would give it an empty
    folder.

    Raises:
        StillRunning: A server's pods have not gone within *wait_s*; it is brought back.
    """
    within = Freed(intact=todo.needs is None or not todo.healed)  # nothing is removed before the writer starts
    if not todo.before and not todo.after:
        yield within
        return
    work = _Update(cluster, todo, by=by, emit=emit, wait_s=wait_s)
    whole = False
    try:
        await work.stop(todo.before)
        within.intact = todo.needs is None
        yield within
        whole = True
        await work.stop(todo.after)
    finally:
        if whole or within.intact:
            await _surely(work.start(ready=whole))
        else:
            emit(_left(todo))


async def _stops(cluster: Cluster, held: Sequence[Mount]) -> tuple[tuple[Stop, ...], tuple[Problem, ...]]:
    """How what holds a claim is stopped; a pod that goes already is waited for, no more."""
    stops: list[Stop] = []
    problems: list[Problem] = []
    for mount in held:
        owner = mount.workload
        way = stopping.how(owner.api_version, owner.kind) if owner else None
        if owner is None or way is None:
            if not mount.leaving:
                problems.append(_cannot(mount, owner))
            continue
        replicas = await _replicas(cluster, owner) if way == "scale" else None
        if replicas != 0:
            stops.append(
                Stop(
                    api_version=owner.api_version,
                    kind=owner.kind,
                    name=owner.name,
                    replicas=replicas,
                    pods=(mount.pod,),
                )
            )
    return stopping.merged(stops), tuple(problems)


def _cannot(mount: Mount, owner: Owner | None) -> Problem:
    what = f"{owner} (pod {mount.pod})" if owner else f"pod {mount.pod}, which nothing keeps,"
    return Problem(
        code="cannot-stop",
        message=f"{what} holds the claim and cannot be stopped for a while by us",
        hint=f"stop it yourself{'' if owner else f': kubectl delete pod {mount.pod}'}, then run the same command again",
    )


async def _replicas(cluster: Cluster, owner: Owner) -> int:
    found = await cluster.get(_kind(owner.api_version, owner.kind), owner.name)
    return int(found["spec"].get("replicas", 1))


class _Update:
    """The steps of one update, and which servers it has stopped."""

    def __init__(self, cluster: Cluster, todo: UpdatePlan, *, by: str, emit: Emit, wait_s: float) -> None:
        self._cluster = cluster
        self._claim = todo.claim
        self._needs = todo.needs
        self._stopped: list[Stop] = list(todo.healed)
        self._by = by
        self._emit = emit
        self._wait_s = wait_s

    async def stop(self, stops: Sequence[Stop]) -> None:
        """Record, stop, and wait until none of their pods holds the claim any more."""
        new = [one for one in stops if one not in self._stopped]
        if not new:
            return
        record = stopping.record((*self._stopped, *new), by=self._by, at=utc_now(), needs=self._needs)
        await self._cluster.patch(kinds.CLAIM, self._claim, record)
        for one in new:
            self._emit(Notice(message=f"stopping {one}"))
            self._stopped.append(one)
            await self._switch(one, stopped=True)
        for pod in [pod for one in new for pod in one.pods]:
            await self._cluster.wait(
                kinds.POD, pod, lambda found: True if found is None else None, within_s=self._wait_s, what=f"pod {pod} to end"
            )  # fmt: skip

    async def start(self, *, ready: bool) -> None:
        """Start what was stopped, forget the record, and wait until it serves if *ready*.

        Raises:
            PlacementError: Something was not started; each with its command. The record stays.
        """
        broken: list[str] = []
        for one in self._stopped:
            try:
                await self._switch(one, stopped=False)
                self._emit(Notice(message=f"started {one} again"))
            except ObjectMissing:
                self._emit(Notice(message=f"{one} is gone meanwhile"))
            except ClusterError as error:
                broken.append(
                    f"{one} was not started again ({error.message}): {one.by_hand} -n {self._cluster.namespace}"
                )
        if broken:
            raise PlacementError("\n".join(broken), hint="the next pull onto the claim starts it, too")
        if self._stopped:
            await self._cluster.patch(kinds.CLAIM, self._claim, stopping.record((), by="", at=""))
        for one in self._stopped if ready else ():
            await self._ready(one)

    async def _switch(self, stop: Stop, *, stopped: bool) -> None:
        kind = _kind(stop.api_version, stop.kind)
        if stop.replicas is None:
            await self._cluster.patch(kind, stop.name, stopping.annotation(stopped=stopped))
            return
        if not stopped and int((await self._cluster.get(kind, stop.name))["spec"].get("replicas", 1)) != 0:
            return  # somebody has started it meanwhile, with a number of their own
        await self._cluster.patch(kind, stop.name, stopping.scale(0 if stopped else stop.replicas), sub="scale")

    async def _ready(self, stop: Stop) -> None:
        try:
            await self._cluster.wait(
                _kind(stop.api_version, stop.kind), stop.name,
                lambda found: True if found is None or _serves(found, stop.replicas) else None,
                within_s=self._wait_s, what=f"{stop} to be ready",
            )  # fmt: skip
        except StillRunning as late:
            self._emit(
                Notice(
                    message=late.message,
                    hint=f"kubectl describe {stop.kind.lower()} {stop.name} -n {self._cluster.namespace}",
                )
            )


def _serves(found: Object, replicas: int | None) -> bool:
    """Whether it is ready, by its own and recent word."""
    status = found.get("status") or {}
    if replicas is not None:
        seen = status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
        return bool(seen and status.get("readyReplicas", 0) >= min(replicas, found["spec"].get("replicas", 1)))
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or ())


def _left(todo: UpdatePlan) -> Notice:
    names = ", ".join(map(str, todo.before))
    return Notice(
        message=f"{names} stays stopped: the old version may be removed, and the new one is not there",
        hint="run the same command again: it goes on, and starts it at the end",
    )


def _kind(api_version: str, kind: str) -> kinds.Kind:
    return kinds.of({"apiVersion": api_version, "kind": kind})


async def _surely(work: Coroutine[Any, Any, None]) -> None:
    """Await *work* to its end, also where we are cancelled meanwhile; the cancellation is raised then."""
    running = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    running.result()
    if cancelled is not None:
        raise cancelled
