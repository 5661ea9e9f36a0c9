"""What is to be seen of one server on a cluster, kept up to date while it is waited for, and what that means.

Pods are watched; what has no watch of its own (events, ReplicaSets, the claim) is looked at every second. The cause is
found by `lading.diagnosis.serving`; here is only where its evidence lies.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from lading.backends import asking, passing
from lading.backends.on_cluster_form import Form
from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Kind, Object
from lading.diagnosis import serving
from lading.diagnosis.finding import Finding
from lading.diagnosis.serving import Evidence
from lading.errors import ClusterDenied, ClusterUnreachable, ObjectMissing
from lading.ports.backend import OnClaim

LOOK_EVERY_S = 1.0
LOG_LINES = 200
_UNREACHABLE_S = 2.0

Tell = Callable[[Finding], None]


@dataclass(slots=True, kw_only=True)
class Scene:
    """One server as the cluster has it now.

    Attributes:
        name: Of its objects.
        shown: The server's, as its user knows it.
        finding: What keeps it from its work, by the last look; None: nothing says so.
        keepers: What keeps it up to date, until cancelled.
    """

    cluster: Cluster
    form: Form
    name: str
    shown: str
    namespace: str
    claim: OnClaim
    tell: Tell
    pods: dict[str, Object] = field(default_factory=dict)
    finding: Finding | None = None
    keepers: list[asyncio.Task[None]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _told: set[str] = field(default_factory=set)
    _logs: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    _began: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def running(self) -> Object | None:
        """The pod that is ready and stays, by the kubelet's probe; the newest of several."""
        ready = [pod for pod in self.pods.values() if is_ready(pod) and not leaving(pod)]
        return max(ready, key=_born, default=None)

    def newest(self) -> Object | None:
        """The pod that was made last."""
        return max(self.pods.values(), key=_born, default=None)

    async def until_ready(self, deadline: float) -> Object:
        """The pod that is ready.

        Args:
            deadline: In seconds of the loop's clock.

        Raises:
            TimeoutError: Not until then.
            Stuck: Waiting cannot help.
        """
        async with asyncio.timeout_at(deadline):
            while True:
                self.changed.clear()
                self.check()
                found = self.running()
                if found is not None:
                    return found
                await self.changed.wait()

    def check(self) -> None:
        """Nothing, while waiting may help.

        Raises:
            Stuck: It cannot.
            ClusterError: The cluster cannot be looked at any more.
        """
        for keeper in self.keepers:
            if keeper.done():
                keeper.result()
        if self.finding is not None and self.finding.fatal:
            raise Stuck(self.finding)

    async def look(self) -> None:
        """Read what has no watch, and find what it means."""
        evidence = await self._evidence()
        self.finding = serving.diagnose(evidence)
        if self.finding is not None and self.finding.sentence not in self._told:
            self._told.add(self.finding.sentence)
            self.tell(self.finding)
        self.changed.set()

    async def log(self) -> tuple[str, ...]:
        """The last lines of the newest pod: of the run before, where it restarted and says nothing yet."""
        pod = self.newest()
        if pod is None:
            return ()
        return await tail(self.cluster, pod, self.form.container, self.namespace)

    # ------------------------------------------------------------------------------------------------------ keeping

    async def keep_pods(self) -> None:
        """Keep the pods as they are, until cancelled."""
        selector = self.form.pods(self.name)
        async with aclosing(self.cluster.watch(kinds.POD, namespace=self.namespace, labels=selector)) as changes:
            async for change in changes:
                uid = change.object["metadata"]["uid"]
                if change.type == "deleted":
                    self.pods.pop(uid, None)
                else:
                    self.pods[uid] = change.object
                self.changed.set()

    async def keep_looking(self) -> None:
        """Look once a second, until cancelled; an API server that is away is borne."""
        while True:
            try:
                await self.look()
            except ClusterUnreachable:
                await asyncio.sleep(_UNREACHABLE_S)
            await asyncio.sleep(LOOK_EVERY_S)

    # ------------------------------------------------------------------------------------------------------ evidence

    async def _evidence(self) -> Evidence:
        form, claim = self.form, self.claim
        deployment, service, bound, replica_sets = await asyncio.gather(
            self._find(kinds.DEPLOYMENT, form.deployment(self.name)),
            self._find(kinds.INFERENCE_SERVICE, self.name) if kinds.INFERENCE_SERVICE in form.kinds else _nothing(),
            self._find(kinds.CLAIM, claim.claim),
            self._list(kinds.REPLICA_SET, form.pods(self.name)),
        )
        pods = tuple(self.pods.values())
        about = [*pods, *replica_sets, *(one for one in (deployment, service, bound) if one is not None)]
        return Evidence(
            name=self.shown,
            namespace=self.namespace,
            pods=pods,
            replica_sets=replica_sets,
            deployment=deployment,
            service=service,
            claim=bound,
            events=await self._events(sorted({str(one["metadata"]["name"]) for one in about})),
            logs={str(pod["metadata"]["name"]): await self._log_of(pod) for pod in pods},
            model_path=claim.path,
            waited_s=asyncio.get_running_loop().time() - self._began,
        )

    async def _find(self, kind: Kind, name: str) -> Object | None:
        """An object; None where there is none, or it may not be read: the diagnosis does with less."""
        with suppress(ClusterDenied):
            return await self.cluster.find(kind, name, namespace=self.namespace)
        return None

    async def _list(self, kind: Kind, labels: str) -> tuple[Object, ...]:
        with suppress(ClusterDenied):
            return await self.cluster.list(kind, namespace=self.namespace, labels=labels)
        return ()

    async def _events(self, about: Sequence[str]) -> tuple[Object, ...]:
        async def of(name: str) -> tuple[Object, ...]:
            fields = f"involvedObject.name={name}"
            with suppress(ClusterDenied):
                return await self.cluster.list(kinds.EVENT, namespace=self.namespace, fields=fields)
            return ()

        return tuple(event for events in await asyncio.gather(*map(of, about)) for event in events)

    async def _log_of(self, pod: Object) -> tuple[str, ...]:
        """Its last words, where a run of its server has ended; each run's are read once."""
        runs = ended_runs(pod, self.form.container)
        if not runs:
            return ()
        uid = str(pod["metadata"]["uid"])
        if self._logs.get(uid, (0, ()))[0] != runs:
            self._logs[uid] = (runs, await tail(self.cluster, pod, self.form.container, self.namespace))
        return self._logs[uid][1]


