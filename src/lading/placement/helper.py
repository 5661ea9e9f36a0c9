"""The helper pod: a claim mounted for moments, for commands that look into it or stream something onto it.

It runs our image beside whoever mounts the claim already, and waits (`lading.placement.hold`); what is to be done comes
by exec. It is gone when the command ends. A client that was killed leaves a pod that ends by itself within minutes, and
the next command on the claim clears it away.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from lading.cluster import channel, execute, kinds
from lading.cluster.access import Right
from lading.cluster.channel import PodChannel
from lading.cluster.client import Cluster
from lading.cluster.execute import Completed
from lading.cluster.kinds import Object
from lading.diagnosis import admission
from lading.diagnosis import claims as claim_diagnosis
from lading.diagnosis import pods as diagnosis
from lading.diagnosis.finding import Finding
from lading.errors import (
    ClaimUnusable,
    ClusterDenied,
    ClusterError,
    LadingError,
    ObjectMissing,
    PodFailed,
    StillRunning,
)
from lading.events import Emit, Notice, ignore
from lading.manifests import ours, pods
from lading.manifests.pods import Work
from lading.placement import identity
from lading.placement.mounts import Mount, unfinished
from lading.spec.placement import Placement

#: Without a program of ours in it the pod ends after so long: a person may be asked something meanwhile.
IDLE_S = 300
#: The cluster ends it after so long, whatever happens: longer than any upload.
DEADLINE_S = 24 * 3600
#: How long it may take to start, as long as nothing stands in its way: an image is pulled, a volume is attached.
START_S = 600.0
#: How long something that may pass by itself may stand in its way: it is said at once, and given up after so long.
STUCK_S = 60.0
_LOOK_EVERY_S = 1.0
_REMOVE_WITHIN_S = 10.0
READER, WRITER = "reader", "writer"


def rights() -> tuple[Right, ...]:
    """What a helper pod needs of its user."""
    verbs = ("get", "list", "watch", "create", "delete")
    streams = [Right(verb, kinds.POD, sub="exec") for verb in ("get", "create")]
    return (
        *(Right(verb, kinds.POD) for verb in verbs),
        *streams,
        Right("get", kinds.CLAIM),
        Right("list", kinds.EVENT),
    )


@asynccontextmanager
async def helper(
    cluster: Cluster,
    claim: str,
    *,
    write: bool,
    placement: Placement,
    emit: Emit = ignore,
    within_s: float = START_S,
) -> "AsyncIterator[Helper]":
    """A running pod of ours with *claim* mounted at `ours.MOUNT`, read-only unless *write*; removed on leaving.

    Raises:
        ClaimUnusable: There is no such claim, it cannot be bound or mounted, or another pod has it for itself.
        PodFailed: The pod cannot start, and why.
        StillRunning: It has not started *within_s*, and nothing says why.
        ClusterError: As the API server says.
    """
    made = Helper(cluster, claim, write=write, placement=placement, emit=emit, within_s=within_s)
    try:
        await made.start()
        yield made
    finally:
        await made.remove()


class Helper:
    """A helper pod, made by `helper`. Its coroutines are of the cluster's loop, `channel` is for other threads."""

    def __init__(
        self, cluster: Cluster, claim: str, *, write: bool, placement: Placement, emit: Emit, within_s: float
    ) -> None:
        self.claim = claim
        self.name = ""
        self._cluster = cluster
        self._loop = asyncio.get_running_loop()
        self._write = write
        self._placement = placement
        self._emit = emit
        self._within_s = within_s

    async def start(self) -> None:
        """Start the pod; return when it runs."""
        await _clear(self._cluster, self.claim)
        found = await _claim(self._cluster, self.claim)
        mounts = await unfinished(self._cluster, self.claim)
        await self._claim_looked(found, mounts)
        placement = await self._placed(found, mounts)
        purpose = WRITER if self._write else READER
        self.name = f"lading-{purpose}-{self.claim[:40].strip('-.')}-{secrets.token_hex(3)}"
        document = pods.helper_pod(self._work(purpose, found), placement, name=self.name, deadline_s=DEADLINE_S)
        try:
            await self._cluster.create(document)
        except ClusterDenied as refused:
            if refused.hint is not None:  # a right that is missing
                raise
            raise error(admission.refused(refused.message, subject="a helper pod")) from refused
        await self._running()

    async def revive(self) -> bool:
        """Start another pod when this one is gone or over (evicted, deleted); whether that was so."""
        pod = await self._cluster.find(kinds.POD, self.name)
        if pod is not None and not over(pod) and "deletionTimestamp" not in pod["metadata"]:
            return False
        self._emit(Notice(message=f"pod {self.name} is gone; another one is started"))
        await self.start()
        return True

    def revived(self) -> bool:
        """As `revive`, blocking, from another thread."""
        return asyncio.run_coroutine_threadsafe(self.revive(), self._loop).result()

    async def remove(self) -> None:
        """Remove the pod; idempotent, silent where it is gone. Where nobody answers it is left to end by itself."""
        if not self.name:
            return
        try:
            async with asyncio.timeout(_REMOVE_WITHIN_S):
                await self._cluster.delete(kinds.POD, self.name, grace_s=1)
        except (ClusterError, TimeoutError) as failure:
            said = f"pod {self.name} could not be removed ({str(failure) or 'no answer'}); unused it ends within {IDLE_S // 60} minutes"
            self._emit(Notice(message=said, hint=f"kubectl delete pod {self.name} -n {self._cluster.namespace}"))

    async def run(self, argv: Sequence[str], *, stdin: bytes = b"") -> Completed:
        """Run *argv* in the pod to its end; see `execute.run`."""
        return await execute.run(self._cluster, self.name, argv, stdin=stdin)

    async def lines(self, argv: Sequence[str], *, stdin: bytes = b"") -> AsyncIterator[bytes]:
        """The lines that *argv* prints in the pod, without their ends, as they come.

        Raises:
            ChannelClosed: The stream broke.
            PodFailed: It ended with another status than 0; what it said last is told.
        """
        rest = b""
        async with execute.started(self._cluster, self.name, argv, stdin=bool(stdin)) as execution:
            if stdin:
                await execution.send(stdin)
                await execution.close_stdin()
            while data := await execution.receive():
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    yield line
            if rest:
                yield rest
            if execution.code != 0:
                said = execution.complaint.splitlines()
                raise PodFailed(f"{argv[0]} ended with status {execution.code} in pod {self.name}", log=said)

    def channel(self, argv: Sequence[str]) -> PodChannel:
        """*argv*, started in the pod, as a blocking channel; not from the cluster's own loop.

        Raises:
            ClusterError: It could not be started.
        """
        return channel.connect(self._cluster, self._loop, self.name, argv, container=pods.CONTAINER)

    # ------------------------------------------------------------------------------------------------------ starting

    def _work(self, purpose: str, found: Object) -> Work:
        return Work(
            purpose=purpose,
            namespace=self._cluster.namespace,
            claim=self.claim,
            argv=("python3", "-m", "lading.placement.hold", str(IDLE_S)),
            read_only=not self._write,
            attach_read_only=modes(found) == ("ReadOnlyMany",),
        )

    async def _placed(self, found: Object, mounts: Sequence[Mount]) -> Placement:
        node = place(found, mounts, write=self._write) or self._placement.node
        asked = self._placement.fs_group
        group = asked
        if self._write or asked is not None or any(mount.fs_group is not None for mount in mounts):
            group = (await identity.identity(self._cluster, mounts, asked=asked)).fs_group
        return replace(self._placement, node=node, fs_group=group)

    async def _running(self) -> None:
        """Return when the pod runs; look again and again why it does not."""
        deadline, told, told_at = self._loop.time() + self._within_s, None, 0.0
        while self._loop.time() < (min(deadline, told_at + STUCK_S) if told else deadline):
            with suppress(StillRunning):
                await self._cluster.wait(
                    kinds.POD, self.name, _runs, within_s=_LOOK_EVERY_S, what=f"pod {self.name} to run"
                )
                return
            finding = await self._looked()
            if finding is not None and (told is None or finding.cause != told.cause):
                self._emit(Notice(message=f"waiting: {finding.sentence}", hint=finding.remedy or None))
                told_at = self._loop.time()
            told = finding
        if told is not None:
            raise error(told)
        raise StillRunning(f"pod {self.name} has not started within {self._within_s:g} s, and nothing says why")

    async def _looked(self) -> Finding | None:
        """What keeps the pod from running now.

        Raises:
            ClaimUnusable, PodFailed: Waiting will not mend it.
        """
        pod = await self._cluster.find(kinds.POD, self.name)
        if pod is None:
            raise PodFailed(f"pod {self.name} was removed while it started")
        events = await self._events(self.name)
        finding = diagnosis.ended(pod, events) or diagnosis.watching(pod, events)
        if finding is not None and finding.fatal:
            raise error(finding)
        if over(pod):
            raise PodFailed(f"pod {self.name} ended while it started")
        if finding is not None and not pod["spec"].get("nodeName"):
            await self._claim_looked(await _claim(self._cluster, self.claim), ())
        return finding

    async def _claim_looked(self, claim: Object, mounts: Sequence[Mount]) -> None:
        """Raise what keeps *claim* from being mounted for good."""
        if "deletionTimestamp" not in claim["metadata"] and claim.get("status", {}).get("phase") == "Bound":
            return
        users = [mount.pod for mount in mounts]
        for finding in claim_diagnosis.findings(claim, await self._events(self.claim), users=users):
            if finding.fatal:
                raise ClaimUnusable(finding.sentence, hint=finding.remedy or None)

    async def _events(self, name: str) -> tuple[Object, ...]:
        return await self._cluster.list(kinds.EVENT, fields=f"involvedObject.name={name}")


