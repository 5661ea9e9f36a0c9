"""Repair: what is broken comes again from its source, held to the manifest; nothing else is touched, nothing half done."""

import json
import os

import pytest

from lading import wiring
from lading.errors import ModelBusy, SourceChanged, VerificationFailed, VolumeError
from lading.flows import repair as flow
from lading.flows import verify as verifying
from lading.spec import ref as refs
from lading.testing.agents import in_process
from lading.testing.volume import files_of
from lading.volume import find
from lading.volume.remote import RemoteVolume

CONTENT = {"model.joblib": b"pickle" * 1000, "sub/notes.txt": b"notes", "big.bin": os.urandom(1 << 20), "empty": b""}


@pytest.fixture
def source(tmp_path):
    """The folder that the version was pulled from."""
    folder = tmp_path / "Granite"
    for path, data in CONTENT.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture
def volume(lading, source, tmp_path):
    done = lading("pull", str(source), str(tmp_path / "vol"), "--version", "v1")
    assert done.returncode == 0, done.stderr
    return find.open_volume(tmp_path / "vol")


@pytest.fixture
def ran(lading, tmp_path):
    def run(*arguments):
        return lading("verify", "vol/granite", "--repair", *arguments, cwd=tmp_path)

    return run


def place(volume):
    return volume.directory(volume.manifest("granite"))


def damage(volume):
    """One file of each kind of damage; what is sound keeps its inode."""
    folder = place(volume)
    (folder / "model.joblib").write_bytes(CONTENT["model.joblib"].upper())
    (folder / "big.bin").write_bytes(b"cut")
    (folder / "sub" / "notes.txt").unlink()
    (folder / "sub").rmdir()
    return (folder / "empty").stat().st_ino


