"""The lock: one holder, whatever the clocks of hosts; a dead holder's lock falls, a live one's does not."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from lading.errors import ModelBusy
from lading.testing.crashes import dead_process
from lading.volume import lock
from lading.volume.fs import Fs
from lading.volume.lock import Process

ELSEWHERE = Process(host="elsewhere/boot/ns", pid=1, started_s=1.0)


def hold(path, *, me=None, wait_s=0.0):
    return lock.held(Fs(), path, "tiny", me=me or Process.this(), wait_s=wait_s)


def plant(path, process, *, age_s=0.0):
    """A lock of *process*, last touched *age_s* ago."""
    path.mkdir()
    owner = path / lock.OWNER
    owner.write_text(
        json.dumps({"token": "planted", **{key: value for key, value in asdict(process).items() if value is not None}})
    )
    then = time.time() - age_s
    os.utime(owner, (then, then))


def test_a_second_holder_is_refused_and_told_who_has_it(tmp_path):
    with hold(tmp_path / "l"), pytest.raises(ModelBusy) as refused, hold(tmp_path / "l"):
        pass
    assert f"process {os.getpid()} on" in refused.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], [".clock"])


def test_a_second_holder_may_wait(tmp_path):
    entered, got = threading.Event(), []

    def first():
        with hold(tmp_path / "l"):
            entered.set()
            time.sleep(0.2)
            got.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with hold(tmp_path / "l", wait_s=30):
        got.append("second")
    thread.join()
    assert got == ["first", "second"]


def test_the_lock_of_a_dead_process_of_this_host_falls_at_once(tmp_path):
    plant(tmp_path / "l", dead_process())
    with hold(tmp_path / "l") as held:
        held.check()


def test_the_lock_of_a_killed_process_falls_at_once(tmp_path):
    code = f"""if True:
        import sys, time
        from pathlib import Path
        from lading.volume import lock
        from lading.volume.fs import Fs
        with lock.held(Fs(), Path({str(tmp_path / "l")!r}), "tiny", me=lock.Process.this()):
            print("held", flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(ModelBusy), hold(tmp_path / "l"):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    with hold(tmp_path / "l"):
        pass


def test_a_process_id_used_again_is_not_taken_for_its_first_user(tmp_path):
    here = Process.this()
    plant(tmp_path / "l", Process(host=here.host, pid=here.pid, started_s=here.started_s - 1000))
    with hold(tmp_path / "l"):
        pass


def test_the_lock_of_another_host_falls_only_when_it_is_silent(tmp_path):
    plant(tmp_path / "l", ELSEWHERE, age_s=lock.STALE_S - 30)
    with pytest.raises(ModelBusy, match="process 1 on elsewhere"), hold(tmp_path / "l"):
        pass
    plant(tmp_path / "m", ELSEWHERE, age_s=lock.STALE_S + 30)
    with hold(tmp_path / "m"):
        pass


def test_a_damaged_owner_is_judged_by_its_age(tmp_path):
    plant(tmp_path / "l", ELSEWHERE)
    (tmp_path / "l" / lock.OWNER).write_text("{")
    with pytest.raises(ModelBusy, match="another process"), hold(tmp_path / "l"):
        pass
    long_ago = time.time() - lock.STALE_S - 30
    os.utime(tmp_path / "l" / lock.OWNER, (long_ago, long_ago))
    with hold(tmp_path / "l"):
        pass


def test_a_holder_whose_lock_was_taken_over_is_told_before_it_renames(tmp_path):
    with hold(tmp_path / "l") as first:
        long_ago = time.time() - lock.STALE_S - 30
        document = json.loads((tmp_path / "l" / lock.OWNER).read_text()) | {"host": ELSEWHERE.host}
        (tmp_path / "l" / lock.OWNER).write_text(json.dumps(document))
        os.utime(tmp_path / "l" / lock.OWNER, (long_ago, long_ago))
        with hold(tmp_path / "l") as second:
            second.check()
            with pytest.raises(ModelBusy, match="taken over"):
                first.check()
    assert not (tmp_path / "l").exists()


def test_leaving_a_lost_lock_leaves_the_new_holders_alone(tmp_path):
    with hold(tmp_path / "l"):
        (tmp_path / "l" / lock.OWNER).unlink()
        (tmp_path / "l").rmdir()
        plant(tmp_path / "l", ELSEWHERE)
    assert json.loads((tmp_path / "l" / lock.OWNER).read_text())["token"] == "planted"


def test_the_heartbeat_keeps_it_alive(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.01)
    with hold(tmp_path / "l"):
        owner = tmp_path / "l" / lock.OWNER
        os.utime(owner, (1, 1))
        deadline = time.monotonic() + 30
        while owner.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert owner.stat().st_mtime > 2
        assert lock.is_held(tmp_path / "l")
    assert not lock.is_held(tmp_path / "l")


def _contend(path, counter, rounds):
    for _ in range(rounds):
        with hold(path, wait_s=60):
            before = int(counter.read_text())
            time.sleep(0.001)
            counter.write_text(str(before + 1))


def test_many_processes_exclude_each_other(tmp_path):
    """Counting without a lost update, some of them killed while they hold it."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_contend, args=(tmp_path / "l", counter, 10)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert counter.read_text() == "40"
    assert [path.name for path in tmp_path.iterdir() if path.name not in {"counter", ".clock"}] == []


def test_another_process_of_the_same_run_is_dead_by_definition(tmp_path):
    """A Job's next pod takes over at once from one that was killed on another host; another run's waits."""
    plant(tmp_path / "l", replace(ELSEWHERE, run="job-uid", user="anna on laptop"))
    with (
        pytest.raises(ModelBusy, match="for anna on laptop"),
        hold(tmp_path / "l", me=replace(Process.this(), run="other")),
    ):
        pass
    with pytest.raises(ModelBusy), hold(tmp_path / "l"):
        pass
    with hold(tmp_path / "l", me=replace(Process.this(), run="job-uid")):
        pass


def test_a_process_does_not_replace_itself(tmp_path):
    """Two writers of one process exclude each other, also in a Job."""
    me = replace(Process.this(), run="job-uid")
    with hold(tmp_path / "l", me=me), pytest.raises(ModelBusy), hold(tmp_path / "l", me=me):
        pass


def test_the_run_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("LADING_RUN", "job-uid")
    assert Process.this().run == "job-uid"
    monkeypatch.setenv("LADING_WRITER", "claim-uid/job-name")
    assert Process.this().run == "claim-uid/job-name"
    monkeypatch.delenv("LADING_WRITER")
    monkeypatch.delenv("LADING_RUN")
    assert Process.this().run is None
