"""The contract of a `lading.ports.destination.Destination`, clause by clause.

Subclass `DestinationContract`, override the fixture `place`, and your destination is held to it::

    class TestMine(DestinationContract):
        @pytest.fixture
        def place(self, tmp_path):
            return MyPlace(tmp_path)
"""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import pytest

from lading.errors import Cancelled, HostileName, LadingError
from lading.ports.destination import Destination, SentPart
from lading.weights import digests
from lading.weights.crc import crc64nvme

PART_BYTES = 5 << 20
"""The smallest that a store takes of a file in parts, but for the last."""
BIG = bytes(range(251)) * 43_000  # 10.8 MB, three parts; a period that is no power of two shows a part in a wrong place
ODD = "sub/odd name +%20#ü.txt"


class Place(Protocol):
    """Where a destination writes to, seen from behind: what a test can look at there."""

    def destination(self) -> Destination:
        """A new destination of the same place; the suite closes it."""

    def seen(self) -> Mapping[str, bytes]:
        """The files that anybody else sees there, below the prefix or in the folder; nothing of ours beside it."""


class DestinationContract:
    """Every destination passes this."""

    @pytest.fixture
    def place(self) -> Place:
        """Override: an empty place."""
        raise NotImplementedError("override the fixture `place`")

    def test_nothing_is_there_at_first(self, place: Place) -> None:
        """No files, no manifest, and asking makes none."""
        with _open(place) as there:
            assert there.files() == {}
            assert there.manifest() is None
        assert place.seen() == {}

    def test_a_small_file_is_there_whole(self, place: Place) -> None:
        """Empty, deep and oddly named ones included, listed with their size."""
        contents = {"config.json": b"{}", "empty": b"", ODD: b"odd"}
        with _open(place) as there:
            for path, data in contents.items():
                assert there.put(path, memoryview(data)).size_bytes == len(data)
            assert {path: held.size_bytes for path, held in there.files().items()} == {
                path: len(data) for path, data in contents.items()
            }
        assert place.seen() == contents

    def test_a_file_comes_in_parts_of_any_order(self, place: Place) -> None:
        """Sent by several threads, it is the file all the same."""
        with _open(place) as there:
            upload = there.begin(ODD, len(BIG))
            with ThreadPoolExecutor(3) as pool:
                sent = list(pool.map(lambda number: _send(there, ODD, upload, number), (3, 1, 2)))
            there.complete(ODD, upload, sorted(sent, key=lambda part: part.number))
        assert place.seen() == {ODD: BIG}

    def test_nothing_is_seen_before_it_is_complete(self, place: Place) -> None:
        """Neither by others nor in the listing."""
        with _open(place) as there:
            upload = there.begin("a.bin", len(BIG))
            _send(there, "a.bin", upload, 1)
            assert there.files() == {}
            assert place.seen() == {}
            there.abort("a.bin", upload)

    def test_another_process_finds_what_was_sent(self, place: Place) -> None:
        """With sizes, and CRCs where the destination keeps them; and goes on."""
        with _open(place) as there:
            upload = there.begin("a.bin", len(BIG))
            sent = {number: _send(there, "a.bin", upload, number) for number in (1, 3)}
        with _open(place) as there:
            found = there.parts("a.bin", upload)
            assert found is not None
            assert {number: (part.size_bytes, part.etag) for number, part in found.items()} == {
                number: (part.size_bytes, part.etag) for number, part in sent.items()
            }
            assert all(part.crc64nvme in {None, sent[number].crc64nvme} for number, part in found.items())
            there.complete("a.bin", upload, [sent[1], _send(there, "a.bin", upload, 2), sent[3]])
        assert place.seen() == {"a.bin": BIG}

    def test_a_part_sent_again_replaces_the_first(self, place: Place) -> None:
        """As after an answer that was lost, or when it turned out wrong."""
        with _open(place) as there:
            upload = there.begin("a.bin", len(BIG))
            there.send("a.bin", upload, 1, memoryview(bytes(PART_BYTES)), offset=0)
            sent = [_send(there, "a.bin", upload, number) for number in (1, 2, 3)]
            there.complete("a.bin", upload, sent)
        assert place.seen() == {"a.bin": BIG}

    def test_a_part_says_its_crc(self, place: Place) -> None:
        """That of the bytes that were sent."""
        with _open(place) as there:
            upload = there.begin("a.bin", len(BIG))
            assert _send(there, "a.bin", upload, 1).crc64nvme == crc64nvme(memoryview(BIG)[:PART_BYTES])
            there.abort("a.bin", upload)

    def test_an_aborted_upload_is_gone(self, place: Place) -> None:
        """It has no parts, not even an empty list of them; aborting again is silent."""
        with _open(place) as there:
            upload = there.begin("a.bin", len(BIG))
            _send(there, "a.bin", upload, 1)
            there.abort("a.bin", upload)
            there.abort("a.bin", upload)
            assert there.parts("a.bin", upload) is None
        assert place.seen() == {}

    def test_a_file_is_replaced_as_a_whole(self, place: Place) -> None:
        """And has another mark then."""
        with _open(place) as there:
            before = there.put("a.bin", memoryview(b"before"))
            upload = there.begin("a.bin", 5)
            sent = there.send("a.bin", upload, 1, memoryview(b"after"), offset=0)
            assert place.seen() == {"a.bin": b"before"}
            after = there.complete("a.bin", upload, [sent])
            assert after.etag != before.etag
        assert place.seen() == {"a.bin": b"after"}

    def test_the_listing_has_the_marks_that_were_given(self, place: Place) -> None:
        """So that they say, later, whether it is still that content."""
        with _open(place) as there:
            small = there.put("small", memoryview(b"small"))
            upload = there.begin("big", len(BIG))
            big = there.complete("big", upload, [_send(there, "big", upload, number) for number in (1, 2, 3)])
            assert there.files() == {"small": small, "big": big}

    def test_what_it_says_of_a_file_is_true(self, place: Place) -> None:
        """Every digest, of a file in parts, too."""
        with _open(place) as there:
            there.put("small", memoryview(b"small"))
            upload = there.begin("big", len(BIG))
            there.complete("big", upload, [_send(there, "big", upload, number) for number in (1, 2, 3)])
            assert there.digests("small")
            for path, data in (("small", b"small"), ("big", BIG)):
                said = there.digests(path)
                for name, value in said.items():
                    assert _digest(name, said, data) == value

    def test_reading_back_begins_anywhere(self, place: Place) -> None:
        """And is zero at the end, and only there."""
        with _open(place) as there:
            there.put("a.bin", memoryview(BIG[:1_000_000]))
            for offset in (0, 999_999, 500_000):
                buffer = memoryview(bytearray(1000))
                count = there.read_into("a.bin", offset, buffer)
                assert count > 0
                assert bytes(buffer[:count]) == BIG[:1_000_000][offset : offset + count]
            assert there.read_into("a.bin", 1_000_000, memoryview(bytearray(1000))) == 0

    def test_a_file_is_removed(self, place: Place) -> None:
        """That one alone; again is silent."""
        with _open(place) as there:
            there.put("a.bin", memoryview(b"a"))
            there.put("sub/b.bin", memoryview(b"b"))
            there.remove("a.bin")
            there.remove("a.bin")
            assert set(there.files()) == {"sub/b.bin"}

    def test_a_cancelled_send_sends_no_part(self, place: Place) -> None:
        """It stops, or had ended; the file is not there either way."""
        with _open(place) as there:
            upload = there.begin("a.bin", len(BIG))
            try:
                there.send("a.bin", upload, 1, memoryview(BIG)[:PART_BYTES], offset=0, cancel=_Set())
            except Cancelled:
                assert there.parts("a.bin", upload) == {}
            there.abort("a.bin", upload)
            assert there.files() == {}

    def test_whether_a_manifest_may_be_put_is_known_before(self, place: Place) -> None:
        """Asking makes none, and leaves one that is there."""
        with _open(place) as there:
            there.require_manifest()
            assert there.manifest() is None
            there.put_manifest(b"one")
            there.require_manifest()
            assert there.manifest() == b"one"
        assert place.seen() == {}

    def test_the_manifest_is_no_file_of_the_model(self, place: Place) -> None:
        """It can be read again and replaced, and nobody who reads all files meets it."""
        with _open(place) as there:
            there.put("config.json", memoryview(b"{}"))
            there.put_manifest(b"first")
            assert there.put_manifest(b"second")
            assert there.manifest() == b"second"
            assert set(there.files()) == {"config.json"}
        assert place.seen() == {"config.json": b"{}"}

    @pytest.mark.parametrize("path", ["../out", "/etc/out", "a/../../out", ".lading/x", "a\nb"])
    def test_a_hostile_name_is_refused(self, place: Place, path: str) -> None:
        """Before anything is written."""
        with _open(place) as there:
            with pytest.raises(HostileName):
                there.put(path, memoryview(b"x"))
            with pytest.raises(LadingError):
                there.remove(path)
        assert place.seen() == {}

    def test_closing_twice_is_silent(self, place: Place) -> None:
        """Whether anything was sent or not."""
        there = place.destination()
        there.put("a", memoryview(b"a"))
        there.close()
        there.close()


class _Set:
    """An event that is set."""

    def is_set(self) -> bool:
        return True


@contextmanager
def _open(place: Place) -> Iterator[Destination]:
    there = place.destination()
    try:
        yield there
    finally:
        there.close()


def _send(there: Destination, path: str, upload: str, number: int) -> SentPart:
    offset = (number - 1) * PART_BYTES
    return there.send(path, upload, number, memoryview(BIG)[offset : offset + PART_BYTES], offset=offset)


def _digest(name: str, said: Mapping[str, str], data: bytes) -> str:
    if name == "etag":
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
    hasher = digests.hasher(name, said, size_bytes=len(data))
    assert hasher is not None, f"{name} is a digest that can be computed"
    hasher.update(memoryview(data))
    return hasher.hexdigest()
