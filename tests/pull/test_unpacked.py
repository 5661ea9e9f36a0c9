"""Pulling an archive: what is published, when nothing is to be done, and that nothing is when it is not what it should be."""

import asyncio
import hashlib
import random

import pytest
from tests.weights.tars import COMPRESS, packed

from lading.errors import FormatRefused, HostileName, InvalidInput, VerificationFailed
from lading.events import Notice, Published, Unchanged
from lading.flows import pull
from lading.sources.http import HttpSource
from lading.spec.pull import Choices
from lading.spec.ref import SourceRef
from lading.testing import web
from lading.testing.web import Swap
from lading.volume import find


@pytest.fixture
def files(tiny_hf):
    return {path.name: path.read_bytes() for path in tiny_hf.iterdir()}


@pytest.fixture
def server():
    with web.serving() as running:
        yield running


@pytest.fixture
def volume(tmp_path):
    return find.create_volume(tmp_path / "volume")


def pulled(server, volume, name, **choices):
    chosen = Choices(**choices)
    source = HttpSource(choices=chosen)
    ref = SourceRef(scheme="http", location=f"{server.url.removeprefix('http://')}/{name}")
    events = []
    try:
        asyncio.run(pull.pull(source, volume, ref, choices=chosen, emit=events.append))
    finally:
        source.close()
    return events


def published(volume, model="tiny"):
    manifest = volume.manifest(model)
    folder = volume.directory(manifest)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["tiny.tar", "tiny.tar.gz", "tiny.tgz"])
def test_an_archive_becomes_a_model_of_its_files(server, volume, files, name):
    data = packed({f"Tiny-1B/{path}": content for path, content in files.items()})
    server.files[name] = data if name.endswith("tar") else COMPRESS["tar.gz"](data)
    assert isinstance(pulled(server, volume, name)[-1], Published)
    assert published(volume) == files
    manifest = volume.manifest("tiny")
    assert manifest.format == "huggingface"
    assert {file.sha256 for file in manifest.files} == {
        hashlib.sha256(content).hexdigest() for content in files.values()
    }


def test_the_same_archive_again_is_unchanged_and_not_fetched(server, volume, files):
    server.files["tiny.tar.gz"] = COMPRESS["tar.gz"](packed(files))
    pulled(server, volume, "tiny.tar.gz")
    before = server.sent["tiny.tar.gz"]
    assert isinstance(pulled(server, volume, "tiny.tar.gz")[-1], Unchanged)
    assert server.sent["tiny.tar.gz"] == before
    server.files["tiny.tar.gz"] = COMPRESS["tar.gz"](packed({**files, "README.md": b"# New"}))
    assert isinstance(pulled(server, volume, "tiny.tar.gz")[-1], Published)


def test_patterns_hold_for_the_files_of_an_archive(server, volume, files):
    content = {**files, "pytorch_model.bin": b"pickled"}
    server.files["tiny.tar.gz"] = COMPRESS["tar.gz"](packed(content))
    pulled(server, volume, "tiny.tar.gz", exclude=("*.bin", "*.gz"))
    assert published(volume) == files
    assert isinstance(pulled(server, volume, "tiny.tar.gz")[-1], Published), "without the pattern it is other content"


def test_one_set_of_weights_cannot_be_chosen_from_a_stream(server, volume, files):
    server.files["tiny.tar.gz"] = COMPRESS["tar.gz"](packed(files))
    with pytest.raises(InvalidInput, match="while it is unpacked"):
        pulled(server, volume, "tiny.tar.gz", prefer="safetensors")


def test_a_digest_beside_it_is_said_and_held(server, volume, files):
    server.files["tiny.tar.gz"] = data = COMPRESS["tar.gz"](packed(files))
    server.files["SHA256SUMS"] = f"{hashlib.sha256(data).hexdigest()}  tiny.tar.gz\n".encode()
    notes = [event.message for event in pulled(server, volume, "tiny.tar.gz") if isinstance(event, Notice)]
    assert notes == [f"its SHA-256 is held to {server.url}/SHA256SUMS"]


@pytest.mark.parametrize("name", ["tiny.tar", "tiny.tar.gz", "tiny.gguf"])
@pytest.mark.parametrize("given", [True, False])
def test_a_wrong_digest_publishes_nothing(server, volume, files, tiny_gguf, name, given):
    kind = {"tiny.tar": "tar", "tiny.tar.gz": "tar.gz"}.get(name)
    server.files[name] = COMPRESS[kind](packed(files)) if kind else tiny_gguf.read_bytes()
    choices = {"sha256": "0" * 64} if given else {}
    if not given:
        server.files[f"{name}.sha256"] = b"0" * 64
    with pytest.raises(VerificationFailed, match="SHA-256"):
        pulled(server, volume, name, **choices)
    assert list(volume.manifests()) == []


def test_an_archive_that_is_replaced_meanwhile_is_taken_as_it_is_then(server, volume, files):
    """Whole: no file of the one before is among its files."""
    old = {**files, "old.txt": b"old", "z.bin": random.Random(1).randbytes(600_000)}
    new = {**files, "new.txt": b"new"}
    server.files["tiny.tgz"] = COMPRESS["tar.gz"](packed(old))
    server.plan("tiny.tgz", Swap(300_000, COMPRESS["tar.gz"](packed(new))))
    pulled(server, volume, "tiny.tgz", expect="any")
    assert published(volume) == new


@pytest.mark.parametrize(
    ("content", "error"),
    [({"../x.joblib": b"1"}, HostileName), ({"README.md": b"no model"}, FormatRefused)],
)
def test_what_is_hostile_or_no_model_publishes_nothing(server, volume, content, error):
    server.files["m.tar.gz"] = COMPRESS["tar.gz"](packed(content))
    with pytest.raises(error):
        pulled(server, volume, "m.tar.gz")
    assert list(volume.manifests()) == []
    assert not (volume.root.parent / "x.joblib").exists()


def test_a_pull_of_a_plain_tar_that_was_cut_off_goes_on(server, volume):
    """Files that were finished are not fetched again: they are ranges of the archive."""
    content = {f"m/part-{number}.bin": bytes([number]) * 300_000 for number in range(8)}
    server.files["m.tar"] = packed(content)
    source_bytes = sum(map(len, content.values()))
    ref = SourceRef(scheme="http", location=f"{server.url.removeprefix('http://')}/m.tar")

    async def cut_off():
        source = HttpSource()
        seen = []
        running = asyncio.ensure_future(
            pull.pull(
                source, volume, ref, choices=Choices(expect="any"), emit=lambda event: seen.append(event) or stop(event)
            )
        )

        def stop(event):
            if event.event == "file_pulled":
                running.cancel()

        try:
            await running
        except asyncio.CancelledError:
            pass
        finally:
            source.close()
        return [event for event in seen if event.event == "file_pulled"]

    finished = asyncio.run(cut_off())
    before = server.sent["m.tar"]
    pulled(server, volume, "m.tar", expect="any")
    assert finished
    assert server.sent["m.tar"] - before <= source_bytes - len(finished) * 300_000 + (4 << 16) * 8
    assert published(volume, "m") == {path.removeprefix("m/"): data for path, data in content.items()}
