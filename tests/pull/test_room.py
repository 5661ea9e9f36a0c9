"""What two versions have in common is taken over, not fetched; with room for one copy only, the old version goes first."""

import hashlib
import os
from dataclasses import replace

import pytest

from lading.errors import VolumeFull
from lading.events import FilePulled, FilesShared, OldRemoved
from lading.flows import pull as flow
from lading.flows import sharing
from lading.flows.verify import verify
from lading.spec.pull import Choices
from lading.spec.ref import parse
from lading.testing.agents import in_process
from lading.testing.volume import adoption, loose
from lading.volume import find
from lading.volume.remote import RemoteVolume
from lading.weights import listing
from lading.weights.listing import Entry

REF = parse("s3://llm/granite")


class Objects:
    """A source of objects with digests; *read* counts the bytes it gave."""

    def __init__(self, **objects):
        self.objects = {name.replace("_", "."): data for name, data in objects.items()}
        self.read = 0

    async def resolve(self, ref):
        entries = [
            Entry(path=path, size_bytes=len(data), etag=hashlib.md5(data).hexdigest(), key=path)
            for path, data in self.objects.items()
        ]
        return listing.listing(ref, "granite", entries)

    def read_into(self, entry, offset, buffer, *, end=None):
        data = self.objects[entry.path][offset:end][: len(buffer)]
        buffer[: len(data)] = data
        self.read += len(data)
        return len(data)

    def close(self):
        pass


OLD = {"same_bin": b"s" * 500, "weights_bin": b"o" * 300}
NEW = {"same_bin": b"s" * 500, "weights_bin": b"n" * 400}


async def pulled(volume, source, *, making_room=False):
    told = []
    order = await flow.decide(source, volume, REF, choices=Choices(expect="any"))
    done = await flow.fulfil(replace(order, replace=making_room), source, volume, emit=told.append)
    return done, told


@pytest.fixture
async def volume(tmp_path, monkeypatch):
    """A volume with the old version; files of any size are worth sharing."""
    monkeypatch.setattr(sharing, "WORTH_BYTES", 1)
    made = find.create_volume(tmp_path / "volume")
    await pulled(made, Objects(**OLD))
    return made


def versions(volume):
    return [manifest.version for manifest in volume.manifests()]


async def test_the_old_version_goes_and_what_both_have_is_not_fetched_again(volume):
    (old,) = versions(volume)
    source = Objects(**NEW)
    done, told = await pulled(volume, source, making_room=True)
    assert versions(volume) == [done.version] != [old]
    assert source.read == 400
    assert [event.path for event in told if isinstance(event, FilePulled)] == ["weights.bin"]
    (removed,) = [event for event in told if isinstance(event, OldRemoved)]
    assert (removed.versions, removed.size_bytes) == ((old,), 300)
    manifest = volume.manifest("granite")
    assert (volume.directory(manifest) / "same.bin").read_bytes() == b"s" * 500
    assert not volume.leftovers()
    assert volume.current("granite") == done.version


async def test_a_kept_file_is_hashed_again_and_fetched_where_it_is_not_what_it_was(volume):
    manifest = volume.manifest("granite")
    (volume.directory(manifest) / "same.bin").write_bytes(b"x" * 500)
    source = Objects(**NEW)
    await pulled(volume, source, making_room=True)
    assert source.read == 900
    assert (volume.directory(volume.manifest("granite")) / "same.bin").read_bytes() == b"s" * 500


async def test_nothing_is_removed_where_the_new_version_would_not_fit_even_then(volume, monkeypatch):
    (old,) = versions(volume)
    monkeypatch.setattr(type(volume), "free_bytes", lambda self: 10)
    with pytest.raises(VolumeFull, match=r"5\.00 kB are to come"):
        await pulled(volume, Objects(big_bin=b"b" * 5000), making_room=True)
    assert versions(volume) == [old]


async def test_an_unchanged_source_removes_nothing(volume):
    before = versions(volume)
    await pulled(volume, Objects(**OLD), making_room=True)
    assert versions(volume) == before


async def test_without_being_asked_nothing_goes_and_what_both_have_is_shared(volume):
    """Not fetched, once on the disk, and said; the older version stays what it was."""
    (old,) = versions(volume)
    source = Objects(**NEW)
    done, told = await pulled(volume, source)
    assert len(versions(volume)) == 2
    assert source.read == 400
    (shared,) = [event for event in told if isinstance(event, FilesShared)]
    assert (shared.versions, shared.files, shared.size_bytes) == ((old,), 1, 500)
    folders = [volume.directory(volume.manifest("granite", version)) for version in (old, done.version)]
    assert [(folder / "same.bin").read_bytes() for folder in folders] == [b"s" * 500] * 2
    assert (await verify(volume, volume.manifest("granite"))).bad == 0
    volume.remove("granite", old)
    assert (folders[1] / "same.bin").read_bytes() == b"s" * 500


async def test_small_files_are_not_worth_it(volume, monkeypatch):
    monkeypatch.setattr(sharing, "WORTH_BYTES", 501)
    source = Objects(**NEW)
    await pulled(volume, source)
    assert source.read == 900


async def test_bit_rot_is_not_handed_on(volume):
    (volume.directory(volume.manifest("granite")) / "same.bin").write_bytes(b"x" * 500)
    source = Objects(**NEW)
    _, told = await pulled(volume, source)
    assert source.read == 900
    assert not [event for event in told if isinstance(event, FilesShared)]
    assert (volume.directory(volume.manifest("granite")) / "same.bin").read_bytes() == b"s" * 500


async def test_what_is_adopted_is_not_linked(tmp_path):
    """Others may write to it in place."""
    volume = find.create_volume(tmp_path / "volume")
    loose(volume.root / "Granite", {"same.bin": b"s" * 500})
    listed = volume.adopt(adoption("Granite", "granite"), progress=lambda count: None)
    with volume.stage("granite", "v2", "t") as staging:
        staging.take(listed, listed.files[0], progress=lambda count: None)
        assert (volume.root / "Granite" / "same.bin").stat().st_nlink == 1


async def test_a_reflink_is_asked_for_first(volume, monkeypatch):
    """It is a file of its own: what rots in one does not rot in the other."""

    def clone(self, source, descriptor):
        os.write(descriptor, source.read_bytes())

    monkeypatch.setattr("lading.volume.fs.Fs.clone", clone)
    await pulled(volume, Objects(**NEW))
    assert (volume.directory(volume.manifest("granite")) / "same.bin").stat().st_nlink == 1


async def test_through_an_agent_it_is_shared_too(volume):
    remote = RemoteVolume(lambda: in_process(volume.root), shown="pvc://models")
    try:
        source = Objects(**NEW)
        _, told = await pulled(remote, source)
    finally:
        remote.close()
    assert source.read == 400
    assert [event.size_bytes for event in told if isinstance(event, FilesShared)] == [500]


@pytest.mark.parametrize("making_room", [True, False])
async def test_a_file_system_without_second_names_fetches_all(volume, monkeypatch, making_room):
    def no_links(self, old, new):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr("lading.volume.fs.Fs.link", no_links)
    monkeypatch.setattr("lading.volume.fs.Fs.clone", no_links)
    source = Objects(**NEW)
    await pulled(volume, source, making_room=making_room)
    assert source.read == 900
