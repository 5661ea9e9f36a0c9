"""Archives from a source onto a real volume: as one stream, each member hashed and checked before it is written."""

import asyncio
import hashlib
import random
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.weights.tars import COMPRESS, entry, packed

from lading import transfer
from lading.errors import (
    Cancelled,
    HostileName,
    SourceError,
    SourceTransient,
    VerificationFailed,
    VolumeFull,
)
from lading.events import FilePulled
from lading.sources.http import HttpSource
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef
from lading.testing import web
from lading.testing.agents import in_process
from lading.testing.web import Cut, Swap
from lading.transfer import unpacking
from lading.volume import find
from lading.volume.remote import RemoteVolume
from lading.weights import archive
from lading.weights.listing import Entry

QUICK = transfer.Patience(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)
CONTENT = {
    "config.json": b"{}",
    "model.safetensors": random.Random(1).randbytes(3_300_000),
    "sub/deep/empty": b"",
    "sub/vocab.txt": b"word\n" * 1000,
}


@pytest.fixture
def server():
    with web.serving() as running:
        yield running


class Case:
    """A volume, a server, and what came of an archive there."""

    def __init__(self, folder, server):
        self.volume = find.create_volume(folder / "volume")
        self.root = folder / "volume"
        self.server = server
        self.cancel = threading.Event()
        self.events = []

    def resolve(self, name, data, **choices):
        self.server.files[name] = data
        self.source = HttpSource(choices=Choices(**choices))
        location = f"{self.server.url.removeprefix('http://')}/{name}"
        return asyncio.run(self.source.resolve(SourceRef(scheme="http", location=location)))

    def unpack(self, data, name="m.tar.gz", *, change=None, sha256=None, **options):
        listing = self.resolve(name, data, sha256=sha256)
        (archived,) = listing.entries
        if change is not None:
            change()
        with self.volume.stage("m", "v1", "t" * 32) as staging:
            meter = transfer.Meter(len(data), emit=self.events.append)
            try:
                files = transfer.unpack(
                    archived, self.source, staging, cancel=self.cancel, meter=meter, emit=self.events.append,
                    patience=QUICK, **options,
                )  # fmt: skip
            finally:
                self.source.close()
                self.finished = dict(staging.finished)
            assert {*self.finished} >= {file.path for file in files}
            read = {file.path: staging.read(file.path, 0, file.size_bytes) for file in files}
            assert all(hashlib.sha256(read[file.path]).hexdigest() == file.sha256 for file in files)
            return read

    def outside(self):
        """All files that are not in the volume's own folder: nothing may be written there before publishing."""
        return [path for path in self.root.parent.rglob("*") if path.is_file() and ".lading" not in path.parts]


@pytest.fixture
def case(tmp_path, server):
    return Case(tmp_path, server)


@pytest.mark.parametrize("kind", [kind for kind in COMPRESS if kind != "tar"])
def test_every_compression_gives_the_files(case, kind):
    assert case.unpack(COMPRESS[kind](packed(CONTENT)), f"m.{kind}") == CONTENT
    pulled = {event.path: event for event in case.events if isinstance(event, FilePulled)}
    assert {path: event.size_bytes for path, event in pulled.items()} == {
        path: len(data) for path, data in CONTENT.items()
    }


def test_a_plain_tar_of_a_server_without_ranges_is_a_stream_too(case):
    case.server.ranges = False
    assert case.unpack(packed(CONTENT), "m.tar") == CONTENT


def test_a_plain_tar_with_a_digest_is_a_stream_so_that_it_can_be_checked(case):
    data = packed(CONTENT)
    assert case.unpack(data, "m.tar", sha256=hashlib.sha256(data).hexdigest()) == CONTENT


def test_the_one_folder_of_all_is_left_out(case):
    inside = {f"granite-7b/{path}": data for path, data in CONTENT.items()}
    assert case.unpack(COMPRESS["tar.gz"](packed({"granite-7b/": None, **inside}))) == CONTENT


