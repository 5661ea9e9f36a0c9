"""Logs that outlast what breaks them: every line once, resumed by time where the connection dropped.

The API takes whole seconds only, so a resumed stream begins with lines already told; they are known by time stamp and
text. Stdout and stderr are stamped apart and may cross by a little: a resumption goes back one second more.

A line of more than 16 KiB is stored in pieces, which kubelet joins; but when stderr is written at that moment, it puts
that line in between (seen with 1.34). Who must be understood writes shorter lines. A node keeps the last 10 MiB: what
was rotated away during an outage is lost.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp

from lading.cluster import lines as streams
from lading.cluster.kinds import POD, Object
from lading.cluster.refusals import ServerFault
from lading.cluster.retry import LONG, Waits
from lading.cluster.session import NoAnswer, Request
from lading.errors import ClusterError, ObjectMissing

if TYPE_CHECKING:
    from lading.cluster.client import Cluster

_CROSSING = timedelta(seconds=1)
#: A log may be silent for hours; a lost connection without a word is found by asking anew after that long.
_SILENT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
#: The container runtime stores longer lines in pieces of 16 KiB, each with its own time: at least so many characters.
_PIECE_CHARACTERS = 4096
_BRIEF_S = 1.0


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a container's log.

    Attributes:
        stamp: When it was written, RFC 3339 with nanoseconds, by the node's clock.
        text: Without its newline; from outside: hostile.
    """

    stamp: str
    text: str

    @property
    def at(self) -> datetime:
        """`stamp` as a time, to the microsecond."""
        return datetime.fromisoformat(self.stamp)


@dataclass(slots=True)
class Told:
    """What was told already, as far back as a resumed stream may begin."""

    since: datetime | None = None
    _lines: deque[tuple[datetime, LogLine]] = field(default_factory=deque)
    _again: Counter[LogLine] = field(default_factory=Counter)
    _first: bool = False

    def resume(self) -> None:
        """A new stream begins: it repeats what was told since then."""
        self._again = Counter(line for _, line in self._lines)
        self._first = True

    def is_new(self, line: LogLine) -> bool:
        """Whether *line* was not told before; it is remembered."""
        first, self._first = self._first, False
        if self._again[line]:
            self._again[line] -= 1
            return False
        if first and any(_is_tail(line, told) for _, told in self._lines):
            return False
        self._remember(line)
        return True

    def _remember(self, line: LogLine) -> None:
        at = line.at
        self._lines.append((at, line))
        since = at.astimezone(UTC).replace(microsecond=0) - _CROSSING
        if self.since is None or since > self.since:
            self.since = since
            while self._lines and self._lines[0][0] < since - _CROSSING:
                self._lines.popleft()


def _is_tail(line: LogLine, told: LogLine) -> bool:
    """Whether *line* is the rest of a long line that was told whole: its first pieces are from the second before."""
    return (
        len(told.text) > max(_PIECE_CHARACTERS, len(line.text))
        and told.stamp < line.stamp
        and told.text.endswith(line.text)
    )


@dataclass(frozen=True, slots=True)
class Run:
    """How one run of a container stands.

    Attributes:
        id: The runtime's id; None: it has not started yet.
        over: It has ended, or never will start.
        before: The id of the run before it.
    """

    id: str | None
    over: bool
    before: str | None = None


def run(pod: Object, container: str) -> Run:
    """How *container* of *pod* stands now."""
    status = pod.get("status") or {}
    groups = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    found = [one for group in groups for one in status.get(group) or () if one.get("name") == container]
    finished = status.get("phase") in {"Succeeded", "Failed"}
    if not found:
        return Run(None, over=finished)
    state, last = found[0].get("state") or {}, (found[0].get("lastState") or {}).get("terminated") or {}
    if "running" in state:
        return Run(found[0].get("containerID"), over=False, before=last.get("containerID"))
    ended = state.get("terminated") or last
    return Run(ended.get("containerID") or None, over=bool(ended) or finished, before=last.get("containerID"))


def container_of(pod: Object, asked: str | None) -> str:
    """The name of the container that is meant: *asked*, the pod's default one, or its first.

    Raises:
        ObjectMissing: The pod has none of that name.
    """
    spec, metadata = pod.get("spec") or {}, pod.get("metadata") or {}
    groups = ("containers", "initContainers", "ephemeralContainers")
    names = [str(one.get("name")) for group in groups for one in spec.get(group) or ()]
    wanted = asked or (metadata.get("annotations") or {}).get("kubectl.kubernetes.io/default-container") or names[0]
    if wanted not in names:
        raise ObjectMissing(f"pod {metadata.get('name')} has no container {wanted}", hint=f"it has {', '.join(names)}")
    return str(wanted)


