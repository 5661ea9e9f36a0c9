"""`lading pull hf://…`: one set of weights of a pinned commit, held to the hub's digests; no token where none belongs."""

import dataclasses
import json
import os

import pytest
from tests.testbed.hub import download

from lading.errors import VerificationFailed
from lading.events import FilePulled, Notice, PullPlanned
from lading.flows import pull as flow
from lading.sources.hub import HubSource
from lading.spec.ref import parse
from lading.testing import hub as hubs
from lading.volume import find

EXTRA = {
    "README.md": b"# Tiny",
    "pytorch_model.bin": os.urandom(100_000),
    "onnx/model.onnx": os.urandom(50_000),
    "LICENSE": b"free",
}


@pytest.fixture
def tiny(hub, tiny_hf):
    """A model of two shards beside the same as a pickle and for ONNX."""
    repository = hub.repository("acme/Tiny")
    repository.commit_folder(tiny_hf)
    repository.commit(EXTRA)
    return repository


@pytest.fixture
def wanted(tiny_hf):
    """What of it belongs on a volume."""
    model = {file.name: file.read_bytes() for file in tiny_hf.iterdir()}
    return {**model, "README.md": EXTRA["README.md"], "LICENSE": EXTRA["LICENSE"]}


def files_of(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def manifest_of(volume):
    (file,) = (volume / ".lading/manifests/tiny").iterdir()
    return json.loads(file.read_text())


async def pulled(tmp_path, emit=lambda event: None, ref="hf://acme/Tiny", **options):
    """In this process: what is told may change the hub meanwhile."""
    source = HubSource()
    volume = find.create_volume(tmp_path / "volume")
    try:
        return await flow.pull(source, volume, parse(ref), emit=emit, **options)
    finally:
        source.close()


def test_a_model_of_the_hub_is_published_as_one_set(lading, tmp_path, tiny, wanted):
    completed = lading("pull", "hf://acme/Tiny", "volume")
    assert completed.returncode == 0, completed.stderr
    assert files_of(tmp_path / "volume/tiny/current/") == wanted
    assert "one set of weights is taken, safetensors, and not bin, onnx/: 2 files, 150 kB saved" in completed.stderr
    manifest = manifest_of(tmp_path / "volume")
    assert manifest["source"]["ref"] == f"hf://acme/Tiny@{tiny.refs['main']}"
    assert manifest["format"] == "huggingface"


def test_what_is_left_out_is_shown_before_and_all_of_it_may_be_asked_for(lading, tmp_path, tiny, wanted):
    shown = lading("pull", "hf://acme/Tiny", "volume", "--dry-run")
    assert "150 kB saved" in shown.stderr
    assert "pytorch_model.bin" not in shown.stdout
    (planned,) = map(
        json.loads, lading("pull", "hf://acme/Tiny", "v", "--dry-run", "--format", "json").stdout.splitlines()
    )
    assert (planned["left_out_files"], planned["left_out_bytes"]) == (2, 150_000)
    completed = lading("pull", "hf://acme/Tiny", "volume", "--prefer", "all", "--exclude", "onnx/")
    assert files_of(tmp_path / "volume/tiny/current/") == {**wanted, "pytorch_model.bin": EXTRA["pytorch_model.bin"]}
    assert "pytorch_model.bin: pickles" in completed.stderr


def test_two_choices_are_two_versions(lading, tmp_path, tiny):
    lading("pull", "hf://acme/Tiny", "volume")
    lading("pull", "hf://acme/Tiny", "volume", "--prefer", "all")
    assert lading("pull", "hf://acme/Tiny", "volume").stdout.count("is unchanged") == 1
    versions = [path.name for path in (tmp_path / "volume/tiny").iterdir() if path.name != "current"]
    assert len(versions) == 2
    assert tiny.refs["main"][:12] in versions


@pytest.mark.parametrize("logged_in", [False, True])
def test_a_gated_model_is_refused_before_anything_is_written(lading, tmp_path, hub, tiny, logged_in):
    tiny.gated = True
    token = hub.token()
    completed = lading("pull", "hf://acme/Tiny", "volume", env={"HF_TOKEN": token if logged_in else ""})
    assert completed.returncode == 1
    assert f"accept the terms at {hub.url}/acme/Tiny" in completed.stderr
    assert token not in completed.stderr
    assert not (tmp_path / "volume").exists()


def test_a_token_is_nowhere_but_in_requests_to_the_hub(lading, tmp_path, hub, tiny, wanted):
    tiny.private = tiny.gated = True
    token = hub.token(tiny)
    completed = lading(
        "pull", "hf://acme/Tiny", "volume", "--format", "json", env={"HF_TOKEN": token, "LADING_DEBUG": "1"}
    )
    assert completed.returncode == 0, completed.stderr
    assert files_of(tmp_path / "volume/tiny/current/") == wanted
    said = completed.stdout + completed.stderr
    stored = [data for data in files_of(tmp_path).values() if token.encode() in data]
    assert token not in said
    assert "Signature" not in said
    assert not stored
    assert not [one for one in hub.asked if one.cdn and token in f"{one.path} {one.headers}"]
    assert [one for one in hub.asked if not one.cdn and one.headers.get("authorization") == f"Bearer {token}"]


async def test_what_main_becomes_meanwhile_is_no_concern(tmp_path, tiny, wanted):
    """The commit is that of the start; the next pull brings the new one."""

    def move(event):
        if isinstance(event, PullPlanned):
            tiny.commit({"config.json": b"{}", "README.md": None, "model-00001-of-00002.safetensors": b"other"})

    first = tiny.refs["main"]
    done = await pulled(tmp_path, move)
    assert files_of(tmp_path / "volume/tiny/current/") == wanted
    assert manifest_of(tmp_path / "volume")["source"]["ref"] == f"hf://acme/Tiny@{first}"
    assert done.files == len(wanted)
    assert tiny.refs["main"] != first


async def test_links_that_end_in_the_middle_are_asked_for_anew(tmp_path, hub, tiny, wanted):
    def end(event):
        if isinstance(event, FilePulled):
            hub.end_links()

    await pulled(tmp_path, end)
    assert files_of(tmp_path / "volume/tiny/current/") == wanted


async def test_a_busy_hub_is_waited_for(tmp_path, hub, tiny, wanted):
    """While it lists, and while it is read."""
    hub.be_busy(2, retry_after_s=0)

    def busy(event):
        if isinstance(event, PullPlanned):
            hub.be_busy(3, retry_after_s=0)

    await pulled(tmp_path, busy)
    assert files_of(tmp_path / "volume/tiny/current/") == wanted


async def test_a_big_file_costs_one_question_whatever_the_number_of_its_ranges(tmp_path, hub):
    repository = hub.repository("acme/Big")
    data = os.urandom(40 << 20)
    repository.commit({"model.bin": data, "note.txt": b"x"})
    await pulled(tmp_path, ref="hf://acme/Big", choices=flow.Choices(expect="any"))
    questions = [one for one in hub.asked if "/resolve/" in one.path and "model.bin" in one.path]
    assert len(questions) == 1
    assert hub.sent_bytes < len(data) * 1.01
    assert (tmp_path / "volume/big/current/model.bin").read_bytes() == data


@pytest.mark.parametrize("path", ["model-00001-of-00002.safetensors", "config.json", "README.md"])
async def test_bytes_that_are_not_the_hubs_are_never_published(tmp_path, tiny, path):
    """Of a big file by its SHA-256, of a small one by git's name."""
    honest = tiny.commits[tiny.refs["main"]][path]
    data = bytearray(honest.content())
    data[-1] ^= 1
    lying = Lying(**{**_fields(honest), "data": bytes(data), "place": None, "name": honest.oid})
    for files in tiny.commits.values():
        if path in files:
            files[path] = lying
    with pytest.raises(VerificationFailed):
        await pulled(tmp_path, choices=flow.Choices(expect="any"))
    assert not (tmp_path / "volume/tiny/current").exists()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lying(hubs.HubFile):
    """Has other bytes than its names say."""

    name: str

    @property
    def oid(self):
        return self.name


def _fields(file):
    return {field.name: getattr(file, field.name) for field in dataclasses.fields(file)}


# -------------------------------------------------------------------------------------------------------------- cache


@pytest.fixture
def cached(tiny):
    """The cache of the real client, which was here before."""
    return download("acme/Tiny").parent.parent


def test_what_the_hubs_cache_has_is_not_fetched_again(lading, tmp_path, hub, cached, wanted):
    before = hub.sent_bytes
    completed = lading("pull", "hf://acme/Tiny", "volume")
    assert completed.returncode == 0, completed.stderr
    assert files_of(tmp_path / "volume/tiny/current/") == wanted
    assert hub.sent_bytes == before


def test_a_cached_file_with_wrong_bytes_is_fetched(lading, tmp_path, hub, tiny, cached, wanted):
    """It has its name and its size, and is not believed."""
    shard = tiny.commits[tiny.refs["main"]]["model-00001-of-00002.safetensors"]
    blob = cached / "blobs" / shard.sha256
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    before = hub.sent_bytes
    completed = lading("pull", "hf://acme/Tiny", "volume")
    assert completed.returncode == 0, completed.stderr
    assert files_of(tmp_path / "volume/tiny/current/") == wanted
    assert hub.sent_bytes - before == shard.size_bytes


def test_offline_the_cache_is_pulled(lading, tmp_path, hub, cached, wanted):
    hub.asked.clear()
    completed = lading("pull", "hf://acme/Tiny", "volume", env={"HF_HUB_OFFLINE": "1"})
    assert completed.returncode == 0, completed.stderr
    assert files_of(tmp_path / "volume/tiny/current/") == wanted
    assert not hub.asked


def test_a_mirror_may_be_named_on_the_command_line(lading, tmp_path, hub, tiny, wanted):
    completed = lading(
        "pull", "hf://acme/Tiny", "volume", "--endpoint", hub.url, env={"HF_ENDPOINT": "http://127.0.0.1:9"}
    )
    assert completed.returncode == 0, completed.stderr
    assert files_of(tmp_path / "volume/tiny/current/") == wanted


async def test_code_of_another_repository_is_named_at_pull(tmp_path, tiny):
    notes = []
    config = json.loads(tiny.commits[tiny.refs["main"]]["config.json"].content())
    tiny.commit({"config.json": json.dumps({**config, "auto_map": {"AutoModel": "acme/code--modeling.M"}}).encode()})
    tiny.commit({"modeling_tiny.py": b"pass"})
    await pulled(tmp_path, lambda event: notes.append(event.message) if isinstance(event, Notice) else None)
    assert any("modeling_tiny.py: code of the model's author" in note for note in notes)
    assert any("acme/code" in note for note in notes)


def test_a_folder_is_chosen_from_alike(lading, tmp_path, tiny_hf):
    """One set of weights is taken of every source."""
    folder = tmp_path / "Copy"
    folder.mkdir()
    for file in tiny_hf.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"x" * 1000)
    completed = lading("pull", folder, "volume")
    assert "1 file, 1.00 kB saved" in completed.stderr
    assert not (tmp_path / "volume/copy/current/pytorch_model.bin").exists()
