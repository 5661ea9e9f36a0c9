"""Which stores are believed: by which authorities, for the listing and for the bytes alike. Real MinIO, real certificates."""

import asyncio

import pytest
from tests.sources.origins import BucketOrigin

from lading.errors import SourceError
from lading.sources.s3 import UNCHECKED, S3Source
from lading.spec.pull import Choices

pytestmark = pytest.mark.real("minio")


@pytest.fixture
def origin(minio_tls, monkeypatch, tmp_path):
    """A bucket with one object, whose store nobody believes yet."""
    for name, value in minio_tls.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    made = BucketOrigin(minio_tls)
    made.put("model.bin", b"weights")
    return made


def read(origin, **choices):
    source = S3Source(choices=Choices(endpoint=origin.endpoint, **choices))
    try:
        listing = asyncio.run(source.resolve(origin.ref))
        buffer = bytearray(100)
        return listing, bytes(buffer[: source.read_into(listing.entries[0], 0, memoryview(buffer))])
    finally:
        source.close()


def test_an_authority_that_nobody_named_is_not_believed(origin):
    with pytest.raises(SourceError, match="cannot be trusted") as caught:
        read(origin)
    assert "AWS_CA_BUNDLE" in caught.value.hint


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_authority_is_named_by_the_environment(origin, certificates, monkeypatch, name):
    """By botocore's variable or by OpenSSL's: both go for every request."""
    monkeypatch.setenv(name, str(certificates.authority))
    assert read(origin)[1] == b"weights"


def test_an_authority_is_named_by_a_profile(origin, certificates, monkeypatch, tmp_path):
    config = tmp_path / "config"
    config.write_text(f"[default]\nca_bundle = {certificates.authority}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    assert read(origin)[1] == b"weights"


def test_a_store_that_is_not_checked_is_read_and_that_is_said(origin):
    listing, data = read(origin, verify_tls=False)
    assert data == b"weights"
    assert listing.notes == (UNCHECKED,)


def test_a_pod_is_told_by_its_environment_not_to_check(origin, monkeypatch):
    monkeypatch.setenv("LADING_S3_VERIFY_TLS", "false")
    assert read(origin)[0].notes == (UNCHECKED,)
