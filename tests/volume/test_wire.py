"""The wire between a volume and its client: cut, garbled, oversized, of another version; nothing hangs, nothing is half."""

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import sys
import threading
import time

import pytest

import lading
from lading.errors import (
    ChannelClosed,
    LadingError,
    ModelBusy,
    VersionSkew,
    VolumeError,
    VolumeNotWritable,
)
from lading.testing.agents import BreakingChannel, ProcessChannel, SocketChannel, in_process
from lading.testing.volume import CONTENT, OTHER, check_whole, listed, manifest, publish, write
from lading.volume import find, remote, wire
from lading.volume.remote import RemoteVolume
from lading.volume.wire import Kind
from lading.weights import layout
from lading.weights.listing import Entry


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Broken connections are made again at once."""
    monkeypatch.setattr(remote, "_PAUSES_S", (0.0, 0.0, 0.0))


@pytest.fixture
def root(tmp_path):
    find.create_volume(tmp_path / "volume")
    return tmp_path / "volume"


@contextlib.contextmanager
def opened(connect):
    volume = RemoteVolume(connect, shown="pvc://models")
    try:
        yield volume
    finally:
        volume.close()


class Said:
    """A channel whose other side has said *data*, and then nothing more; what it is told is kept."""

    def __init__(self, data, *, chunk=1 << 20):
        self.data = data
        self.chunk = chunk
        self.heard = b""

    def send(self, data):
        self.heard += bytes(data)

    def receive(self):
        part, self.data = self.data[: self.chunk], self.data[self.chunk :]
        return part

    def close(self):
        self.data = b""


def frame(kind, document, stream=0):
    sent = []
    wire.Writer(lambda data: sent.append(bytes(data))).control(kind, stream, document)
    return b"".join(sent)


def everything(reader):
    while reader.next():
        pass


def hello(**changes):
    said = {"version": lading.__version__, "wire": wire.VERSION, "layout": layout.LAYOUT, "root": "/volume", "cores": 2}
    return frame(Kind.HELLO, {**said, **changes})


# ------------------------------------------------------------------------------------------------------------ frames


def test_frames_come_as_they_were_sent_however_they_are_cut():
    sent = []
    writer = wire.Writer(lambda data: sent.append(bytes(data)))
    writer.control(Kind.CALL, 7, {"op": "ü"})
    writer.data(8, memoryview(bytes(range(256))))
    writer.control(Kind.CANCEL, 8)
    whole = b"".join(sent)
    for chunk in (1, 2, 11, 12, 13, len(whole)):
        reader = wire.Reader(Said(whole, chunk=chunk).receive, "the agent")
        call, data, cancel = reader.next(), reader.next(), reader.next()
        assert (call.kind, call.stream, call.document()) == (Kind.CALL, 7, {"op": "ü"})
        assert (data.kind, data.stream, data.payload) == (Kind.DATA, 8, bytes(range(256)))
        assert (cancel.kind, cancel.document()) == (Kind.CANCEL, {})
        assert reader.next() is None


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"Welcome to \x1b[31mUBI 9\r\n" + b"x" * 500, r"Welcome to \x1b[31mUBI 9\r\n"),
        (b"Traceback (most recent call last):\n", "Traceback (most recent call last)"),
        (wire._HEAD.pack(b"\xa7L", Kind.DATA, 1, wire.DATA_BYTES + 1), "instead of its first message"),
        (wire._HEAD.pack(b"\xa7L", Kind.CALL, 1, wire.CONTROL_BYTES + 1), "instead of its first message"),
        (wire._HEAD.pack(b"\xa7L", 99, 1, 0), "instead of its first message"),
        (hello() + b"oops, printed", "in the middle of its messages: oops, printed"),
    ],
)
def test_what_is_no_frame_is_shown_and_refused(said, shown):
    reader = wire.Reader(Said(said).receive, "the agent")
    with pytest.raises(VolumeError) as refused:
        everything(reader)
    assert shown in refused.value.message
    assert len(refused.value.message) < 1000
    assert refused.value.message.isprintable()
    assert "--image" in refused.value.hint


def test_a_frame_that_ends_early_is_a_broken_channel():
    whole = hello() + frame(Kind.RESULT, {"a": 1}, 1)
    for end in range(1, len(whole)):
        reader = wire.Reader(Said(whole[:end]).receive, "the agent")
        if end == len(hello()):
            continue
        with pytest.raises(ChannelClosed):
            everything(reader)


def test_errors_cross_as_what_they_are():
    for error in (VolumeNotWritable("no", hint="do"), FileNotFoundError(2, "No such file", "a"), ModelBusy("busy")):
        heard = wire.heard(json.loads(json.dumps(wire.told(error))))
        assert type(heard) is type(error)
        assert str(heard) == str(error)
        assert getattr(heard, "hint", None) == getattr(error, "hint", None)
    hostile = wire.heard({"code": "SystemExit", "message": "\x1b]0;owned\x07" + "x" * 10**6, "hint": 5})
    assert type(hostile) is VolumeError
    assert hostile.message.isprintable()
    assert len(hostile.message) < 20_000


# ----------------------------------------------------------------------------------------------------------- meeting


@pytest.mark.parametrize("changes", [{"wire": 2}, {"layout": 2}, {"wire": None}])
def test_another_major_version_is_refused_with_the_remedy(changes):
    with opened(lambda: Said(hello(version="9.1\x1b[0m", **changes))) as volume, pytest.raises(VersionSkew) as refused:
        volume.free_bytes()
    assert "9.1" in refused.value.message
    assert "\x1b" not in refused.value.message
    assert "--image" in refused.value.hint


def test_an_agent_that_says_nothing_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr("lading.volume.link.HELLO_S", 0.05)
    ours, theirs = socket.socketpair()
    with theirs, opened(lambda: SocketChannel(ours)) as volume, pytest.raises(LadingError):
        volume.free_bytes()


def test_garbage_instead_of_an_agent_is_shown(root):
    argv = (sys.executable, "-c", "print('Welcome, dear user'); input()")
    with opened(lambda: ProcessChannel(root, argv=argv)) as volume, pytest.raises(VolumeError, match="Welcome, dear"):
        volume.free_bytes()


def test_the_agent_ends_when_the_client_says_what_it_cannot_understand(root):
    for said in (b"GET / HTTP/1.1\r\n", frame(Kind.RESULT, {}, 1), frame(Kind.CALL, {"op": "x"}, 1)[:-1] + b"x" * 99):
        channel = ProcessChannel(root)
        channel.send(said)
        while channel.receive():
            pass
        assert channel.process.wait(30) != 0


def test_unknown_and_damaged_calls_are_errors_and_the_agent_goes_on(root):
    with opened(lambda: in_process(root)) as volume:
        link = volume._linked()
        for call in (
            {"op": "no-such"}, {"op": "manifest"}, {"op": "manifest", "model": "../../etc"},
            {"op": "read", "path": ".lading/volume.json", "offset": 0, "size_bytes": 1},
            {"op": "write", "staging": 99, "path": "a"}, {"op": "adopt", "adoption": {"path": 1}},
            {"op": "hash", "path": "a", "size_bytes": -1}, {"op": "publish", "staging": True, "manifest": None},
        ):  # fmt: skip
            with pytest.raises(LadingError):
                link.ask(**call)
        assert volume.free_bytes() > 0


def test_a_reader_refuses_every_change(root):
    publish(find.open_volume(root), "tiny", "v1")
    with opened(lambda: in_process(root, read_only=True)) as volume:
        assert listed(volume) == {("tiny", "v1")}
        for change in (
            lambda: volume.use("tiny", "v1"),
            lambda: volume.remove("tiny", "v1"),
            volume.sweep,
            lambda: publish(volume, "tiny", "v2"),
        ):
            with pytest.raises(VolumeNotWritable):
                change()
        assert volume.id == find.open_volume(root).id


def test_messages_name_the_volume_as_a_person_does(root):
    publish(find.open_volume(root), "tiny", "v1", use=False)
    with opened(lambda: in_process(root)) as volume, pytest.raises(LadingError) as refused:
        volume.manifest("tiny")
    assert refused.value.message == "tiny has no current version on pvc://models"
    assert refused.value.hint == "choose one: lading use pvc://models/tiny@v1"


# ----------------------------------------------------------------------------------------------------------- cutting


def test_what_reads_is_asked_again_when_the_channel_breaks(root):
    publish(find.open_volume(root), "tiny", "v1")
    channels = []

    def connect():
        cut = {0: 90, 1: 400, 2: 1500}.get(len(channels))
        channels.append(BreakingChannel(in_process(root), received=cut))
        return channels[-1]

    with opened(connect) as volume:
        assert listed(volume) == {("tiny", "v1")}
        with volume.open_plain("tiny/v1/sub/dir/weights.bin") as file:
            assert file.read() == CONTENT["sub/dir/weights.bin"]
    assert len(channels) > 2


def pull(connect):
    """A whole pull, as often as its channel breaks; how often that was."""
    for attempt in range(20):
        with opened(connect) as volume:
            try:
                publish(volume, "tiny", "v1")
            except ChannelClosed:
                continue
            return attempt
    raise AssertionError("never done")


@pytest.mark.parametrize("direction", ["sent", "received"])
def test_cut_anywhere_the_pull_runs_again_and_publishes_the_whole(tmp_path, direction):
    """At many bytes of its stream, in both directions; no lock is left, and what is listed is whole."""
    measured = Counting(tmp_path / "measured")
    assert pull(measured.connect) == 0
    total = getattr(measured, direction)
    chosen = random.Random(0)
    cuts = sorted({*range(0, total, max(1, total // 25)), *(chosen.randrange(total) for _ in range(15)), total - 1})
    for cut in cuts:
        root = tmp_path / f"cut-{cut}"
        root.mkdir()
        pending = [cut]

        def connect(root=root, pending=pending):
            limit = pending.pop() if pending else None
            return BreakingChannel(in_process(root), **{direction: limit})

        pull(connect)
        volume = find.open_volume(root)
        assert listed(volume) == {("tiny", "v1")}, cut
        check_whole(volume, {("tiny", "v1"): CONTENT})
        assert not list((root / layout.LOCKS).glob("[a-z]*")), cut
        assert volume.leftovers() == (), cut


class Counting:
    """Counts the bytes of a channel each way."""

    def __init__(self, root):
        root.mkdir()
        self.root = root
        self.sent = self.received = 0

    def connect(self):
        inner, counts = in_process(self.root), self

        class Channel:
            def send(self, data):
                counts.sent += len(data)
                inner.send(data)

            def receive(self):
                data = inner.receive()
                counts.received += len(data)
                return data

            close = inner.close

        return Channel()


def test_bytes_that_change_on_the_way_are_never_journalled(root):
    class Flipping:
        def __init__(self, inner):
            self.inner = inner
            self.receive, self.close = inner.receive, inner.close

        def send(self, data):
            self.inner.send(bytes(data).replace(b"weights!", b"weights?"))

    with opened(lambda: Flipping(in_process(root))) as volume, volume.stage("tiny", "v1", "t") as staging:
        with pytest.raises(VolumeError, match="are not those that were sent"):
            write(staging, "a.bin", b"weights!" * 4)
        write(staging, "b.bin", b"weights")
        assert set(staging.finished) == {"b.bin"}


def test_frames_that_come_twice_are_noticed(root):
    class Doubling:
        """Sends each message with a file's bytes twice."""

        def __init__(self, inner):
            self.inner = inner
            self.receive, self.close = inner.receive, inner.close
            self.head = b""

        def send(self, data):
            data = bytes(data)
            if data[:3] == b"\xa7L\x03" and len(data) == wire._HEAD.size:
                self.head = data
            elif self.head:
                data, self.head = data + self.head + data, b""
            self.inner.send(data)

    with opened(lambda: Doubling(in_process(root))) as volume, volume.stage("tiny", "v1", "t") as staging:
        with pytest.raises(VolumeError):
            write(staging, "a.bin", b"weights" * 4)
        assert staging.finished == {}


