"""Which GPUs a server gets: properties over any machine; and reservations of real processes, also killed ones."""

import itertools
import os
import select
import signal
import subprocess
import sys
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import GpusUnavailable
from lading.hardware import allocation, reservation
from lading.hardware.allocation import BALANCE, SLACK_BYTES
from lading.hardware.gpus import Gpu, GpuProcess

GB = 10**9
NOBODY = MappingProxyType({})


def gpu(index, free_gb, total_gb=80, **more):
    total, free = total_gb * GB, int(free_gb * GB)
    return Gpu(index=index, uuid=f"GPU-{index}", name="NVIDIA H100", memory_bytes=total, used_bytes=total - free,
               free_bytes=free, **more)  # fmt: skip


machines = st.lists(st.integers(0, 80), max_size=8).map(lambda free: [gpu(at, have) for at, have in enumerate(free)])
shares = st.sampled_from([0.0, 0.25, 0.5, 0.9])


def may(chosen, least_share, taken):
    """The rule, told once more: nobody else's, roomy enough, balanced."""
    free = [one.free_bytes for one in chosen]
    return (
        not any(one.uuid in taken for one in chosen)
        and all(one.free_bytes >= least_share * one.memory_bytes for one in chosen)
        and min(free) >= BALANCE * max(free)
    )


@given(machines, st.integers(1, 8), shares, st.sets(st.integers(0, 7)))
def test_what_is_chosen_obeys_the_rule_and_nothing_is_refused_that_could_be_had(machine, count, least_share, taken):
    taken = {f"GPU-{index}": "the server x" for index in taken}
    possible = [one for one in itertools.combinations(machine, count) if may(one, least_share, taken)]
    try:
        chosen = allocation.choose(machine, count, least_share=least_share, taken=taken)
    except GpusUnavailable:
        assert possible == []
        return
    assert len({one.uuid for one in chosen}) == count
    assert may(chosen, least_share, taken)
    assert list(chosen) == sorted(chosen, key=lambda one: one.index)
    best = max(min(one.free_bytes for one in some) for some in possible)
    assert min(one.free_bytes for one in chosen) == best


@given(st.permutations([gpu(at, free) for at, free in enumerate([80, 80, 40, 39, 10])]), st.integers(1, 5))
def test_the_order_in_which_gpus_are_listed_decides_nothing(machine, count):
    def outcome(listed):
        try:
            return [one.uuid for one in allocation.choose(listed, count)]
        except GpusUnavailable:
            return None

    assert outcome(machine) == outcome(sorted(machine, key=lambda one: one.index))


@given(machines, st.lists(st.integers(1, 3), max_size=6))
def test_no_two_servers_get_one_gpu(machine, counts):
    taken = {}
    for number, count in enumerate(counts):
        try:
            chosen = allocation.choose(machine, count, taken=taken)
        except GpusUnavailable:
            continue
        assert not {one.uuid for one in chosen} & taken.keys()
        taken |= {one.uuid: f"server {number}" for one in chosen}


def test_a_server_has_one_mig_part_at_most():
    parts = [gpu(0, 18, 18, part_of="GPU-x"), gpu(1, 18, 18, part_of="GPU-x")]
    assert len(allocation.choose(parts, 1)) == 1
    with pytest.raises(GpusUnavailable, match="a MIG part, of which a server can have one only"):
        allocation.choose(parts, 2)


