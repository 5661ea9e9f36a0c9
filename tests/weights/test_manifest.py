"""The manifest: old documents load, newer keys are ignored, the digest names the content."""

import json

import pytest
from pydantic import ValidationError

from lading.weights.manifest import FileEntry, Manifest

#: Never edit: a document as version 0.1 wrote it must load for ever.
FIRST = """
{
  "manifest_version": 1, "model": "tiny", "version": "0123456789ab", "path": "tiny/0123456789ab",
  "source": {"ref": "s3://models/tiny/", "revision": "0123456789abcdef0123456789abcdef01234567"},
  "format": "huggingface",
  "files": [
    {"path": "config.json", "size_bytes": 2, "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
    {"path": "model.safetensors", "size_bytes": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "etag": "e"}
  ],
  "published_at": "2026-11-21T12:00:00.000Z",
  "published_by": {"program": "lading", "version": "0.1.0", "user": "me", "host": "here"}
}
"""


def test_the_first_document_loads():
    manifest = Manifest.model_validate_json(FIRST)
    assert manifest.size_bytes == 2
    assert manifest.files[1].etag == "e"


def test_keys_of_a_later_version_are_ignored():
    document = json.loads(FIRST) | {"signature": {"of": "the future"}}
    assert Manifest.model_validate(document) == Manifest.model_validate_json(FIRST)


def test_another_manifest_version_is_not_read():
    with pytest.raises(ValidationError):
        Manifest.model_validate(json.loads(FIRST) | {"manifest_version": 2})


def test_the_digest_depends_on_paths_and_bytes_alone():
    manifest = Manifest.model_validate_json(FIRST)
    moved = manifest.model_copy(update={"model": "other", "version": "v9", "published_at": "2027"})
    assert moved.digest == manifest.digest
    changed = manifest.model_copy(
        update={"files": (manifest.files[0], FileEntry(path="b", size_bytes=0, sha256="0" * 64))}
    )
    assert changed.digest != manifest.digest


@pytest.mark.parametrize("sha256", ["", "0" * 63, "0" * 65, "G" * 64, "0" * 64 + "\n"])
def test_a_hash_is_64_hex_digits(sha256):
    with pytest.raises(ValidationError):
        FileEntry(path="a", size_bytes=1, sha256=sha256)
