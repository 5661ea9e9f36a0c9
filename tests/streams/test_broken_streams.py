"""What a server or the way to it may do to a stream, by a server that misbehaves: each ends, says so, and in bounded time."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from lading.cluster import execute, streams
from lading.cluster.client import Cluster
from lading.cluster.config import Connection
from lading.errors import ChannelClosed, ClusterError

OK = json.dumps({"status": "Success"}).encode()


@pytest.fixture
async def serve():
    """Serves one behaviour as pod `p`'s exec; gives the cluster that has it."""
    ends = []

    async def start(behave, *, protocols=(streams.V5, streams.V4), autoping=True):
        async def handle(request):
            socket = web.WebSocketResponse(protocols=protocols, autoping=autoping)
            await socket.prepare(request)
            await behave(socket)
            return socket

        app = web.Application()
        app.router.add_get("/api/v1/namespaces/default/pods/p/exec", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        cluster = Cluster(Connection(server=f"http://127.0.0.1:{port}"))
        await cluster.__aenter__()
        ends.append((cluster, runner))
        return cluster

    yield start
    for cluster, runner in ends:
        await cluster.__aexit__(None, None, None)
        await runner.cleanup()


async def test_an_end_without_an_exit_status_is_no_end(serve):
    async def behave(socket):
        await socket.send_bytes(b"\x01half")
        await socket.close()

    async with execute.started(await serve(behave), "p", ["x"]) as execution:
        assert await execution.receive() == b"half"
        with pytest.raises(ChannelClosed, match="without the program's exit status"):
            await execution.receive()


async def test_a_connection_that_is_cut_is_told(serve):
    async def behave(socket):
        await socket.send_bytes(b"\x01half")
        socket._req.transport.abort()

    async with execute.started(await serve(behave), "p", ["x"]) as execution:
        assert await execution.receive() == b"half"
        with pytest.raises(ChannelClosed, match="broke"):
            await execution.receive()


async def test_an_error_of_the_stream_after_output_is_a_break_and_before_it_a_program_that_did_not_start(serve):
    lost = json.dumps({"status": "Failure", "reason": "InternalError", "message": "lost the kubelet"}).encode()

    async def late(socket):
        await socket.send_bytes(b"\x01half")
        await socket.send_bytes(b"\x03" + lost)
        await socket.close()

    async def early(socket):
        await socket.send_bytes(b"\x03" + lost)
        await socket.close()

    async with execute.started(await serve(late), "p", ["x"]) as execution:
        await execution.receive()
        with pytest.raises(ChannelClosed, match="lost the kubelet"):
            await execution.receive()
    with pytest.raises(execute.NotStarted, match="lost the kubelet"):
        await execute.run(await serve(early), "p", ["x"])


async def test_streams_that_are_not_ours_and_empty_messages_are_passed_over(serve):
    async def behave(socket):
        for message in (b"", b"\x01", b"\x04resize", b"\xff\x00", b"\x07what", b"\x01data", b"\x03" + OK):
            await socket.send_bytes(message)
        await socket.send_str("text")
        await socket.close()

    done = await execute.run(await serve(behave), "p", ["x"])
    assert (done.code, done.stdout, done.stderr) == (0, b"data", b"")


async def test_a_peer_without_a_sign_of_life_is_given_up(serve, monkeypatch):
    """Bytes and pongs are signs; a sender that waits is let go, too."""
    monkeypatch.setattr(streams, "SILENCE_S", 0.6)
    monkeypatch.setattr(streams, "PING_EVERY_S", 0.1)
    asleep = asyncio.Event()

    async def behave(_socket):
        await asleep.wait()  # reads nothing, so answers no ping

    async with execute.started(await serve(behave), "p", ["x"]) as execution:

        async def pour():
            while True:
                await execution.send(bytes(1 << 20))

        sending = asyncio.create_task(pour())
        with pytest.raises(ChannelClosed, match="no sign of life"):
            await execution.receive()
        with pytest.raises(ChannelClosed):
            await asyncio.wait_for(sending, 10)
    asleep.set()


async def test_a_peer_that_answers_pings_is_waited_for(serve, monkeypatch):
    monkeypatch.setattr(streams, "SILENCE_S", 0.6)
    monkeypatch.setattr(streams, "PING_EVERY_S", 0.1)

    async def behave(socket):
        late = asyncio.get_running_loop().call_later(1.5, lambda: asyncio.ensure_future(socket.send_bytes(b"\x01late")))
        await socket.receive()  # answers pings meanwhile, until we close
        late.cancel()

    async with execute.started(await serve(behave), "p", ["x"]) as execution:
        assert await execution.receive() == b"late"


async def test_a_server_that_speaks_neither_protocol_is_said(serve):
    async def behave(socket):
        await socket.close()

    with pytest.raises(ClusterError, match=r"none of v5.channel.k8s.io, v4.channel.k8s.io"):
        await execute.run(await serve(behave, protocols=()), "p", ["x"])


async def test_our_pings_are_pings(serve, monkeypatch):
    monkeypatch.setattr(streams, "PING_EVERY_S", 0.05)

    async def behave(socket):
        message = await socket.receive()
        await socket.send_bytes(b"\x01" + message.type.name.encode())
        await socket.send_bytes(b"\x03" + OK)
        await socket.close()

    done = await execute.run(await serve(behave, autoping=False), "p", ["x"])
    assert done.stdout.decode() == aiohttp.WSMsgType.PING.name