@pytest.mark.parametrize(
    "content",
    [
        {"1_Pooling/config.json": b"1", "config.json": b"2", "model.bin": b"3" * 2_000_000},
        {"a/a": b"file in the way", "a/b/c": b"1", "b": b"2"},
        {"a/a": b"1", "a/b": b"2", "c/d": b"3" * 1_500_000, "a/e": b"4"},
        {"a/big": b"x" * 2_500_001, "b": b""},
        {"m/x": b"1", "m/m/x": b"2", "m/m/m/x": b"3", "y": b"4"},
        {"m/m/m": b"a file called so", "m/y": b"1", "m/m/x": b"2", "z": b"3"},
        {"m/m": b"a file called so", "m/m.aside": b"1", "m/mm/x": b"2", "mm/x": b"3", "m/n/m/x": b"4"},
    ],
)
def test_a_folder_that_turns_out_not_to_be_the_only_one_gets_its_name_back(case, content):
    """Without asking the server again."""
    data = COMPRESS["tar.gz"](packed(content))
    assert case.unpack(data) == content
    assert case.server.sent["m.tar.gz"] == len(data)


class InMemory:
    """A source of one file."""

    def __init__(self, data):
        self.data = data

    def read_into(self, entry, offset, buffer, *, end=None):
        piece = self.data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)


@given(
    st.lists(st.lists(st.sampled_from(["m", "n", "x", "m.aside-3"]), min_size=1, max_size=4), min_size=1, max_size=8)
)
def test_whatever_the_folders_are_each_file_has_its_own_bytes(names):
    """By its whole name, or without the one folder that all are in; or the names cannot stand together."""
    content = {"/".join(name): f"{name}".encode() for name in names}
    data = COMPRESS["tar.gz"](packed(content))
    one = Entry(path="m.tar.gz", size_bytes=len(data), archive="tar.gz")
    with (
        tempfile.TemporaryDirectory() as folder,
        find.create_volume(Path(folder)).stage("m", "v1", "t" * 32) as staging,
    ):
        try:
            files = transfer.unpack(one, InMemory(data), staging, cancel=threading.Event(), meter=transfer.Meter(1))
        except (HostileName, VerificationFailed):
            return
        read = {file.path: staging.read(file.path, 0, file.size_bytes) for file in files}
    top = archive.common_folder(content)
    assert read == {archive.below(top, path): data for path, data in content.items()}


@pytest.mark.parametrize("content", [{"a/b": b"1", "a/c": b"2" * 1_200_000}, {"a/b": b"1" * 1_200_000, "c": b"2"}])
def test_a_volume_elsewhere_takes_an_archive_too(tmp_path, server, content):
    """Through the agent beside it, which takes bytes in order."""
    case = Case(tmp_path, server)
    case.volume = RemoteVolume(lambda: in_process(case.root), shown="there")
    assert case.unpack(COMPRESS["tar.gz"](packed(content))) == (
        {"b": content["a/b"], "c": content["a/c"]} if "a/c" in content else content
    )
    case.volume.close()


def test_only_what_is_wanted_is_written(case):
    read = case.unpack(COMPRESS["tar.gz"](packed(CONTENT)), taken=lambda path: path.endswith(".json"))
    assert list(read) == ["config.json"]


def test_what_was_chosen_by_a_name_that_then_changes_is_refused(case):
    content = {"sub/config.json": b"1", "config.json": b"2"}
    with pytest.raises(SourceError, match="had been chosen without its name"):
        case.unpack(COMPRESS["tar.gz"](packed(content)), taken=lambda path: path == "config.json")


def test_an_archive_without_files_is_refused(case):
    with pytest.raises(SourceError, match="no files"):
        case.unpack(COMPRESS["tar.gz"](packed({"sub/": None})))


def test_a_broken_connection_is_read_on_where_it_broke(case):
    data = COMPRESS["tar.gz"](packed(CONTENT))
    case.server.plan("m.tar.gz", Cut(1_000_001), Cut(1_000_001))
    assert case.unpack(data) == CONTENT
    assert len(data) <= case.server.sent["m.tar.gz"] <= len(data) + 3 * web.CHUNK_BYTES


def test_a_server_that_breaks_again_and_again_is_given_up(case):
    case.server.plan("m.tar.gz", *[Cut(0)] * 20)
    with pytest.raises(SourceTransient):
        case.unpack(COMPRESS["tar.gz"](packed(CONTENT)))


def test_an_archive_that_is_replaced_meanwhile_is_never_mixed(case):
    data, other = (COMPRESS["tar.gz"](packed({"a": random.Random(seed).randbytes(2_000_000)})) for seed in (1, 2))
    case.server.plan("m.tar.gz", Swap(500_000, other))
    with pytest.raises(SourceError, match="changed"):
        case.unpack(data)