def test_memory_is_bounded_where_the_disk_is_slow(root, monkeypatch):
    """A client is never further ahead than its window, however fast it writes."""
    from lading.volume.staging import LocalStagedFile

    gate, taken = threading.Event(), []
    written = LocalStagedFile.write

    def slow(self, data, offset):
        gate.wait(30)
        taken.append(len(data))
        written(self, data, offset)

    monkeypatch.setattr(LocalStagedFile, "write", slow)
    sent = []
    with opened(lambda: in_process(root)) as volume, volume.stage("tiny", "v1", "t") as staging:
        size_bytes = 3 * wire.WINDOW_BYTES
        staged = staging.open(Entry(path="big.bin", size_bytes=size_bytes))
        block = memoryview(bytes(wire.DATA_BYTES))

        def work():
            for offset in range(0, size_bytes, wire.DATA_BYTES):
                staged.write(block, offset)
                sent.append(len(block))

        writer = threading.Thread(target=work)
        writer.start()
        deadline = time.monotonic() + 30
        while sum(sent) < wire.WINDOW_BYTES and time.monotonic() < deadline:
            time.sleep(0.001)
        writer.join(0.2)
        assert writer.is_alive()
        assert sum(sent) == wire.WINDOW_BYTES
        gate.set()
        writer.join(60)
        sha256 = hashlib.sha256(bytes(size_bytes)).hexdigest()
        assert staged.finish(size_bytes, sha256).size_bytes == size_bytes == sum(taken)


