"""Verification: every kind of difference is found and named; progress is told; cancelling ends the threads."""

import asyncio
import threading

import pytest

from lading.errors import VerificationFailed
from lading.events import FileBad, Verified, VerifyProgress
from lading.flows import verify as flow
from lading.testing.volume import CONTENT, publish
from lading.volume import find


@pytest.fixture
def volume(tmp_path):
    return find.create_volume(tmp_path / "volume")


@pytest.fixture
def manifest(volume):
    publish(volume, "tiny", "v1", {**CONTENT, "other.bin": b"x" * 3_000_000})
    return volume.manifest("tiny")


async def test_what_is_sound_passes(volume, manifest):
    told = []
    result = await flow.verify(volume, manifest, emit=told.append)
    assert (result.files, result.size_bytes, result.bad) == (4, manifest.size_bytes, 0)
    assert told[-1] == result


@pytest.mark.parametrize(
    ("path", "damage", "problem"),
    [
        ("config.json", lambda file: file.unlink(), "missing"),
        ("sub/dir/weights.bin", lambda file: file.rename(file.with_name("moved")), "missing"),
        ("config.json", lambda file: file.write_bytes(b"{} "), "size"),
        ("config.json", lambda file: file.write_bytes(b"[]"), "sha256"),
        ("other.bin", lambda file: file.write_bytes(b"x" * 2_999_999 + b"y"), "sha256"),
        ("empty.bin", lambda file: (file.unlink(), file.mkdir()), "unreadable"),
    ],
)
async def test_each_damage_is_named(volume, manifest, path, damage, problem):
    damage(volume.directory(manifest) / path)
    told = []
    with pytest.raises(VerificationFailed) as failed:
        await flow.verify(volume, manifest, emit=told.append)
    bad = {event.path: event.problem for event in told if isinstance(event, FileBad)}
    assert {(event.model, event.version) for event in told if isinstance(event, FileBad)} == {("tiny", "v1")}
    assert bad.pop(path) == problem
    assert set(bad.values()) <= {"extra"}
    assert f"{path} ({problem})" in failed.value.message
    assert failed.value.exit_code == 4
    assert isinstance(told[-1], Verified)


async def test_all_damages_are_told_in_the_manifests_order(volume, manifest):
    directory = volume.directory(manifest)
    (directory / "other.bin").write_bytes(b"")
    (directory / "config.json").write_bytes(b"")
    (directory / "zz.pkl").write_bytes(b"")
    told = []
    with pytest.raises(VerificationFailed):
        await flow.verify(volume, manifest, emit=told.append)
    assert [event.path for event in told if isinstance(event, FileBad)] == ["config.json", "other.bin", "zz.pkl"]


async def test_progress_is_told_while_it_works(volume, manifest, monkeypatch):
    monkeypatch.setattr(flow, "PROGRESS_S", 0.001)
    gate = threading.Event()

    class Slow:
        cores = 2

        def hash_plain(self, *arguments):
            gate.wait(30)
            return volume.hash_plain(*arguments)

        def extra_files(self, manifest):
            return ()

    told = []

    def tell(event):
        told.append(event)
        gate.set()

    await flow.verify(Slow(), manifest, emit=tell)
    assert isinstance(told[0], VerifyProgress)
    assert told[0].total_bytes == manifest.size_bytes


async def test_cancelling_waits_until_the_threads_have_ended(volume, manifest):
    reading, go = threading.Event(), threading.Event()

    class Slow:
        def hash_plain(self, *arguments):
            reading.set()
            go.wait(30)
            return volume.hash_plain(*arguments)

        def extra_files(self, manifest):
            return ()

    task = asyncio.ensure_future(flow.verify(Slow(), manifest, threads=1))
    await asyncio.to_thread(reading.wait)
    task.cancel()
    threading.Timer(0.05, go.set).start()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lading-verify")]
