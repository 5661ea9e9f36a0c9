"""Fixtures of the real parts."""

import pytest
from tests.testbed import minio as testbed
from tests.testbed import require


@pytest.fixture(scope="session")
def minio(tmp_path_factory):
    """A real MinIO for the whole session."""
    require("minio", testbed.program("minio"), "not built (make testbed builds it; Go is needed)")
    with testbed.running(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture
def minio_environment(minio, monkeypatch):
    """MinIO's credentials in the environment, and no others of this machine."""
    for name, value in minio.environment.items():
        monkeypatch.setenv(name, value)
    return minio