# -------------------------------------------------------------------------------------------------------------- locks


def test_the_locks_of_a_client_that_is_killed_fall_at_once(root):
    """The agent sees its input end, lets go and leaves what was finished."""
    channel = ProcessChannel(root)
    volume = RemoteVolume(lambda: channel, shown="pvc://models")
    block = volume.stage("tiny", "v1", "t")
    staging = block.__enter__()
    write(staging, "a.bin", b"abc")
    half = staging.open(Entry(path="half.bin", size_bytes=2 << 20))
    half.write(memoryview(b"half"), 0)
    with (
        opened(lambda: ProcessChannel(root)) as other,
        pytest.raises(ModelBusy) as busy,
        other.stage("tiny", "v2", "u"),
    ):
        pass
    assert "for " in busy.value.message
    assert "since " in busy.value.message
    channel.process.stdin.close()  # as a killed client's does
    assert channel.process.wait(30) == 0
    with opened(lambda: ProcessChannel(root)) as other, other.stage("tiny", "v1", "t") as again:
        assert set(again.finished) == {"a.bin"}
        for path, data in (("b.bin", b"x"), ("half.bin", b"half")):
            write(again, path, data)
        other.publish(again, manifest("tiny", "v1", again.finished))
    with pytest.raises(LadingError):
        half.write(memoryview(b"more"), 4)
    block.__exit__(None, None, None)


