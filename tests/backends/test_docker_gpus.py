"""GPUs of servers in containers: reserved while one is made, then its own as long as its process lives."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from lading.backends import docker_place
from lading.errors import GpusUnavailable
from lading.hardware import reservation
from lading.testing.nvml import FakeGpu, FakeNvml
from lading.testing.scripted_engine import ScriptedEngine


def wanted(count):
    plan = SimpleNamespace(name="one", engine=ScriptedEngine(), params={})
    return SimpleNamespace(gpus=count, deployment=plan)


def container(name, *ids, state="running"):
    return SimpleNamespace(name=name, state=state, device_ids=ids)


@pytest.fixture
def machine(monkeypatch):
    fake = FakeNvml(*(FakeGpu(uuid=f"GPU-{at}") for at in range(3)))
    monkeypatch.setitem(sys.modules, "pynvml", fake)


def test_what_other_containers_have_is_not_given(machine, lading_home):
    ours = [container("a", "GPU-0"), container("b", "GPU-1", state="exited")]
    with docker_place.reserved_gpus(lading_home, wanted(2), ours) as got:
        assert got.uuids == ("GPU-1", "GPU-2")
    with pytest.raises(GpusUnavailable, match="GPU 0: reserved by the server a"):
        docker_place.reserved_gpus(lading_home, wanted(3), ours).__enter__()


def test_servers_that_are_no_containers_do_not_get_them_either(machine, lading_home):
    """The container's process inherits no lock: the GPUs are lent to it."""
    server = subprocess.Popen(["sleep", "600"])
    try:
        with docker_place.reserved_gpus(lading_home, wanted(2), ()) as got:
            got.lend(server.pid)
        assert [*reservation.reserved(lading_home)] == ["GPU-0", "GPU-1"]
    finally:
        server.kill()
        server.wait()
    assert reservation.reserved(lading_home) == {}


def test_none_where_none_is_asked_for_or_known(machine, lading_home, monkeypatch):
    with docker_place.reserved_gpus(lading_home, wanted(0), ()) as got:
        assert got is None
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(broken=12))
    with docker_place.reserved_gpus(lading_home, wanted(1), ()) as got:
        assert got is None
