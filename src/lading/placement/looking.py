"""A source, looked at from where a pull will run: by a pod like the Job's, with the claim mounted read-only.

What keeps this pod from starting would keep the Job's pods from starting: its image, its Secrets, its place. So it is
the check of these too.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.diagnosis import pods as diagnosing
from lading.diagnosis.finding import Finding, at
from lading.errors import ClusterDenied, ClusterError, PodFailed
from lading.events import Failed, SourceListed
from lading.manifests import jobs, pods
from lading.manifests.pods import ReadClaim, Work
from lading.placement import hearing, problems
from lading.placement.problems import Problem
from lading.spec.command import ListSourceCommand
from lading.spec.credentials import Credentials
from lading.spec.placement import Placement

#: How long something that may pass (an unbound claim, a busy node) is borne before it is told as a problem.
PASSING_S = 20.0
REMOVE_WITHIN_S = 10.0


def pod(
    command: ListSourceCommand, *, namespace: str, claim: str | None, placement: Placement, credentials: Credentials,
    deadline_s: int, source: ReadClaim | None = None,
) -> Object:  # fmt: skip
    """The pod that looks; *claim* None: at the source alone."""
    work = Work(
        purpose="reader",
        namespace=namespace,
        claim=claim,
        command=jobs.document(command),
        read_only=True,
        credentials=credentials,
        source=source,
    )
    return pods.helper_pod(work, placement, name=f"lading-look-{secrets.token_hex(4)}", deadline_s=deadline_s)


async def look(cluster: Cluster, looking: Object, *, wait_s: float) -> SourceListed | Problem:
    """What the pod *looking* saw, or what is in its way; it is removed in any case."""
    name = looking["metadata"]["name"]
    try:
        await cluster.create(looking)
        ended = await _end(cluster, name, wait_s)
        return ended if isinstance(ended, Problem) else await _word(cluster, ended)
    finally:
        await _removed(cluster, name)


async def _removed(cluster: Cluster, name: str) -> None:
    """Remove the pod, also where we are cancelled meanwhile; one that cannot be removed ends by its deadline.

    What went wrong before is not covered by what goes wrong here.
    """
    removing = asyncio.ensure_future(cluster.delete(kinds.POD, name, grace_s=0))
    try:
        await asyncio.shield(removing)
    except ClusterError:
        pass
    except asyncio.CancelledError:
        await asyncio.wait([removing], timeout=REMOVE_WITHIN_S)
        raise


async def _end(cluster: Cluster, name: str, wait_s: float) -> Object | Problem:
    """The pod once it has ended, or what keeps it from starting."""
    seen = _Seen()
    try:
        async with asyncio.timeout(wait_s), _told(cluster, name, seen) as told:
            passing_until: float | None = None
            while True:
                verdict = seen.verdict()
                if verdict is not None and not isinstance(verdict, Finding):
                    return verdict
                now = asyncio.get_running_loop().time()
                passing_until = None if verdict is None else passing_until or now + PASSING_S
                if verdict is not None and (verdict.fatal or (passing_until or 0) <= now):
                    return problems.found(verdict)
                await told.next(None if passing_until is None else passing_until - now)
    except TimeoutError:
        verdict = seen.verdict()
        if isinstance(verdict, Finding):
            return problems.found(verdict)
        return Problem(code="look-slow", message=f"pod {name} did not answer within {wait_s:.0f} s", hint="pull without this look: --no-preflight")  # fmt: skip


class _Seen:
    """The pod and its events, as far as they are known."""

    def __init__(self) -> None:
        self.pod: Object | None = None
        self.events: dict[str, Object] = {}

    def verdict(self) -> Object | Finding | None:
        """The ended pod, or what a diagnosis says of one that waits."""
        if self.pod is None:
            return None
        if at(self.pod, "status", "phase") in ("Succeeded", "Failed"):
            return self.pod
        return diagnosing.watching(self.pod, tuple(self.events.values()))


class _Told:
    """Whether something became known since it was last asked."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._broken: BaseException | None = None

    def change(self) -> None:
        """Something did."""
        self._changed.set()

    def ended(self, task: "asyncio.Task[None]") -> None:
        """A watch ended: nothing more comes of it, for the reason it raised."""
        if not task.cancelled():
            self._broken = self._broken or task.exception()
            self._changed.set()

    async def next(self, within_s: float | None) -> None:
        """Return when something did, or *within_s* passed; raise what broke a watch."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        self._changed.clear()
        if self._broken is not None:
            raise self._broken


@asynccontextmanager
async def _told(cluster: Cluster, name: str, seen: _Seen) -> AsyncIterator[_Told]:
    """*seen* is kept up to date meanwhile."""
    told = _Told()

    async def pods_of() -> None:
        async with aclosing(cluster.watch(kinds.POD, fields=f"metadata.name={name}")) as changes:
            async for change in changes:
                seen.pod = change.object
                told.change()

    async def events_of() -> None:
        fields = f"involvedObject.name={name},involvedObject.kind=Pod"
        with contextlib.suppress(ClusterDenied):  # optional evidence
            async with aclosing(cluster.watch(kinds.EVENT, fields=fields)) as changes:
                async for change in changes:
                    seen.events[change.object["metadata"]["name"]] = change.object
                    told.change()

    tasks = [asyncio.create_task(one) for one in (pods_of(), events_of())]
    for task in tasks:
        task.add_done_callback(told.ended)
    try:
        yield told
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _word(cluster: Cluster, ended: Object) -> SourceListed | Problem:
    """The last word of a pod that has ended: its termination message, else the last line of its log."""
    said = at(ended, "status", "containerStatuses", 0, "state", "terminated", "message")
    for line in (said, *reversed(await _log(cluster, ended))):
        match hearing.parse(line, _claim(ended)) if isinstance(line, str) else None:
            case SourceListed() as listed:
                return listed
            case Failed() as failure:
                return Problem(code=failure.code, message=failure.message, hint=failure.hint)
            case _:
                continue
    finding = diagnosing.ended(ended)
    if finding is not None:
        return problems.found(finding)
    raise PodFailed("the pod that lists the source ended without a word", hint="see what its image is: lading images")


async def _log(cluster: Cluster, ended: Object) -> Sequence[str]:
    try:
        return [line.text async for line in cluster.logs(ended["metadata"]["name"], follow=False)]
    except ClusterDenied:
        return ()


def _claim(pod: Object) -> str:
    """The claim that *pod* looks into, empty where it mounts none."""
    volumes = pod["spec"].get("volumes") or ()
    named = (at(one, "persistentVolumeClaim", "claimName") for one in volumes if one.get("name") == "claim")
    return next((name for name in named if isinstance(name, str)), "")
