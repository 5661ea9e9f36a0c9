"""The deployment backend keeps the contract of a backend: real pods, a real claim, the rights that are shipped."""

import pytest
from tests.backends.on_cluster_places import DeploymentPlace

from lading.testing import backends
from lading.testing.backends import BackendContract

pytestmark = pytest.mark.real("cluster")


class TestDeployment(BackendContract):
    @pytest.fixture
    def place(self, namespace, engine_image, lading_home, monkeypatch):
        monkeypatch.setattr(backends, "PATIENCE_S", 60.0)  # a busy machine starts pods slowly
        place = DeploymentPlace(namespace, lading_home, engine_image)
        yield place
        place.close()
