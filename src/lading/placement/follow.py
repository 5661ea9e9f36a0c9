"""Follow a Job to its result: over dropped connections, restarts of the API server, and pods that are replaced.

What is told comes from the log of the pod that runs; what it came to from the log, else from the pod's termination
message, else from the report on the claim. Nothing here changes the Job, but for one that can never start.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from lading.answers.jobs import JobReport
from lading.cluster.client import Cluster
from lading.cluster.kinds import EVENT, JOB, POD, Kind, Object
from lading.diagnosis import jobs as diagnosing
from lading.diagnosis import pods as pod_diagnosing
from lading.diagnosis.finding import Finding
from lading.errors import (
    ClaimUnusable,
    ClusterError,
    ClusterUnreachable,
    LadingError,
    ObjectMissing,
    PodFailed,
    StillRunning,
)
from lading.events import Emit, Event, Failed, Notice
from lading.placement import hearing, jobs
from lading.placement.hearing import Heard
from lading.placement.jobs import Run

T = TypeVar("T")
LOOK_EVERY_S = 2.0  # while nothing runs: events of pods come without a change of the pod
RECONNECT_S = 5.0
PASSING_S = 15.0  # what keeps a first pod from starting may pass by itself, such as the end of another pod, for so long
SETTLES_WITHIN_S = 15.0  # a node that is slow to report; the result is known already
#: Somebody else's turn, or work under way: waited for without an end.
_AWAITED = frozenset({"suspended", "scheduling-gated", "provisioning", "waits-for-consumer", "mount-slow"})
#: What helps when no other attempt comes.
_LAST_REMEDY = {"out-of-memory": "give it more, such as --memory 1Gi: it goes on where it was"}
Report = Callable[[], Awaitable[JobReport | None]]


async def follow(
    cluster: Cluster, run: Run, *, emit: Emit, report: Report | None = None, remove_unstartable: bool = False
) -> Event:
    """The event that is the result of *run*; all that its pods tell is emitted.

    Args:
        cluster: Where it runs.
        run: The Job.
        emit: Told each event; a `Notice` when a pod is replaced, with why, and when the cluster does not answer.
        report: Reads the report on the claim, where neither log nor pod is left.
        remove_unstartable: A Job whose first pod can never start is removed.

    Raises:
        LadingError: As the command in the pod raised it.
        PodFailed, ClaimUnusable: It cannot start, gave up, or is gone; with the end of its log.
        ClusterDenied: It may not be looked at.
    """
    following = _Following(cluster, run, emit, report)
    while True:
        try:
            return await following.once()
        except ClusterUnreachable as error:
            following.say(f"{error.message}; {run.name} goes on there, trying again", key="unreachable")
            await asyncio.sleep(RECONNECT_S)
        except _Unstartable as error:
            if remove_unstartable:
                await following.give_up()
            raise error.told from None


class _Unstartable(Exception):
    def __init__(self, told: LadingError) -> None:
        self.told = told


@dataclass(slots=True)
class _Following:
    """One client's following of one Job; what was told already outlasts a lost connection."""

    cluster: Cluster
    run: Run
    emit: Emit
    report: Report | None
    read: set[str] = field(default_factory=set)
    started: bool = False
    heard: Heard = field(default_factory=Heard)
    reading: str | None = None
    since: datetime | None = None
    said: set[str] = field(default_factory=set)
    stuck: tuple[str, float] | None = None

    async def once(self) -> Event:
        """The result, over one connection."""
        async with _watched(self.cluster, self.run) as scene:
            while True:
                pod = await scene.until(self._next, idle=lambda: self._look(scene))
                if pod is None:
                    return await self._outcome(scene)
                await self._read(pod)
                if self.heard.done is not None:
                    await _settled(scene)
                    return self.heard.result or self.heard.done
                await self._after(scene, pod)

    async def give_up(self) -> None:
        """Remove the Job; that this goes wrong, too, is said beside why it is given up."""
        try:
            await jobs.cancel(self.cluster, self.run)
        except (ClusterError, StillRunning) as left:
            self.say(
                f"Job {self.run.name} may be left behind: {left.message}", hint=f"lading jobs cancel {self.run.name}"
            )

    def say(self, sentence: str, *, key: str | None = None, hint: str | None = None) -> None:
        """Tell a person, each thing once."""
        if (key or sentence) in self.said:
            return
        self.said.add(key or sentence)
        self.emit(Notice(message=hearing.printable(sentence), hint=hint))

    def _next(self, scene: "_Scene") -> tuple[Object | None] | None:
        """The next pod to read, ``(None,)`` when no more come; None: not yet."""
        for pod in scene.in_order():
            if _uid(pod) not in self.read and _began(pod):
                return (pod,)
        return (None,) if scene.over else None

    async def _look(self, scene: "_Scene") -> None:
        """Say why nothing runs yet; end it where nothing ever will."""
        if scene.job is None:
            return
        events = await scene.events()
        found = diagnosing.watching(scene.job, scene.in_order(), events)
        if found is None:
            self.stuck = None
            return
        if not self.started and (found.fatal or self._is_stuck(found, events)):
            raise _Unstartable(_meaning(found, self.run))
        self.say(found.sentence, key=found.cause, hint=found.remedy or None)

    def _is_stuck(self, found: Finding, events: Sequence[Object]) -> bool:
        """Whether what may pass has not passed for long enough, and nobody is at work on it."""
        if found.cause in _AWAITED or any(event.get("reason") == "TriggeredScaleUp" for event in events):
            return False
        now = asyncio.get_running_loop().time()
        if self.stuck is None or self.stuck[0] != found.cause:
            self.stuck = (found.cause, now)
        return now - self.stuck[1] >= PASSING_S

    async def _read(self, pod: Object) -> None:
        """Tell what *pod* says, until it has ended."""
        self.started = True
        if self.reading != _uid(pod):
            self.reading, self.since, self.heard = _uid(pod), None, Heard()
        lines = self.cluster.logs(pod["metadata"]["name"], since=self.since, namespace=self.run.namespace)
        with suppress(ObjectMissing):
            async with aclosing(lines) as following:
                async for line in following:
                    event = self.heard.take(line.text, self.run.claim)
                    self.since = line.at
                    if event is not None:
                        self.emit(event)
                    if self.heard.done is not None:
                        break
        self.read.add(_uid(pod))

    async def _after(self, scene: "_Scene", pod: Object) -> None:
        """A pod ended without a result: raise what is final, say why where another follows."""
        if self.heard.failed is not None and not self.heard.failed.retryable:
            raise hearing.error(self.heard.failed, log=tuple(self.heard.tail))
        last = await scene.until(lambda now: now.ended(_uid(pod)), idle=lambda: self._look(scene))
        found = pod_diagnosing.ended(last, await scene.events(), tuple(self.heard.tail)) if last else None
        if found is not None:
            self.said.add(found.cause)  # the Job's next look would say it again
        own = self.heard.failed.message if self.heard.failed and self.heard.failed.code != "Cancelled" else None
        why = own or (found.sentence if found else "its pod was removed")
        self.say(f"attempt {len(self.read)} ended: {why}; what was finished is kept", key=_uid(pod))

    async def _outcome(self, scene: "_Scene") -> Event:
        """What it came to, when no pod is left to be read."""
        for pod in reversed(scene.in_order()):
            word = hearing.last_word(pod, self.run.claim)
            if isinstance(word, Failed) and not word.retryable:
                raise hearing.error(word, log=tuple(self.heard.tail))
            if isinstance(word, hearing.RESULTS):
                return word
        reported = await self._reported()
        if reported is not None:
            return reported
        job, log = scene.job, tuple(self.heard.tail)
        if job is None or jobs.state(job) == "stopping":
            raise PodFailed(
                f"Job {self.run.name} was removed before it had its result", hint="run the same command again to go on"
            )
        found = diagnosing.ended(job, scene.in_order(), await scene.events(), log)
        if found is not None:
            raise _meaning(found, self.run, log)
        raise PodFailed(f"Job {self.run.name} ended, and nothing says with what", log=log)

    async def _reported(self) -> Event | None:
        """The result by the report on the claim."""
        found = await self.report() if self.report is not None else None
        if found is None or found.uid != self.run.uid:
            return None
        told = hearing.event(found.result or found.error, self.run.claim)
        if isinstance(told, Failed):
            raise hearing.error(told)
        return told


