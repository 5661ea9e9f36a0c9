"""Every backend keeps the contract: with scripted servers, with real llama.cpp, and with a server that runs anyway."""

import dataclasses
import importlib.util

import pytest
from tests.backends.places import EndpointPlace, LlamaCppPlace, ProcessPlace
from tests.testbed import require

from lading.errors import WrongModelServed
from lading.ports.backend import ServeRequest
from lading.testing.backends import BackendContract
from lading.testing.fakes import NEVER, FakeBackend, FakeEngine, Life


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


class FakePlace:
    """A script instead of a machine; the width of a server says how it behaves."""

    starts = True

    def __init__(self):
        self.leases = set()
        wrong = WrongModelServed("it serves another")
        lives = {2: Life(ready_s=NEVER), 3: Life(ready_error=wrong)}
        self.only = FakeBackend(
            lambda params, _: lives.get(params["width"], Life(log=("up",))), held=self.leases.__contains__
        )

    def backend(self, behaviour="well"):
        return self.only

    def request(self, name, behaviour="well", *, lease=None):
        width = {"well": 1, "silent": 2, "other_name": 3}[behaviour]
        return ServeRequest(name=name, model="/model", served_name="tiny", engine=FakeEngine(), params={"width": width},
                            lease=lease)  # fmt: skip

    def changed(self, request):
        return dataclasses.replace(request, params={"width": 4})

    async def answer(self, endpoint):
        running = [found for name, found in self.only.running.items() if f"//{name}." in endpoint.base_url]
        return running[0].served_name if running else None

    def lease(self):
        self.leases.add(f"held-{len(self.leases)}")
        return f"held-{len(self.leases) - 1}"

    def dead_lease(self):
        return "dead"


@pytest.mark.looptime
class TestFake(BackendContract):
    @pytest.fixture
    def place(self):
        return FakePlace()
