"""`--require-signature`: only what the key has signed, all of it, is published."""

import asyncio
import subprocess

import pytest
from model_signing import hashing, signing

from lading.errors import InvalidInput, VerificationFailed
from lading.events import Published, Unchanged
from lading.flows import pull
from lading.sources.local import LocalSource
from lading.spec.pull import Choices
from lading.spec.ref import LocalRef
from lading.volume import find


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two pairs of files: (private, public)."""
    folder = tmp_path_factory.mktemp("keys")
    made = []
    for name in ("ours", "other"):
        private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private], check=True)
        subprocess.run(
            ["openssl", "ec", "-in", private, "-pubout", "-out", public], check=True, stderr=subprocess.DEVNULL
        )
        made.append((private, public))
    return made


@pytest.fixture
def model(tiny_hf, tmp_path, keys):
    """A signed model that may be changed."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_hf.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    sign(folder, keys[0][0])
    return folder


def sign(folder, private):
    signature = folder / "model.sig"
    signature.unlink(missing_ok=True)
    config = hashing.Config().set_ignored_paths(paths=["model.sig"], ignore_git_paths=True)
    signing.Config().set_hashing_config(config).use_elliptic_key_signer(private_key=private).sign(folder, signature)


@pytest.fixture
def volume(tmp_path):
    return find.create_volume(tmp_path / "volume")


def pulled(folder, volume, key, **choices):
    chosen = Choices(signed_by=key if isinstance(key, str) else key.read_text(), **choices)
    source = LocalSource()
    try:
        return asyncio.run(pull.pull(source, volume, LocalRef(path=str(folder)), choices=chosen))
    finally:
        source.close()


def test_what_was_signed_is_published_with_its_signature(model, volume, keys):
    assert isinstance(pulled(model, volume, keys[0][1]), Published)
    assert "model.sig" in {file.path for file in volume.manifest("model").files}


def test_a_published_version_is_held_to_it_as_well(model, volume, keys):
    pulled(model, volume, keys[0][1])
    assert isinstance(pulled(model, volume, keys[0][1]), Unchanged)
    with pytest.raises(VerificationFailed, match="another key"):
        pulled(model, volume, keys[1][1])


def changed(folder):
    data = bytearray((folder / "config.json").read_bytes())
    data[-2:] = b" }"
    (folder / "config.json").write_bytes(data)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (changed, "changed: config.json"),
        (lambda folder: (folder / "config.json").unlink(), "signed and not there: config.json"),
        (lambda folder: (folder / "remote.py").write_text("import os"), "not signed: remote.py"),
        (lambda folder: (folder / "model.sig").unlink(), "no signature"),
        (lambda folder: (folder / "model.sig").write_text("{}"), "no signature of a model"),
    ],
)
def test_what_differs_is_named_and_nothing_is_published(model, volume, keys, tamper, words):
    tamper(model)
    with pytest.raises(VerificationFailed, match=words):
        pulled(model, volume, keys[0][1])
    assert list(volume.manifests()) == []


def test_another_key_is_refused_before_the_bulk_is_fetched(model, volume, keys):
    with pytest.raises(VerificationFailed, match="another key"):
        pulled(model, volume, keys[1][1])
    assert not any((volume.root / ".lading").rglob("*.safetensors"))


def test_a_key_that_is_none_is_refused_at_once(model, volume):
    with pytest.raises(InvalidInput, match="no public key"):
        pulled(model, volume, "nonsense")


def test_what_was_left_out_may_be_signed(model, volume, keys):
    """A signed repository has files that a pull leaves out: they are covered, and not there, and that is no fault."""
    (model / "extra.bin").write_bytes(b"pickled")
    sign(model, keys[0][0])
    assert isinstance(pulled(model, volume, keys[0][1], exclude=("*.bin",)), Published)


def test_the_signature_comes_whatever_is_included(model, volume, keys):
    pulled(model, volume, keys[0][1], include=("*.json", "*.safetensors", "*.model"))
    assert "model.sig" in {file.path for file in volume.manifest("model").files}


def test_an_unsigned_file_can_be_left_out(model, volume, keys):
    (model / "notes.txt").write_text("mine")
    assert isinstance(pulled(model, volume, keys[0][1], exclude=("notes.txt",)), Published)


def test_the_command_says_what_differs(lading, model, keys, tmp_path):
    (model / "remote.py").write_text("import os")
    completed = lading("pull", str(model), "volume", "--require-signature", str(keys[0][1]))
    assert completed.returncode == 4
    assert "not signed: remote.py" in completed.stderr
