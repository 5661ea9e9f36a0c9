"""The real NVML passes the contract of the fake; where there is no GPU these are skipped, as CI's machine has none."""

import asyncio
import importlib
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest

from lading.backends import gpus as binding
from lading.backends import record
from lading.backends.process import ProcessBackend
from lading.engines.base import Command, Parameter
from lading.errors import GpusUnavailable
from lading.hardware import allocation, gpus, reservation
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice
from lading.testing.gpus import NvmlContract
from lading.testing.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.gpu
FOUND = gpus.look()
if not gpus.usable(FOUND.gpus):
    pytest.skip(f"no GPU: {FOUND.why_none or 'NVML lists none'}", allow_module_level=True)


class RealMachine:
    """This one."""

    def __init__(self):
        self.nvml = importlib.import_module("pynvml")
        self.shows_processes = False

    @contextmanager
    def holding(self, uuid, size_bytes):
        argv = [sys.executable, "-m", "lading.testing.gpu_holder", uuid, str(size_bytes)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            try:
                assert holder.stdout.readline() == "held\n"
                yield holder.pid
            finally:
                holder.stdin.close()
                holder.wait()


class TestReal(NvmlContract):
    @pytest.fixture
    def machine(self):
        return RealMachine()


def test_a_process_that_is_shown_under_its_own_id_has_what_it_holds():
    """In a container of its own process ids NVML shows those of the host, or none: then there is nothing to compare."""
    uuid = gpus.usable(FOUND.gpus)[0].uuid
    with RealMachine().holding(uuid, 2**30) as pid:
        (gpu,) = (gpu for gpu in gpus.look().gpus if gpu.uuid == uuid)
    mine = [process for process in gpu.processes if process.pid == pid]
    assert all(process.memory_bytes is None or process.memory_bytes >= 2**30 for process in mine)


class Holding(ScriptedEngine):
    """A server that does nothing but hold memory of the first GPU that it sees."""

    @property
    def parameters(self):
        return {
            **super().parameters,
            "tensor_parallel_size": Parameter(name="tensor_parallel_size", kind="int", flags=()),
        }

    def command(self, launch):
        script = (
            "import pathlib, signal\n"
            "from lading.testing import gpu_holder\n"
            f"cuda = gpu_holder.hold(None, {2 * 2**30})\n"
            "pathlib.Path('held').touch()\n"
            "signal.pause()\n"
        )
        return Command(argv=("-c", script))


async def test_a_server_is_bound_to_a_real_gpu_and_gives_its_memory_back(lading_home, monkeypatch):
    """The whole way: chosen, reserved, bound by UUID, held, removed, verified."""
    monkeypatch.delenv(binding.VARIABLE, raising=False)
    backend = ProcessBackend(BackendChoice(), home=lading_home)
    request = ServeRequest(name="a", model="/m", served_name="m", engine=Holding(), params={"tensor_parallel_size": 1})
    await backend.apply(backend.plan(request))
    try:
        held = record.folder(lading_home, "a") / "held"
        for _ in range(600):
            if held.exists() or not await backend.alive("a"):
                break
            await asyncio.sleep(0.1)
        assert held.exists(), backend.log("a")
        (uuid,) = reservation.reserved(lading_home)
        assert psutil.Process(backend.running("a").pid).environ()[binding.VARIABLE] == uuid
        before = record.read(lading_home, "a").gpus
        others = frozenset(process.pid for gpu in FOUND.gpus for process in gpu.processes)
        (missing,) = allocation.still_held(before, gpus.look().gpus, others=others)
        assert (missing.uuid, missing.missing_bytes >= 1.9 * 2**30) == (uuid, True)
    finally:
        await backend.remove("a")
    assert allocation.still_held(before, gpus.look().gpus, others=others) == ()
    assert reservation.reserved(lading_home) == {}


async def test_no_second_server_gets_a_reserved_gpu(lading_home, monkeypatch):
    monkeypatch.delenv(binding.VARIABLE, raising=False)
    seen = gpus.visible(gpus.look().gpus, None)
    with reservation.reserve(lading_home, seen, 1, holder="another run"):
        backend = ProcessBackend(BackendChoice(gpus=len(seen)), home=lading_home)
        request = ServeRequest(name="a", model="/m", served_name="m", engine=ScriptedEngine(), params={})
        with pytest.raises(GpusUnavailable, match="reserved by another run"):
            await backend.apply(backend.plan(request))
