"""The contract of a `lading.ports.volume.Volume`, clause by clause; what a crash may leave is in `lading.testing.crashes`.

Subclass `VolumeContract`, override the fixture `place`, and your volume is held to it::

    class TestMine(VolumeContract):
        @pytest.fixture
        def place(self, tmp_path):
            return MyPlace(tmp_path)
"""

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest

from lading.errors import (
    Cancelled,
    FormatRefused,
    HostileName,
    InvalidReference,
    ModelBusy,
    NotPublished,
    VolumeError,
    VolumeFull,
)
from lading.ports.volume import KeepsFiles, Staging, Volume
from lading.volume import find
from lading.volume.fs import Fs
from lading.volume.local import LocalVolume
from lading.weights import plan, pruning
from lading.weights.inventory import Adoption
from lading.weights.listing import Entry
from lading.weights.manifest import FileEntry, Manifest, PublishedBy, SourceEntry
from lading.weights.parts import Part

Content = Mapping[str, bytes]
CONTENT: Content = {"config.json": b"{}", "sub/dir/weights.bin": bytes(range(256)) * 40, "empty.bin": b""}
OTHER: Content = {"config.json": b"{1}"}


# ------------------------------------------------------------------------------------------------------------- doing


def transfer(volume: Volume, model: str, version: str, content: Content) -> str:
    """The id of the pull that brings *content*."""
    revision = "".join(f"{path}={data.hex()};" for path, data in sorted(content.items()))
    return plan.transfer_id("test", revision, f"{volume.id}/{model}@{version}")


def write(staging: Staging, path: str, data: bytes) -> FileEntry:
    """Stage one file, in two pieces."""
    staged = staging.open(Entry(path=path, size_bytes=len(data), etag=f"etag of {path}"))
    half = len(data) // 2
    staged.write(memoryview(data[:half]), 0)
    staged.write(memoryview(data[half:]), half)
    return staged.finish(len(data), hashlib.sha256(data).hexdigest())


def manifest(
    model: str, version: str, files: Mapping[str, FileEntry], at: str = "2026-01-01T00:00:00Z", kind: str = "files"
) -> Manifest:
    """The manifest of *files*, said to be of format *kind*."""
    return Manifest(
        model=model,
        version=version,
        path=f"{model}/{version}",
        source=SourceEntry(ref="test", revision="r"),
        format=kind,
        files=tuple(files[path] for path in sorted(files)),
        published_at=at,
        published_by=PublishedBy(version="0"),
    )


def publish(
    volume: Volume,
    model: str,
    version: str,
    content: Content = CONTENT,
    *,
    use: bool = True,
    at: str = "2026-01-01T00:00:00Z",
    kind: str = "files",
) -> list[str]:
    """Pull as a flow does: stage what is not finished, publish; the paths that had to be fetched."""
    fetched = []
    with volume.stage(model, version, transfer(volume, model, version, content)) as staging:
        finished = staging.finished
        for path, data in content.items():
            if path not in finished:
                fetched.append(path)
                write(staging, path, data)
        volume.publish(staging, manifest(model, version, staging.finished, at, kind), use=use)
    return fetched


def listed(volume: Volume) -> set[tuple[str, str]]:
    """Model and version of what is published."""
    return {(found.model, found.version) for found in volume.manifests()}


def prunable(volume: Volume, keep: int) -> tuple[Manifest, ...]:
    """What `lading prune --keep` would remove of *volume*, where no workload loads anything."""
    published = list(volume.manifests())
    currents = volume.currents([found.model for found in published])
    rule = pruning.Rule(keep=keep)
    return pruning.versions(published, rule, currents=currents, users={}, now=datetime.now(UTC))[0]


