"""The real NVML passes the contract of the fake; where there is no GPU these are skipped, as CI's machine has none."""

import importlib
import subprocess
import sys
from contextlib import contextmanager

import pytest

from lading.hardware import gpus
from lading.testing.gpus import NvmlContract

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