def test_a_wrong_digest_is_refused(case):
    with pytest.raises(VerificationFailed, match=r"m\.tar\.gz has SHA-256"):
        case.unpack(COMPRESS["tar.gz"](packed(CONTENT)), sha256="0" * 64)


def test_the_rest_of_a_stream_is_hashed_too(case):
    """A digest is of the whole file, and not only of what was unpacked."""
    data = COMPRESS["tar.gz"](packed(CONTENT)) + b"\0" * 100
    assert case.unpack(data, sha256=hashlib.sha256(data).hexdigest()) == CONTENT


def test_an_attempt_begins_again_after_a_cut_off_one(case):
    content = {"a/x": b"1" * 100_000, "b/y": b"2" * 100_000, "z": random.Random(3).randbytes(3_000_000)}
    data = COMPRESS["tar.gz"](packed(content))
    for after in (1000, 50_000, 1_000_000, 2_900_000):
        case.server.plan("m.tar.gz", *[Cut(after)] + [Cut(0)] * 5)
        with pytest.raises(SourceTransient):
            case.unpack(data)
        case.server.plan("m.tar.gz")
        case.server._faults.clear()
    assert case.unpack(data) == content


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz"])
def test_cancelling_stops_between_two_pieces(case, kind):
    """Also while nothing comes of the network any more: a little that was compressed can be much to write."""
    data = COMPRESS[kind](packed({"a": b"1", "zeros": bytes(9 << 20)}))

    def stop(path):
        case.cancel.set()
        return True

    with pytest.raises(Cancelled):
        case.unpack(data, f"m.{kind}", taken=stop)
    assert case.server.sent[f"m.{kind}"] == len(data)
    assert "zeros" not in case.finished


def test_a_member_that_does_not_fit_is_refused_before_a_byte_of_it(case):
    import tarfile

    info = tarfile.TarInfo("huge.bin")
    info.size = 1 << 60
    data = COMPRESS["tar.gz"](packed({"a": b"1"})[:1024] + info.tobuf(tarfile.GNU_FORMAT) + bytes(100_000))
    with pytest.raises(VolumeFull, match=r"huge\.bin"):
        case.unpack(data)


@pytest.mark.parametrize(
    "hostile",
    [
        {"../../escaped": b"1"},
        {"/tmp/escaped": b"1"},
        {"ok/../../escaped": b"1"},
        {".lading/manifests/x.json": b"{}"},
        {"link": entry("link", b"2", "/etc"), "link/passwd": b"1"},
        {"hard": entry("hard", b"1", "/etc/passwd")},
        {"dev": entry("dev", b"3")},
        {"A.bin": b"1", "a.bin": b"2"},
        {"a": b"1", "a/b": b"2"},
        {"a/": None, "../b/": None, "a/x": b""},
    ],
)
@pytest.mark.parametrize("first", [{}, {"good.bin": b"1" * 1000}, {"dir/good.bin": b"1"}])
def test_hostile_members_end_it_and_nothing_is_written_elsewhere(case, hostile, first):
    with pytest.raises(HostileName):
        case.unpack(COMPRESS["tar.gz"](packed({**first, **hostile})))
    assert case.outside() == []


def test_a_bomb_ends_long_before_the_volume_is_full(case, monkeypatch):
    monkeypatch.setattr(unpacking, "Plain", lambda kind: _plain(kind, free_bytes=1 << 20))
    with pytest.raises(SourceError, match="no weights shrink like that"):
        case.unpack(COMPRESS["tar.xz"](packed({"zeros.bin": bytes(40 << 20)})), "m.tar.xz")


_plain = unpacking.Plain


@pytest.mark.parametrize("cut", [1, 100, 5000, 100_000])
def test_a_truncated_archive_is_refused(case, cut):
    data = COMPRESS["tar.gz"](packed(CONTENT))
    with pytest.raises(SourceError):
        case.unpack(data[:-cut])


def test_a_listing_is_one_entry_that_says_it_is_an_archive(case):
    listing = case.resolve("granite-7b.v2.tar.gz", COMPRESS["tar.gz"](packed(CONTENT)))
    assert listing.name == "granite-7b.v2"
    assert [(one.path, one.archive) for one in listing.entries] == [("granite-7b.v2.tar.gz", "tar.gz")]
    assert isinstance(listing.entries[0], Entry)