@pytest.mark.parametrize(
    ("machine", "count", "options", "said"),
    [
        ([], 1, {}, "1 GPU asked for, there are 0"),
        ([gpu(0, 80)], 2, {}, "2 GPUs asked for, there is 1"),
        (
            [gpu(0, 80), gpu(1, 80)], 2, {"taken": {"GPU-1": "the server tiny (GPU 1)"}},
            "2 GPUs asked for, 1 of 2 can be had: GPU 1: reserved by the server tiny (GPU 1)",
        ),
        (
            [gpu(0, 20, processes=(GpuProcess(pid=7, name="python3", memory_bytes=60 * GB),))], 1, {"least_share": 0.9},
            "1 GPU asked for, 0 of 1 can be had: GPU 0: 20.0 GB free, 72.0 GB needed (used by python3 (pid 7))",
        ),
        (
            [gpu(0, 80), gpu(1, 40)], 2, {},
            "2 GPUs asked for, 2 of 2 can be had: their free memory differs too much: GPU 0 has 80.0 GB, GPU 1 has 40.0 GB",
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_of_each_gpu_why(machine, count, options, said):
    with pytest.raises(GpusUnavailable) as refused:
        allocation.choose(machine, count, **options)
    assert refused.value.message == said
    assert refused.value.hint


# ------------------------------------------------------------------------------------------------------- given back


def test_memory_that_came_back_is_not_held():
    before = {"GPU-0": 80 * GB}
    assert allocation.still_held(before, [gpu(0, 80)]) == ()
    assert allocation.still_held(before, [gpu(0, 80 - SLACK_BYTES / GB)]) == ()
    assert allocation.still_held(before, []) == ()


def test_what_holds_memory_still_is_named():
    process = GpuProcess(pid=12, name="VLLM::Worker", memory_bytes=30 * GB)
    (held,) = allocation.still_held({"GPU-0": 80 * GB}, [gpu(0, 50, processes=(process,)), gpu(1, 3)])
    assert held.shown == "30.0 GB of GPU-0 by VLLM::Worker (pid 12)"
    (held,) = allocation.still_held({"GPU-0": 80 * GB}, [gpu(0, 50)])
    assert held.shown == "30.0 GB of GPU-0 by something that this system does not show"


def test_what_others_hold_is_theirs():
    """One was there before and grew; one came meanwhile; one does not say how much it holds."""
    neighbour = GpuProcess(pid=5, name="x", memory_bytes=10 * GB)
    before = {"GPU-0": allocation.room_bytes(gpu(0, 70, processes=(neighbour,)))}
    grown = GpuProcess(pid=5, name="x", memory_bytes=30 * GB)
    came = GpuProcess(pid=6, name="y", memory_bytes=20 * GB)
    silent = GpuProcess(pid=7, name="z")
    assert allocation.still_held(before, [gpu(0, 30, processes=(grown, came))], others={5, 6}) == ()
    assert allocation.still_held(before, [gpu(0, 30, processes=(grown, silent))], others={5, 7}) == ()
    (held,) = allocation.still_held(before, [gpu(0, 20, processes=(grown, came))], others={5, 6})
    assert held.missing_bytes == 10 * GB


# ------------------------------------------------------------------------------------------------------ reservations

MACHINE = tuple(gpu(at, 80) for at in range(4))


def reserve(home, count, **options):
    return reservation.reserve(home, MACHINE, count, holder="the server x", **options)


def test_what_is_reserved_is_not_given_twice(lading_home):
    with reserve(lading_home, 2) as first, reserve(lading_home, 2) as second:
        assert not {*first.uuids} & {*second.uuids}
        with pytest.raises(GpusUnavailable, match=r"GPU 0: reserved by the server x \(GPU 0\)"):
            reserve(lading_home, 1)
    assert reservation.reserved(lading_home) == {}
    reserve(lading_home, 4).release()


def test_what_containers_have_is_not_given(lading_home):
    with reserve(lading_home, 1, taken={"GPU-0": "the container y", "GPU-1": "the container z"}) as got:
        assert got.uuids == ("GPU-2",)


def test_a_refused_reservation_holds_nothing(lading_home):
    with pytest.raises(GpusUnavailable):
        reserve(lading_home, 5)
    assert reservation.reserved(lading_home) == {}


def test_who_holds_what_is_told(lading_home):
    with reserve(lading_home, 1) as one:
        assert reservation.reserved(lading_home) == {one.uuids[0]: "the server x (GPU 0)"}


def test_parts_of_older_drivers_have_slashes_in_their_names(lading_home):
    part = Gpu(index=0, uuid="MIG-GPU-1/7/0", name="p", memory_bytes=GB, used_bytes=0, free_bytes=GB, part_of="GPU-1")
    with reservation.reserve(lading_home, [part], 1, holder="x") as one:
        assert one.uuids == ("MIG-GPU-1/7/0",)
        assert [*reservation.reserved(lading_home)] == ["MIG-GPU-1/7/0"]


@pytest.mark.parametrize("uuid", ["../../x", "", ".hidden", "a" * 200, "a\nb"])
def test_a_uuid_that_is_none_names_no_file(lading_home, uuid):
    odd = Gpu(index=0, uuid=uuid, name="p", memory_bytes=GB, used_bytes=0, free_bytes=GB)
    with pytest.raises(ValueError, match="no UUID"):
        reservation.reserve(lading_home, [odd], 1, holder="x")
    assert not [*(lading_home / "gpus").glob("*.lock")]


HOLDER = """
import sys, subprocess
from pathlib import Path
from lading.hardware import reservation
from lading.hardware.gpus import Gpu
machine = [Gpu(index=n, uuid=f"GPU-{n}", name="g", memory_bytes=10**10, used_bytes=0, free_bytes=10**10) for n in range(4)]
try:
    got = reservation.reserve(Path(sys.argv[1]), machine, int(sys.argv[2]), holder="another run")
except reservation.allocation.GpusUnavailable:
    print("none", flush=True)
else:
    if sys.argv[3:]:  # a server inherits, and its id is told
        child = subprocess.Popen(["sleep", "600"], pass_fds=got.descriptors, stdout=subprocess.DEVNULL)
        print(child.pid, flush=True)
    print(*got.uuids, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run(lading_home):
    """Start another run that reserves; gives the process. All are ended."""
    started = []

    def start(count, *more):
        argv = [sys.executable, "-c", HOLDER, str(lading_home), str(count), *more]
        started.append(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_runs_that_ask_at_once_share_nothing(run):
    """Six of two each, four GPUs: two runs get two, four get none."""
    got = [one.stdout.readline().split() for one in [run(2) for _ in range(6)]]
    given_out = [uuid for words in got if words != ["none"] for uuid in words]
    assert sorted(given_out) == ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]
    assert got.count(["none"]) == 4


def test_a_killed_runs_reservation_is_free(run, lading_home):
    one = run(4)
    assert one.stdout.readline().split() != ["none"]
    assert len(reservation.reserved(lading_home)) == 4
    one.send_signal(signal.SIGKILL)
    one.wait()
    reserve(lading_home, 4).release()


def test_a_server_keeps_what_its_run_reserved(run, lading_home):
    """The run is killed, the server lives on: its GPUs are still its own, until it ends too."""
    one = run(2, "with a server")
    server, uuids = int(one.stdout.readline()), one.stdout.readline().split()
    one.send_signal(signal.SIGKILL)
    one.wait()
    try:
        assert sorted(reservation.reserved(lading_home)) == uuids
    finally:
        ended = os.pidfd_open(server)
        os.kill(server, signal.SIGKILL)
    assert select.select([ended], [], [], 60)[0]
    os.close(ended)
    assert reservation.reserved(lading_home) == {}


def test_what_is_lent_to_a_process_is_its_own_until_it_ends(lading_home):
    """As to a server in a container, which inherits no lock."""
    server = subprocess.Popen(["sleep", "600"])
    try:
        with reserve(lading_home, 3) as one:
            one.lend(server.pid)
        assert reservation.reserved(lading_home) == {f"GPU-{at}": f"the server x (GPU {at})" for at in range(3)}
        with pytest.raises(GpusUnavailable, match="GPU 2: reserved by the server x"):
            reserve(lading_home, 2)
        reserve(lading_home, 1).release()
    finally:
        server.kill()
        server.wait()
    reserve(lading_home, 4).release()


@pytest.mark.parametrize("text", ["x\n1 0.00", "x\n99999999999999999999 1.0", "x\n1", "x\n-1 1", "\xff\n", "x\n 1 1"])
def test_a_note_that_means_nothing_lends_nothing(lading_home, text):
    """Of a process that is gone, whose id another one has, or junk."""
    (lading_home / "gpus").mkdir()
    (lading_home / "gpus" / "GPU-0.lock").write_text(text, encoding="latin-1")
    reserve(lading_home, 4).release()
