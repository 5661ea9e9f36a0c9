"""Every backend keeps the contract: with scripted servers, with real llama.cpp, and with a server that runs anyway."""

import importlib.util

import pytest
from tests.backends.places import EndpointPlace, LlamaCppPlace, ProcessPlace
from tests.testbed import require

from lading.testing.backends import BackendContract


class TestProcess(BackendContract):
    @pytest.fixture
    def place(self, tmp_path):
        place = ProcessPlace(tmp_path)
        yield place
        place.close()


@pytest.mark.real("engine")
class TestLlamaCpp(BackendContract):
    @pytest.fixture
    def place(self, tmp_path, tiny_gguf):
        require("engine", importlib.util.find_spec("xllamacpp"), "xllamacpp is not installed")
        place = LlamaCppPlace(tmp_path, tiny_gguf)
        yield place
        place.close()


class TestEndpoint(BackendContract):
    @pytest.fixture
    def place(self, tmp_path):
        place = EndpointPlace(tmp_path)
        yield place
        place.close()
