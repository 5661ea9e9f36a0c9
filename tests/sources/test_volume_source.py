"""A version on a volume as a source: here, and through an agent; each file is held to its manifest."""

import asyncio
import hashlib

import pytest

from lading.errors import InvalidInput, InvalidReference, LadingError, SourceError, SourceMissing
from lading.flows import pull as flow
from lading.sources.local import LocalSource
from lading.sources.volume import VolumeSource
from lading.spec.pull import Choices
from lading.spec.ref import ClaimRef, LocalRef, parse
from lading.testing.agents import BreakingChannel, in_process
from lading.testing.sources import SourceContract
from lading.volume import find
from lading.volume.remote import RemoteVolume

ANY = Choices(expect="any")


class Published:
    """A model on a volume: what is put there is published as a next version when somebody looks."""

    def __init__(self, folder, open_volume=None):
        self.folder = folder / "model"
        self.root = folder / "volume"
        self.ref = ClaimRef(claim="models", model="one")
        self.missing_ref = ClaimRef(claim="models", model="missing")
        self._open = open_volume or find.open_volume
        self._changed = False
        self._opened = []

    def source(self):
        volume = find.create_volume(self.root)
        if self._changed:
            asyncio.run(flow.pull(LocalSource(), volume, LocalRef(path=str(self.folder)), model="one", choices=ANY))
        self._changed = False
        self._opened.append(self._open(self.root))
        return VolumeSource(self._opened[-1])

    def put(self, path, data):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        self._changed = True

    def remove(self, path):
        (self.folder / path).unlink()
        self._changed = True

    def close(self):
        for volume in self._opened:
            if isinstance(volume, RemoteVolume):
                volume.close()


def remote(root):
    return RemoteVolume(lambda: in_process(root, read_only=True), shown="pvc://models")


class TestHere(SourceContract):
    @pytest.fixture
    def origin(self, tmp_path):
        return Published(tmp_path)


class TestThroughAnAgent(SourceContract):
    @pytest.fixture
    def origin(self, tmp_path):
        made = Published(tmp_path, remote)
        yield made
        made.close()


@pytest.fixture(params=[find.open_volume, remote], ids=["here", "agent"])
def claim(request, tmp_path):
    """A claim with one model, pulled as v7 from a folder."""
    made = Published(tmp_path / "claim", request.param)
    made.put("weights.bin", b"w" * 3_000_000)
    made.put("config.json", b"{}")
    volume = find.create_volume(made.root)
    ref = LocalRef(path=str(made.folder))
    asyncio.run(flow.pull(LocalSource(), volume, ref, model="org/one", version="v7", choices=ANY))
    made.ref = parse("pvc://models/org/one")
    made._changed = False
    yield made
    made.close()


def bring(claim, folder, ref=None, **options):
    """A pull from *claim* onto the volume at *folder*."""
    volume = find.create_volume(folder)
    source = claim.source()
    try:
        return volume, asyncio.run(flow.pull(source, volume, ref or claim.ref, choices=ANY, **options))
    finally:
        source.close()


def test_a_model_comes_with_its_name_its_version_and_where_it_is_from(claim, tmp_path):
    volume, done = bring(claim, tmp_path / "volume")
    assert (done.event, done.model, done.version) == ("published", "org/one", "v7")
    theirs = find.open_volume(claim.root).manifest("org/one")
    ours = volume.manifest("org/one")
    assert (ours.files, ours.source) == (theirs.files, theirs.source)
    for file in ours.files:
        assert hashlib.sha256((volume.directory(ours) / file.path).read_bytes()).hexdigest() == file.sha256


def test_what_came_from_the_same_origin_is_unchanged(claim, tmp_path):
    bring(claim, tmp_path / "volume", version="other")
    volume, done = bring(claim, tmp_path / "volume")
    assert (done.event, done.version) == ("unchanged", "other")
    assert len(list(volume.manifests())) == 1


def test_a_version_of_that_name_with_other_content_is_not_replaced(claim, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "weights.bin").write_bytes(b"other")
    volume = find.create_volume(tmp_path / "volume")
    asyncio.run(flow.pull(LocalSource(), volume, LocalRef(path=str(other)), model="org/one", version="v7", choices=ANY))
    with pytest.raises(InvalidInput, match="a version never changes"):
        bring(claim, tmp_path / "volume")


def test_bytes_that_are_not_those_of_the_manifest_are_never_published(claim, tmp_path):
    damaged = claim.root / "org/one/v7/weights.bin"
    damaged.chmod(0o644)
    with damaged.open("r+b") as file:
        file.seek(2_000_000)
        file.write(b"x")
    with pytest.raises(LadingError, match=r"weights\.bin"):
        bring(claim, tmp_path / "volume")
    assert not list(find.open_volume(tmp_path / "volume").manifests())


def test_a_file_that_was_removed_by_hand_is_named(claim, tmp_path):
    (claim.root / "org/one/v7/weights.bin").unlink()
    with pytest.raises(SourceError, match=r"org/one/v7/weights\.bin"):
        bring(claim, tmp_path / "volume")


def test_a_claim_alone_names_no_model(claim, tmp_path):
    with pytest.raises(InvalidReference, match="names no model"):
        bring(claim, tmp_path / "volume", ClaimRef(claim="models"))


def test_what_is_not_published_is_named_as_the_user_named_it(claim, tmp_path):
    with pytest.raises(SourceMissing) as caught:
        bring(claim, tmp_path / "volume", parse("pvc://demo:models/org/on@v8"))
    assert "pvc://demo:models/org/on@v8" in caught.value.message
    assert str(claim.root) not in caught.value.message + (caught.value.hint or "")


def test_a_published_version_comes_whole_and_is_what_its_manifest_says(tmp_path):
    """Two sets of weights that were chosen once, and a format that nobody asked about, are no question again."""
    made = Published(tmp_path / "claim")
    for name in ("model.safetensors", "pytorch_model.bin", "config.json"):
        made.put(name, b"{}")
    volume = find.create_volume(made.root)
    whole = Choices(expect="any", prefer="all")
    asyncio.run(flow.pull(LocalSource(), volume, LocalRef(path=str(made.folder)), model="one", choices=whole))
    made._changed = False
    copy = find.create_volume(tmp_path / "volume")
    asyncio.run(flow.pull(made.source(), copy, made.ref))
    assert copy.manifest("one").files == volume.manifest("one").files


def test_a_stream_that_breaks_is_made_again(claim, tmp_path):
    """In the middle of a file, and before its first byte: what was read counts, and nothing is read wrong."""
    breaks = iter([5_000, 700_000, 2_500_000])
    cut = RemoteVolume(
        lambda: BreakingChannel(in_process(claim.root, read_only=True), received=next(breaks, None)),
        shown="pvc://models",
    )
    volume = find.create_volume(tmp_path / "volume")
    try:
        asyncio.run(flow.pull(VolumeSource(cut), volume, claim.ref, choices=ANY))
    finally:
        cut.close()
    assert next(breaks, None) is None
    assert volume.manifest("org/one").files == find.open_volume(claim.root).manifest("org/one").files
