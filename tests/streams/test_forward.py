"""A pod's port as a local one: whole answers, several at once, a pod that is replaced, a port that nobody listens on."""

import asyncio
import contextlib

import pytest
from tests.streams.conftest import python, started

from lading.cluster.forward import chosen, forward
from lading.errors import ObjectMissing

pytestmark = pytest.mark.real("cluster")

ECHO = """
import asyncio, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
async def serve(reader, writer):
    writer.write(NAME.encode() + b"\\n")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", 8000) as server:
        await server.serve_forever()
asyncio.run(main())
"""


async def said(port, data=b""):
    """What the pod says of itself, and of *data*."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        name = (await reader.readline()).decode().strip()
        writing = asyncio.create_task(_all(writer, data))
        back = await reader.readexactly(len(data))
        await writing
        return name, back == data
    finally:
        writer.close()


async def _all(writer, data):
    writer.write(data)
    await writer.drain()


async def heard(port):
    """The pod's name, asked until somebody answers."""
    async with asyncio.timeout(60):
        while True:
            try:
                name, _ = await said(port)
            except (OSError, asyncio.IncompleteReadError):
                name = ""
            if name:
                return name
            await asyncio.sleep(0.1)


async def test_connections_at_once_and_over_a_replaced_pod(place, user):
    labels = {"app": "echo"}
    started(place, "echo-1", python(ECHO, NAME="first"), labels=labels)
    async with forward(user, port=8000, selector="app=echo") as local:
        assert await heard(local.port) == "first"
        data = bytes(range(256)) * 4096
        assert await asyncio.gather(*(said(local.port, data) for _ in range(8))) == [("first", True)] * 8
        started(place, "echo-2", python(ECHO, NAME="second"), labels=labels)
        place.kubectl("delete", "pod", "echo-1", "--grace-period=1")
        assert await heard(local.port) == "second"


async def test_a_port_that_nobody_listens_on_ends_the_connection_and_says_why(place, user, pod):
    async with forward(user, port=9, pod=pod) as local:
        reader, writer = await asyncio.open_connection("127.0.0.1", local.port)
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                assert await reader.read(1) == b""
        writer.close()
        assert "does not take the connection" in str(local.failure)


async def test_what_is_not_there_is_said_at_once(user):
    with pytest.raises(ObjectMissing, match="app=none"):
        async with forward(user, port=80, selector="app=none"):
            pass
    with pytest.raises(ObjectMissing, match="nobody"):
        async with forward(user, port=80, pod="nobody"):
            pass


def test_a_ready_pod_is_chosen_before_one_that_runs_and_never_one_that_leaves():
    ready = [{"type": "Ready", "status": "True"}]
    pods = [
        {"metadata": {"name": "a", "deletionTimestamp": "now"}, "status": {"phase": "Running", "conditions": ready}},
        {"metadata": {"name": "b"}, "status": {"phase": "Running"}},
        {"metadata": {"name": "c"}, "status": {"phase": "Running", "conditions": ready}},
        {"metadata": {"name": "d"}, "status": {"phase": "Pending"}},
    ]
    assert chosen(pods) == "c"
    assert chosen(pods[:2]) == "b"
    assert chosen(pods[:1]) is None
    assert chosen([{"metadata": {"name": "x"}}]) is None
