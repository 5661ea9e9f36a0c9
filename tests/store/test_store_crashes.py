"""Kill a writer at any moment: what it was told is durable is there, and no append is there in part.

Ten kills here; LADING_SOAK=1 makes them two hundred.
"""

import os
import random
import signal
import subprocess
import sys
from collections import Counter

import pytest

from lading.store.sql import SqlStore
from lading.tuning.trial import Proposed

KILLS = 200 if os.environ.get("LADING_SOAK") == "1" else 10
#: Facts per append.
BATCH = 7
WRITER = """
import sys
from pathlib import Path
from lading.store.sql import SqlStore
from lading.tuning.trial import Proposed

store, first, batch = SqlStore.at(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
for number in range(first, first + 100_000):
    facts = [Proposed(number=number, params={"part": part, "filler": "x" * 300}) for part in range(batch)]
    store.append("a.1", facts)
    print(number, flush=True)
"""
FULL = """
import resource, signal, sys
from pathlib import Path
from lading.errors import StudyError
from lading.store.sql import SqlStore
from lading.tuning.trial import Proposed

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqlStore.at(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    for number in range(10_000):
        facts = [Proposed(number=number, params={"part": part, "filler": "x" * 300}) for part in range(7)]
        store.append("a.1", facts)
        print(number, flush=True)
except StudyError as error:
    print(error.message, file=sys.stderr)
"""


def start(code, *arguments):
    argv = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def whole(store):
    """The numbers whose every fact is there; any in part is a failure."""
    parts = Counter(fact.number for fact in store.facts("a.1") if isinstance(fact, Proposed))
    assert set(parts.values()) <= {BATCH}, "an append is there in part"
    return set(parts)


@pytest.mark.timeout(1800 if KILLS > 10 else 180)
def test_a_killed_writer_leaves_whole_appends(tmp_path):
    store = SqlStore.at(tmp_path)
    store.create("a", document="", spec={}, environment={})
    rng, first, told = random.Random(7), 0, set()
    for _ in range(KILLS):
        writer = start(WRITER, tmp_path, first, BATCH)
        told |= {int(writer.stdout.readline())}
        try:
            writer.wait(timeout=rng.uniform(0, 0.05))
        except subprocess.TimeoutExpired:
            os.kill(writer.pid, signal.SIGKILL)
        output, _ = writer.communicate(timeout=30)
        told |= {int(line) for line in output.splitlines()}
        there = whole(store)
        assert told <= there, "what was told is durable"
        assert len(there - told) <= KILLS, "at most one append per kill was durable and not yet told"
        first = max(there) + 1
        with store._open() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    assert len(told) >= KILLS


def test_a_kill_while_the_store_is_made_does_not_spoil_it(tmp_path):
    """At any moment of the first opening; the next one finds or makes the whole schema."""
    rng = random.Random(3)
    for number in range(KILLS // 3):
        home = tmp_path / str(number)
        code = WRITER.partition("for number")[0].replace("store, first", "print(flush=True)\nstore, first")
        maker = start(code, home, 0, 0)
        maker.stdout.readline()
        try:
            maker.wait(timeout=rng.uniform(0, 0.2))
        except subprocess.TimeoutExpired:
            os.kill(maker.pid, signal.SIGKILL)
        maker.communicate(timeout=30)
        assert SqlStore.at(home).create("a", document="", spec={}, environment={}).run == 1


def test_a_full_disk_leaves_whole_appends_and_says_so(tmp_path):
    store = SqlStore.at(tmp_path)
    store.create("a", document="", spec={}, environment={})
    writer = start(FULL, tmp_path)
    output, error = writer.communicate(timeout=60)
    told = {int(line) for line in output.splitlines()}
    assert "cannot be used" in error
    assert "Traceback" not in error
    assert told
    assert told <= whole(store)
    store.append("a.1", [Proposed(number=10_001, params={"part": part}) for part in range(BATCH)])
    assert 10_001 in whole(store)
