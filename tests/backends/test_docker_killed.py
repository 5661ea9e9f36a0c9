"""Killed runs on the real daemon: whatever they had begun, the reaper leaves nothing of it, and nothing else goes."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest
from tests.backends.docker_places import DockerPlace
from tests.backends.test_docker_faults import containers

from lading.backends.docker import DockerBackend
from lading.spec.study import BackendChoice

pytestmark = [pytest.mark.real("docker"), pytest.mark.slow]
RUNS = 200 if os.environ.get("LADING_SOAK") else 20
AT_ONCE = 4
#: What a run says as it goes; it is killed after one of them.
STEPS = ("lease", "creating", "created", "starting", "started", "ready", "removing")
RUN = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from lading.backends import docker_daemon
from lading.backends.lease import Lease
from tests.backends.docker_places import DockerPlace

def told(before, work, after):
    async def telling(*args, **options):
        print(before, flush=True)
        made = await work(*args, **options)
        print(after, flush=True)
        return made
    return telling

async def main():
    docker_daemon.create = told("creating", docker_daemon.create, "created")
    docker_daemon.start = told("starting", docker_daemon.start, "started")
    docker_daemon.end = told("removing", docker_daemon.end, "removed")
    place = DockerPlace(Path({home!r}), {image!r}, Path({model!r}))
    backend = place.backend()
    lease = Lease.acquire(place.home)
    print("lease", flush=True)
    await backend.apply(backend.plan(place.request({name!r}, lease=lease.id)))
    await backend.ready({name!r}, within_s=60)
    print("ready", flush=True)
    await backend.remove({name!r})
    await asyncio.sleep(100)
asyncio.run(main())
"""


async def killed_run(number, step, **names):
    """A run that is killed as soon as it has said *step*."""
    script = RUN.format(root=str(Path(__file__).parents[2]), name=f"run-{number}", **names)
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    while (line := (await run.stdout.readline()).decode().strip()) != step:
        assert line, f"the run ended before {step!r}"
    run.send_signal(signal.SIGKILL)
    await run.wait()


@pytest.mark.timeout(3600 if RUNS > 20 else 180)
async def test_killed_runs_leave_nothing_after_the_reaper(
    tmp_path, docker_daemon, engine_image, tiny_gguf, monkeypatch
):
    """Killed before, between and after what they do; a user's own server beside them goes on."""
    monkeypatch.setenv("DOCKER_HOST", docker_daemon)
    place = DockerPlace(tmp_path, engine_image, tiny_gguf)
    users = place.backend()
    await users.apply(users.plan(place.request("users")))
    await users.ready("users", within_s=60)
    chance = random.Random(7)
    steps = [*STEPS, *chance.choices(STEPS, k=RUNS - len(STEPS))]
    few = asyncio.Semaphore(AT_ONCE)

    async def one(number, step):
        async with few:
            await killed_run(number, step, home=str(tmp_path), image=engine_image, model=str(tiny_gguf))

    await asyncio.gather(*(one(number, step) for number, step in enumerate(steps)))
    try:
        left = await users.names()
        assert len(left) > RUNS // 4  # else nothing was proved
        reaper = DockerBackend(BackendChoice(kind="docker"), home=tmp_path)
        reaped = await reaper.reap()
        assert sorted((*reaped, "users")) == sorted(left)
        assert await reaper.names() == ("users",)
        assert await users.alive("users")
        assert len(containers(tmp_path)) == 1
        assert await reaper.reap() == ()
    finally:
        for name in await users.names():
            await users.remove(name)
