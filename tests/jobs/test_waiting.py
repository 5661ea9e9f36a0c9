"""A pull in a pod waits for another run's writer: it goes on when that one was killed, and says so when it lives."""

import os
import time

import pytest
from tests.jobs.conftest import model, versions
from tests.testbed.namespaces import Claim

from lading.errors import ModelBusy
from lading.events import Notice, Published
from lading.spec.command import PullCommand
from lading.testing import web as webs
from lading.volume import find, lock
from lading.weights import layout
from lading.wiring import commands


@pytest.fixture
def other(tmp_path, monkeypatch):
    """The lock of the model m, as a writer of another Job on another node left it."""
    monkeypatch.setattr(commands, "LOCK_LOOK_S", 0.05)
    find.create_volume(tmp_path)
    path = tmp_path / layout.lock("m")
    monkeypatch.setenv("LADING_RUN", "another Job")
    monkeypatch.setattr(lock, "_host", lambda: "another-node")
    holding = lock.Process.this()
    monkeypatch.undo()
    monkeypatch.setenv("LADING_RUN", "this Job")
    monkeypatch.setattr(commands, "LOCK_LOOK_S", 0.05)
    lock._take(find.open_volume(tmp_path)._fs, lock.Held(path, "0" * 32, "m"), holding)
    return path / lock.OWNER


async def pull(root, told):
    with webs.serving({f"m/{path}": data for path, data in model(1, size_bytes=1 << 10).items()}) as web:
        command = PullCommand(source=f"{web.url}/m/SHA256SUMS", model="m", version="v1", expect="any")
        return await commands.perform(command, root, emit=told)


async def test_it_goes_on_when_a_dead_writers_lock_falls(other, tmp_path):
    said: list[str] = []

    def told(event):
        if isinstance(event, Notice):
            said.append(event.message)
            long_ago_s = time.time() - lock.STALE_S - 60
            os.utime(other, (long_ago_s, long_ago_s))

    assert isinstance(await pull(tmp_path, told), Published)
    (sentence,) = said
    assert "another-node" in sentence
    assert sentence.endswith(": waiting")
    assert versions(Claim(name="models", path=tmp_path, volume=None), "m") == ["v1"]


async def test_it_gives_up_where_the_writer_lives(other, tmp_path, monkeypatch):
    """A heartbeat that goes on; another attempt may find it ended."""
    monkeypatch.setattr(commands, "LOCK_WAIT_S", 0.3)
    said = []
    with pytest.raises(ModelBusy, match="another-node"):
        await pull(tmp_path, said.append)
    assert len([event for event in said if isinstance(event, Notice)]) == 1
    assert commands.LOCK_WAIT_S < lock.STALE_S
    assert other.exists()
