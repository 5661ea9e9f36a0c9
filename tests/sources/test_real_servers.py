"""The sources against servers that people run: nginx, and MinIO over TLS, with certificates of an authority of one's own."""

import asyncio

import pytest
from tests.sources.origins import BucketOrigin, NginxOrigin

from lading.errors import SourceError
from lading.testing.sources import CONTENT, SourceContract


@pytest.mark.real("nginx")
class TestNginx(SourceContract):
    @pytest.fixture
    def origin(self, nginx):
        return NginxOrigin(nginx, nginx.url)


@pytest.mark.real("nginx")
class TestNginxOverTls(SourceContract):
    @pytest.fixture
    def origin(self, nginx, trusted, tls):
        return NginxOrigin(nginx, nginx.tls_url)


@pytest.mark.real("minio")
class TestBucketOverTls(SourceContract):
    @pytest.fixture
    def origin(self, minio_tls, monkeypatch, tls):
        for name, value in minio_tls.environment.items():
            monkeypatch.setenv(name, value)
        return BucketOrigin(minio_tls)


@pytest.mark.real("nginx")
def test_nginx_with_an_unknown_authority_is_refused(nginx, tls):
    """With what to do about it."""
    origin = NginxOrigin(nginx, nginx.tls_url)
    origin.put("config.json", CONTENT["config.json"])
    source = origin.source()
    with pytest.raises(SourceError, match="cannot be trusted") as caught:
        asyncio.run(source.resolve(origin.ref))
    assert "SSL_CERT_FILE" in caught.value.hint


@pytest.mark.real("minio")
def test_minio_with_an_unknown_authority_is_refused(minio_tls, monkeypatch):
    """Already when its objects are listed."""
    for name, value in minio_tls.environment.items():
        monkeypatch.setenv(name, value)
    origin = BucketOrigin(minio_tls)
    origin.put("config.json", CONTENT["config.json"])
    monkeypatch.delenv("AWS_CA_BUNDLE")
    source = origin.source()
    with pytest.raises(SourceError, match="certificate"):
        asyncio.run(source.resolve(origin.ref))
    source.close()
