"""Real llama.cpp at its worst: what it does, as `research` on it found, is caught by the process backend."""

import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.backends.places import UncheckedLlamaCpp, end_all, living
from tests.testbed import require

from lading.backends import asking, record
from lading.backends.process import ProcessBackend
from lading.errors import ServerDied, ServerSilent, WrongModelServed
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice

pytestmark = pytest.mark.real("engine")


@pytest.fixture
def home(tmp_path):
    require("engine", importlib.util.find_spec("xllamacpp"), "xllamacpp is not installed")
    yield tmp_path
    left = living(tmp_path)
    end_all(tmp_path)
    assert left == []


@pytest.fixture
def backend(home):
    return ProcessBackend(BackendChoice(), home=home)


def request(model, lease=None, **params):
    return ServeRequest(name="one", model=str(model), served_name="tiny", engine=UncheckedLlamaCpp(), params=params,
                        lease=lease)  # fmt: skip


async def start(backend, model, within_s=20.0, **params):
    await backend.apply(backend.plan(request(model, **params)))
    return await backend.ready("one", within_s=within_s)


async def test_it_serves_what_was_asked(backend, tiny_gguf):
    ready = await start(backend, tiny_gguf, n_parallel=2)
    async with asking.Client(ready.endpoint.base_url) as client:
        slots = (await client.get("/props", within_s=5)).document["total_slots"]
    assert slots == 2
    assert ready.argv[-1] == record.read(backend._home, "one").argv[-1]
    await backend.remove("one")


async def test_no_slot_says_ready_and_hangs_and_is_caught_within_the_deadline(backend, tiny_gguf):
    """`n_parallel` 0: READY, /health 200, and every completion hangs."""
    began = time.monotonic()
    with pytest.raises(ServerSilent, match="says it is ready, but did not answer") as raised:
        await start(backend, tiny_gguf, within_s=3.0, n_parallel=0)
    assert 2.5 < time.monotonic() - began < 5.0
    assert any("READY http://" in line for line in raised.value.log)
    await backend.remove("one")


async def test_answering_under_another_name_is_caught(backend, tiny_gguf):
    """llama.cpp answers any model name, with its own name in the answer."""
    with pytest.raises(WrongModelServed, match="serves another, not tiny"):
        await start(backend, tiny_gguf, model_alias=["another"])
    await backend.remove("one")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("junk", "invalid magic"),
        ("cut", "failed to read key-value pairs"),
        ("missing", "failed to open GGUF file"),
    ],
)
async def test_a_broken_file_ends_at_once_with_the_engines_own_words(backend, tiny_gguf, tmp_path, damage, said):
    model = tmp_path / "broken.gguf"
    if damage != "missing":
        model.write_bytes(b"junk" * 1000 if damage == "junk" else tiny_gguf.read_bytes()[:20_000])
    with pytest.raises(ServerDied) as raised:
        await start(backend, model)
    assert any(said in line for line in raised.value.log)
    assert raised.value.returncode == 1
    await backend.remove("one")


async def test_an_abort_tells_its_signal(backend, tiny_gguf):
    """`n_batch` 0 aborts without a line that says why."""
    with pytest.raises(ServerDied, match="killed by SIGABRT") as raised:
        await start(backend, tiny_gguf, n_batch=0)
    assert raised.value.returncode == -signal.SIGABRT
    await backend.remove("one")


RUN = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from lading.backends.lease import Lease
from tests.backends.test_llamacpp_real import ProcessBackend, BackendChoice, request
async def main():
    home = Path({home!r})
    backend = ProcessBackend(BackendChoice(), home=home)
    await backend.apply(backend.plan(request({model!r}, lease=Lease.acquire(home).id)))
    await backend.ready("one", within_s=20)
    print("ready", flush=True)
    await asyncio.sleep(100)
asyncio.run(main())
"""


async def test_a_leased_server_ends_with_its_run_and_its_record_is_reaped(backend, home, tiny_gguf):
    run = started_run(home, tiny_gguf)
    assert len(living(home)) == 1
    run.send_signal(signal.SIGKILL)
    run.wait()
    deadline = time.monotonic() + 5
    while living(home) and time.monotonic() < deadline:
        pass
    assert living(home) == []
    assert await backend.reap() == ("one",)


def started_run(home, model):
    """Another process that serves under a lease, ready."""
    script = RUN.format(root=str(Path(__file__).parents[2]), home=str(home), model=str(model))
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert run.stdout.readline() == b"ready\n"
    return run
