"""`lading push` to a real MinIO, and what a later pull makes of it."""

import json

import pytest
from tests.push.conftest import MODEL, TOTAL

import lading as api
from lading.errors import InvalidInput, SourceDenied, VerificationFailed
from lading.spec.credentials import ANONYMOUS_VARIABLE
from lading.testing import hub as hubs
from lading.testing import web

pytestmark = pytest.mark.real("minio")


def test_a_version_lies_in_the_bucket_with_its_manifest_beside_it(push, bucket, ref):
    """Exactly its files below the prefix, and the manifest where no reader of the prefix meets it."""
    said = push(ref, bucket.at("llm/granite"))
    assert bucket.holds("llm/granite/", MODEL)
    assert said.manifest == bucket.at("llm/.lading/manifests/granite.json")
    manifest, listed = json.loads(bucket.read("llm/.lading/manifests/granite.json")), api.manifest(ref)
    assert [(file["path"], file["sha256"]) for file in manifest["files"]] == [
        (file.path, file.sha256) for file in listed.files
    ]
    assert (manifest["model"], manifest["version"]) == ("granite", "v2")
    assert (said.sent_files, said.sent_bytes) == (len(MODEL), TOTAL)


def test_what_is_there_is_not_sent_again(push, bucket, ref, folder):
    """Neither by the same push, nor from the plain folder, whose files are compared by reading them."""
    push(ref, bucket.at("llm/granite/"))
    for source in (ref, folder):
        said = push(source, bucket.at("llm/granite/"))
        assert (said.sent_files, said.sent_bytes, said.files) == (0, 0, len(MODEL))


def test_files_that_somebody_else_uploaded_are_compared_not_sent(push, bucket, folder):
    """By the MD5 that a plain upload leaves."""
    for path in ("notes.txt", "empty"):
        bucket.put(f"llm/granite/{path}", MODEL[path])
    assert push(folder, bucket.at("llm/granite/")).sent_files == len(MODEL) - 2
    assert bucket.holds("llm/granite/", MODEL)


def test_a_pull_from_there_is_held_to_the_manifest(push, pull, bucket, ref, tmp_path):
    """The same files, version and origin; an object replaced by another of its size is refused."""
    push(ref, bucket.at("llm/granite/"))
    pull(bucket.at("llm/granite/"), tmp_path / "volume2")
    first, second = api.manifest(ref), api.manifest(tmp_path / "volume2/granite@v2")
    assert (second.sha256sums(), second.source) == (first.sha256sums(), first.source)
    bucket.put("llm/granite/notes.txt", bytes(len(MODEL["notes.txt"])))
    with pytest.raises(VerificationFailed, match=r"notes\.txt has SHA-256"):
        pull(bucket.at("llm/granite/"), tmp_path / "volume3")
    assert not (tmp_path / "volume3/granite").exists()


def test_a_pull_from_there_refuses_what_is_missing_and_names_what_is_more(push, pull, bucket, ref, tmp_path):
    push(ref, bucket.at("llm/granite/"))
    bucket.put("llm/granite/extra.pkl", b"x")
    said = []
    pull(bucket.at("llm/granite"), tmp_path / "volume2", emit=said.append)
    assert any("does not have extra.pkl" in event.message for event in said if event.event == "notice")
    bucket.client.delete_object(Bucket=bucket.name, Key="llm/granite/notes.txt")
    with pytest.raises(VerificationFailed, match=r"notes\.txt is not there"):
        pull(bucket.at("llm/granite"), tmp_path / "volume3")


def test_a_pull_of_all_above_it_takes_no_manifest_for_a_file(push, pull, bucket, ref, tmp_path):
    """`llm/` has a model and the manifest of that; the model's files are what a pull of it brings."""
    push(ref, bucket.at("llm/granite/"))
    pull(bucket.at("llm"), tmp_path / "volume2")
    listed = api.manifest(tmp_path / "volume2/llm")
    assert {file.path for file in listed.files} == {f"granite/{path}" for path in MODEL}


def test_a_manifest_that_is_none_is_refused(push, pull, bucket, ref, tmp_path):
    """Whoever may write beside the model could have put anything there."""
    push(ref, bucket.at("llm/granite/"))
    for text in (b"no json", b"{}", b"[" * 100_000, b'{"manifest_version": 2}'):
        bucket.put("llm/.lading/manifests/granite.json", text)
        with pytest.raises(VerificationFailed, match="cannot be read"):
            pull(bucket.at("llm/granite"), tmp_path / "volume2")


