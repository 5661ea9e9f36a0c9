"""The contract of a `lading.ports.source.Source`, clause by clause.

Subclass `SourceContract`, override the fixture `origin`, and your source is held to it::

    class TestMine(SourceContract):
        @pytest.fixture
        def origin(self, tmp_path):
            return MyOrigin(tmp_path)
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest

from lading.errors import InvalidReference, RangesRefused, SourceChanged, SourceMissing
from lading.ports.source import KnowsDigests, Source
from lading.spec.ref import ClaimRef, Reference
from lading.weights import digests
from lading.weights.listing import Entry, Listing

BIG = bytes(range(251)) * 13_000  # 3.3 MB; a period that is no power of two shows a block in a wrong place
CONTENT = {
    "big.bin": BIG,
    "config.json": b'{"a": 1}',
    "empty.bin": b"",
    "sub/dir/part.bin": BIG[7:100_000],
    "odd name +%20#ü.txt": b"odd",
}


class Origin(Protocol):
    """Where a source reads from, seen from behind: what a test can put there."""

    @property
    def ref(self) -> Reference:
        """The reference of the whole."""

    @property
    def missing_ref(self) -> Reference:
        """One of the same kind where nothing is."""

    def source(self) -> Source:
        """A new source; the suite closes it."""

    def put(self, path: str, data: bytes) -> None:
        """Make or replace a file, so that the source can tell the difference."""

    def remove(self, path: str) -> None:
        """Remove a file."""


class SourceContract:
    """Every source passes this."""

    @pytest.fixture
    def origin(self) -> Origin:
        """Override: an empty origin."""
        raise NotImplementedError("override the fixture `origin`")

    def test_the_listing_has_every_file_with_its_size(self, origin: Origin) -> None:
        """Empty files, deep paths and odd names included; where a size is given it is right."""
        listing = _filled(origin)
        assert {entry.path for entry in listing.entries} == set(CONTENT)
        for entry in listing.entries:
            assert entry.size_bytes in {None, len(CONTENT[entry.path])}

    def test_the_listing_is_sorted_and_says_what_was_asked(self, origin: Origin) -> None:
        """Entries by path, none twice, under a name and a revision."""
        listing = _filled(origin)
        paths = [entry.path for entry in listing.entries]
        assert paths == sorted(set(paths))
        assert listing.name
        assert len(listing.revision) >= 12

    def test_the_same_content_has_the_same_revision(self, origin: Origin) -> None:
        """Resolved twice, by two sources."""
        assert _filled(origin).revision == _resolve(origin).revision

    def test_other_content_has_another_revision(self, origin: Origin) -> None:
        """Of the same size, too."""
        before = _filled(origin)
        origin.put("config.json", b'{"a": 2}')
        assert _resolve(origin).revision != before.revision

    def test_another_file_makes_another_revision(self, origin: Origin) -> None:
        """A file more."""
        before = _filled(origin)
        origin.put("more.json", b"{}")
        assert _resolve(origin).revision != before.revision

    def test_reading_gives_the_bytes_of_each_file(self, origin: Origin) -> None:
        """From start to end, with a buffer that fits nothing."""
        listing = _filled(origin)
        with _Closing(origin) as source:
            for entry in listing.entries:
                assert _read(source, entry, buffer_bytes=77_777) == CONTENT[entry.path]

    def test_reading_begins_anywhere(self, origin: Origin) -> None:
        """At any offset, in any order."""
        entry = _entry(_filled(origin), "big.bin")
        with _Closing(origin) as source:
            for offset in (0, 1_000_003, 5, len(BIG) - 1, 65_536):
                buffer = memoryview(bytearray(1000))
                count = source.read_into(entry, offset, buffer)
                assert count > 0
                assert bytes(buffer[:count]) == BIG[offset : offset + count]

    def test_ranges_are_read_one_after_another_or_refused(self, origin: Origin) -> None:
        """Each to its end and no further, in any order, with one request or many; a file given whole only says so."""
        entry = _entry(_filled(origin), "big.bin")
        step = 1 << 20
        with _Closing(origin) as source:
            for start in (0, 2 * step, step, 3 * step):
                try:
                    found = _range(source, entry, start, min(start + step, len(BIG)))
                except RangesRefused:
                    assert start > 0
                    return
                assert found == BIG[start : start + step]

    def test_the_end_is_zero_and_only_the_end(self, origin: Origin) -> None:
        """At the end of the file, again and again; at once for an empty file."""
        listing = _filled(origin)
        buffer = memoryview(bytearray(1000))
        with _Closing(origin) as source:
            for path in ("config.json", "empty.bin"):
                entry = _entry(listing, path)
                assert len(_read(source, entry)) == len(CONTENT[path])
                assert source.read_into(entry, len(CONTENT[path]), buffer) == 0
                assert source.read_into(entry, len(CONTENT[path]), buffer) == 0

    def test_threads_read_at_once(self, origin: Origin) -> None:
        """Each gets the bytes it asked for."""
        listing = _filled(origin)
        with _Closing(origin) as source, ThreadPoolExecutor(6) as pool:
            read = list(pool.map(lambda entry: (entry.path, _read(source, entry)), listing.entries * 3))
        assert all(data == CONTENT[path] for path, data in read)

    def test_what_is_said_of_the_bytes_is_true(self, origin: Origin) -> None:
        """Every digest that the listing gives, and that the source gives when it is asked, once and again."""
        listing = _filled(origin)
        with _Closing(origin) as source:
            for entry in listing.entries:
                asked = [source.digests(entry), source.digests(entry)] if isinstance(source, KnowsDigests) else []
                for said in ({"sha256": entry.sha256 or ""}, entry.digests, *asked):
                    assert all(_is_true(name, said, CONTENT[entry.path]) for name in said)

    def test_a_file_replaced_after_the_listing_is_refused(self, origin: Origin) -> None:
        """Before its first byte was read; a source that keeps what was (a commit) may read it as it was listed."""
        entry = _entry(_filled(origin), "config.json")
        origin.put("config.json", b'{"a": 3}')
        with _Closing(origin) as source:
            try:
                data = _read(source, entry)
            except SourceChanged:
                return
        assert data == CONTENT["config.json"]

    def test_two_contents_are_never_mixed(self, origin: Origin) -> None:
        """A file replaced while it is read is refused, or read to its end as it was."""
        entry = _entry(_filled(origin), "big.bin")
        with _Closing(origin) as source:
            buffer = memoryview(bytearray(100_000))
            first = source.read_into(entry, 0, buffer)
            start = bytes(buffer[:first])
            origin.put("big.bin", BIG[::-1])
            try:
                data = start + _read(source, entry, offset=first)
            except SourceChanged:
                return
        assert data == BIG

    def test_a_file_that_is_gone_is_said_to_be(self, origin: Origin) -> None:
        """As changed or as missing; a source that keeps what was may read it as it was listed."""
        entry = _entry(_filled(origin), "config.json")
        origin.remove("config.json")
        with _Closing(origin) as source:
            try:
                data = _read(source, entry)
            except (SourceChanged, SourceMissing):
                return
        assert data == CONTENT["config.json"]

    def test_nothing_there_is_missing(self, origin: Origin) -> None:
        """With a message that names it."""
        _filled(origin)
        with _Closing(origin) as source, pytest.raises(SourceMissing) as caught:
            asyncio.run(source.resolve(origin.missing_ref))
        assert str(origin.missing_ref).rpartition("/")[2] in caught.value.message

    def test_a_reference_of_another_kind_is_refused(self, origin: Origin) -> None:
        """Rather than guessed at."""
        with _Closing(origin) as source, pytest.raises(InvalidReference):
            asyncio.run(source.resolve(ClaimRef(claim="other")))

    def test_closing_twice_is_silent(self, origin: Origin) -> None:
        """Whether anything was read or not."""
        listing = _filled(origin)
        source = origin.source()
        _read(source, listing.entries[0])
        source.close()
        source.close()


class _Closing:
    """A source that has resolved its reference, closed at the end."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._source = origin.source()

    def __enter__(self) -> Source:
        return self._source

    def __exit__(self, *caught: object) -> None:
        self._source.close()