def test_what_is_broken_is_replaced_and_nothing_else(ran, volume):
    manifest, sound = volume.manifest("granite"), damage(volume)
    done = ran("--yes", "--format", "json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    [planned], [repaired] = ([one for one in events if one["event"] == name] for name in ("repair_planned", "repaired"))
    assert planned["files"] == repaired["files"] == ["big.bin", "model.joblib", "sub/notes.txt"]
    assert planned["size_bytes"] == sum(len(CONTENT[path]) for path in planned["files"])
    assert files_of(place(volume)) == CONTENT
    assert (place(volume) / "empty").stat().st_ino == sound
    assert volume.manifest("granite") == manifest
    assert volume.leftovers() == ()
    assert not list((volume.root / ".lading/incoming").iterdir())
    assert [json.loads(line)["what"] for line in (volume.root / ".lading/history.jsonl").open()][-1] == "repair"


def test_a_dry_run_and_nobody_to_ask_change_nothing(ran, volume):
    damage(volume)
    before = files_of(volume.root)
    planned = ran("--dry-run")
    assert planned.returncode == VerificationFailed.exit_code
    assert "  to fetch: big.bin, 1.05 MB\n" in planned.stderr
    refused = ran()
    assert refused.returncode == 2
    assert "Fetch 3 files, 1.05 MB, of granite@v1 again from " in refused.stderr
    assert files_of(volume.root) == before


def test_what_does_not_belong_there_goes_with_yes_alone(ran, volume, source):
    (place(volume) / "extra").mkdir()
    (place(volume) / "extra" / ".x.pkl").write_bytes(b"")
    (place(volume) / "b.joblib").write_bytes(b"")
    left = ran("--dry-run")
    assert left.returncode == 4
    assert "sklearnserver refuses to start: it wants exactly one model file" in left.stderr
    assert "does not belong there: b.joblib (stays; --yes removes it, too)" in left.stderr
    done = ran("--yes")
    assert (done.returncode, done.stdout) == (0, "granite@v1 was repaired: 0 files replaced, 0 B; 2 files removed\n")
    assert files_of(place(volume)) == CONTENT
    assert not (place(volume) / "extra").exists()


def test_a_source_with_other_bytes_mends_nothing(ran, volume, source, tmp_path):
    """Another size is seen before anything is fetched, other bytes of that size before anything is replaced."""
    damage(volume)
    before = files_of(place(volume))
    (source / "big.bin").write_bytes(bytes(len(CONTENT["big.bin"])))
    refused = ran("--yes")
    assert (refused.returncode, "has other bytes now: big.bin" in refused.stderr) == (1, True), refused.stderr
    assert files_of(place(volume)) == before
    (source / "big.bin").write_bytes(b"longer" * 1_000_000)
    refused = ran("--yes")
    assert refused.returncode == 1
    assert "does not have big.bin as granite@v1 was published with it any more" in refused.stderr
    assert files_of(place(volume)) == before
    other = tmp_path / "elsewhere"
    other.mkdir()
    for path, data in CONTENT.items():
        (other / path).parent.mkdir(exist_ok=True)
        (other / path).write_bytes(data)
    assert ran("--yes", "--source", str(other)).returncode == 0
    assert files_of(place(volume)) == CONTENT


def test_an_adopted_folder_says_nothing_of_its_source(lading, ran, tmp_path, source):
    source.rename(tmp_path / "granite")
    assert lading("adopt", "granite", "--expect", "any", cwd=tmp_path).returncode == 0
    (tmp_path / "granite" / "empty").write_bytes(b"x")
    refused = lading("verify", "granite", "--repair", "--yes", cwd=tmp_path)
    assert refused.returncode == 2
    assert "nothing says where its files came from" in refused.stderr


def test_options_that_do_not_go_together_are_refused(ran, lading, volume, tmp_path):
    assert "--quick reads no bytes" in ran("--quick").stderr
    assert "--source: only with --repair" in lading("verify", "vol", "--source", "x", cwd=tmp_path).stderr


async def test_no_repair_under_a_running_writer(volume, source):
    """Nor does one begin while another holds the model."""
    damage(volume)
    repair, adapter = await decided(volume, source)
    with volume.stage("granite", "v2", "t"), pytest.raises(ModelBusy):
        await flow.fulfil(repair, adapter, volume)


async def test_through_an_agent_it_is_the_same(volume, source):
    damage(volume)
    (place(volume) / "extra.pkl").write_bytes(b"")
    remote = RemoteVolume(lambda: in_process(volume.root), shown="pvc://models")
    try:
        repair, adapter = await decided(remote, source)
        done = await flow.fulfil(repair, adapter, remote, discard=True)
        assert (len(done.files), done.removed) == (3, ("extra.pkl",))
        assert (await verifying.verify(remote, remote.manifest("granite"))).bad == 0
    finally:
        remote.close()
    assert files_of(place(volume)) == CONTENT


async def test_an_interrupted_repair_goes_on_where_it_was(volume, source):
    """What was fetched is kept, nothing is replaced before all of it is there."""
    damage(volume)
    before = files_of(place(volume))
    repair, adapter = await decided(volume, source)

    class Fails:
        def __getattr__(self, name):
            return getattr(adapter, name)

        def read_into(self, entry, offset, buffer, *, end=None):
            if entry.path == "sub/notes.txt":
                raise SourceChanged("gone")
            return adapter.read_into(entry, offset, buffer, end=end)

    with pytest.raises(SourceChanged):
        await flow.fulfil(repair, Fails(), volume)
    assert files_of(place(volume)) == before
    read = []

    class Counts(Fails):
        def read_into(self, entry, offset, buffer, *, end=None):
            read.append(entry.path)
            return adapter.read_into(entry, offset, buffer, end=end)

    await flow.fulfil(repair, Counts(), volume)
    assert files_of(place(volume)) == CONTENT
    assert "big.bin" not in read


async def test_nothing_is_written_through_a_link(volume, source, tmp_path):
    """A folder of the version that became a link leads elsewhere: nothing is put there."""
    (place(volume) / "sub" / "notes.txt").unlink()
    (place(volume) / "sub").rmdir()
    (tmp_path / "away").mkdir()
    (place(volume) / "sub").symlink_to(tmp_path / "away")
    repair, adapter = await decided(volume, source)
    with pytest.raises(VolumeError, match="is a link"):
        await flow.fulfil(repair, adapter, volume)
    assert files_of(tmp_path / "away") == {}


async def decided(volume, source):
    """The repair of what is broken, and its source."""
    found, reference = [], refs.parse(str(source))
    with pytest.raises(VerificationFailed):
        await verifying.verify(volume, volume.manifest("granite"), emit=found.append)
    adapter = wiring.source(reference)
    bad = [event for event in found if event.event == "file_bad"]
    return await flow.decide(adapter, reference, volume.manifest("granite"), bad), adapter