def test_bit_rot_on_the_volume_is_found_and_never_sent(push, bucket, ref, tmp_path):
    """Nothing of that file is at the store, not even an unfinished upload, and no manifest."""
    rotten = tmp_path / "volume/granite/v2/model.gguf"
    rotten.chmod(0o644)
    with rotten.open("r+b") as file:
        file.seek(9_000_000)
        file.write(bytes([MODEL["model.gguf"][9_000_000] ^ 1]))
    with pytest.raises(VerificationFailed, match=r"was not sent: model\.gguf") as caught:
        push(ref, bucket.at("llm/granite/"))
    assert f"lading verify {ref}" in caught.value.hint
    assert "llm/granite/model.gguf" not in bucket.objects()
    assert not [key for key in bucket.objects() if ".lading" in key]
    assert bucket.uploads("llm/granite/model.gguf") == []


def test_other_content_is_not_replaced_unasked(push, bucket, ref):
    """With --replace it is; what is no file of the model is named, and removed only when that is asked for, too."""
    bucket.put("llm/granite/notes.txt", b"another model's")
    bucket.put("llm/granite/other.bin", b"another model's")
    with pytest.raises(InvalidInput, match=r"other content in notes\.txt") as caught:
        push(ref, bucket.at("llm/granite/"))
    assert "--replace" in caught.value.hint
    assert set(bucket.objects()) == {"llm/granite/notes.txt", "llm/granite/other.bin"}

    assert push(ref, bucket.at("llm/granite/"), replace=True).extra == ("other.bin",)
    assert bucket.read("llm/granite/notes.txt") == MODEL["notes.txt"]
    push(ref, bucket.at("llm/granite/"), remove_extra=True)
    assert bucket.holds("llm/granite/", MODEL)


def test_other_content_of_the_same_size_is_not_replaced_unasked(push, bucket, folder):
    """Found by comparing the bytes, before anything is sent."""
    bucket.put("llm/granite/notes.txt", bytes(len(MODEL["notes.txt"])))
    with pytest.raises(InvalidInput, match=r"other content in notes\.txt"):
        push(folder, bucket.at("llm/granite/"))
    assert set(bucket.objects()) == {"llm/granite/notes.txt"}


