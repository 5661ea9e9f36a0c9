"""A plain tar on a web server: its members are files of their own, by ranges; and what a single file is held to."""

import asyncio
import hashlib
import itertools
import os
import random

import pytest
from tests.sources.origins import TarOrigin
from tests.weights.tars import entry, packed

from lading.errors import HostileName, InvalidInput, RangesRefused, SourceChanged, SourceError
from lading.sources import ranges
from lading.sources.http import HttpSource
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef
from lading.testing import web
from lading.testing.sources import SourceContract
from lading.weights.listing import Entry

BIG = random.Random(1).randbytes(700_000)
CONTENT = {"m/config.json": b"{}", "m/model.bin": BIG, "m/sub/empty": b""}


class TestTarByRanges(SourceContract):
    @pytest.fixture
    def origin(self):
        with web.serving() as server:
            yield TarOrigin(server.url, server.files.__setitem__)


@pytest.mark.real("nginx")
class TestTarByRangesOfNginx(SourceContract):
    @pytest.fixture
    def origin(self, nginx, tmp_path):
        times = itertools.count(1_700_000_000)

        def put(name, data):
            """At a time of its own: nginx marks a file by its second and its size."""
            file = nginx.files / f"{tmp_path.name}-{name}"
            file.write_bytes(data)
            os.utime(file, (next(times),) * 2)

        return TarOrigin(nginx.url, put, prefix=f"{tmp_path.name}-")


@pytest.fixture
def server():
    with web.serving({"m.tar": packed(CONTENT)}) as running:
        yield running


def resolved(url, **choices):
    """Listing and source."""
    source = HttpSource(choices=Choices(**choices))
    scheme, _, location = url.partition("://")
    return asyncio.run(source.resolve(SourceRef(scheme=scheme, location=location))), source


def read(source, one, end=None):
    buffer, data = memoryview(bytearray(100_000)), bytearray()
    while count := source.read_into(one, len(data), buffer, end=end):
        data += buffer[:count]
    return bytes(data)


def test_members_are_listed_without_fetching_them(server):
    listing, source = resolved(f"{server.url}/m.tar")
    assert {one.path: one.size_bytes for one in listing.entries} == {
        "config.json": 2,
        "model.bin": len(BIG),
        "sub/empty": 0,
    }
    assert listing.name == "m"
    assert not any(one.archive for one in listing.entries)
    assert server.sent["m.tar"] < len(BIG) / 2
    source.close()


def test_a_member_ends_where_it_ends(server):
    """And never gives what lies behind it in the archive."""
    listing, source = resolved(f"{server.url}/m.tar")
    by_path = {one.path: one for one in listing.entries}
    assert read(source, by_path["config.json"]) == b"{}"
    assert read(source, by_path["model.bin"]) == BIG
    assert read(source, by_path["model.bin"], end=300_000) == BIG[:300_000]
    assert source.read_into(by_path["sub/empty"], 0, memoryview(bytearray(10))) == 0
    source.close()


@pytest.mark.parametrize("how", ["ranges", "sizes"])
def test_where_ranges_prove_nothing_it_is_one_stream(server, how):
    server.ranges = how != "ranges"
    server.chunked = how == "sizes"
    listing, source = resolved(f"{server.url}/m.tar")
    assert [one.archive for one in listing.entries] == ["tar"]
    source.close()


def test_without_a_mark_ranges_might_be_of_two_archives():
    whole = Entry(path="m.tar", size_bytes=10_240, key="http://nowhere.invalid/m.tar")
    assert HttpSource()._members(whole) is None


def test_very_many_small_members_are_one_stream(server, monkeypatch):
    monkeypatch.setattr(ranges, "WINDOWS", 3)
    server.files["m.tar"] = packed({f"m/{number}": b"x" * 70_000 for number in range(9)})
    listing, source = resolved(f"{server.url}/m.tar")
    assert [one.archive for one in listing.entries] == ["tar"]
    source.close()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (packed({"../x": b"1"}), HostileName),
        (packed({"a": b"", "A": b""}), HostileName),
        (packed({"l": entry("l", b"2", "/etc/passwd")}), HostileName),
        (packed({"a": b"1" * 100_000})[:70_000], SourceError),
        (packed({"a": b"1"})[:1024], SourceError),
        (packed({"a": b"1"}) + packed({"b": b"1"}), SourceError),
        (b"<html>not found</html>" * 100, SourceError),
        (b"", SourceError),
    ],
)
def test_hostile_and_broken_archives_are_refused_before_anything_is_fetched(server, data, error):
    server.files["m.tar"] = data
    with pytest.raises(error):
        resolved(f"{server.url}/m.tar")