async def lines(
    cluster: "Cluster",
    pod: str,
    *,
    container: str | None,
    since: datetime | None,
    follow: bool,
    previous: bool,
    namespace: str | None,
) -> AsyncGenerator[LogLine]:
    """See `Cluster.logs`."""
    found = await cluster.get(POD, pod, namespace=namespace)
    reading = _Reading(
        cluster, pod, container_of(found, container), namespace, Told(since=since), follow and not previous
    )
    if previous or not follow:
        source = reading.whole(previous=previous) if previous or run(found, reading.container).id else None
    else:
        source = reading.followed(await reading.started(found))
    if source is not None:
        with suppress(ObjectMissing):  # the pod is gone by now
            async with aclosing(source) as told:
                async for line in told:
                    yield line


@dataclass(slots=True)
class _Reading:
    """One log being read, and what was told of it.

    Attributes:
        following: To its end, whatever is left of it then.
        broken: The last stream was.
    """

    cluster: "Cluster"
    pod: str
    container: str
    namespace: str | None
    told: Told
    following: bool
    waits: Waits = field(default_factory=lambda: Waits(LONG))
    broken: bool = False

    async def started(self, pod: Object) -> str | None:
        """The id of the container's run, once it has started; None: it never will."""
        now = run(pod, self.container)
        if now.id or now.over:
            return now.id
        changes = self.cluster.watch(POD, namespace=self.namespace, fields=f"metadata.name={self.pod}")
        async with aclosing(changes) as seen:
            async for change in seen:
                now = run(change.object, self.container)
                if now.id or now.over or change.type == "deleted":
                    return now.id
        return None

    async def followed(self, mine: str | None) -> AsyncGenerator[LogLine]:
        """The log of run *mine* until it has ended, over as many streams as it takes."""
        now = None if mine is None else Run(mine, over=False)
        while now is not None and now.id == mine and not now.over:
            async with aclosing(self._borne(follow=True)) as stream:
                async for line in stream:
                    yield line
            now = await self._now()
        if now is not None and mine in {now.id, now.before}:  # what was written between a drop and the end
            async with aclosing(self.whole(previous=now.id != mine)) as rest:
                async for line in rest:
                    yield line

    async def whole(self, *, previous: bool) -> AsyncGenerator[LogLine]:
        """What is there now, as a whole."""
        self.broken = True
        while self.broken:
            async with aclosing(self._borne(follow=False, previous=previous)) as stream:
                async for line in stream:
                    yield line

    async def _now(self) -> Run | None:
        asked = self.cluster.request("get", POD, self.pod, namespace=self.namespace)
        try:
            return run(await self.cluster.session.send(asked, waits=self.waits), self.container)
        except ObjectMissing:
            return None

    async def _borne(self, *, follow: bool, previous: bool = False) -> AsyncGenerator[LogLine]:
        """New lines of one stream; where it broke, it ends after the wait before the next try."""
        clock = asyncio.get_running_loop().time
        began_s: float | None = None
        fault: ClusterError
        self.told.resume()
        try:
            async with self.cluster.session.open(self._request(follow, previous), limits=_SILENT) as answer:
                began_s = clock()
                async for raw in streams.split(answer.content.iter_any()):
                    line = _line(raw)
                    self.waits.progress()
                    if self.told.is_new(line):
                        yield line
            self.broken, fault = False, ServerFault(f"the log of {self.pod} ends at once, over and over")
        except (NoAnswer, ServerFault) as error:
            self.broken, fault = True, error
        except ClusterError as error:
            if error.status != 400 or not self.following:
                raise
            self.broken, fault = follow, error  # the node has cleared it away, or is about to start it
        if began_s is not None and clock() - began_s >= _BRIEF_S:
            self.waits.progress()
        elif follow or self.broken:
            await self.waits.bear(fault)

    def _request(self, follow: bool, previous: bool) -> Request:
        since = self.told.since
        query = {
            "container": self.container,
            "timestamps": "true",
            "follow": "true" if follow else None,
            "previous": "true" if previous else None,
            "sinceTime": None if since is None else since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return self.cluster.request("get", POD, self.pod, sub="log", namespace=self.namespace, query=query)


def _line(raw: bytes) -> LogLine:
    """A line with its stamp; kubelet's own words in place of a log have none.

    Raises:
        ServerFault: There is no log now, and why.
    """
    stamp, _, text = raw.decode(errors="replace").partition(" ")
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ServerFault(f"there is no log: {raw[:300].decode(errors='replace')}")
    return LogLine(stamp, text)
