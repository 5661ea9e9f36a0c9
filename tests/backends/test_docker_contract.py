"""The docker backend keeps the contract on the real daemon, on a bridge and with the host's network."""

import pytest
from tests.backends.docker_places import DockerPlace

from lading.testing.backends import BackendContract

pytestmark = pytest.mark.real("docker")


class TestBridge(BackendContract):
    @pytest.fixture
    def place(self, tmp_path, docker_daemon, engine_image, tiny_gguf, monkeypatch):
        monkeypatch.setenv("DOCKER_HOST", docker_daemon)
        place = DockerPlace(tmp_path, engine_image, tiny_gguf)
        yield place
        place.close()


class TestHost(BackendContract):
    @pytest.fixture
    def place(self, tmp_path, docker_daemon, engine_image, tiny_gguf, monkeypatch):
        monkeypatch.setenv("DOCKER_HOST", docker_daemon)
        place = DockerPlace(tmp_path, engine_image, tiny_gguf, network="host")
        yield place
        place.close()
