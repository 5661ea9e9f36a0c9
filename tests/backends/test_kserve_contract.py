"""The kserve backend keeps the contract of a backend: KServe's real controller and webhooks, real pods, a real claim."""

import pytest
from tests.backends.on_cluster_places import DeploymentPlace

from lading.backends.kserve import KServeBackend
from lading.testing import backends
from lading.testing.backends import BackendContract

pytestmark = pytest.mark.real("kserve")


class TestKServe(BackendContract):
    @pytest.fixture
    def place(self, kserve, namespace, engine_image, lading_home, monkeypatch):
        monkeypatch.setattr(backends, "PATIENCE_S", 60.0)  # a busy machine starts pods slowly
        place = DeploymentPlace(namespace, lading_home, engine_image, KServeBackend)
        yield place
        place.close()