def modes(claim: Object) -> tuple[str, ...]:
    """The access modes that *claim* asks for."""
    return tuple((claim.get("spec") or {}).get("accessModes") or ())


def place(claim: Object, mounts: Sequence[Mount], *, write: bool) -> str | None:
    """The node that a pod of ours must run on to mount *claim* beside *mounts*; None where any will do.

    Raises:
        ClaimUnusable: It cannot be mounted now, or not be written.
    """
    name, allowed = claim["metadata"]["name"], modes(claim)
    if write and allowed == ("ReadOnlyMany",):
        raise ClaimUnusable(f"claim {name} is ReadOnlyMany: nothing can be written to it", hint="name another claim")
    staying = [mount for mount in mounts if not mount.leaving]
    if "ReadWriteOncePod" in allowed and staying:
        holder = staying[0]
        who = f"pod {holder.pod}" + (f" ({holder.workload})" if holder.workload else "")
        raise ClaimUnusable(
            f"claim {name} is ReadWriteOncePod, and {who} has it",
            hint=f"stop {holder.workload or holder.pod} first, or pull with --during-update",
        )
    if set(allowed) & {"ReadWriteMany", "ReadOnlyMany"}:
        return None
    return next((mount.node for mount in (*staying, *mounts) if mount.node), None)