def test_a_client_takes_over_from_its_own_broken_connection(root):
    """Its agent may not have noticed yet, or hang: the new one is of the same run."""
    channels = []

    class Hanging(ProcessChannel):
        """Does not wait for its program."""

        def close(self):
            self.process.stdin.close()

    def connect():
        channels.append((ProcessChannel if channels else Hanging)(root))
        return channels[-1]

    with opened(connect) as volume:
        block = volume.stage("tiny", "v1", "t")
        staging = block.__enter__()
        write(staging, "a.bin", b"abc")
        assert set(staging.finished) == {"a.bin"}  # durable: small files wait for one another
        os.kill(channels[0].process.pid, signal.SIGSTOP)
        try:
            volume._link._broken = ChannelClosed("cut")
            with volume.stage("tiny", "v1", "t") as again:
                assert set(again.finished) == {"a.bin"}
                with (
                    pytest.raises(ModelBusy),
                    opened(lambda: ProcessChannel(root)) as other,
                    other.stage("tiny", "v1", "t"),
                ):
                    pass
        finally:
            os.kill(channels[0].process.pid, signal.SIGCONT)
        assert channels[0].process.wait(30) == 0
        with pytest.raises(LadingError):
            staging.open(Entry(path="b.bin", size_bytes=1)).finish(0, hashlib.sha256().hexdigest())
        block.__exit__(None, None, None)


def test_a_silent_client_is_given_up(root):
    """One that neither speaks nor ends, as a laptop that sleeps."""
    argv = (
        sys.executable, "-c",
        f"import pathlib, lading.cli.agent as own; own.SILENT_S = 0.3; own.agent(pathlib.Path({str(root)!r}))",
    )  # fmt: skip
    channel = ProcessChannel(root, argv=argv)
    while channel.receive():
        pass
    assert channel.process.wait(30) == 0


def test_publishing_is_known_although_the_answer_is_lost(root):
    """It is looked up over a new connection."""
    for cut_at_publish in (False, True):
        root_here = root / "sub" / str(cut_at_publish)
        root_here.mkdir(parents=True)
        channels = []

        def connect(here=root_here, channels=channels):
            channels.append(BreakingChannel(in_process(here)))
            return channels[-1]

        with opened(connect) as volume:
            with volume.stage("tiny", "v1", "t") as staging:
                entry = write(staging, "config.json", OTHER["config.json"])
                if cut_at_publish:
                    channels[-1]._received = 0
                volume.publish(staging, manifest("tiny", "v1", {"config.json": entry}))
            assert volume.current("tiny") == "v1"
            assert len(channels) == 1 + cut_at_publish
