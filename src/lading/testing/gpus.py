"""The contract of NVML as Lading reads it, clause by clause: the fake's, and the real one's where a GPU is.

Subclass `NvmlContract` and override the fixture `machine`.
"""

import time
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pytest

from lading.hardware import allocation, gpus
from lading.hardware.gpus import Gpu

SIZE_BYTES = 2 * 2**30
WITHIN_S = 60.0


class Machine(Protocol):
    """A machine with at least one GPU that is not split and has room for `SIZE_BYTES`."""

    @property
    def nvml(self) -> Any:
        """What answers like the module ``pynvml``."""

    @property
    def shows_processes(self) -> bool:
        """Whether the processes that hold memory are shown under the ids that they have here; not in some containers."""

    def holding(self, uuid: str, size_bytes: int) -> AbstractContextManager[int]:
        """A process of its own that holds so much of a GPU meanwhile; its id."""


class NvmlContract:
    """What Lading relies on."""

    @pytest.fixture
    def machine(self) -> Machine:
        """Override: the machine."""
        raise NotImplementedError("override the fixture `machine`")

    def test_nothing_answers_before_it_is_opened(self, machine: Machine) -> None:
        """And opening twice wants closing twice."""
        nvml = machine.nvml
        with pytest.raises(nvml.NVMLError):
            nvml.nvmlDeviceGetCount()
        nvml.nvmlInit()
        nvml.nvmlInit()
        nvml.nvmlShutdown()
        assert nvml.nvmlDeviceGetCount() >= 1
        nvml.nvmlShutdown()
        with pytest.raises(nvml.NVMLError):
            nvml.nvmlDeviceGetCount()

    def test_an_index_beyond_the_last_is_an_error(self, machine: Machine) -> None:
        """So that counting is enough."""
        nvml = machine.nvml
        nvml.nvmlInit()
        try:
            with pytest.raises(nvml.NVMLError) as refused:
                nvml.nvmlDeviceGetHandleByIndex(nvml.nvmlDeviceGetCount())
        finally:
            nvml.nvmlShutdown()
        assert isinstance(refused.value.value, int)

    def test_every_gpu_is_described(self, machine: Machine) -> None:
        """By a name, a UUID of its own, a driver and memory that adds up."""
        found = gpus.look(machine.nvml)
        assert found.gpus
        assert (found.why_none, found.unread) == (None, ())
        assert len({gpu.uuid for gpu in found.gpus}) == len(found.gpus)
        for gpu in found.gpus:
            assert gpu.uuid.startswith("MIG-" if gpu.part_of else "GPU-")
            assert gpu.name
            assert gpu.driver
            assert gpu.capability is None or gpu.capability >= 3.0
            assert gpu.used_bytes + gpu.free_bytes == pytest.approx(gpu.memory_bytes, rel=0.02)

    def test_the_same_gpus_have_the_same_uuids(self, machine: Machine) -> None:
        """A reservation finds them again."""
        first, second = (gpus.look(machine.nvml).gpus for _ in range(2))
        assert [gpu.uuid for gpu in first] == [gpu.uuid for gpu in second]

    def test_memory_that_a_process_takes_is_missing_until_it_ends(self, machine: Machine) -> None:
        """On the GPU that its UUID names and on no other; and then it is back."""
        chosen = self._roomy(machine)
        before = {gpu.uuid: allocation.room_bytes(gpu) for gpu in gpus.look(machine.nvml).gpus}
        others = frozenset(process.pid for gpu in gpus.look(machine.nvml).gpus for process in gpu.processes)
        with machine.holding(chosen.uuid, SIZE_BYTES) as pid:
            held = self._held(machine, before, others)
            assert [one.uuid for one in held] == [chosen.uuid]
            assert held[0].missing_bytes >= SIZE_BYTES * 0.95
            if machine.shows_processes:
                assert [process.pid for process in held[0].processes] == [pid]
                assert (held[0].processes[0].memory_bytes or SIZE_BYTES) >= SIZE_BYTES
        deadline = time.monotonic() + WITHIN_S
        while held := self._held(machine, before, others):
            assert time.monotonic() < deadline, held[0].shown
            time.sleep(0.05)

    @staticmethod
    def _roomy(machine: Machine) -> Gpu:
        found = gpus.usable(gpus.look(machine.nvml).gpus)
        return max(found, key=lambda gpu: gpu.free_bytes)

    @staticmethod
    def _held(machine: Machine, before: dict[str, int], others: frozenset[int]) -> tuple[allocation.StillHeld, ...]:
        return allocation.still_held(before, gpus.look(machine.nvml).gpus, others=others)
