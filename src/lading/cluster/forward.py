"""A port of a pod as a port of this machine, over the replacement of the pod.

Each local connection has a WebSocket of its own (``v4.channel.k8s.io``, which API servers hand on to the kubelet), so one
that breaks takes no other with it. It cannot say that one side is done while the other goes on: a connection ends whole.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from lading.cluster import kinds, streams
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.cluster.streams import Streams
from lading.errors import ChannelClosed, ClusterDenied, ClusterError, ObjectMissing

DATA, ERROR = 0, 1
_PORT_BYTES = 2
_READ_BYTES = 64 << 10
#: How long a connection waits for a pod: one is being replaced.
HEAL_S = 60.0
_PAUSE_S = 0.3
#: A local side that is done sends nothing more; what the pod still says is waited for so long.
_LINGER_S = 10.0


class Forward:
    """A port of this machine that leads into a pod, made by `forward`.

    Attributes:
        port: On 127.0.0.1.
        failure: Why the last connection that failed did; None while none has.
    """

    def __init__(
        self, cluster: Cluster, remote: int, *, pod: str | None, selector: str | None, namespace: str | None
    ) -> None:
        self.port = 0
        self.failure: ClusterError | None = None
        self._cluster = cluster
        self._remote = remote
        self._pod = pod
        self._selector = selector
        self._namespace = namespace

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One local connection, from its beginning to its end."""
        try:
            async with await self._stream() as stream:
                await _both(stream, reader, writer)
        except ClusterError as error:
            self.failure = error
            writer.transport.abort()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def target(self) -> str:
        """The pod that a new connection goes to.

        Raises:
            ObjectMissing: None fits.
        """
        if self._pod is not None:
            return self._pod
        found = chosen(await self._cluster.list(kinds.POD, labels=self._selector, namespace=self._namespace))
        if found is None:
            raise ObjectMissing(f"no pod runs with the labels {self._selector}")
        return found

    async def _stream(self) -> Streams:
        """A stream to the port; a pod that is being replaced is waited for."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEAL_S
        while True:
            try:
                return await streams.connect(
                    self._cluster,
                    await self.target(),
                    "portforward",
                    query={"ports": str(self._remote)},
                    namespace=self._namespace,
                    protocols=(streams.V4,),
                )
            except ClusterDenied:
                raise
            except ClusterError as error:
                self.failure = error
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(_PAUSE_S)


@asynccontextmanager
async def forward(
    cluster: Cluster, *, port: int, pod: str | None = None, selector: str | None = None, namespace: str | None = None
) -> AsyncIterator[Forward]:
    """*port* of *pod*, or of a pod that the labels *selector* choose, as a port of 127.0.0.1; until the block is left.

    Which pod it is, is asked anew for each connection, so a replaced pod is only waited for. Connections that are open
    when the block is left are cut. Needs ``get`` and ``create`` on ``pods/portforward``.

    Raises:
        ObjectMissing: No pod fits now.
        ClusterDenied, ClusterUnreachable, ClusterError: As named.
    """
    made = Forward(cluster, port, pod=pod, selector=selector, namespace=namespace)
    if pod is None:
        await made.target()
    else:
        await cluster.get(kinds.POD, pod, namespace=namespace)
    open_: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(made.carry(reader, writer))
        open_.add(task)
        task.add_done_callback(open_.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)


def chosen(pods: Sequence[Object]) -> str | None:
    """The pod that a connection should go to: one that is ready, else one that runs; never one that leaves."""
    running = [
        pod
        for pod in pods
        if (pod.get("status") or {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]
    ready = [pod for pod in running if _ready(pod)]
    names = sorted(str(pod["metadata"]["name"]) for pod in ready or running)
    return names[0] if names else None


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


async def _both(stream: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry both ways until the pod's side ends, or the local side has ended and a while has passed."""
    down = asyncio.create_task(_down(stream, writer))
    up = asyncio.create_task(_up(stream, reader))
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        if not down.done():
            await asyncio.wait((down,), timeout=_LINGER_S)
        if down.done():
            down.result()
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _up(stream: Streams, reader: asyncio.StreamReader) -> None:
    with suppress(ChannelClosed, ConnectionError):  # the other direction tells why
        while data := await reader.read(_READ_BYTES):
            await stream.send(DATA, data)


async def _down(stream: Streams, writer: asyncio.StreamWriter) -> None:
    """What the pod says; each stream begins with the number of its port."""
    greeting = {DATA: _PORT_BYTES, ERROR: _PORT_BYTES}
    while (message := await stream.receive()) is not None:
        number, data = message
        skipped = min(greeting.get(number, 0), len(data))
        if skipped:
            greeting[number] -= skipped
            data = data[skipped:]
        if data and number == ERROR:
            raise ClusterError(f"the pod does not take the connection: {data[:500].decode(errors='replace')}")
        if data and number == DATA:
            with suppress(ConnectionError):
                writer.write(data)
                await writer.drain()
