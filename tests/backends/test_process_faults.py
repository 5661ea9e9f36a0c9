"""What a server does at its worst, and what is said of it; nothing of it is left running in any case."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.backends.places import end_all, listens, living

from lading.backends import lease, processes, programs, record
from lading.backends.process import ProcessBackend
from lading.errors import (
    InvalidInput,
    MissingProgram,
    NotReady,
    PortInUse,
    ServerDied,
    ServerSilent,
    TeardownFailed,
    WrongModelServed,
)
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice
from lading.testing.backends import SLACK_S
from lading.testing.scripted_engine import ScriptedEngine


@pytest.fixture
def home(tmp_path):
    yield tmp_path
    left = living(tmp_path)
    end_all(tmp_path)
    assert left == []


@pytest.fixture
def backend(home):
    return ProcessBackend(BackendChoice(), home=home)


def request(behaviour, name="one", **changes):
    return ServeRequest(
        name=name, model="/model", served_name="tiny", engine=ScriptedEngine(["loading", "half way"]),
        params={"behaviour": behaviour}, **changes,
    )  # fmt: skip


async def start(backend, behaviour, within_s=10.0, **changes):
    await backend.apply(backend.plan(request(behaviour, **changes)))
    return await backend.ready("one", within_s=within_s)


async def listening(home):
    """Wait for the server to listen, however busy the machine is: its start is not what is tested."""
    port = record.read(home, "one").port
    while not listens(port):  # noqa: ASYNC110 - a process is awaited
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("behaviour", "kind", "said"),
    [
        ("dies", ServerDied, "ended before it answered (exit status 3): half way"),
        ("dies_asked", ServerDied, "exit status 9"),
        ("deaf", NotReady, ": nothing listens there"),
        ("loading", NotReady, ": /health says 503 Loading model"),
        ("hangs", ServerSilent, "says it is ready, but did not answer a request of 2 tokens"),
        ("other_name", WrongModelServed, "serves another, not tiny"),
        ("answers_any", WrongModelServed, "serves another, not tiny"),
        ("errors", NotReady, "answered 500: out of luck"),
    ],
)
async def test_each_fault_has_its_error_with_the_log_and_nothing_is_left(backend, home, behaviour, kind, said):
    await backend.apply(backend.plan(request(behaviour)))
    if behaviour not in {"dies", "deaf"}:
        await listening(home)
    with pytest.raises(kind) as raised:
        await backend.ready("one", within_s=2.0)
    assert said in str(raised.value)
    assert raised.value.log[0] == "loading"
    await backend.remove("one")
    assert not (home / "run" / "one").exists()


async def test_a_dead_server_tells_its_status_and_the_engines_hint(backend):
    with pytest.raises(ServerDied) as raised:
        await start(backend, "dies")
    assert (raised.value.returncode, raised.value.hint) == (3, "choose another behaviour")
    await backend.remove("one")


async def test_a_server_that_ignores_sigterm_is_killed(backend):
    await start(backend, "stubborn")
    began = time.monotonic()
    await backend.remove("one", within_s=2.0)
    assert time.monotonic() - began < 2.0 + SLACK_S


@pytest.mark.parametrize("behaviour", ["escapes", "hides"])
async def test_children_that_left_the_session_are_removed_too(backend, home, behaviour):
    await start(backend, behaviour)
    assert len(living(home)) == 2
    await backend.remove("one")
    assert living(home) == []


async def test_children_that_outlive_their_parent_are_found_by_their_mark(backend, home):
    await start(backend, "escapes")
    leader = processes.leader(record.read(home, "one"))
    leader.kill()
    backend._started["one"].process.wait()
    assert len(living(home)) == 1
    await ProcessBackend(BackendChoice(), home=home).remove("one")
    assert living(home) == []


async def test_starting_again_after_a_death_clears_what_the_dead_one_left(backend, home):
    await start(backend, "escapes")
    processes.leader(record.read(home, "one")).kill()
    backend._started["one"].process.wait()
    orphans = living(home)
    ready = await start(backend, "well")
    assert ready.effective == {"behaviour": "well"}
    assert len(orphans) == 1
    assert orphans[0].pid not in [process.pid for process in living(home)]
    await backend.remove("one")


async def test_two_backends_that_start_one_name_at_once_start_it_once(backend, home):
    other = ProcessBackend(BackendChoice(), home=home)
    plan = backend.plan(request("well"))
    await asyncio.gather(backend.apply(plan), other.apply(plan))
    first, second = [await each.ready("one", within_s=10) for each in (backend, other)]
    assert first.endpoint == second.endpoint
    assert len(living(home)) == 1
    await other.remove("one")


async def test_what_cannot_be_found_but_keeps_the_port_is_told(backend, home):
    ready = await start(backend, "keeps_port")
    with pytest.raises(TeardownFailed, match="listens on its port") as raised:
        await backend.remove("one", within_s=1.0)
    assert f"sport = :{ready.endpoint.base_url.rpartition(':')[2]}" in raised.value.hint
    end_all(home)
    await backend.remove("one", within_s=5.0)
    assert await backend.names() == ()


async def test_a_stranger_on_the_port_of_a_dead_server_is_no_failed_teardown(backend, home):
    """Ports that were free are taken by others as soon as a server is gone."""
    ready = await start(backend, "well")
    processes.leader(record.read(home, "one")).kill()
    backend._started["one"].process.wait()
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", int(ready.endpoint.base_url.rpartition(":")[2])))
        stranger.listen()
        await backend.remove("one", within_s=2)
    assert await backend.names() == ()


async def test_a_port_in_use_is_told_before_anything_starts(backend, home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"port {port} of 127.0.0.1 is in use by .*\(pid {os.getpid()}\)"):
            await start(backend, "well", port=port)
    assert not (home / "run" / "one").exists()


async def test_a_port_that_was_asked_for_is_used_and_stands_in_the_plan(backend):
    port = processes.free_port("127.0.0.1")
    plan = backend.plan(request("well", port=port))
    assert str(port) in plan.argv[-1]
    ready = await start(backend, "well", port=port)
    assert ready.endpoint.base_url == f"http://127.0.0.1:{port}"
    await backend.remove("one")


async def test_a_name_that_is_no_folder_is_refused(backend):
    with pytest.raises(InvalidInput, match="cannot name a server"):
        backend.plan(request("well", name="../../etc"))


def test_a_missing_program_says_what_was_looked_for_and_how_to_get_it(backend):
    engine = ScriptedEngine()
    missing = type("Missing", (ScriptedEngine,), {"programs": ("no-such-server",), "name": "vllm"})()
    with pytest.raises(MissingProgram, match=r"looked for 'no-such-server' with .*python.* and on the PATH") as raised:
        programs.find(missing, None)
    assert (raised.value.exit_code, raised.value.hint) == (3, "pip install vllm")
    with pytest.raises(MissingProgram, match="/no/such/python is not a Python interpreter"):
        programs.find(engine, "/no/such/python")


async def test_the_users_environment_reaches_the_server_and_our_key_does_not(backend, home, monkeypatch):
    monkeypatch.setenv("LADING_API_KEY", "secret-of-ours")
    choice = BackendChoice(env={"HF_TOKEN": "hf_1"})
    backend = ProcessBackend(choice, home=home)
    await start(backend, "well", env={"EXTRA": "1"})
    environment = processes.leader(record.read(home, "one")).environ()
    assert (environment["HF_TOKEN"], environment["EXTRA"]) == ("hf_1", "1")
    assert "LADING_API_KEY" not in environment
    assert "hf_1" not in (home / "run/one/state.json").read_text()
    await backend.remove("one")


async def test_a_control_character_in_a_log_does_not_reach_the_terminal(home):
    backend = ProcessBackend(BackendChoice(), home=home)
    engine = ScriptedEngine(["\x1b[31mred\x07"])
    await backend.apply(backend.plan(ServeRequest(
        name="one", model="/m", served_name="tiny", engine=engine, params={"behaviour": "dies"})))  # fmt: skip
    with pytest.raises(ServerDied) as raised:
        await backend.ready("one", within_s=5)
    assert raised.value.log == ("[31mred",)
    await backend.remove("one")


def test_a_record_of_another_boot_owns_no_process(home):
    server = record.ServerRecord(
        name="one", mark="one/1", boot="before", engine="scripted", model="/m", served_name="t", host="127.0.0.1",
        port=1, argv=(), argv_sha256="", pid=os.getpid(), born_s=processes.birth_s(os.getpid()),
    )  # fmt: skip
    assert processes.of(server) == []
    assert processes.leader(server) is None


def test_an_id_that_was_used_again_is_another_process(home):
    server = record.ServerRecord(
        name="one", mark="one/1", boot=record.boot_id(), engine="scripted", model="/m", served_name="t",
        host="127.0.0.1", port=1, argv=(), argv_sha256="", pid=os.getpid(), born_s=processes.birth_s(os.getpid()) - 5,
    )  # fmt: skip
    assert processes.leader(server) is None
    assert processes.of(server) == []


RUN = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from lading.backends.lease import Lease
from tests.backends.test_process_faults import ProcessBackend, BackendChoice, request
async def main():
    home = Path({home!r})
    backend = ProcessBackend(BackendChoice(), home=home)
    await backend.apply(backend.plan(request("escapes", lease=Lease.acquire(home).id)))
    await backend.ready("one", within_s=20)
    print("ready", flush=True)
    await asyncio.sleep(100)
asyncio.run(main())
"""


