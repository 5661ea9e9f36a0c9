"""Servers of this machine get the GPUs that their parameters ask for, alone, and give their memory back."""

import os
import sys
import time

import psutil
import pytest

from lading.backends import gpus, record
from lading.backends.lease import Lease
from lading.backends.process import ProcessBackend
from lading.engines.base import Parameter
from lading.errors import GpusUnavailable, MissingExtra, ServerDied, TeardownFailed
from lading.hardware import reservation
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice
from lading.testing.nvml import FakeGpu, FakeNvml
from lading.testing.scripted_engine import ScriptedEngine

GB = 10**9


class Spread(ScriptedEngine):
    """Asks for as many GPUs as its parameter says, and for a share of their memory."""

    @property
    def parameters(self):
        made = {
            name: Parameter(name=name, kind="int", flags=(name,))
            for name in ("tensor_parallel_size", "gpu_memory_utilization")
        }
        return {**super().parameters, **made}


@pytest.fixture
def machine(monkeypatch):
    """Four GPUs, as the fake of NVML tells them."""
    fake = FakeNvml(*(FakeGpu(uuid=f"GPU-{at}", memory_bytes=80 * GB, reserved_bytes=0) for at in range(4)))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    return fake


@pytest.fixture
async def backend(lading_home):
    """Makes backends over one home; what was started is removed."""
    made = []

    def make(**choice):
        made.append(ProcessBackend(BackendChoice(**choice), home=lading_home))
        return made[-1]

    yield make
    for one in made:
        for name in await one.names():
            await one.remove(name, within_s=20)


async def started(backend, name, tensor=None, *, lease=None, **params):
    """The GPUs that a server sees, None where its view is not narrowed."""
    asked = {} if tensor is None else {"tensor_parallel_size": tensor}
    request = ServeRequest(name=name, model="/m", served_name="m", engine=Spread() if tensor is not None else ScriptedEngine(),
                           params={**asked, **params}, lease=lease)  # fmt: skip
    await backend.apply(backend.plan(request))
    return seen_by(backend.running(name).pid).get(gpus.VARIABLE)


def seen_by(pid):
    """The environment of a process; empty for the moment in which its program begins, which is waited out."""
    while record.MARKER not in (seen := psutil.Process(pid).environ()):
        time.sleep(0.01)
    return seen


async def test_a_server_sees_the_gpus_it_asks_for_by_uuid(machine, backend, lading_home):
    one = backend()
    assert await started(one, "a", 2) == "GPU-0,GPU-1"
    assert await started(one, "b", 1) == "GPU-2"
    assert [*reservation.reserved(lading_home)] == ["GPU-0", "GPU-1", "GPU-2"]
    await one.remove("a")
    assert reservation.reserved(lading_home) == {"GPU-2": "the server b (GPU 2)"}
    assert await started(backend(), "c", 3) == "GPU-0,GPU-1,GPU-3"


async def test_a_server_that_asks_for_more_than_is_free_is_not_started(machine, backend):
    one = backend()
    await started(one, "a", 3)
    with pytest.raises(GpusUnavailable, match=r"2 GPUs asked for, 1 of 4 can be had: GPU 0: reserved by the server a"):
        await started(one, "b", 2)
    assert await one.names() == ("a",)


async def test_gpus_stay_reserved_when_the_command_that_started_the_server_is_gone(machine, backend, lading_home):
    """A new backend sees what `lading serve`, which has ended, left running: its server inherited the locks."""
    one = backend()
    await started(one, "a", 2)
    one._started["a"].reserved.release()  # as the end of its process does
    assert [*reservation.reserved(lading_home)] == ["GPU-0", "GPU-1"]
    other = backend()
    await other.remove("a")
    assert reservation.reserved(lading_home) == {}


async def test_what_a_killed_run_left_is_reaped_and_its_gpus_are_free(machine, backend, lading_home):
    lease = Lease.acquire(lading_home)
    one = backend()
    await started(one, "a", 4, lease=lease.id)
    one._started["a"].reserved.release()
    lease.release()
    assert await backend().reap() == ("a",)
    assert reservation.reserved(lading_home) == {}