def test_another_models_manifest_is_not_replaced_unasked(push, bucket, ref, tmp_path):
    """Also where no file has the same name."""
    push(ref, bucket.at("llm/granite/"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/other.bin").write_bytes(b"other")
    with pytest.raises(InvalidInput, match="has granite@v2, by its manifest"):
        push(tmp_path / "other", bucket.at("llm/granite/"))
    assert bucket.holds("llm/granite/", MODEL)


def test_a_hub_model_goes_into_the_bucket_without_a_volume(push, pull, bucket, tmp_path):
    """Its commit is the origin in the manifest, and that of a later pull."""
    files = {"config.json": b"{}", "model.safetensors": MODEL["part-b.bin"]}
    with hubs.serving() as hub:
        commit = hub.repository("acme/tiny").commit(files)
        push("hf://acme/tiny", bucket.at("llm/tiny/"), source_endpoint=hub.url)
        before = hub.sent_bytes
        assert push("hf://acme/tiny", bucket.at("llm/tiny/"), source_endpoint=hub.url).sent_files == 0
        assert hub.sent_bytes - before < 10_000, "the hub says what its big files hash to"
    assert bucket.holds("llm/tiny/", files)
    pull(bucket.at("llm/tiny/"), tmp_path / "volume2")
    origin = api.manifest(tmp_path / "volume2/tiny").source
    assert origin.ref.startswith("hf://acme/tiny")
    assert origin.revision == str(commit)


def test_who_may_not_put_the_manifest_is_told_before_anything_is_sent(push, bucket, ref, monkeypatch):
    """An account that may write below the prefix only."""
    below = f"arn:aws:s3:::{bucket.name}/llm/granite/*"
    allowed = [
        {"Effect": "Allow", "Action": "s3:*", "Resource": below},
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": f"arn:aws:s3:::{bucket.name}"},
    ]
    bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(_for_anyone(allowed)))
    monkeypatch.setenv(ANONYMOUS_VARIABLE, "true")
    with pytest.raises(SourceDenied, match="manifest may not be put beside the files") as caught:
        push(ref, bucket.at("llm/granite/"))
    assert "llm/.lading/manifests/granite.json" in caught.value.hint
    assert bucket.objects() == {}


def _for_anyone(statements):
    return {"Version": "2012-10-17", "Statement": [{**one, "Principal": {"AWS": ["*"]}} for one in statements]}


def test_a_file_of_unknown_size_goes_in_parts_as_it_comes(push, bucket):
    """From a web server that does not say how long it is."""
    with web.serving({"model/big.bin": MODEL["model.gguf"], "model/small.bin": b"small"}) as server:
        server.chunked = True
        for name in ("big", "small"):
            push(f"{server.url}/model/{name}.bin", bucket.at(f"llm/{name}/"))
    assert bucket.holds("llm/big/", {"big.bin": MODEL["model.gguf"]})
    assert bucket.holds("llm/small/", {"small.bin": b"small"})


def test_reading_all_of_it_back(push, bucket, ref):
    """--read-back full tells how far it is, and says in the end how it was verified."""
    said = []
    assert push(ref, bucket.at("llm/granite/"), read_back="full", emit=said.append).read_back == "full"


def test_a_key_that_needs_no_manifest_of_the_whole_bucket(push, pull, bucket, ref, tmp_path):
    """A model at the bucket's root: its manifest is inside, as there is no beside; and is no file of it."""
    push(ref, f"s3://{bucket.name}/")
    assert ".lading/manifest.json" in bucket.objects()
    assert push(ref, f"s3://{bucket.name}").sent_files == 0
    pull(f"s3://{bucket.name}", tmp_path / "volume2", model="granite")
    assert api.manifest(tmp_path / "volume2/granite@v2").sha256sums() == api.manifest(ref).sha256sums()


def test_the_command_says_what_it_would_do_and_what_it_did(lading, bucket, ref):
    """--dry-run sends nothing; --remove-extra asks."""
    command = ("push", ref, bucket.at("llm/granite/"), "--endpoint", bucket.minio.endpoint)
    would = lading(*command, "--dry-run")
    assert would.returncode == 0, would.stderr
    assert "would push 5 files, 22.0 MB, of granite@v2" in would.stdout
    assert bucket.objects() == {}
    bucket.put("llm/granite/other.bin", b"x")
    did = lading(*command)
    assert did.returncode == 0, did.stderr
    assert f"{bucket.at('llm/granite/')} has granite@v2: 5 files, 22.0 MB, checksums read back" in did.stdout
    assert "files that are not of this model: other.bin" in did.stderr
    asked = lading(*command, "--remove-extra")
    assert (asked.returncode, "add --yes" in asked.stderr) == (2, True)
    assert "llm/granite/other.bin" in bucket.objects()


def test_the_events_of_a_push(bucket, ref, push):
    said = []
    push(ref, bucket.at("llm/granite"), emit=said.append)
    assert [event.event for event in said if event.event != "pull_progress"] == (
        ["push_planned", *["file_pushed"] * len(MODEL), "pushed"]
    )


def test_a_folder_is_a_destination_too(ref, tmp_path):
    """With the manifest beside it, which a pull is held to."""
    api.push(ref, tmp_path / "out/granite")
    assert {path: (tmp_path / "out/granite" / path).read_bytes() for path in MODEL} == MODEL
    assert api.push(ref, tmp_path / "out/granite", read_back="full").sent_files == 0
    api.pull(tmp_path / "out/granite", tmp_path / "volume2", expect="any")
    (tmp_path / "out/granite/notes.txt").write_bytes(bytes(len(MODEL["notes.txt"])))
    with pytest.raises(VerificationFailed):
        api.pull(tmp_path / "out/granite", tmp_path / "volume3", expect="any")


@pytest.mark.parametrize(
    ("dest", "fact"),
    [
        ("volume/granite", "is on a volume"),
        ("granite/notes.txt", "is a file"),
        ("pvc://claim/granite", "cannot be pushed to"),
        ("hf://acme/tiny", "cannot be pushed to"),
        ("https://host/model/?X-Token=secret", "https://host/model/ cannot be pushed to"),
    ],
)
def test_what_cannot_be_pushed_to_is_said(ref, dest, fact, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=fact) as caught:
        api.push(ref, dest)
    assert caught.value.hint
