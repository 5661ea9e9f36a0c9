"""Killed runs on a cluster: what they left is removed once their Lease has run out; what is held or a user's stays."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.backends.on_cluster_places import DeploymentPlace
from tests.testbed.api import wait

from lading.backends import on_cluster_lease
from lading.backends.deployment import DeploymentBackend

LEASES = "/apis/coordination.k8s.io/v1"
SHORT_S = 4
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)

RUN = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from lading.backends.deployment import DeploymentBackend
from lading.backends.lease import Lease
from lading.ports.backend import OnClaim, ServeRequest
from lading.spec.study import BackendChoice
from tests.backends.on_cluster_places import UncheckedLlamaServer
async def main():
    home = Path({home!r})
    DeploymentBackend.lease_s = {lease_s}
    # no node takes the pods: what is left behind is objects all the same
    choice = BackendChoice(kind="deployment", image="none", node_selector={{"none": "such"}})
    backend = DeploymentBackend(choice, home=home)
    lease = Lease.acquire(home)
    claim = OnClaim(namespace={namespace!r}, claim="models", path="tiny/v1", file="tiny.gguf")
    for name, owner in (("one", lease.id), ("users", None)):
        request = ServeRequest(name=name, model="m", served_name="tiny", engine=UncheckedLlamaServer(), params={{}},
                               lease=owner, claim=claim)
        await backend.apply(backend.plan(request))
    print("applied", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


class ShortLived(DeploymentBackend):
    lease_s = SHORT_S


@pytest.fixture
def place(namespace, engine_image, lading_home):
    place = DeploymentPlace(namespace, lading_home, engine_image, ShortLived)
    yield place
    place.close()


@pytest.fixture
def run(namespace):
    """Another process that serves `one` under a lease of *home*, and `users` without; killed at the end."""
    started = []

    def start(home):
        home.mkdir(exist_ok=True)
        root = str(Path(__file__).parents[2])
        script = RUN.format(root=root, home=str(home), namespace=namespace.name, lease_s=SHORT_S)
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=os.environ)
        started.append(process)
        assert process.stdout.readline() == b"applied\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def renewals(namespace):
    return [one["spec"]["renewTime"] for one in namespace.get("leases", root=LEASES)]


async def until(reaped, backend):
    """`reap` until it gives *reaped*; until then it gives nothing."""
    while (found := await backend.reap()) != reaped:
        assert found == ()


@pytest.mark.real("cluster")
async def test_what_a_killed_run_elsewhere_left_is_reaped_once_its_lease_has_run_out(place, run, tmp_path):
    """Seen from another machine: its file is not there to be asked. Exactly its objects go, and its Lease."""
    backend, namespace = place.backend(), place.namespace
    process = run(tmp_path / "elsewhere")
    (first,) = renewals(namespace)
    wait("the Lease is renewed", lambda: renewals(namespace) != [first])
    assert await backend.reap() == (), "it lives"
    process.send_signal(signal.SIGKILL)
    process.wait()
    await until(("one",), backend)
    assert await backend.names() == ("users",)
    assert renewals(namespace) == []
    assert [one["metadata"]["name"] for one in namespace.get("deployments", root="/apis/apps/v1")] == ["users"]
    assert {one["metadata"]["labels"]["lading.dev/server"] for one in namespace.get("pods")} == {"users"}
    await backend.remove("users")


@pytest.mark.real("cluster")
async def test_what_a_killed_run_of_this_home_left_is_reaped_at_once(place, run):
    """The kernel let go of its file: nobody need wait for the Lease."""
    process = run(place.home)
    backend = place.backend()
    assert await backend.reap() == (), "it lives"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert await backend.reap() == ("one",)
    assert await backend.names() == ("users",)
    await backend.remove("users")


@pytest.mark.real("cluster")
async def test_a_lease_is_renewed_as_long_as_the_run_holds_it_and_deleted_then(place, tmp_path):
    """From a thread of its own; whoever looks from elsewhere meanwhile reaps nothing."""
    backend, namespace = place.backend(node_selector={"none": "such"}), place.namespace
    (tmp_path / "elsewhere").mkdir()
    other = ShortLived(backend._choice, home=tmp_path / "elsewhere")
    await backend.apply(backend.plan(place.request("one", lease=place.lease())))
    seen = set()
    for _ in range(SHORT_S + 2):  # longer than it lasts
        (now,) = renewals(namespace)
        seen.add(now)
        wait("it is renewed again", lambda before=now: renewals(namespace) != [before])
        assert await other.reap() == ()
    assert len(seen) == SHORT_S + 2
    await backend.remove("one")
    place.leases.pop().release()
    wait("its Lease is gone", lambda: renewals(namespace) == [])


@pytest.mark.real("cluster")
async def test_the_name_of_a_dead_run_is_free(place):
    """What it left is removed before another server of that name is made."""
    backend = place.backend(node_selector={"none": "such"})
    await backend.apply(backend.plan(place.request("one", lease=place.dead_lease())))
    await backend.apply(backend.plan(place.changed(place.request("one"))))
    (left,) = place.namespace.get("deployments", root="/apis/apps/v1")
    assert "lading.dev/lease" not in left["metadata"]["labels"]
    assert "--parallel" in left["spec"]["template"]["spec"]["containers"][0]["args"]
    await backend.remove("one")


@pytest.mark.parametrize(
    ("changed", "renewed", "dead"),
    [
        (NOW - timedelta(seconds=59), NOW, False),
        (NOW - timedelta(seconds=61), NOW, True),
        (NOW - timedelta(seconds=1), NOW - timedelta(hours=3), False),  # the holder's clock is slow
        (NOW - timedelta(hours=3), NOW + timedelta(hours=3), True),  # the holder's clock is fast
        (None, NOW - timedelta(seconds=59), False),
        (None, NOW - timedelta(seconds=61), True),
        (None, None, True),
    ],
)
def test_a_lease_has_run_out_by_the_api_servers_clock(changed, renewed, dead):
    """What the holder's clock says counts only where the API server noted nothing."""
    written = renewed and renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields = [{"manager": "lading", "time": changed.isoformat()}] if changed else []
    lease = {"metadata": {"managedFields": fields}, "spec": {"leaseDurationSeconds": 60, "renewTime": written}}
    assert on_cluster_lease.expired(lease, NOW) is dead


@pytest.mark.parametrize("spec", [{}, {"leaseDurationSeconds": "long"}, {"renewTime": 3, "leaseDurationSeconds": 60}])
def test_a_lease_that_says_nothing_of_its_age_is_dead(spec):
    """Nobody can hold it."""
    assert on_cluster_lease.expired({"metadata": {}, "spec": spec}, NOW)


def test_homes_have_holders_of_their_own(tmp_path):
    """Two folders of one machine are two holders; one is one, asked twice."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert on_cluster_lease.identity(tmp_path / "a") == on_cluster_lease.identity(tmp_path / "a")
    assert on_cluster_lease.identity(tmp_path / "a") != on_cluster_lease.identity(tmp_path / "b")