def test_an_archive_that_is_replaced_while_it_is_listed_is_listed_again(server, monkeypatch):
    lists, changes = ranges.members, [SourceChanged("m.tar changed while it was read")]

    def members(whole, read_at):
        if changes:
            server.files["m.tar"] = packed({"m/new.bin": b"new"})
            raise changes.pop()
        return lists(whole, read_at)

    monkeypatch.setattr(ranges, "members", members)
    listing, source = resolved(f"{server.url}/m.tar")
    assert {one.path: read(source, one) for one in listing.entries} == {"new.bin": b"new"}
    source.close()


def test_a_server_that_forgets_ranges_later_is_told(server):
    listing, source = resolved(f"{server.url}/m.tar")
    server.ranges = False
    with pytest.raises(RangesRefused):
        read(source, next(one for one in listing.entries if one.path == "model.bin"))
    source.close()


# ------------------------------------------------------------------------------------------------- digests beside a file

SHA = hashlib.sha256(BIG).hexdigest()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("d/m.gguf.sha256", f"{SHA}\n"),
        ("d/m.gguf.sha256", f"{SHA}  m.gguf\n"),
        ("d/m.gguf.sha256", f"{SHA.upper()} *./m.gguf"),
        ("d/SHA256SUMS", f"{'0' * 64}  other.gguf\n{SHA}  m.gguf\n"),
    ],
)
def test_a_digest_beside_a_file_is_found_and_said(server, path, text):
    server.files |= {"d/m.gguf": BIG, path: text.encode()}
    listing, source = resolved(f"{server.url}/d/m.gguf")
    assert [one.sha256 for one in listing.entries] == [SHA]
    assert listing.notes == (f"its SHA-256 is held to {server.url}/{path}",)
    source.close()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"\0\1",
        f"{SHA}  another.gguf".encode(),
        f"{SHA}  m.gguf\n{'0' * 64}  m.gguf\n".encode(),
        b"x" * (2 << 20),
    ],
)
def test_what_says_nothing_of_the_file_is_left_alone(server, text):
    """A server may answer every address with a page."""
    server.files |= {"d/m.gguf": BIG, "d/m.gguf.sha256": text, "d/SHA256SUMS": text}
    listing, source = resolved(f"{server.url}/d/m.gguf")
    assert [one.sha256 for one in listing.entries] == [None]
    assert listing.notes == ()
    source.close()


def test_a_digest_that_was_given_is_the_one_that_counts(server):
    server.files |= {"d/m.gguf": BIG, "d/m.gguf.sha256": ("0" * 64).encode()}
    listing, source = resolved(f"{server.url}/d/m.gguf", sha256=SHA.upper())
    assert [one.sha256 for one in listing.entries] == [SHA]
    assert "GET d/m.gguf.sha256" not in server.asked
    source.close()


def test_an_address_with_a_signature_in_it_has_nothing_beside_it(server):
    server.files |= {"d/m.gguf": BIG}
    listing, source = resolved(f"{server.url}/d/m.gguf?X-Signature=secret")
    assert [request for request in server.asked if request.startswith("GET")] == []
    assert "secret" not in repr((listing.ref, listing.notes, listing.revision))
    source.close()


def test_a_plain_tar_with_a_digest_beside_it_is_one_stream(server):
    server.files["m.tar.sha256"] = hashlib.sha256(server.files["m.tar"]).hexdigest().encode()
    listing, source = resolved(f"{server.url}/m.tar")
    assert [(one.archive, bool(one.sha256)) for one in listing.entries] == [("tar", True)]
    source.close()


def test_one_digest_is_not_that_of_several_files(server):
    server.files |= {"d/m.gguf": BIG, "d/SHA256SUMS": f"{SHA}  m.gguf\n".encode()}
    with pytest.raises(InvalidInput, match="--sha256"):
        resolved(f"{server.url}/d/SHA256SUMS", sha256=SHA)


def test_plain_bytes_are_asked_for(server):
    """A server that compresses on the fly must not: sizes, marks and ranges would be of something else."""
    _, source = resolved(f"{server.url}/m.tar")
    assert {headers.get("Accept-Encoding") for headers in server.headers} == {"identity"}
    source.close()


@pytest.mark.real("nginx")
def test_a_real_nginx_gives_an_archive_by_ranges(nginx, tmp_path):
    name = f"{tmp_path.name}.tar"
    (nginx.files / name).write_bytes(packed(CONTENT))
    listing, source = resolved(f"{nginx.url}/{name}")
    assert {one.path: read(source, one) for one in listing.entries} == {
        path.removeprefix("m/"): data for path, data in CONTENT.items()
    }
    source.close()
