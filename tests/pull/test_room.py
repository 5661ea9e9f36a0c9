"""Room for one copy only: the old version goes before the new one comes, and what both have is kept."""

import hashlib
from dataclasses import replace

import pytest

from lading.errors import VolumeFull
from lading.events import FilePulled, OldRemoved
from lading.flows import pull as flow
from lading.spec.pull import Choices
from lading.spec.ref import parse
from lading.volume import find
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

    def read_into(self, entry, offset, buffer):
        data = self.objects[entry.path][offset : offset + len(buffer)]
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
async def volume(tmp_path):
    """A volume with the old version."""
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


async def test_without_being_asked_nothing_goes(volume):
    await pulled(volume, Objects(**NEW))
    assert len(versions(volume)) == 2


async def test_a_file_system_without_second_names_fetches_all(volume, monkeypatch):
    def no_links(self, old, new):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr("lading.volume.fs.Fs.link", no_links)
    source = Objects(**NEW)
    await pulled(volume, source, making_room=True)
    assert source.read == 900
