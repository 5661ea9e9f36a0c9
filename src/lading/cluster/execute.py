"""A program in a pod's container: its stdin, stdout, stderr and exit status, by WebSocket exec."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from lading.cluster import streams
from lading.cluster.client import Cluster
from lading.cluster.streams import Streams
from lading.errors import ChannelClosed, ClusterError

STDIN, STDOUT, STDERR, STATUS = range(4)
#: As much of stderr is kept for messages.
TAIL_BYTES = 8 << 10


class NotStarted(ClusterError):
    """The container is there, and the program cannot be run in it: another attempt would fail as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a program ended and what it wrote."""

    code: int
    stdout: bytes
    stderr: bytes


async def run(
    cluster: Cluster,
    pod: str,
    argv: Sequence[str],
    *,
    container: str | None = None,
    namespace: str | None = None,
    stdin: bytes = b"",
) -> Completed:
    """Run *argv* in *pod* to its end. What it writes is held in memory.

    Raises:
        ChannelClosed: The stream broke, so nobody knows how it ended.
        ClusterError: It could not be started; or *stdin* is given and the server cannot end it (before Kubernetes 1.30).
    """
    async with started(cluster, pod, argv, container=container, namespace=namespace, stdin=bool(stdin)) as execution:
        feeding = asyncio.create_task(_feed(execution, stdin)) if stdin else None
        try:
            stdout, stderr = await _collected(execution)
        finally:
            if feeding is not None:
                feeding.cancel()
        return Completed(code=execution.code, stdout=stdout, stderr=stderr)


@asynccontextmanager
async def started(
    cluster: Cluster,
    pod: str,
    argv: Sequence[str],
    *,
    container: str | None = None,
    namespace: str | None = None,
    stdin: bool = True,
    protocols: Sequence[str] = (streams.V5, streams.V4),
) -> AsyncIterator["Execution"]:
    """*argv*, running in *pod*; leaving cuts the stream, and the program sees its stdin and stdout closed.

    Needs ``get`` and ``create`` on ``pods/exec``: a WebSocket begins as a GET.

    Raises:
        ObjectMissing, ClusterDenied, ClusterUnreachable, ClusterError: As named; nothing was started.
    """
    query = {
        "command": tuple(argv),
        "container": container,
        "stdin": "true" if stdin else None,
        "stdout": "true",
        "stderr": "true",
    }
    connecting = streams.connect(cluster, pod, "exec", query=query, namespace=namespace, protocols=protocols)
    async with await connecting as carried:
        yield Execution(carried, pod)


class Execution:
    """A program that runs in a pod. One task may send while another receives.

    Attributes:
        pod: Its pod's name.
    """

    def __init__(self, carried: Streams, pod: str) -> None:
        self.pod = pod
        self._streams = carried
        self._code: int | None = None
        self._ended = False
        self._spoke = False
        self._tail = bytearray()

    @property
    def code(self) -> int:
        """The exit status; known once `next` or `receive` has given the end."""
        assert self._code is not None
        return self._code

    @property
    def complaint(self) -> str:
        """The last of what it wrote to stderr and `receive` passed over."""
        return self._tail.decode(errors="replace").strip()

    async def send(self, data: bytes | memoryview) -> None:
        """Write *data* to its stdin; waits where it does not read.

        Raises:
            ChannelClosed: The stream broke, or the program has ended.
        """
        await self._streams.send(STDIN, data)

    async def close_stdin(self) -> None:
        """End its stdin.

        Raises:
            ClusterError: The server cannot (before Kubernetes 1.30).
        """
        await self._streams.end(STDIN)

    async def receive(self) -> bytes:
        """The next bytes of its stdout; empty when it has ended, and `code` is known.

        Raises:
            ChannelClosed: The stream broke before that.
            NotStarted: The program could not be started.
        """
        while (message := await self.next()) is not None:
            if message[0] == STDOUT:
                return message[1]
            self._tail = (self._tail + message[1])[-TAIL_BYTES:]
        return b""

    async def next(self) -> tuple[int, bytes] | None:
        """As `receive`, with stderr in between: `STDOUT` or `STDERR`, and bytes."""
        while not self._ended:
            message = await self._streams.receive()
            match message:
                case None:
                    self._ended = True
                case (stream, data) if stream in {STDOUT, STDERR} and data:
                    self._spoke = True
                    return stream, data
                case (stream, data) if stream == STATUS and data:
                    self._code = self._status(data)
                case _:
                    pass
        if self._code is None:
            raise ChannelClosed(f"the stream into pod {self.pod} ended without the program's exit status")
        return None

    async def status(self) -> int:
        """Wait for its end, passing over its output; the exit status."""
        while await self.receive():
            pass
        return self.code

    def _status(self, data: bytes) -> int:
        code, message = exit_status(data)
        if code is not None:
            return code
        if self._spoke:
            raise ChannelClosed(f"the stream into pod {self.pod} broke: {message}")
        raise NotStarted(
            f"the program could not be started in pod {self.pod}: {_plain(message)}",
            hint="is it in the image? --image names another one",
        )


def exit_status(data: bytes) -> tuple[int | None, str]:
    """The exit status in a ``Status`` document, with its message; None where the program did not exit by itself."""
    try:
        document: Any = json.loads(data)
        if document["status"] == "Success":
            return 0, ""
        message = str(document.get("message", ""))[:2000]
        if document.get("reason") != "NonZeroExitCode":
            return None, message
        causes = {cause["reason"]: cause["message"] for cause in document["details"]["causes"]}
        return int(causes["ExitCode"]), message
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, data[:200].decode(errors="replace")


def _plain(message: str) -> str:
    """The end of *message*: kubelet, runtime and runc each put their own words before those of the one below."""
    return message.rpartition("unable to start container process: ")[2].removesuffix(": unknown")


async def _collected(execution: Execution) -> tuple[bytes, bytes]:
    written = {STDOUT: bytearray(), STDERR: bytearray()}
    while (message := await execution.next()) is not None:
        stream, data = message
        written[stream] += data
    return bytes(written[STDOUT]), bytes(written[STDERR])


async def _feed(execution: Execution, stdin: bytes) -> None:
    try:
        await execution.send(stdin)
        await execution.close_stdin()
    except ChannelClosed:
        return  # it ended without reading all; how it ended is what counts
