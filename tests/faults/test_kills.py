"""A pull that is killed again and again, by SIGKILL at seeded points: always one complete, identical model in the end, nothing half
visible at any time, no leftovers.

``LADING_SOAK=1`` kills 200 times.
"""

import random
import signal
import sys
import threading
import uuid
from pathlib import Path

import pytest
from tests.faults.conftest import MIB, SOAK, model, whole_only
from tests.faults.test_resume import Store, until

from lading.testing import faulty
from lading.volume import find

CONTENT = model(17 * MIB, 4 * MIB, 300_000, 20_000, 0, seed=40)
TOTAL = sum(map(len, CONTENT.values()))
PULLS, KILLS = (50, 4) if SOAK else (5, 4)
CALLS = 60  # a pull makes some eighty calls that change the volume
WASTE_BYTES = 24 * MIB  # at most, by each kill: what was under way

#: Runs the real command, which kills itself before its n-th call that changes the volume.
KILLED_AT_CALL = """
import itertools, os, signal, sys
from lading.volume.fs import Fs
last, calls = int(sys.argv.pop(1)), itertools.count()
def counted(call):
    def counting(*arguments):
        if next(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments)
    return counting
for name, call in list(vars(Fs).items()):
    if not name.startswith("_"):
        setattr(Fs, name, counted(call))
from lading.cli.app import main
main()
"""


class Watcher(threading.Thread):
    """Looks at a volume all the time: what is visible there is whole."""

    def __init__(self, volume: Path):
        super().__init__(daemon=True)
        self.volume = volume
        self.ended = threading.Event()
        self.looks = 0
        self.seen: list[str] = []

    def run(self):
        sizes = {path: len(data) for path, data in CONTENT.items()}
        while not self.ended.wait(0.01):
            self.looks += 1
            visible = [path for path in self.volume.glob("*/*") if ".lading" not in path.parts]
            listed = list(self.volume.glob(".lading/manifests/*/*.json"))
            for path in [*visible, *(self.volume / one.parent.name / one.stem for one in listed)]:
                found = {one.name: one.stat().st_size for one in path.iterdir()}
                if found != sizes:
                    self.seen.append(f"{path} has {found}")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


@pytest.mark.real("minio")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(PULLS))
def test_killed_at_any_point_a_pull_ends_whole(seed, minio_environment, process, tmp_path):
    chance = random.Random(seed)
    volume = tmp_path / "volume"
    bucket = f"kills-{uuid.uuid4().hex[:12]}"
    minio_environment.bucket(bucket, {f"model/{path}": data for path, data in CONTENT.items()})
    with faulty.serving(faulty.Upstream(minio_environment.endpoint)) as server, Watcher(volume) as watcher:
        arguments = Store(minio_environment, bucket, server, CONTENT).arguments(volume)
        killed = 0
        for _ in range(KILLS):
            kill = chance.choice((at_byte, at_call))
            killed += kill(chance, server, process, arguments)
        last = process(*arguments)
        _, complaint = last.communicate(timeout=120)
        assert last.returncode == 0, complaint
        assert server.sent("*/part-*") <= TOTAL + killed * WASTE_BYTES
    assert watcher.seen == []
    assert watcher.looks
    assert whole_only(volume, [CONTENT])
    check_swept(volume)


def at_byte(chance, server, process, arguments):
    """Killed when so many more bytes were sent; whether it came to that."""
    server.rate_bytes_per_s = 40 * MIB
    goal = server.sent_bytes + chance.randrange(1, TOTAL)
    running = process(*arguments)
    until(lambda: server.sent_bytes >= goal or running.poll() is not None)
    running.send_signal(signal.SIGKILL)
    server.rate_bytes_per_s = None
    return running.wait() == -signal.SIGKILL


def at_call(chance, server, process, arguments):
    """Killed before a call that changes the volume; whether it came to that."""
    running = process(sys.executable, "-c", KILLED_AT_CALL, chance.randrange(CALLS), *arguments, argv=())
    running.communicate(timeout=120)
    assert running.returncode in {0, -signal.SIGKILL}
    return running.returncode == -signal.SIGKILL


def check_swept(volume):
    """Nothing is left but what a volume has; a sweep that finds something removes it."""
    opened = find.open_volume(volume)
    opened.sweep()
    assert opened.leftovers() == ()
    for name in ("incoming", "journal", "removing", "tmp"):
        folder = volume / ".lading" / name
        assert not folder.exists() or list(folder.iterdir()) == []