class Stuck(Exception):
    """Waiting cannot help.

    Attributes:
        finding: Why.
    """

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.sentence)
        self.finding = finding


@asynccontextmanager
async def kept(scene: Scene) -> AsyncIterator[Scene]:
    """*scene*, up to date as long as the block lasts."""
    for pod in await scene.cluster.list(kinds.POD, namespace=scene.namespace, labels=scene.form.pods(scene.name)):
        scene.pods[pod["metadata"]["uid"]] = pod
    scene.keepers += [asyncio.create_task(scene.keep_pods()), asyncio.create_task(scene.keep_looking())]
    for keeper in scene.keepers:
        keeper.add_done_callback(lambda _: scene.changed.set())
    try:
        yield scene
    finally:
        for keeper in scene.keepers:
            keeper.cancel()
        await asyncio.gather(*scene.keepers, return_exceptions=True)


def is_ready(pod: Object) -> bool:
    """Whether the kubelet's probe says so."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def leaving(pod: Object) -> bool:
    """Whether it is being deleted, or has ended."""
    return "deletionTimestamp" in pod["metadata"] or (pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"}


def ended_runs(pod: Object, container: str) -> int:
    """How many runs of *container* have ended."""
    status = container_status(pod, container)
    return int(status.get("restartCount") or 0) + ("terminated" in (status.get("state") or {}))


def container_status(pod: Mapping[str, Any], container: str) -> Mapping[str, Any]:
    """What is said of *container*; empty where nothing is."""
    listed = (pod.get("status") or {}).get("containerStatuses") or ()
    return next((one for one in listed if one.get("name") == container), {})


async def tail(
    cluster: Cluster, pod: Object, container: str, namespace: str, *, lines: int = LOG_LINES
) -> tuple[str, ...]:
    """The last lines of *container*, oldest first; of its run before, where this one has not begun. Empty without a log."""
    status = container_status(pod, container)
    started = any(key in (status.get("state") or {}) for key in ("running", "terminated"))
    previous = not started and bool(status.get("restartCount"))
    if not started and not previous:
        return ()
    kept: deque[str] = deque(maxlen=lines)
    with suppress(ObjectMissing, ClusterDenied):
        stream = cluster.logs(
            pod["metadata"]["name"], container=container, follow=False, previous=previous, namespace=namespace
        )
        async with aclosing(stream) as written:
            async for line in written:
                text = asking.printable(passing.without_secrets(line.text).rstrip("\r"))
                if text.strip():
                    kept.append(text)
    return tuple(kept)


def _born(pod: Object) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")


async def _nothing() -> None:
    return None


def last_exit(pod: Object, container: str) -> int | None:
    """The exit status of the last run of *container* that ended; 137 is a kill."""
    status = container_status(pod, container)
    for state in (status.get("state") or {}, status.get("lastState") or {}):
        code = (state.get("terminated") or {}).get("exitCode")
        if isinstance(code, int):
            return code
    return None
