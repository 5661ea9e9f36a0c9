"""GPUs as NVML tells them: over the fake, which passes the contract of the real one (`test_gpus_real.py`)."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from lading.hardware import environment, gpus, host
from lading.testing import nvml
from lading.testing.gpus import NvmlContract
from lading.testing.nvml import FakeGpu, FakeNvml

GIB = 2**30


class FakeMachine:
    shows_processes = True

    def __init__(self, *made):
        self.nvml = FakeNvml(*(made or (FakeGpu(), FakeGpu())))

    @contextmanager
    def holding(self, uuid, size_bytes):
        with self.nvml.holding(uuid, size_bytes, pid=4_000_000) as pid:
            yield pid


class TestFake(NvmlContract):
    @pytest.fixture
    def machine(self):
        return FakeMachine()


class TestFakeThatTellsLess(NvmlContract):
    """No ECC, no bytes of processes, and a GPU that is split."""

    @pytest.fixture
    def machine(self):
        part = FakeGpu(name="NVIDIA H200 MIG 1g.18gb", uuid="MIG-11111111-2222-3333-4444-555555555555", memory_bytes=18 * GIB, reserved_bytes=0)  # fmt: skip
        return FakeMachine(FakeGpu(ecc=None, tells_memory=False), FakeGpu(parts=[part], split=True))


class ForgetsToOpen(FakeNvml):
    def _require_open(self):
        pass


class OneUuidForAll(FakeNvml):
    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return "GPU-same"


class NewUuidEachTime(FakeNvml):
    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return FakeGpu().uuid


class AllMemoryIsUsedAndFree(FakeNvml):
    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        told = super().nvmlDeviceGetMemoryInfo(handle)
        told.free = told.used = told.total
        return told


class KeepsMemory(FakeNvml):
    @contextmanager
    def holding(self, uuid, size_bytes, *, pid):
        self.gpus[0].reserved_bytes += size_bytes
        yield pid


class GivesAnyIndex(FakeNvml):
    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return self.gpus[index % len(self.gpus)]


@pytest.mark.parametrize(
    ("mutant", "clause"),
    [
        (ForgetsToOpen, "test_nothing_answers_before_it_is_opened"),
        (OneUuidForAll, "test_every_gpu_is_described"),
        (NewUuidEachTime, "test_the_same_gpus_have_the_same_uuids"),
        (AllMemoryIsUsedAndFree, "test_every_gpu_is_described"),
        (KeepsMemory, "test_memory_that_a_process_takes_is_missing_until_it_ends"),
        (GivesAnyIndex, "test_an_index_beyond_the_last_is_an_error"),
    ],
)
def test_a_clause_fails_when_nvml_breaks_it(mutant, clause, monkeypatch):
    monkeypatch.setattr("lading.testing.gpus.WITHIN_S", 0.2)
    machine = FakeMachine()
    machine.nvml = mutant(FakeGpu(), FakeGpu())
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(NvmlContract(), clause)(machine)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (nvml.LIBRARY_NOT_FOUND, "no NVIDIA driver is installed"),
        (nvml.DRIVER_NOT_LOADED, "the NVIDIA driver is not loaded"),
        (18, "different versions"),
        (999, "NVML says: NVML error 999"),
    ],
)
def test_no_gpus_and_why(number, said):
    found = gpus.look(FakeNvml(FakeGpu(), broken=number))
    assert found.gpus == ()
    assert said in found.why_none


@pytest.mark.parametrize("driver", [True, False])
def test_without_the_package_there_are_none_and_that_is_said(driver, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr("lading.hardware.gpus._DRIVER", tmp_path if driver else tmp_path / "none")
    found = gpus.look()
    assert found.gpus == ()
    assert found.needs_package is driver
    assert ("the package that asks it is missing" in found.why_none) is driver


def test_a_gpu_that_fell_from_the_bus_is_left_out_and_named():
    found = gpus.look(FakeNvml(FakeGpu(lost=True), FakeGpu(uuid="GPU-b")))
    assert [gpu.uuid for gpu in found.gpus] == ["GPU-b"]
    assert found.unread == ("GPU 0: NVML error 15",)


def test_a_gpu_tells_its_memory_state_and_processes():
    machine = FakeNvml(FakeGpu(name="NVIDIA\x1b[31m H200", memory_bytes=100 * GIB, reserved_bytes=GIB))
    with machine.holding(machine.gpus[0].uuid, 5 * GIB, pid=os.getpid()):
        (gpu,) = gpus.look(machine).gpus
    assert (gpu.name, gpu.capability, gpu.ecc, gpu.split) == ("NVIDIA[31m H200", 9.0, True, False)
    assert (gpu.memory_bytes, gpu.used_bytes, gpu.free_bytes) == (100 * GIB, 6 * GIB, 94 * GIB)
    assert [(one.pid, one.memory_bytes) for one in gpu.processes] == [(os.getpid(), 5 * GIB)]
    assert gpu.processes[0].shown.endswith(f"(pid {os.getpid()})")
    assert gpu.processes[0].name


def test_a_process_of_elsewhere_has_no_name_here():
    """As in a container, which sees the GPU and not who uses it."""
    machine = FakeNvml(FakeGpu())
    with machine.holding(machine.gpus[0].uuid, GIB, pid=4_100_000):
        (gpu,) = gpus.look(machine).gpus
    assert gpu.processes[0].shown == "a process (pid 4100000)"


def test_a_split_gpu_is_used_by_its_parts():
    parts = [FakeGpu(uuid=f"MIG-{number}", memory_bytes=18 * GIB, reserved_bytes=0) for number in range(2)]
    found = gpus.look(FakeNvml(FakeGpu(uuid="GPU-a", parts=parts, split=True), FakeGpu(uuid="GPU-b", parts=[])))
    assert [gpu.uuid for gpu in found.gpus] == ["GPU-a", "MIG-0", "MIG-1", "GPU-b"]
    assert [gpu.uuid for gpu in gpus.usable(found.gpus)] == ["MIG-0", "MIG-1", "GPU-b"]
    assert found.gpus[1].part_of == "GPU-a"


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, ["GPU-aa", "GPU-ab", "MIG-0"]),
        ("", []),
        ("-1", []),
        ("1,0", ["GPU-ab", "GPU-aa"]),
        ("GPU-ab", ["GPU-ab"]),
        ("GPU-ab,GPU-ab", ["GPU-ab"]),
        ("0,7,1", ["GPU-aa"]),
        (" MIG-0 ", ["MIG-0"]),
        ("NoDevFiles", []),
        ("2", []),
    ],
)
def test_what_a_server_would_see_is_read_as_cuda_reads_it(listed, expected):
    split = FakeGpu(uuid="GPU-c", parts=[FakeGpu(uuid="MIG-0")], split=True)
    found = gpus.look(FakeNvml(FakeGpu(uuid="GPU-aa"), FakeGpu(uuid="GPU-ab"), split))
    assert [gpu.uuid for gpu in gpus.visible(found.gpus, listed)] == expected


def test_the_facts_of_this_host_are_those_of_its_smallest_visible_gpu(monkeypatch):
    fake = FakeNvml(FakeGpu(memory_bytes=80 * GIB, capability=(8, 0)), FakeGpu(memory_bytes=141 * GIB))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    facts = host.facts()
    assert (facts.gpus, facts.gpu_memory_bytes, facts.gpu_capability) == (2, 80 * GIB, 8.0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert (host.facts().gpus, host.facts().gpu_memory_bytes) == (1, 141 * GIB)


def test_the_environment_names_gpus_and_nobody_on_them(monkeypatch):
    fake = FakeNvml(FakeGpu(uuid="GPU-secret"))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    with fake.holding("GPU-secret", GIB, pid=os.getpid()):
        (gpu,) = environment.environment()["gpus"]
    assert (gpu["name"], gpu["ecc"], gpu["driver"]) == ("NVIDIA H200", True, "570.86.15")
    assert not {"uuid", "processes"} & gpu.keys()


def test_the_holder_is_a_program_that_says_why_it_cannot():
    """It needs CUDA's driver: without one it ends with the reason, at once."""
    argv = [sys.executable, "-m", "lading.testing.gpu_holder", "GPU-none", "1"]
    done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "OSError" in done.stderr