def files_of(directory: Path) -> dict[str, bytes]:
    """Every file below *directory*, by path."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def check_whole(volume: Volume, contents: Mapping[tuple[str, str], Content]) -> None:
    """What is listed is exactly the content it was published with, and `current` never dangles."""
    for found in volume.manifests():
        directory = volume.directory(found)
        assert files_of(directory) == dict(contents[found.model, found.version]), f"{found.model}@{found.version}"
        assert {file.path for file in found.files} == set(contents[found.model, found.version])
    for model in {model for model, _ in contents}:
        link = volume.root / model / "current"
        if link.is_symlink():
            assert link.exists(), f"{link} dangles"
            assert volume.current(model) == str(link.readlink()), f"{link} names what is not published"


# --------------------------------------------------------------------------------------------------------- contract


class Place(Protocol):
    """Where a volume is, so that a test can open it more than once."""

    def open(self) -> Volume:
        """The volume; the first call makes it."""


class VolumeContract:
    """Every volume passes this."""

    @pytest.fixture
    def place(self) -> Place:
        """Override: a place with an empty volume."""
        raise NotImplementedError("override the fixture `place`")

    @pytest.fixture
    def volume(self, place: Place) -> Volume:
        """An empty volume."""
        return place.open()

    def test_a_published_version_has_its_files_and_nothing_else(self, volume: Volume) -> None:
        """Byte for byte, an unfinished and an unwanted staged file left out."""
        with volume.stage("tiny", "v1", "t") as staging:
            for path, data in CONTENT.items():
                write(staging, path, data)
            wanted = staging.finished
            write(staging, "unwanted/part.bin", b"x")
            staging.open(Entry(path="unfinished.bin", size_bytes=2 << 20)).write(
                memoryview(b"x"), 0
            )  # so big: it is waited for
            directory = volume.publish(staging, manifest("tiny", "v1", wanted))
        assert files_of(directory) == CONTENT
        assert sorted(path.name for path in directory.iterdir()) == ["config.json", "empty.bin", "sub"]
        assert volume.directory(volume.manifest("tiny", "v1")) == directory

    def test_nothing_is_listed_before_it_is_published(self, volume: Volume) -> None:
        """Staged files are not visible under the model's name."""
        with volume.stage("tiny", "v1", "t") as staging:
            write(staging, "a", b"x")
            assert listed(volume) == set()
            assert not (volume.root / "tiny" / "v1").exists()
        assert listed(volume) == set()

    def test_what_is_listed_survives_reopening(self, place: Place) -> None:
        """Manifest and id are on the volume, not in memory."""
        publish(place.open(), "tiny", "v1")
        assert place.open().manifest("tiny", "v1") == place.open().manifest("tiny")
        assert place.open().id == place.open().id

    def test_hashes_and_sizes_are_those_of_the_bytes(self, volume: Volume) -> None:
        """As `hashlib` says; the source's etag is kept."""
        with volume.stage("tiny", "v1", "t") as staging:
            for path, data in CONTENT.items():
                entry = write(staging, path, data)
                assert (entry.path, entry.size_bytes) == (path, len(data))
                assert entry.sha256 == hashlib.sha256(data).hexdigest()
                assert entry.etag == f"etag of {path}"

    def test_a_finished_file_is_there_for_a_later_attempt(self, place: Place) -> None:
        """And can be read; one that was abandoned or left unfinished is not."""
        with place.open().stage("tiny", "v1", "t") as staging:
            first = write(staging, "sub/a", b"abcdef")
            write_and_abandon(staging, "b")
            staging.open(Entry(path="c", size_bytes=9)).write(memoryview(b"x"), 0)
        with place.open().stage("tiny", "v1", "t") as staging:
            assert dict(staging.finished) == {"sub/a": first}
            assert staging.read("sub/a", 2, 3) == b"cde"
            assert staging.read("sub/a", 6, 3) == b""

    def test_parts_come_in_any_order(self, volume: Volume) -> None:
        """Unless the staging takes a file from its start to its end only."""
        data = hashlib.shake_128(b"parts").digest(4 * 4096)
        spans = [(0, 4096), (4096, 8192), (12288, 4096)]
        with volume.stage("tiny", "v1", "t") as staging:
            staged = staging.open(Entry(path="a", size_bytes=len(data)))
            for offset, count in spans if staging.in_order else spans[::-1]:
                staged.write(memoryview(data)[offset : offset + count], offset)
            staged.finish(len(data), hashlib.sha256(data).hexdigest())
            assert staging.read("a", 0, len(data)) == data

    def test_parts_that_were_kept_are_there_for_a_later_attempt(self, place: Place) -> None:
        """With what was said of them; only for the same content. A stream keeps none."""
        data = bytes(range(256)) * 48
        entry = Entry(path="sub/a", size_bytes=3 * 4096, etag="one")
        part = Part(offset=4096, size_bytes=4096, crc=7)
        with place.open().stage("tiny", "v1", "t") as staging:
            staged = staging.open(entry)
            if staging.in_order:
                assert list(staged.kept) == []
                return
            staged.write(memoryview(data)[4096:8192], 4096)
            staged.keep(part)
            staged.leave()
            staged.leave()
        with place.open().stage("tiny", "v1", "t") as staging:
            assert staging.partial_bytes > 0
            staged = staging.open(entry)
            assert list(staged.kept) == [part]
            found = memoryview(bytearray(4096))
            assert staged.read_into(4096, found) == 4096
            assert bytes(found) == data[4096:8192]
            staged.leave()
            other = staging.open(Entry(path="sub/a", size_bytes=3 * 4096, etag="two"))
            assert list(other.kept) == []
            other.abandon()

    def test_what_is_left_without_a_part_takes_no_room(self, place: Place) -> None:
        """Nor does what was abandoned, whatever was kept of it."""
        with place.open().stage("tiny", "v1", "t") as staging:
            for path in ("a", "b"):
                staged = staging.open(Entry(path=path, size_bytes=1 << 20))
                staged.write(memoryview(bytes(4096)), 0)
                if path == "a":
                    staged.leave()
                else:
                    staged.keep(Part(offset=0, size_bytes=4096, crc=7))
                    staged.abandon()
            assert staging.partial_bytes == 0
            assert not [path for path in place.open().root.rglob("*") if path.name in {"a", "b"}]

    def test_another_transfer_does_not_see_it(self, volume: Volume) -> None:
        """Files of one revision are never mixed with another's."""
        with volume.stage("tiny", "v1", "t") as staging:
            write(staging, "a", b"x")
        with volume.stage("tiny", "v1", "u") as staging:
            assert dict(staging.finished) == {}

    def test_a_finished_file_of_another_size_is_not_finished(self, place: Place) -> None:
        """The disk is believed before the journal."""
        with place.open().stage("tiny", "v1", "t") as staging:
            write(staging, "some-file", b"abc")
        for path in place.open().root.rglob("some-file"):
            path.write_bytes(b"a")
        with place.open().stage("tiny", "v1", "t") as staging:
            assert dict(staging.finished) == {}

    def test_hostile_names_are_not_staged(self, volume: Volume) -> None:
        """And nothing is made of them."""
        with volume.stage("tiny", "v1", "t") as staging:
            for name in ("../a", "/a", "a/../../b", ".lading/volume.json", "a\nb"):
                with pytest.raises(HostileName):
                    staging.open(Entry(path=name, size_bytes=1))
        assert not (volume.root.parent / "a").exists()

    def test_a_file_that_cannot_fit_is_refused_before_it_is_written(self, volume: Volume) -> None:
        """With what is needed and what is free."""
        with pytest.raises(VolumeFull, match="TB"), volume.stage("tiny", "v1", "t") as staging:
            staging.open(Entry(path="a", size_bytes=2**60))
        with pytest.raises(VolumeFull, match="free"):
            volume.require_free(2**60)
        volume.require_free(1)
        assert volume.free_bytes() > 0

    def test_publishing_twice_is_silent(self, volume: Volume) -> None:
        """Nothing is fetched again, nothing changes."""
        assert set(publish(volume, "tiny", "v1")) == set(CONTENT)
        before = volume.manifest("tiny", "v1")
        assert publish(volume, "tiny", "v1", at="2027-01-01T00:00:00Z") == []
        assert volume.manifest("tiny", "v1") == before

    def test_a_published_version_never_changes(self, volume: Volume) -> None:
        """Other content under its name is refused."""
        publish(volume, "tiny", "v1")
        with pytest.raises(VolumeError), volume.stage("tiny", "v1", "u") as staging:
            write(staging, "config.json", b"other")
        with pytest.raises(VolumeError), volume.stage("tiny", "v1", "u") as staging:
            volume.publish(staging, manifest("tiny", "v1", {}))
        assert files_of(volume.directory(volume.manifest("tiny", "v1"))) == CONTENT

    def test_a_manifest_with_a_file_that_is_not_staged_is_refused(self, volume: Volume) -> None:
        """Half a model is never published."""
        with volume.stage("tiny", "v1", "t") as staging:
            entry = write(staging, "a", b"x")
            missing = FileEntry(path="b", size_bytes=1, sha256="0" * 64)
            with pytest.raises(VolumeError):
                volume.publish(staging, manifest("tiny", "v1", {"a": entry, "b": missing}))
        assert listed(volume) == set()

    def test_current_follows_publishing_unless_asked_not_to(self, volume: Volume) -> None:
        """And `manifest` without a version is the current one."""
        publish(volume, "tiny", "v1")
        assert volume.current("tiny") == "v1"
        publish(volume, "tiny", "v2", OTHER, use=False)
        assert volume.current("tiny") == "v1"
        publish(volume, "tiny", "v3", OTHER)
        assert volume.manifest("tiny").version == "v3"
        assert (volume.root / "tiny" / "current").resolve() == volume.directory(volume.manifest("tiny", "v3"))

    def test_use_switches_current(self, volume: Volume) -> None:
        """To a published version only; twice is silent."""
        publish(volume, "tiny", "v1")
        publish(volume, "tiny", "v2", OTHER)
        volume.use("tiny", "v1")
        volume.use("tiny", "v1")
        assert volume.current("tiny") == "v1"
        with pytest.raises(NotPublished):
            volume.use("tiny", "v9")
        assert volume.current("tiny") == "v1"

    def test_what_is_not_published_is_said_with_the_nearest(self, volume: Volume) -> None:
        """Model, version, and a model without a current version."""
        publish(volume, "tiny", "v1", use=False)
        assert volume.current("tiny") is None
        for model, version, near in (("tinny", None, "tiny"), ("tiny", "v2", "v1"), ("tiny", None, "v1")):
            with pytest.raises(NotPublished) as refused:
                volume.manifest(model, version)
            assert near in (refused.value.hint or "")

    def test_the_listing_is_by_model_then_by_time(self, volume: Volume) -> None:
        """Of all models, with one to three segments."""
        publish(volume, "b", "v1", OTHER, at="2026-01-02T00:00:00Z")
        publish(volume, "b", "v2", OTHER, at="2026-01-01T00:00:00Z")
        publish(volume, "a/b/c", "v1", OTHER)
        assert [(found.model, found.version) for found in volume.manifests()] == [
            ("a/b/c", "v1"),
            ("b", "v2"),
            ("b", "v1"),
        ]

    def test_no_model_begins_with_another(self, volume: Volume) -> None:
        """`a/b` would be a version of `a`."""
        publish(volume, "a/b", "v1", OTHER)
        for name in ("a", "a/b/c"):
            with pytest.raises(InvalidReference), volume.stage(name, "v1", "t"):
                pass
        publish(volume, "a/c", "v1", OTHER)

    def test_names_that_cannot_be_are_refused(self, volume: Volume) -> None:
        """Reserved and unsafe ones, as model and as version."""
        for model, version in (
            ("current", "v1"),
            ("Tiny", "v1"),
            ("a/b/c/d", "v1"),
            ("../a", "v1"),
            ("tiny", "current"),
        ):
            with pytest.raises(InvalidReference), volume.stage(model, version, "t"):
                pass

    def test_one_writer_per_model(self, place: Place) -> None:
        """The second is told; another model, and the same one later, are free; `use` need not wait."""
        publish(place.open(), "tiny", "v1")
        publish(place.open(), "tiny", "v2", OTHER)
        with place.open().stage("tiny", "v3", "t"):
            with pytest.raises(ModelBusy), place.open().stage("tiny", "v4", "u"):
                pass
            with place.open().stage("other", "v1", "u"):
                pass
            place.open().use("tiny", "v1")
        with place.open().stage("tiny", "v3", "t"):
            pass

    def test_remove_removes(self, volume: Volume) -> None:
        """Files and listing; again is silent; other versions stay; it can be published again."""
        publish(volume, "tiny", "v1")
        publish(volume, "tiny", "v2", OTHER)
        volume.remove("tiny", "v1")
        volume.remove("tiny", "v1")
        volume.remove("unknown", "v1")
        assert listed(volume) == {("tiny", "v2")}
        assert not (volume.root / "tiny" / "v1").exists()
        publish(volume, "tiny", "v1")
        assert listed(volume) == {("tiny", "v1"), ("tiny", "v2")}

    def test_the_current_version_goes_last(self, volume: Volume) -> None:
        """Refused while others are left; then nothing of the model stays."""
        publish(volume, "org/tiny", "v1")
        publish(volume, "org/tiny", "v2", OTHER)
        with pytest.raises(VolumeError):
            volume.remove("org/tiny", "v2")
        assert volume.current("org/tiny") == "v2"
        volume.remove("org/tiny", "v1")
        volume.remove("org/tiny", "v2")
        assert not (volume.root / "org").exists()

    def test_foreign_directories_are_left_alone(self, volume: Volume) -> None:
        """One with files is named; an empty one, as kubelet makes it, is taken."""
        (volume.root / "tiny" / "v1").mkdir(parents=True)
        (volume.root / "tiny" / "v2").mkdir()
        (volume.root / "tiny" / "v2" / "mine.txt").write_text("mine")
        publish(volume, "tiny", "v1")
        with pytest.raises(VolumeError, match="Lading did not publish"):
            publish(volume, "tiny", "v2")
        volume.sweep()
        assert (volume.root / "tiny" / "v2" / "mine.txt").read_text() == "mine"
        assert listed(volume) == {("tiny", "v1")}

    def test_sweep_removes_what_nobody_holds(self, place: Place) -> None:
        """An interrupted pull goes, one that runs stays; what goes is what `leftovers` said."""
        volume = place.open()
        publish(volume, "tiny", "v1")
        with volume.stage("left", "v1", "t") as staging:
            write(staging, "a", b"abc")
        with place.open().stage("held", "v1", "u") as staging:
            write(staging, "a", b"abc")
            told = volume.leftovers()
            assert [(left.kind, left.model, left.version, left.size_bytes) for left in told] == [
                ("staging", "left", "v1", 3)
            ]
            assert volume.sweep(idle_s=3600) == ()
            assert volume.leftovers()[0].idle_s < 3600
            assert volume.sweep() == tuple(left.path for left in told)
            assert "a" in staging.finished
        with volume.stage("left", "v1", "t") as staging:
            assert dict(staging.finished) == {}
        assert listed(volume) == {("tiny", "v1")}

    def test_open_file_reads_what_was_published(self, volume: Volume) -> None:
        """And nothing but plain files inside the version."""
        publish(volume, "tiny", "v1")
        found = volume.manifest("tiny", "v1")
        for path, data in CONTENT.items():
            with volume.open_file(found, path) as file:
                assert file.read() == data
        directory = volume.directory(found)
        os.mkfifo(directory / "pipe")
        for name in ("missing", "sub", "pipe"):
            with pytest.raises(OSError):  # noqa: PT011  # the clause says no more
                volume.open_file(found, name)
        with pytest.raises(HostileName):
            volume.open_file(found, "../../.lading/volume.json")

    def test_a_look_tells_how_each_file_lies_there(self, volume: Volume) -> None:
        """Its size, or that it is missing, or cannot be read as a plain file; in the manifest's order."""
        publish(volume, "tiny", "v1")
        found = volume.manifest("tiny", "v1")
        assert [(seen.path, seen.size_bytes) for seen in volume.look(found)] == [
            (file.path, file.size_bytes) for file in found.files
        ]
        directory = volume.directory(found)
        (directory / "config.json").write_bytes(b"longer")
        (directory / "empty.bin").unlink()
        (directory / "sub" / "dir" / "weights.bin").unlink()
        (directory / "sub" / "dir" / "weights.bin").symlink_to(directory / "config.json")
        assert [(seen.size_bytes, seen.problem) for seen in volume.look(found)] == [
            (6, None),
            (None, "missing"),
            (None, "unreadable"),
        ]

    def test_broken_files_are_replaced_and_nothing_else(self, volume: Volume) -> None:
        """By what is staged as the manifest has it; the manifest and sound files are as they were."""
        publish(volume, "tiny", "v1")
        found, directory = volume.manifest("tiny", "v1"), volume.root / "tiny" / "v1"
        path, data = "sub/dir/weights.bin", CONTENT["sub/dir/weights.bin"]
        sound = (directory / "config.json").stat().st_ino
        (directory / path).write_bytes(b"rotten")
        with volume.mend(found, "t") as staging:
            write(staging, path, data[:-1])
            with pytest.raises(VolumeError):
                volume.replace(staging, found, [path])
            with pytest.raises(VolumeError):
                volume.replace(staging, found, ["config.json"])
            assert (directory / path).read_bytes() == b"rotten"
            write(staging, path, data)
            volume.replace(staging, found, [path])
        assert files_of(directory) == CONTENT
        assert (directory / "config.json").stat().st_ino == sound
        assert volume.manifest("tiny", "v1") == found
        assert volume.leftovers() == ()

    def test_nothing_is_mended_beside_another_writer(self, place: Place) -> None:
        """Nor what is not published; what was staged is there for a later attempt."""
        publish(place.open(), "tiny", "v1")
        found = place.open().manifest("tiny")
        with place.open().stage("tiny", "v2", "u"), pytest.raises(ModelBusy), place.open().mend(found, "t"):
            pass
        with place.open().mend(found, "t") as staging:
            write(staging, "config.json", b"{}")
        with place.open().mend(found, "t") as staging:
            assert set(staging.finished) == {"config.json"}
        with pytest.raises(NotPublished), place.open().mend(manifest("other", "v1", {}), "t"):
            pass

    def test_what_does_not_belong_there_is_discarded(self, volume: Volume) -> None:
        """And only that: never a file of the manifest, nothing elsewhere, nothing of what was adopted."""
        publish(volume, "tiny", "v1")
        found, directory = volume.manifest("tiny", "v1"), volume.root / "tiny" / "v1"
        loose(directory, {"more/x.pkl": b"", "sub/y": b""})
        loose(volume.root, {"mine": b""})
        volume.discard(found, ["more/x.pkl", "config.json", "../../mine", "missing"])
        assert volume.extra_files(found) == ("sub/y",)
        assert not (directory / "more").exists()
        assert (volume.root / "mine").exists()
        assert (directory / "config.json").exists()
        loose(volume.root / "Loose", OTHER)
        adopted = volume.adopt(adoption("Loose", "other"), progress=_ignore)
        loose(volume.root / "Loose", {"mine": b""})
        with pytest.raises(VolumeError):
            volume.discard(adopted, ["mine"])
        assert (volume.root / "Loose" / "mine").exists()

    def test_extra_files_are_found(self, volume: Volume) -> None:
        """Hidden ones and links too."""
        publish(volume, "tiny", "v1")
        found = volume.manifest("tiny", "v1")
        assert volume.extra_files(found) == ()
        directory = volume.directory(found)
        (directory / ".hidden.pkl").write_text("x")
        (directory / "sub" / "link").symlink_to("/")
        assert set(volume.extra_files(found)) == {".hidden.pkl", "sub/link"}

    def test_currents_are_those_of_each_model(self, volume: Volume) -> None:
        """Of models without one, and unknown ones: None."""
        publish(volume, "tiny", "v1")
        publish(volume, "other", "v1", OTHER, use=False)
        assert volume.currents(["tiny", "other", "unknown"]) == {"tiny": "v1", "other": None, "unknown": None}

    def test_a_version_s_place_is_named_as_a_person_does(self, volume: Volume) -> None:
        """The volume's name, then the manifest's path."""
        publish(volume, "org/tiny", "v1", OTHER)
        assert volume.place(volume.manifest("org/tiny")) == f"{volume.shown}/org/tiny/v1"
        assert volume.cores >= 1

    def test_any_plain_file_is_read_but_nothing_through_links(self, volume: Volume) -> None:
        """Nor what is ours, nor what is outside."""
        publish(volume, "tiny", "v1")
        (volume.root / "Loose").mkdir()
        (volume.root / "Loose" / "a b.txt").write_bytes(b"abc")
        (volume.root / "Loose" / "link").symlink_to("a b.txt")
        (volume.root / "away").symlink_to("/")
        with volume.open_plain("Loose/a b.txt") as file:
            assert file.read() == b"abc"
        with volume.open_plain("tiny/v1/sub/dir/weights.bin") as file:
            file.seek(250)
            assert file.read(10) == CONTENT["sub/dir/weights.bin"][250:260]
        for name in ("Loose/link", "away/etc/passwd", "tiny/current/config.json", "Loose", "missing"):
            with pytest.raises(OSError):  # noqa: PT011  # the clause says no more
                volume.open_plain(name)
        for name in (".lading/volume.json", "../a", "/etc/passwd", "Loose/../../a"):
            with pytest.raises(HostileName):
                volume.open_plain(name)

    def test_hashes_are_those_of_the_bytes_as_they_lie(self, volume: Volume) -> None:
        """With progress; a file of another size is told and not read; what progress raises stops it."""
        publish(volume, "tiny", "v1")
        path, data = "tiny/v1/sub/dir/weights.bin", CONTENT["sub/dir/weights.bin"]
        told: list[int] = []
        assert volume.hash_plain(path, len(data), told.append) == (len(data), hashlib.sha256(data).hexdigest())
        assert sum(told) == len(data)
        assert volume.hash_plain(path, len(data) + 1, told.append) == (len(data), "")
        assert sum(told) == len(data)
        with pytest.raises(Cancelled):
            volume.hash_plain(path, len(data), _interrupt)
        with pytest.raises(FileNotFoundError):
            volume.hash_plain("tiny/v1/missing", 1, told.append)

    def test_folders_without_a_manifest_are_found(self, volume: Volume) -> None:
        """With what is wrong with them; published, staged and other files are none."""
        publish(volume, "tiny", "v1", {"model.joblib": b"x"})
        with volume.stage("left", "v1", "t") as staging:
            write(staging, "model.joblib", b"x")
        loose(volume.root / "Sklearn 1", {"model.joblib": b"pickle", "notes/a.txt": b"a"})
        loose(volume.root / "deep" / "Half-7B", {"config.json": b"{}", "model-00001-of-00002.safetensors": b""})
        loose(volume.root / "photos", {"a.jpg": b"x"})
        loose(volume.root / "another" / "volume", {".lading/volume.json": b"{}", "m/model.joblib": b"x"})
        found = volume.unmanaged()
        assert len(found) == 2, found
        whole, half = found
        assert (whole.path, whole.format, whole.problem) == ("Sklearn 1", "sklearn", None)
        assert whole.files == {"model.joblib": 6, "notes/a.txt": 1}
        assert (half.path, half.format) == ("deep/Half-7B", "huggingface")
        assert "model-00002-of-00002" in (half.problem or "")

    def test_adopting_lists_a_folder_where_it_lies(self, volume: Volume) -> None:
        """Hashed and not moved; again is silent; the only version is current; removing it leaves the files."""
        loose(volume.root / "Tiny 1B", CONTENT)
        told: list[int] = []
        listed_as = volume.adopt(adoption("Tiny 1B", "tiny"), progress=told.append)
        assert sum(told) == sum(map(len, CONTENT.values()))
        assert {file.path: file.sha256 for file in listed_as.files} == {
            path: hashlib.sha256(data).hexdigest() for path, data in CONTENT.items()
        }
        assert (listed_as.path, listed_as.version) == ("Tiny 1B", listed_as.source.revision[:12])
        assert volume.adopt(adoption("Tiny 1B", "tiny"), progress=told.append) == listed_as
        assert volume.manifest("tiny") == listed_as
        assert volume.unmanaged() == ()
        assert volume.extra_files(listed_as) == ()
        with volume.open_file(listed_as, "config.json") as file:
            assert file.read() == CONTENT["config.json"]
        volume.remove("tiny", listed_as.version)
        assert listed(volume) == set()
        assert files_of(volume.root / "Tiny 1B") == CONTENT

    def test_the_root_itself_can_be_adopted(self, volume: Volume) -> None:
        """Live storageUris point there; then nothing else can be published beside it."""
        loose(volume.root, OTHER)
        listed_as = volume.adopt(adoption(".", "tiny"), progress=_ignore)
        assert ([file.path for file in listed_as.files], listed_as.path) == (["config.json"], ".")
        assert volume.extra_files(listed_as) == ()
        assert volume.place(listed_as) == volume.shown
        with pytest.raises(InvalidReference), volume.stage("other", "v1", "t"):
            pass

    def test_what_cannot_be_adopted_is_refused(self, volume: Volume) -> None:
        """No folder, in or around a version, links, half a model, a name that is taken; nothing is listed."""
        publish(volume, "tiny", "v1")
        loose(volume.root / "Half", {"config.json": b"{}"})
        loose(volume.root / "Links", OTHER)
        (volume.root / "Links" / "weights.bin").symlink_to("/etc/passwd")
        for path, expect, error in (
            ("missing", "any", InvalidReference),
            ("tiny/v1/sub", "any", InvalidReference),
            ("tiny", "any", InvalidReference),
            ("../x", "any", HostileName),
            (".lading", "any", HostileName),
            ("Half", "auto", FormatRefused),
            ("Links", "any", FormatRefused),
        ):
            with pytest.raises(error):
                volume.adopt(adoption(path, "other", expect=expect), progress=_ignore)
        with pytest.raises(InvalidReference):
            volume.adopt(adoption("Half", "tiny/v1"), progress=_ignore)
        assert listed(volume) == {("tiny", "v1")}

    def test_what_is_adopted_stays_what_it_was(self, volume: Volume) -> None:
        """Other bytes there are not taken for it, and nothing is published inside it."""
        loose(volume.root / "tiny", OTHER)
        volume.adopt(adoption("tiny", "tiny"), progress=_ignore)
        with pytest.raises(InvalidReference), volume.stage("tiny", "v2", "t"):
            pass
        (volume.root / "tiny" / "config.json").write_bytes(b"{2}")
        with pytest.raises(VolumeError):
            volume.adopt(adoption("tiny", "tiny"), progress=_ignore)
        assert files_of(volume.root / "tiny") == {"config.json": b"{2}"}

    def test_adopting_waits_for_no_writer(self, place: Place) -> None:
        """It is refused while another holds the model's lock; interrupted, it leaves the lock free."""
        loose(place.open().root / "Loose", OTHER)
        with place.open().stage("tiny", "v1", "t"), pytest.raises(ModelBusy):
            place.open().adopt(adoption("Loose", "tiny"), progress=_ignore)
        with pytest.raises(Cancelled):
            place.open().adopt(adoption("Loose", "tiny"), progress=_interrupt)
        assert place.open().adopt(adoption("Loose", "tiny"), progress=_ignore).model == "tiny"

    def test_usage_counts_each_byte_once(self, volume: Volume) -> None:
        """Published, staged, without a manifest, and the rest."""
        publish(volume, "tiny", "v1")
        publish(volume, "tiny", "v2", OTHER, use=False, at="2026-01-02T00:00:00Z")
        with volume.stage("left", "v1", "t") as staging:
            write(staging, "a", b"abc")
        loose(volume.root / "Sklearn", {"model.joblib": b"12345"})
        loose(volume.root / "photos", {"a.jpg": b"1234567"})
        usage = volume.usage()
        assert [(one.model, one.version, one.size_bytes, one.current) for one in usage.versions] == [
            ("tiny", "v1", sum(map(len, CONTENT.values())), True),
            ("tiny", "v2", 3, False),
        ]
        assert (usage.staging_bytes, usage.other_bytes) == (3, 7)
        assert [folder.size_bytes for folder in usage.unmanaged] == [5]
        assert 0 < usage.free_bytes <= usage.capacity_bytes

    def test_what_versions_share_counts_once(self, volume: Volume) -> None:
        """A file taken over from an older version; one that is not what its manifest says is not taken."""
        publish(volume, "tiny", "v1")
        old = volume.manifest("tiny", "v1")
        rotten = volume.root / "tiny" / "v1" / "config.json"
        rotten.write_bytes(b"[]")
        told: list[int] = []
        with volume.stage("tiny", "v2", "t") as staging:
            assert isinstance(staging, KeepsFiles)
            taken = {file.path: staging.take(old, file, progress=told.append) for file in old.files}
            assert taken == {path: path != "config.json" for path in CONTENT}
            assert sum(told) >= len(CONTENT["sub/dir/weights.bin"])
            write(staging, "config.json", CONTENT["config.json"])
            volume.publish(staging, manifest("tiny", "v2", staging.finished, "2026-01-02T00:00:00Z"))
        assert files_of(volume.root / "tiny" / "v2") == CONTENT
        one, two = volume.usage().versions
        shared = (volume.root / "tiny" / "v2" / "empty.bin").stat().st_nlink > 1  # else by reflinks, which nobody sees
        assert (one.shared_bytes, two.shared_bytes) == (0, len(CONTENT["sub/dir/weights.bin"]) if shared else 0)
        volume.remove("tiny", "v1")
        assert files_of(volume.root / "tiny" / "v2") == CONTENT


