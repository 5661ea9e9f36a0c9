"""What the host has, within the limits this process lives under, and how busy others keep it."""

import json
import multiprocessing
import os
import time
from pathlib import Path

import psutil
import pytest

from lading.hardware import environment, host
from lading.hardware.foreign import ForeignLoad


def test_facts_are_within_what_the_machine_has():
    facts = host.facts()
    assert 1 <= facts.cpus <= os.cpu_count()
    assert 0 < facts.memory_bytes <= psutil.virtual_memory().total


def test_the_environment_is_plain_json_and_names_nobody():
    document = environment.environment()
    assert json.loads(json.dumps(document)) == document
    assert document["packages"]["lading"]
    text = json.dumps(document)
    assert os.uname().nodename not in text
    assert str(Path.home()) not in text


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_cpu_quota_is_read_from_either_version_of_control_groups(tmp_path, files, expected):
    written(tmp_path, files)
    assert host.cpu_quota(tmp_path) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "1048576"}, 1048576),
        ({"memory.max": "max"}, None),
        ({"memory/memory.limit_in_bytes": "2048"}, 2048),
        ({"memory.max": "garbage"}, None),
    ],
)
def test_a_memory_limit_is_read_from_either_version_of_control_groups(tmp_path, files, expected):
    written(tmp_path, files)
    assert host.memory_limit(tmp_path) == expected


def written(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")


def burn(started, stop):
    started.set()
    while not stop.is_set():
        pass


def test_what_is_ours_is_not_foreign_and_what_is_not_is():
    """One busy child process of ours, looked at from both sides; others on this machine only add."""
    new = multiprocessing.get_context("spawn")
    started, stop = new.Event(), new.Event()
    child = new.Process(target=burn, args=(started, stop))
    child.start()
    assert started.wait(60)
    to_us, to_a_stranger = ForeignLoad(lambda: [os.getpid()]), ForeignLoad(list)
    began, used = time.monotonic(), psutil.Process(child.pid).cpu_times().user
    time.sleep(0.8)
    strangers, ours = to_a_stranger.cpus(), to_us.cpus()
    share = (psutil.Process(child.pid).cpu_times().user - used) / (time.monotonic() - began)
    stop.set()
    child.join()
    assert strangers - ours > share / 2 > 0
    assert ours >= 0.0


def test_nothing_measured_over_no_time_is_zero():
    load = ForeignLoad(list)
    assert load.cpus() >= 0.0
