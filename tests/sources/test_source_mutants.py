"""Each clause of the contract of a source fails when a source breaks it."""

import dataclasses
import hashlib
import os
import threading
from pathlib import Path

import pytest
from tests.sources.origins import FolderOrigin

from lading.errors import SourceError, SourceMissing
from lading.sources.local import LocalSource
from lading.spec.ref import LocalRef
from lading.testing.sources import SourceContract
from lading.weights.listing import listing


class ForgetsEmptyFiles(LocalSource):
    async def resolve(self, ref):
        found = await super().resolve(ref)
        return dataclasses.replace(found, entries=tuple(entry for entry in found.entries if entry.size_bytes))


class Unsorted(LocalSource):
    async def resolve(self, ref):
        found = await super().resolve(ref)
        return dataclasses.replace(found, entries=found.entries[::-1])


class NewRevisionEachTime(LocalSource):
    async def resolve(self, ref):
        return dataclasses.replace(await super().resolve(ref), revision=os.urandom(20).hex())


class RevisionOfSizes(LocalSource):
    async def resolve(self, ref):
        found = await super().resolve(ref)
        return listing(ref, found.name, [dataclasses.replace(entry, etag=None) for entry in found.entries])


class RevisionOfTheFirstFile(LocalSource):
    async def resolve(self, ref):
        found = await super().resolve(ref)
        return dataclasses.replace(found, revision=listing(ref, found.name, found.entries[:1]).revision)


class SkipsAByteBetweenReads(LocalSource):
    def read_into(self, entry, offset, buffer, *, end=None):
        return super().read_into(entry, offset + 1 if offset else 0, buffer)


class IgnoresTheOffsetAfterASeek(LocalSource):
    position = 0

    def read_into(self, entry, offset, buffer, *, end=None):
        count = super().read_into(entry, self.position, buffer)
        self.position += count
        return count


class ReadsEveryRangeFromItsFirst(LocalSource):
    """As if a connection that is kept went on where it was."""

    start = None

    def read_into(self, entry, offset, buffer, *, end=None):
        if end is not None:
            self.start = offset if self.start is None else self.start
            offset %= self.start + (1 << 20)
        return super().read_into(entry, offset, buffer)


class NeverEnds(LocalSource):
    def read_into(self, entry, offset, buffer, *, end=None):
        count = super().read_into(entry, offset, buffer)
        if count == 0:
            raise SourceError("the end")
        return count


class OneFileForAllThreads(LocalSource):
    """As if the open file were shared: a read moves it for the others."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()
        self.last = None

    def read_into(self, entry, offset, buffer, *, end=None):
        with self.lock:
            read, self.last = self.last or entry, entry
        return super().read_into(read if read.size_bytes > offset else entry, offset, buffer)


class SaysWhatAnotherFileHashesTo(LocalSource):
    def digests(self, entry):
        return {"md5": hashlib.md5(b"of another").hexdigest()}


class ReadsWhatIsThere(LocalSource):
    def read_into(self, entry, offset, buffer, *, end=None):
        with Path(entry.key).open("rb") as file:
            file.seek(offset)
            return file.readinto(buffer)


class GoneIsEmpty(LocalSource):
    def read_into(self, entry, offset, buffer, *, end=None):
        return super().read_into(entry, offset, buffer) if Path(entry.key).exists() else 0


class MissingIsEmpty(LocalSource):
    async def resolve(self, ref):
        try:
            return await super().resolve(ref)
        except SourceMissing:
            return listing(ref, "x", [])


class Guesses(LocalSource):
    async def resolve(self, ref):
        return await super().resolve(ref) if isinstance(ref, LocalRef) else listing(ref, "x", [])


class ClosesOnce(LocalSource):
    closed = False

    def close(self):
        assert not self.closed
        super().close()
        self.closed = True


MUTANTS = {
    "test_the_listing_has_every_file_with_its_size": ForgetsEmptyFiles,
    "test_the_listing_is_sorted_and_says_what_was_asked": Unsorted,
    "test_the_same_content_has_the_same_revision": NewRevisionEachTime,
    "test_other_content_has_another_revision": RevisionOfSizes,
    "test_another_file_makes_another_revision": RevisionOfTheFirstFile,
    "test_reading_gives_the_bytes_of_each_file": SkipsAByteBetweenReads,
    "test_reading_begins_anywhere": IgnoresTheOffsetAfterASeek,
    "test_ranges_are_read_one_after_another_or_refused": ReadsEveryRangeFromItsFirst,
    "test_the_end_is_zero_and_only_the_end": NeverEnds,
    "test_threads_read_at_once": OneFileForAllThreads,
    "test_what_is_said_of_the_bytes_is_true": SaysWhatAnotherFileHashesTo,
    "test_a_file_replaced_after_the_listing_is_refused": ReadsWhatIsThere,
    "test_two_contents_are_never_mixed": ReadsWhatIsThere,
    "test_a_file_that_is_gone_is_said_to_be": GoneIsEmpty,
    "test_nothing_there_is_missing": MissingIsEmpty,
    "test_a_reference_of_another_kind_is_refused": Guesses,
    "test_closing_twice_is_silent": ClosesOnce,
}


def test_every_clause_has_a_mutant():
    clauses = {name for name in vars(SourceContract) if name.startswith("test_")}
    assert clauses == set(MUTANTS)


@pytest.mark.parametrize("clause", MUTANTS)
def test_a_broken_source_fails_the_clause(clause, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises((AssertionError, SourceError, pytest.fail.Exception)):
        getattr(SourceContract(), clause)(FolderOrigin(folder, kind=MUTANTS[clause]))


@pytest.mark.parametrize("clause", MUTANTS)
def test_the_sound_source_passes_the_clause(clause, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    getattr(SourceContract(), clause)(FolderOrigin(folder))
