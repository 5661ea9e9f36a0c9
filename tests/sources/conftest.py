"""Fixtures of the tests of sources: whose TLS, and who is trusted."""

import pytest

from lading.sources import connection


@pytest.fixture
def trusted(certificates, monkeypatch):
    """The test bed's authority is believed, as a company's own is: by SSL_CERT_FILE."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    connection._context.cache_clear()
    yield
    connection._context.cache_clear()


@pytest.fixture(params=["libcurl", "ssl"])
def tls(request, monkeypatch):
    """Whose TLS: that of ``lading[tls]``, or Python's own where it is not installed."""
    if request.param == "ssl":
        monkeypatch.setattr(connection, "libcurl", lambda: None)
    else:
        assert connection.libcurl() is not None
    return request.param
