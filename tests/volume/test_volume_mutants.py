"""The contract of a volume fails on a planted defect, clause by clause."""

import hashlib
import inspect
import os
import secrets
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lading.errors import LadingError
from lading.testing.crashes import QuickFs
from lading.testing.volume import LocalPlace, VolumeContract
from lading.volume import adopting, fs, unmanaged
from lading.volume import journal as journals
from lading.volume.local import LocalVolume
from lading.volume.staging import LocalStagedFile, LocalStaging
from lading.weights import layout, names
from lading.weights.inventory import Seen


class Keeps(LocalVolume):
    """Leaves unwanted staged files in the version."""

    def _seal(self, staging, manifest):
        pass


class ShowsStaging(LocalVolume):
    """Stages under the model's name."""

    def _staging(self, model, version, transfer, held):
        staging = super()._staging(model, version, transfer, held)
        staging.directory = self.root / model / version
        return staging


class Forgets(LocalVolume):
    """Keeps its id in memory."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._own = secrets.token_hex(8)

    @property
    def id(self):
        return self._own


class HashesTheName(LocalVolume):
    def _staging(self, *arguments):
        return with_files(super()._staging(*arguments), finish=lambda file, entry: _with_sha(entry))


def _with_sha(entry):
    return entry.model_copy(update={"sha256": "0" * 64})


class NeverResumes(LocalVolume):
    def _staging(self, model, version, transfer, held):
        return super()._staging(model, version, f"{transfer}{secrets.token_hex(8)}", held)


class MixesTransfers(LocalVolume):
    def _staging(self, model, version, transfer, held):
        return super()._staging(model, version, "one", held)


class BelievesTheJournal(LocalVolume):
    def _staging(self, *arguments):
        staging = super()._staging(*arguments)
        staging.__class__ = type("Staging", (LocalStaging,), {"finished": property(_journalled)})
        return staging


def _journalled(staging):
    if staging.published is not None:
        return {file.path: file for file in staging.published.files}
    return journals.read(staging.journal.path).finished


class TakesAnyName(LocalVolume):
    def _staging(self, *arguments):
        staging = super()._staging(*arguments)
        staging.__class__ = type("Staging", (LocalStaging,), {"open": lambda staging, entry: None})
        return staging


class NeverFull(LocalVolume):
    def require_free(self, size_bytes):
        pass


class Rewrites(LocalVolume):
    """Publishes again what is published."""

    def publish(self, staging, manifest, *, use=True):
        path = super().publish(staging, manifest, use=use)
        self._replace(self._manifest_path(manifest.model, manifest.version), manifest.model_dump_json().encode(), "x")
        return path


class Mutable(LocalVolume):
    """Takes other content under a published name."""

    def _published(self, model, version):
        return None

    def _check_way(self, model, version):
        pass


class PublishesHalf(LocalVolume):
    def _seal(self, staging, manifest):
        with suppress(LadingError):
            super()._seal(staging, manifest)


class AlwaysUses(LocalVolume):
    def publish(self, staging, manifest, *, use=True):
        return super().publish(staging, manifest, use=True)


class UsesAnything(LocalVolume):
    def use(self, model, version):
        self._switch(model, version)


class SaysNothingNear(LocalVolume):
    def _not_published(self, model, version):
        error = super()._not_published(model, version)
        error.hint = None
        return error


class ListsBackwards(LocalVolume):
    def manifests(self):
        return reversed(list(super().manifests()))


class NestsModels(LocalVolume):
    def _check_apart(self, model):
        pass


class AnyModelName(LocalVolume):
    @contextmanager
    def stage(self, model, version, transfer):
        yield None


class LetsTwoWrite(LocalVolume):
    def _locked(self, path, what, *, wait_s=0.0):
        return super()._locked(Path(layout.LOCKS) / secrets.token_hex(8), what, wait_s=wait_s)


class BlocksUse(LocalVolume):
    """Makes `use` wait for a pull."""

    def _switching(self, model):
        return self._locked(layout.lock(model), model)


class LeavesFiles(LocalVolume):
    def _finish_removal(self, model, version):
        pass


class RemovesCurrent(LocalVolume):
    def _unlist(self, model, version):
        with suppress(FileNotFoundError):
            (self.root / layout.current(model)).unlink()
        super()._unlist(model, version)


class LeavesEmptyDirectories(LocalVolume):
    def _drop_empty(self, model):
        pass


class Overwrites(LocalVolume):
    """Removes foreign files that are in the way."""

    def _check_way(self, model, version):
        for path in (self.root / model / version).glob("*"):
            path.unlink()


class RefusesEmptyDirectories(LocalVolume):
    def _check_way(self, model, version):
        if (self.root / model / version).exists():
            raise LadingError("taken")


class SweepsHeld(LocalVolume):
    def sweep(self, *, idle_s=0.0):
        swept = super().sweep(idle_s=idle_s)
        for path in (self.root / layout.JOURNAL).iterdir():
            path.unlink()
        return swept


class SweepsNothing(LocalVolume):
    def sweep(self, *, idle_s=0.0):
        return ()


class SweepsYoung(LocalVolume):
    def sweep(self, *, idle_s=0.0):
        return super().sweep()


class LooksThroughLinks(LocalVolume):
    def look(self, manifest):
        return tuple(self._look(manifest, file.path) for file in manifest.files)

    def _look(self, manifest, path):
        with suppress(OSError):
            return Seen(path=path, size_bytes=(self.directory(manifest) / path).stat().st_size)
        return Seen(path=path, problem="missing")


class BelievesSizes(LocalVolume):
    def look(self, manifest):
        return tuple(Seen(path=file.path, size_bytes=file.size_bytes) for file in manifest.files)


class ReplacesAnything(LocalVolume):
    """Puts in place what is staged, whatever it is."""

    def replace(self, staging, manifest, paths):
        for path in paths:
            (staging.directory / path).replace(self.directory(manifest) / path)


class ReplacesWhatIsSound(LocalVolume):
    """Puts another file in the place of one that was not broken."""

    def replace(self, staging, manifest, paths):
        super().replace(staging, manifest, paths)
        path = self.directory(manifest) / "config.json"
        made = path.with_name("made")  # beside the old one: an inode that is free is given again
        made.write_bytes(path.read_bytes())
        made.replace(path)


class MendsBesideAWriter(LocalVolume):
    @contextmanager
    def mend(self, manifest, transfer):
        with super()._locked(Path(layout.LOCKS) / "mending", "mending") as held:
            yield self._staging_at(manifest.model, manifest.version, transfer, held, None)


class MendsFromNothing(LocalVolume):
    def mend(self, manifest, transfer):
        return super().mend(manifest, f"{transfer}{secrets.token_hex(8)}")


class DiscardsAnything(LocalVolume):
    def discard(self, manifest, paths):
        for path in paths:
            (self.directory(manifest) / path).unlink(missing_ok=True)


class DiscardsAdopted(LocalVolume):
    def discard(self, manifest, paths):
        for path in {*paths} & {*self.extra_files(manifest)}:
            (self.directory(manifest) / path).unlink()


class LeavesWhatIsExtra(LocalVolume):
    def discard(self, manifest, paths):
        if manifest.is_adopted:
            super().discard(manifest, paths)


class OpensAnything(LocalVolume):
    def open_file(self, manifest, path):
        return os.fdopen(os.open(self.root / manifest.path / path, os.O_RDONLY | os.O_NONBLOCK), "rb")


class SeesNoHiddenFiles(LocalVolume):
    def extra_files(self, manifest):
        return tuple(path for path in super().extra_files(manifest) if not path.startswith("."))


class FollowsLinks(LocalVolume):
    def extra_files(self, manifest):
        return tuple(path for path in super().extra_files(manifest) if "link" not in path)


class SaysNoCurrents(LocalVolume):
    def currents(self, models):
        return {model: self.current(model) for model in models if self.current(model)}


class NamesItsDirectory(LocalVolume):
    def place(self, manifest):
        return f"{self.shown}/{manifest.model}"


class FollowsPlainLinks(LocalVolume):
    def open_plain(self, path):
        names.check(path)
        return (self.root / path).open("rb")


class ReadsOurs(LocalVolume):
    def open_plain(self, path):
        return (self.root / path).open("rb") if path.startswith(".lading") else super().open_plain(path)


class HashesAnySize(LocalVolume):
    def hash_plain(self, path, size_bytes, progress):
        return super().hash_plain(path, (self.root / path).stat().st_size, progress)


class TellsNoProgress(LocalVolume):
    def hash_plain(self, path, size_bytes, progress):
        return super().hash_plain(path, size_bytes, lambda count: None)


class CountsPublished(LocalVolume):
    """Lists published versions as folders without a manifest."""

    def unmanaged(self, known=None):
        return unmanaged.every(self.root, set())


class SeesNoProblem(LocalVolume):
    def unmanaged(self, known=None):
        return tuple(folder.model_copy(update={"problem": None}) for folder in super().unmanaged())


class LooksIntoOtherVolumes(LocalVolume):
    def unmanaged(self, known=None):
        return (*super().unmanaged(), unmanaged.at(self.root, "another"))


class RenamesAdopted(LocalVolume):
    def adopt(self, adoption, *, progress):
        manifest = super().adopt(adoption, progress=progress)
        (self.root / adoption.path).rename(self.root / "moved")
        return manifest


class DeletesAdopted(LocalVolume):
    def remove(self, model, version):
        path = self.directory(self.manifest(model, version))
        super().remove(model, version)
        fs.remove_tree(self._fs, path)


class CountsItselfExtra(LocalVolume):
    """Takes what is ours for part of an adopted root."""

    def extra_files(self, manifest):
        directory = self.directory(manifest)
        return tuple(str(path.relative_to(directory)) for path in fs.tree_files(directory))


class PublishesInside(LocalVolume):
    """Publishes inside what was adopted."""

    def _check_beside_adopted(self, model):
        pass


class AdoptsAnything(LocalVolume):
    def adopt(self, adoption, *, progress):
        found = unmanaged.at(self.root, adoption.path)
        manifest = adopting.manifest(self.root, adoption, found, progress)
        self._list(manifest)
        return manifest


class ForgetsWhatWasAdopted(LocalVolume):
    """Takes other bytes for those that were adopted."""

    def adopt(self, adoption, *, progress):
        same = [one for one in self.manifests() if one.path == adoption.path]
        return same[0] if same else super().adopt(adoption, progress=progress)


class AdoptsWithoutALock(LocalVolume):
    def _locked(self, path, what, *, wait_s=0.0):
        adopts = inspect.stack()[1].function == "adopt"
        return super()._locked(Path(layout.LOCKS) / "adopting" if adopts else path, what, wait_s=wait_s)


class CountsTwice(LocalVolume):
    def usage(self):
        usage = super().usage()
        return usage.model_copy(update={"other_bytes": usage.other_bytes + usage.staging_bytes})


class CountsSharedTwice(LocalVolume):
    def usage(self):
        usage = super().usage()
        return usage.model_copy(
            update={"versions": tuple(one.model_copy(update={"shared_bytes": 0}) for one in usage.versions)}
        )


class TakesRot(LocalVolume):
    """Takes files over without looking at their bytes."""

    def _staging(self, *arguments):
        staging = super()._staging(*arguments)
        staging.__class__ = type("Staging", (LocalStaging,), {"take": _take_unseen})
        return staging


def _take_unseen(staging, manifest, file, *, progress):
    lying = file.model_copy(update={"sha256": hashlib.sha256(b"[]").hexdigest()})
    return LocalStaging.take(staging, manifest, lying if file.path == "config.json" else file, progress=progress)


def with_files(staging, *, finish):
    """*staging* whose files give what *finish* makes of their entries."""

    class File(LocalStagedFile):
        def finish(self, size_bytes, sha256):
            return finish(self, super().finish(size_bytes, sha256))

    staging.__class__ = type(
        "Staging", (LocalStaging,), {"open": lambda staging, entry: _as(File, LocalStaging.open(staging, entry))}
    )
    return staging


def _as(kind, thing):
    thing.__class__ = kind
    return thing


def with_file(**methods):
    """A volume whose stagings give files with these *methods*."""

    class Mutant(LocalVolume):
        def stage(self, model, version, transfer):
            return _staged_with(super().stage(model, version, transfer), methods)

    return Mutant


@contextmanager
def _staged_with(block, methods):
    with block as staging:
        kind = type("File", (LocalStagedFile,), methods)
        opened = {"open": lambda staging, entry: _as(kind, LocalStaging.open(staging, entry))}
        staging.__class__ = type("Staging", (LocalStaging,), opened)
        yield staging


class WritesInOrder:
    """Where each write lands behind the last."""

    def write(self, data, offset):
        at = getattr(self, "at", 0)
        self.at = at + len(data)
        LocalStagedFile.write(self, data, at)


ForgetsParts = with_file(keep=lambda self, part: None)
KeepsOtherParts = with_file(keep=lambda self, part: LocalStagedFile.keep(self, replace(part, crc=8)))
LeavesAll = with_file(leave=lambda self: self._close())
AbandonsNothing = with_file(abandon=lambda self: self._close())


class BelievesOtherMarks(LocalVolume):
    def stage(self, model, version, transfer):
        return _believing(super().stage(model, version, transfer))


@contextmanager
def _believing(block):
    with block as staging:
        resumable = {
            "_resumable": lambda staging, entry: LocalStaging._resumable(
                staging, replace(entry, etag=getattr(staging._earlier.get(entry.path), "etag", None))
            )
        }
        staging.__class__ = type("Staging", (LocalStaging,), resumable)
        yield staging


MUTANTS = {
    "test_parts_come_in_any_order": [with_file(write=WritesInOrder.write)],
    "test_parts_that_were_kept_are_there_for_a_later_attempt": [ForgetsParts, KeepsOtherParts, BelievesOtherMarks],
    "test_what_is_left_without_a_part_takes_no_room": [LeavesAll, AbandonsNothing],
    "test_a_published_version_has_its_files_and_nothing_else": [Keeps],
    "test_nothing_is_listed_before_it_is_published": [ShowsStaging],
    "test_what_is_listed_survives_reopening": [Forgets],
    "test_hashes_and_sizes_are_those_of_the_bytes": [HashesTheName],
    "test_a_finished_file_is_there_for_a_later_attempt": [NeverResumes],
    "test_another_transfer_does_not_see_it": [MixesTransfers],
    "test_a_finished_file_of_another_size_is_not_finished": [BelievesTheJournal],
    "test_hostile_names_are_not_staged": [TakesAnyName],
    "test_a_file_that_cannot_fit_is_refused_before_it_is_written": [NeverFull, TakesAnyName],
    "test_publishing_twice_is_silent": [Rewrites],
    "test_a_published_version_never_changes": [Mutable],
    "test_a_manifest_with_a_file_that_is_not_staged_is_refused": [PublishesHalf],
    "test_current_follows_publishing_unless_asked_not_to": [AlwaysUses],
    "test_use_switches_current": [UsesAnything],
    "test_what_is_not_published_is_said_with_the_nearest": [SaysNothingNear],
    "test_the_listing_is_by_model_then_by_time": [ListsBackwards],
    "test_no_model_begins_with_another": [NestsModels],
    "test_names_that_cannot_be_are_refused": [AnyModelName],
    "test_one_writer_per_model": [LetsTwoWrite, BlocksUse],
    "test_remove_removes": [LeavesFiles],
    "test_the_current_version_goes_last": [RemovesCurrent, LeavesEmptyDirectories],
    "test_foreign_directories_are_left_alone": [Overwrites, RefusesEmptyDirectories],
    "test_sweep_removes_what_nobody_holds": [SweepsHeld, SweepsNothing, SweepsYoung],
    "test_open_file_reads_what_was_published": [OpensAnything],
    "test_a_look_tells_how_each_file_lies_there": [LooksThroughLinks, BelievesSizes],
    "test_broken_files_are_replaced_and_nothing_else": [ReplacesAnything, ReplacesWhatIsSound],
    "test_nothing_is_mended_beside_another_writer": [MendsBesideAWriter, MendsFromNothing],
    "test_what_does_not_belong_there_is_discarded": [DiscardsAnything, DiscardsAdopted, LeavesWhatIsExtra],
    "test_extra_files_are_found": [SeesNoHiddenFiles, FollowsLinks],
    "test_currents_are_those_of_each_model": [SaysNoCurrents],
    "test_a_version_s_place_is_named_as_a_person_does": [NamesItsDirectory],
    "test_any_plain_file_is_read_but_nothing_through_links": [FollowsPlainLinks, ReadsOurs],
    "test_hashes_are_those_of_the_bytes_as_they_lie": [HashesAnySize, TellsNoProgress],
    "test_folders_without_a_manifest_are_found": [CountsPublished, SeesNoProblem, LooksIntoOtherVolumes],
    "test_adopting_lists_a_folder_where_it_lies": [RenamesAdopted, DeletesAdopted],
    "test_the_root_itself_can_be_adopted": [CountsItselfExtra, PublishesInside],
    "test_what_cannot_be_adopted_is_refused": [AdoptsAnything],
    "test_what_is_adopted_stays_what_it_was": [ForgetsWhatWasAdopted, PublishesInside],
    "test_adopting_waits_for_no_writer": [AdoptsWithoutALock],
    "test_usage_counts_each_byte_once": [CountsTwice],
    "test_what_versions_share_counts_once": [CountsSharedTwice, TakesRot],
}


def clauses():
    return [name for name in vars(VolumeContract) if name.startswith("test_")]


def test_every_clause_has_a_mutant():
    assert set(MUTANTS) == set(clauses())


@pytest.mark.parametrize(
    ("clause", "mutant"), [(clause, mutant) for clause, kinds in MUTANTS.items() for mutant in kinds]
)
def test_the_clause_catches_the_defect(tmp_path, clause, mutant):
    run(clause, LocalPlace(tmp_path / "sound", fs=QuickFs()))
    with pytest.raises((AssertionError, LadingError, OSError, pytest.fail.Exception)):
        run(clause, LocalPlace(tmp_path / "mutant", mutant, fs=QuickFs()))


def run(clause, place):
    place.root.parent.mkdir()
    method = getattr(VolumeContract(), clause)
    given = {"place": place}
    if "volume" in inspect.signature(method).parameters:
        given = {"volume": place.open()}
    method(**given)