def loose(folder: Path, content: Content) -> None:
    """Files that nobody published."""
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def adoption(path: str, model: str, *, expect: str = "any") -> Adoption:
    """A folder to be adopted."""
    return Adoption(path=path, model=model, expect=expect, source="test", by=PublishedBy(version="0"))


def _ignore(count: int) -> None:
    del count


def _interrupt(count: int) -> None:
    raise Cancelled(f"interrupted after {count} bytes")


def write_and_abandon(staging: Staging, path: str) -> None:
    """Begin a file and give it up."""
    staged = staging.open(Entry(path=path, size_bytes=9))
    staged.write(memoryview(b"x"), 0)
    staged.abandon()
    staged.abandon()


# ------------------------------------------------------------------------------------------------- a local volume's place


class LocalPlace:
    """A `LocalVolume` in a folder; *kind* makes it (mutants are subclasses), *fs* its changes."""

    def __init__(self, folder: Path, kind: type[LocalVolume] = LocalVolume, *, fs: Fs | None = None) -> None:
        self.root = folder / "volume"
        self.kind = kind
        self.fs = fs

    def open(self) -> Volume:
        """The volume, made by the first call."""
        made = find.create_volume(self.root, fs=self.fs)
        return self.kind(made.root, made.document, fs=self.fs)
