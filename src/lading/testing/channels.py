"""What every `Channel` promises, as tests: subclass `ChannelContract` and give it programs to speak to."""

import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lading.errors import ChannelClosed
from lading.ports.volume import Channel

Start = Callable[[Sequence[str]], Channel]
MIB = 1 << 20
_WITHIN_S = 60.0

CAT = [
    "python3",
    "-u",
    "-c",
    "import os\nwhile data := os.read(0, 65536):\n while data: data = data[os.write(1, data):]",
]
#: Says READY, reads nothing, and does not end by itself.
DEAF = ["python3", "-u", "-c", "import os, time; os.write(1, b'READY'); time.sleep(600)"]
SAYS = ["python3", "-u", "-c", "print('first'); print('last')"]
FAILS = ["python3", "-u", "-c", "import sys; print('some'); sys.stderr.write('no room'); sys.exit(3)"]
FLOOD = ["python3", "-u", "-c", "import os\nfor n in range(256): os.write(1, bytes([n]) * 65536)"]


class ChannelContract:
    """Override the fixture `start`: it starts a program and gives the channel to its stdin and stdout."""

    @pytest.fixture
    def start(self) -> Start:
        """Starts an argv."""
        raise NotImplementedError("give programs to speak to")

    def test_every_byte_comes_back_in_order_while_more_are_sent(self, start: Start) -> None:
        """Full duplex, 17 MiB in pieces of odd sizes."""
        channel = start(CAT)
        noise = random.Random(1)  # noqa: S311 - bytes for a test
        pieces = [noise.randbytes(size) for size in (1, 4095, 65536, 65537, MIB, 3 * MIB + 1) * 4]
        sending = _beside(lambda: _send(channel, pieces))
        want, got, left = hashlib.sha256(b"".join(pieces)), hashlib.sha256(), sum(map(len, pieces))
        while left > 0:
            data = channel.receive()
            assert data
            got.update(data)
            left -= len(data)
        sending.join(_WITHIN_S)
        assert (left, got.digest()) == (0, want.digest())
        channel.close()

    def test_what_was_sent_may_be_reused_at_once(self, start: Start) -> None:
        """`send` has its own copy, or has handed the bytes on."""
        channel = start(CAT)
        buffer = bytearray(b"a" * MIB)

        def send() -> None:
            channel.send(memoryview(buffer))
            buffer[:] = b"b" * MIB

        _beside(send)
        got = b""
        while len(got) < MIB:
            got += channel.receive()
        assert got == b"a" * MIB
        channel.close()

    def test_all_that_it_said_comes_before_its_end(self, start: Start) -> None:
        """The end is empty, and stays so."""
        channel = start(SAYS)
        assert _all(channel) == b"first\nlast\n"
        assert channel.receive() == b""
        channel.close()

    def test_a_program_that_fails_breaks_the_stream_after_its_last_word(self, start: Start) -> None:
        """Half an answer is not taken for a whole one."""
        channel = start(FAILS)
        got: list[bytes] = []
        with pytest.raises(ChannelClosed, match="no room"):
            _take(channel, got)
        assert b"".join(got) == b"some\n"
        channel.close()

    def test_sending_to_what_has_ended_is_said(self, start: Start) -> None:
        """Not swallowed: who sends must know."""
        channel = start(SAYS)
        _all(channel)
        with pytest.raises(ChannelClosed):
            _pour(channel, 64)
        channel.close()

    def test_a_program_that_does_not_read_holds_the_sender(self, start: Start) -> None:
        """Bytes do not pile up here without end; closing lets the sender go."""
        channel = start(DEAF)
        assert channel.receive()
        sent: list[int] = []
        sending = _beside(lambda: _pour(channel, 256, sent))
        sending.join(1.0)
        assert sending.is_alive()
        assert sum(sent) < 128 * MIB
        channel.close()
        sending.join(_WITHIN_S)
        assert not sending.is_alive()

    def test_nothing_is_lost_where_the_receiver_is_slow(self, start: Start) -> None:
        """What comes is kept until it is taken."""
        channel = start(FLOOD)
        seen = threading.Event()
        seen.wait(0.5)
        data = _all(channel)
        assert (
            hashlib.sha256(data).digest() == hashlib.sha256(b"".join(bytes([n]) * 65536 for n in range(256))).digest()
        )
        channel.close()

    def test_close_lets_a_receiver_go_and_may_be_repeated(self, start: Start) -> None:
        """A `receive` under way returns."""
        channel = start(DEAF)
        assert channel.receive()
        waiting = _beside(lambda: _quiet(channel.receive))
        waiting.join(0.2)
        assert waiting.is_alive()
        channel.close()
        channel.close()
        waiting.join(_WITHIN_S)
        assert not waiting.is_alive()


def _beside(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=_quiet, args=(work,), daemon=True)
    thread.start()
    return thread


def _quiet(work: Callable[[], Any]) -> None:
    try:
        work()
    except ChannelClosed:
        return


def _send(channel: Channel, pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        channel.send(piece)


def _all(channel: Channel) -> bytes:
    parts: list[bytes] = []
    _take(channel, parts)
    return b"".join(parts)


def _take(channel: Channel, parts: list[bytes]) -> None:
    while data := channel.receive():
        parts.append(data)


def _pour(channel: Channel, count: int, sent: list[int] | None = None) -> None:
    for _ in range(count):
        channel.send(bytes(MIB))
        if sent is not None:
            sent.append(MIB)
