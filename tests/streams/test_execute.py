"""Programs in a real pod: every byte both ways, stderr apart, the exit status; a stream that breaks says so."""

import asyncio
import hashlib
import random

import pytest
from tests.streams.conftest import python, started

from lading.cluster import execute, streams
from lading.errors import ChannelClosed, ClusterDenied, ClusterError, ObjectMissing

pytestmark = pytest.mark.real("cluster")
MIB = 1 << 20


async def test_output_errors_and_status_come_apart(user, pod):
    done = await execute.run(user, pod, ["sh", "-c", "printf out; printf err >&2; exit 3"])
    assert (done.code, done.stdout, done.stderr) == (3, b"out", b"err")


async def test_arguments_arrive_as_they_are(user, pod):
    words = ["a b", "", "$HOME", "ä€😀", "&x=1", "%41", "'\"\\", "new\nline"]
    done = await execute.run(user, pod, python("import sys; print('|'.join(sys.argv[1:]), end='')") + words)
    assert done.stdout.decode() == "|".join(words)


async def test_stdin_ends_and_the_program_sees_it(user, pod):
    done = await execute.run(user, pod, ["sha256sum"], stdin=b"weights" * 100_000)
    assert done.stdout.split()[0].decode() == hashlib.sha256(b"weights" * 100_000).hexdigest()


async def test_a_program_that_ends_without_reading_its_stdin_is_no_fault(user, pod):
    done = await execute.run(user, pod, ["sh", "-c", "exit 7"], stdin=bytes(MIB // 8))
    assert done.code == 7


@pytest.mark.parametrize("size_bytes", [0, 1, 32767, 32768, 32769, streams.MESSAGE_BYTES + 1, 3 * MIB + 7])
async def test_every_byte_comes_back(user, pod, size_bytes):
    data = random.Random(size_bytes).randbytes(size_bytes)
    done = await execute.run(user, pod, ["cat"], stdin=data or b"")
    assert done.stdout == data if data else done.code == 0


@pytest.mark.parametrize("protocol", [streams.V5, streams.V4])
async def test_64_mib_go_both_ways_at_once(user, pod, protocol):
    """Also on v4, which cannot end stdin: the program is told how much comes."""
    block, count = random.Random(7).randbytes(MIB), 64
    sent, got = hashlib.sha256(), hashlib.sha256()
    argv = python("import shutil, subprocess; subprocess.run(['head', '-c', str(N)], check=True)", N=count * MIB)
    async with execute.started(user, pod, argv, protocols=(protocol,)) as execution:

        async def send():
            for _ in range(count):
                sent.update(block)
                await execution.send(block)

        sending = asyncio.create_task(send())
        while data := await execution.receive():
            got.update(data)
        await sending
        assert execution.code == 0
    assert got.digest() == sent.digest()


async def test_an_older_protocol_is_chosen_where_the_newer_is_not_spoken(user, pod):
    async with execute.started(user, pod, ["cat"], protocols=("v9.channel.k8s.io", streams.V4)) as execution:
        await execution.send(b"ping\n")
        assert await execution.receive() == b"ping\n"
        with pytest.raises(ClusterError, match="cannot end one stream alone"):
            await execution.close_stdin()


async def test_a_slow_reader_slows_the_program_down(user, pod):
    """Its output does not pile up here or on the way: it is still writing when we have read nothing for a while."""
    program = "import sys, os\nfor n in range(512):\n os.write(1, bytes(1 << 20))\n os.write(2, b'%d ' % n)"
    async with execute.started(user, pod, python(program)) as execution:
        await execution.receive()
        before = None
        while before != (written := await _written(user, pod)):
            before = written
            await asyncio.sleep(0.3)
        assert 0 < written < 64 * MIB
        seen = 0
        while data := await execution.receive():
            seen += len(data)
        assert seen > 511 * MIB


async def _written(user, pod):
    """How many bytes the one Python program besides the pod's first process has written."""
    look = (
        "for p in /proc/[0-9]*; do [ $p != /proc/1 ] && grep -qs range $p/cmdline && grep wchar $p/io; done | head -1"
    )
    done = await execute.run(user, pod, ["sh", "-c", look])
    return int(done.stdout.split()[1]) if done.stdout else 0


async def test_a_slow_program_slows_us_down(user, pod):
    """What it does not read is not taken from us without end."""
    async with execute.started(user, pod, ["sleep", "60"]) as execution:
        sent: list[int] = []

        async def send():
            while len(sent) < 512:
                await asyncio.wait_for(execution.send(bytes(MIB)), 1.0)
                sent.append(MIB)

        with pytest.raises(TimeoutError):
            await send()
        assert sum(sent) < 64 * MIB


async def test_a_killed_pod_breaks_the_stream(place, user):
    name = started(place, "victim", ["python3", "-c", "import signal; signal.pause()"])
    async with execute.started(user, name, ["sh", "-c", "echo up; sleep 600"]) as execution:
        assert await execution.receive() == b"up\n"
        place.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
        async with asyncio.timeout(60):
            with pytest.raises(ChannelClosed):
                raise ChannelClosed(f"status {await execution.status()}")  # killed with its pod: 137


async def test_what_cannot_be_started_says_why(user, pod):
    with pytest.raises(ClusterError, match="no such file or directory"):
        await execute.run(user, pod, ["/nope"])
    with pytest.raises(ObjectMissing, match='pods "nobody" not found'):
        await execute.run(user, "nobody", ["true"])
    with pytest.raises(ClusterError, match="container elsewhere is not valid"):
        await execute.run(user, pod, ["true"], container="elsewhere")


async def test_a_missing_right_is_said_with_its_rule(user, pod):
    with pytest.raises(ClusterDenied, match="pods/exec") as caught:
        await execute.run(user, pod, ["true"], namespace="kube-system")
    assert "pods/exec" in caught.value.hint


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b'{"status": "Success"}', 0),
        (b'{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"9"}]}}', 9),
        (b'{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[]}}', None),
        (b'{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"x"}]}}', None),
        (b'{"status":"Failure","reason":"InternalError","message":"lost"}', None),
        (b"[]", None), (b"no json \xff", None), (b'"Success"', None), (b"{}", None), (b"[" * 100_000, None),
    ],
)  # fmt: skip
def test_the_exit_status_is_read_carefully(document, code):
    assert execute.exit_status(document)[0] == code