def _filled(origin: Origin) -> Listing:
    for path, data in CONTENT.items():
        origin.put(path, data)
    return _resolve(origin)


def _resolve(origin: Origin) -> Listing:
    source = origin.source()
    try:
        return asyncio.run(source.resolve(origin.ref))
    finally:
        source.close()


def _entry(listing: Listing, path: str) -> Entry:
    return next(entry for entry in listing.entries if entry.path == path)


def _is_true(name: str, said: Mapping[str, str], data: bytes) -> bool:
    """Whether *data* has the digest *name* of *said*, where it is one."""
    hasher = digests.hasher(name, said, size_bytes=len(data)) if said[name] else None
    if hasher is None:
        return True
    hasher.update(memoryview(data))
    return hasher.hexdigest() == said[name]


def _range(source: Source, entry: Entry, start: int, end: int) -> bytes:
    """The bytes of one range, in reads of odd sizes."""
    buffer = memoryview(bytearray(77_777))
    data = b""
    while start + len(data) < end:
        at = start + len(data)
        count = source.read_into(entry, at, buffer[: end - at], end=end)
        assert count > 0
        data += bytes(buffer[:count])
    return data


def _read(source: Source, entry: Entry, *, offset: int = 0, buffer_bytes: int = 1 << 20) -> bytes:
    """From *offset* to the end."""
    buffer = memoryview(bytearray(buffer_bytes))
    data = bytearray()
    while count := source.read_into(entry, offset + len(data), buffer):
        data += buffer[:count]
    return bytes(data)