def started_run(home):
    """Another process that serves under a lease, ready."""
    script = RUN.format(root=str(Path(__file__).parents[2]), home=str(home))
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert run.stdout.readline() == b"ready\n"
    return run


async def test_what_a_killed_run_left_is_found_and_removed_by_the_next(home, backend):
    run = started_run(home)
    assert await backend.reap() == ()
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert len(living(home)) == 2
    assert await backend.reap() == ("one",)
    assert living(home) == []
    assert list((home / "leases").iterdir()) == []


async def test_a_run_killed_at_any_moment_leaves_nothing_behind_the_next_reap(home, backend):
    """Before the record, between record and process, while it starts, when it is ready."""
    chance = random.Random(3)
    for _ in range(100 if os.environ.get("LADING_SOAK") else 4):
        run = killed_run(home, after_s=chance.uniform(0.3, 1.2))
        assert run.wait() == -signal.SIGKILL
        await backend.reap()
        assert living(home) == []
        assert await backend.names() == ()


def killed_run(home, after_s):
    """A run under a lease, killed *after_s* seconds after its process began, whatever it was doing."""
    script = RUN.format(root=str(Path(__file__).parents[2]), home=str(home))
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    time.sleep(after_s)
    run.kill()
    return run


def test_a_lease_is_held_until_it_is_released(tmp_path):
    with lease.Lease.acquire(tmp_path) as held:
        assert lease.held(tmp_path, held.id)
        lease.forget_dead(tmp_path)
        assert lease.held(tmp_path, held.id)
    assert not lease.held(tmp_path, held.id)
    assert not lease.held(tmp_path, "unknown")


def test_birth_is_the_same_for_everyone_who_asks():
    mine = processes.birth_s(os.getpid())
    look = f"from lading.backends import processes; print(processes.birth_s({os.getpid()}))"
    theirs = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout
    assert float(theirs) == mine
    with pytest.raises(psutil.NoSuchProcess):
        processes.birth_s(2**22 + 1)
