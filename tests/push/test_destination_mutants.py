"""Each clause of the contract of a destination fails when a destination breaks it."""

import dataclasses
import inspect
from pathlib import Path

import pytest
from tests.push.places import FolderPlace

from lading.errors import LadingError
from lading.ports.destination import SentPart
from lading.sources.folder_upload import FolderDestination
from lading.testing.destinations import DestinationContract


class MakesAFileAtOnce(FolderDestination):
    def files(self):
        self._root.mkdir(parents=True, exist_ok=True)
        (self._root / ".probe").touch()
        return super().files()


class ForgetsEmptyFiles(FolderDestination):
    def files(self):
        return {path: held for path, held in super().files().items() if held.size_bytes}


class AppendsParts(FolderDestination):
    def send(self, path, upload, number, data, *, offset, cancel=None):
        end = (self._uploads / upload).stat().st_size
        return super().send(path, upload, number, data, offset=end, cancel=cancel)


class WritesInPlace(FolderDestination):
    def send(self, path, upload, number, data, *, offset, cancel=None):
        self._file(path).parent.mkdir(parents=True, exist_ok=True)
        self._file(path).write_bytes(data)
        return super().send(path, upload, number, data, offset=offset, cancel=cancel)


class RemembersPartsInMemory(FolderDestination):
    def parts(self, path, upload):
        return {}


class KeepsTheFirstPart(FolderDestination):
    sent: dict

    def send(self, path, upload, number, data, *, offset, cancel=None):
        self.sent = getattr(self, "sent", {})
        if number not in self.sent:
            self.sent[number] = super().send(path, upload, number, data, offset=offset, cancel=cancel)
        return self.sent[number]


class SaysNoCrc(FolderDestination):
    def send(self, *arguments, **options):
        return dataclasses.replace(super().send(*arguments, **options), crc64nvme=0)


class KeepsAbortedParts(FolderDestination):
    def abort(self, path, upload):
        pass


class MarksBySize(FolderDestination):
    def put(self, *arguments, **options):
        return dataclasses.replace(super().put(*arguments, **options), etag="same")

    def complete(self, *arguments):
        return dataclasses.replace(super().complete(*arguments), etag="same")


class MarksAtRandom(FolderDestination):
    def complete(self, *arguments):
        held = super().complete(*arguments)
        return dataclasses.replace(held, etag=held.etag + "x")


class HashesTheHead(FolderDestination):
    def digests(self, path):
        import hashlib

        return {"sha256": hashlib.sha256((self._root / path).read_bytes()[:1000]).hexdigest()}


class ReadsFromTheStart(FolderDestination):
    def read_into(self, path, offset, buffer):
        return super().read_into(path, 0, buffer)


class RemovesTheFolder(FolderDestination):
    def remove(self, path):
        import shutil

        shutil.rmtree(self._root, ignore_errors=True)


class EndsWhatIsCancelled(FolderDestination):
    def send(self, path, upload, number, data, *, offset, cancel=None):
        part: SentPart = super().send(path, upload, number, data, offset=offset)
        if cancel is not None and cancel.is_set():
            self.complete(path, upload, [part])
        return part


class ManifestInside(FolderDestination):
    def __init__(self, root: Path):
        super().__init__(root)
        self._manifest = root / "manifest.json"


class TriesByWriting(FolderDestination):
    def require_manifest(self):
        self.put_manifest(b"")


class BelievesNames(FolderDestination):
    def _file(self, path):
        return self._root / path


class ClosesOnce(FolderDestination):
    closed = False

    def close(self):
        assert not self.closed
        super().close()
        self.closed = True


MUTANTS = {
    "test_nothing_is_there_at_first": MakesAFileAtOnce,
    "test_a_small_file_is_there_whole": ForgetsEmptyFiles,
    "test_a_file_comes_in_parts_of_any_order": AppendsParts,
    "test_nothing_is_seen_before_it_is_complete": WritesInPlace,
    "test_another_process_finds_what_was_sent": RemembersPartsInMemory,
    "test_a_part_sent_again_replaces_the_first": KeepsTheFirstPart,
    "test_a_part_says_its_crc": SaysNoCrc,
    "test_an_aborted_upload_is_gone": KeepsAbortedParts,
    "test_a_file_is_replaced_as_a_whole": MarksBySize,
    "test_the_listing_has_the_marks_that_were_given": MarksAtRandom,
    "test_what_it_says_of_a_file_is_true": HashesTheHead,
    "test_reading_back_begins_anywhere": ReadsFromTheStart,
    "test_a_file_is_removed": RemovesTheFolder,
    "test_a_cancelled_send_sends_no_part": EndsWhatIsCancelled,
    "test_whether_a_manifest_may_be_put_is_known_before": TriesByWriting,
    "test_the_manifest_is_no_file_of_the_model": ManifestInside,
    "test_a_hostile_name_is_refused": BelievesNames,
    "test_closing_twice_is_silent": ClosesOnce,
}


def _clause(name, place):
    clause = getattr(DestinationContract(), name)
    more = {"path": "../out"} if "path" in inspect.signature(clause).parameters else {}
    clause(place, **more)


def test_every_clause_has_a_mutant():
    assert {name for name in vars(DestinationContract) if name.startswith("test_")} == set(MUTANTS)


@pytest.mark.parametrize("clause", MUTANTS)
def test_a_broken_destination_fails_the_clause(clause, tmp_path):
    with pytest.raises((AssertionError, LadingError, pytest.fail.Exception)):
        _clause(clause, FolderPlace(tmp_path / "out" / "granite", kind=MUTANTS[clause]))


@pytest.mark.parametrize("clause", MUTANTS)
def test_the_sound_destination_passes_the_clause(clause, tmp_path):
    _clause(clause, FolderPlace(tmp_path / "out" / "granite"))