def _meaning(found: Finding, run: Run, log: tuple[str, ...] = ()) -> LadingError:
    """The error that a finding is. A pod's events do not say which claim they mean; we do."""
    sentence = found.sentence
    if sentence.startswith("the claim "):
        return ClaimUnusable(sentence.replace("the claim", f"claim {run.claim}", 1), hint=found.remedy or None)
    return PodFailed(sentence, hint=_LAST_REMEDY.get(found.cause) or found.remedy or None, log=log)


# ---------------------------------------------------------------------------------------------------------- the scene


@dataclass(slots=True)
class _Scene:
    """A Job and its pods as the cluster has them now."""

    cluster: Cluster
    run: Run
    job: Object | None
    pods: dict[str, Object] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    keepers: list[asyncio.Task[None]] = field(default_factory=list)

    def in_order(self) -> tuple[Object, ...]:
        """Its pods, the oldest first."""
        return tuple(sorted(self.pods.values(), key=lambda pod: str(pod["metadata"].get("creationTimestamp"))))

    @property
    def over(self) -> bool:
        """Whether the Job has ended, is being removed, or is gone."""
        return self.job is None or jobs.state(self.job) in {"done", "failed", "stopping"}

    def ended(self, uid: str) -> tuple[Object] | tuple[None] | None:
        """A pod that has ended, ``(None,)`` when it is gone; None while it has not."""
        pod = self.pods.get(uid)
        if pod is None:
            return (None,)
        return (pod,) if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"} else None

    async def until(
        self, decide: "Callable[[_Scene], tuple[T] | None]", *, idle: Callable[[], Awaitable[None]] | None = None
    ) -> T:
        """The first value that *decide* gives; *idle* is called each time nothing happened for a while."""
        while True:
            self.changed.clear()
            found = decide(self)
            if found is not None:
                return found[0]
            happened = asyncio.ensure_future(self.changed.wait())
            try:
                await asyncio.wait([happened, *self.keepers], timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                happened.cancel()
            for keeper in self.keepers:
                if keeper.done():
                    keeper.result()
            if not self.changed.is_set():
                await self._refresh()
                if idle is not None:
                    await idle()

    async def events(self) -> tuple[Object, ...]:
        """What the cluster said of the Job and its pods."""
        found: list[Object] = []
        for name in (self.run.name, *(pod["metadata"]["name"] for pod in self.pods.values())):
            found += await self.cluster.list(EVENT, namespace=self.run.namespace, fields=f"involvedObject.name={name}")
        return tuple(found)

    async def keep(self, kind: Kind, take: Callable[[Object | None, str], None], **selectors: str) -> None:
        """Keep one kind of object up to date, until cancelled."""
        async with aclosing(self.cluster.watch(kind, namespace=self.run.namespace, **selectors)) as changes:
            async for change in changes:
                take(None if change.type == "deleted" else change.object, _uid(change.object))
                self.changed.set()

    def take_job(self, job: Object | None, uid: str) -> None:
        """The Job changed; one of its name that came later is not it."""
        if uid == self.run.uid:
            self.job = job

    def take_pod(self, pod: Object | None, uid: str) -> None:
        """A pod changed."""
        if pod is None:
            self.pods.pop(uid, None)
        else:
            self.pods[uid] = pod

    async def _refresh(self) -> None:
        """A Job that was removed before the watch began is in no change."""
        found = await self.cluster.find(JOB, self.run.name, namespace=self.run.namespace)
        self.job = found if found is not None and _uid(found) == self.run.uid else None


@asynccontextmanager
async def _watched(cluster: Cluster, run: Run) -> AsyncIterator[_Scene]:
    found = await cluster.find(JOB, run.name, namespace=run.namespace)
    scene = _Scene(cluster, run, found if found is not None and _uid(found) == run.uid else None)
    for pod in await cluster.list(POD, namespace=run.namespace, labels=run.pods):
        scene.take_pod(pod, _uid(pod))
    scene.keepers += [
        asyncio.create_task(scene.keep(JOB, scene.take_job, fields=f"metadata.name={run.name}")),
        asyncio.create_task(scene.keep(POD, scene.take_pod, labels=run.pods)),
    ]
    try:
        yield scene
    finally:
        for keeper in scene.keepers:
            keeper.cancel()
        await asyncio.gather(*scene.keepers, return_exceptions=True)


async def _settled(scene: _Scene) -> None:
    """Return when the Job says itself that it is done: the claim is free then, and a rerun is a new run."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLES_WITHIN_S):
            await scene.until(lambda now: (True,) if now.over else None)


def _began(pod: Object) -> bool:
    """Whether its container runs, or did."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    states = [status.get("state") or {} for status in statuses]
    return any("running" in state or "terminated" in state for state in states)


def _uid(thing: Object) -> str:
    return str(thing["metadata"]["uid"])