def error(finding: Finding) -> LadingError:
    """*finding* as the error it is."""
    about = {"claim", "volume", "class", "provisioning", "mount"}
    kind = ClaimUnusable if about & set(finding.cause.split("-")) else PodFailed
    return kind(finding.sentence, hint=finding.remedy or None)


def over(pod: Object) -> bool:
    """Whether *pod* has ended."""
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def _runs(pod: Object | None) -> bool | None:
    """Whether the container runs; what stands in its way is looked at elsewhere."""
    if pod is None:
        return None
    states: Sequence[Mapping[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or ()
    return True if states and all("running" in (one.get("state") or {}) for one in states) else None


async def _claim(cluster: Cluster, name: str) -> Object:
    try:
        return await cluster.get(kinds.CLAIM, name)
    except ObjectMissing as missing:
        raise ClaimUnusable(
            f"there is no claim {name} in namespace {cluster.namespace}",
            hint=f"`lading claim create {name} --size SIZE` makes one; --namespace names another namespace",
        ) from missing


async def _clear(cluster: Cluster, claim: str) -> None:
    """Remove helper pods on *claim* that are over: their clients were killed. Pods of Jobs may have the same purpose."""
    wanted = ours.labels(READER, claim=claim)
    chosen = f"{ours.MANAGED_BY}={ours.MANAGER},{ours.PURPOSE} in ({READER},{WRITER}),{ours.CLAIM}={wanted[ours.CLAIM]}"
    for pod in await cluster.list(kinds.POD, labels=chosen):
        if over(pod) and not pod["metadata"].get("ownerReferences"):  # a Job's is its own, and its log still read
            with suppress(ClusterError):  # another command was quicker
                await cluster.delete(kinds.POD, pod["metadata"]["name"], grace_s=0, uid=pod["metadata"]["uid"])