async def test_memory_that_must_be_free_is_looked_at_before_the_start(machine, backend):
    with machine.holding("GPU-0", 60 * GB, pid=os.getpid()):
        assert await started(backend(), "a", 1, gpu_memory_utilization=0.9) == "GPU-1"
        with pytest.raises(GpusUnavailable, match=r"GPU 0: 20.0 GB free, 72.0 GB needed \(used by .*pid "):
            await started(backend(), "b", 4, gpu_memory_utilization=0.9)


@pytest.mark.parametrize(
    ("choice", "tensor", "expected"),
    [
        ({"gpus": 2}, None, "GPU-0,GPU-1"),
        ({"gpus": 1}, 4, "GPU-0"),
        ({"gpus": 0}, 4, ""),
        ({}, None, None),
        ({"env": {"CUDA_VISIBLE_DEVICES": "3,1"}}, 2, "GPU-1,GPU-3"),
        ({"env": {"CUDA_VISIBLE_DEVICES": "GPU-2"}}, 1, "GPU-2"),
        ({"env": {"CUDA_VISIBLE_DEVICES": ""}}, 1, ""),
    ],
)
async def test_a_number_and_the_users_own_list_are_kept_to(machine, backend, choice, tensor, expected):
    assert await started(backend(**choice), "a", tensor) == expected


async def test_the_list_of_our_own_environment_counts(machine, backend, monkeypatch):
    monkeypatch.setenv(gpus.VARIABLE, "2,3")
    assert await started(backend(), "a", 2) == "GPU-2,GPU-3"
    with pytest.raises(GpusUnavailable, match="3 GPUs asked for, there are 2"):
        await started(backend(), "b", 3)


async def test_without_gpus_the_engine_says_what_it_lacks(monkeypatch, backend):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(broken=12))
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    assert await started(backend(), "a", 2) is None
    with pytest.raises(GpusUnavailable, match="gpus: 1, and this machine has none: no NVIDIA driver is installed"):
        await started(backend(gpus=1), "b", 2)


async def test_a_driver_without_the_package_names_the_extra(monkeypatch, backend, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr("lading.hardware.gpus._DRIVER", tmp_path)
    with pytest.raises(MissingExtra) as missing:
        await started(backend(gpus=1), "b", 2)
    assert missing.value.hint == 'pip install "lading[gpu]"'


async def test_a_number_that_the_users_list_leaves_none_of_is_told(machine, backend):
    with pytest.raises(GpusUnavailable, match="CUDA_VISIBLE_DEVICES=7 leaves none of this machine's 4"):
        await started(backend(gpus=1, env={gpus.VARIABLE: "7"}), "a")


async def test_removal_waits_until_the_memory_is_back_and_names_who_holds_it(machine, backend, lading_home):
    """The driver lets go a moment after the process; what never lets go fails the removal, which can be done again."""
    one = backend()
    await started(one, "a", 1)
    with machine.holding("GPU-0", 30 * GB, pid=4_100_000), pytest.raises(TeardownFailed) as failed:
        await one.remove("a", within_s=1.0)
    assert "memory of its GPUs is still held: 30.0 GB of GPU-0 by a process (pid 4100000)" in failed.value.message
    assert await one.names() == ("a",)
    await one.remove("a")
    assert await one.names() == ()
    assert reservation.reserved(lading_home) == {}


async def test_a_neighbour_that_came_meanwhile_is_not_the_servers(machine, backend):
    """Pid 1 is older than the server."""
    one = backend()
    await started(one, "a", 1)
    with machine.holding("GPU-0", 30 * GB, pid=1):
        await one.remove("a", within_s=5.0)


async def test_a_server_that_cannot_be_run_leaves_no_reservation(machine, backend, lading_home):
    one = backend()
    request = ServeRequest(name="a", model="/m", served_name="m", engine=Spread(), params={"tensor_parallel_size": 2})
    plan = one.plan(request)
    object.__setattr__(plan, "argv", ("/nonexistent/program", *plan.argv[1:]))
    with pytest.raises(ServerDied):
        await one.apply(plan)
    assert reservation.reserved(lading_home) == {}


def test_records_of_earlier_versions_have_no_gpus(lading_home):
    old = record.ServerRecord(name="a", mark="m", boot="b", engine="e", model="m", served_name="s", host="127.0.0.1",
                              port=1, argv=(), argv_sha256="").model_dump()  # fmt: skip
    del old["gpus"]
    assert record.ServerRecord.model_validate(old).gpus == {}
