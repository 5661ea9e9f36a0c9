"""A pull goes on whatever kills its pod: finished files are not fetched again, and one complete model is left."""

import os
import signal
from pathlib import Path

import pytest
from tests.jobs.conftest import Pulls, versions
from tests.testbed.api import wait

from lading.events import FilePulled, Published
from lading.placement.jobs import Run

pytestmark = pytest.mark.real("cluster")
SMALL, BIG = 1 << 16, 3 << 20


def offer(pulls: Pulls, name: str) -> str:
    """Two big files that come slowly, and small ones that are soon done."""
    pulls.web.slow = 0.2
    source = pulls.offer(name, files=8, size_bytes=SMALL)
    for path in ("part-0.bin", "part-1.bin"):
        pulls.web.files[f"{name}/{path}"] = os.urandom(BIG)
    pulls.sums(name)
    return source


def pulled(pulls: Pulls) -> list[str]:
    """The files that were finished so far, as the pods told."""
    return [event.path for event in pulls.told if isinstance(event, FilePulled)]


def processes(pod: dict) -> list[int]:
    """The processes of a pod on this very host: known by the ids of its containers, as its status has them."""
    states = pod["status"].get("containerStatuses", ())
    ids = [one["containerID"].rpartition("/")[2] for one in states if one.get("containerID")]
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and any(one in (entry / "cgroup").read_text() for one in ids):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def kill_9(pulls: Pulls, pod: dict) -> None:
    wait("its process is there, and killed", lambda: _killed(pod))


def _killed(pod: dict) -> int:
    """How many processes of ours were killed in a pod."""
    ours = [number for number in processes(pod) if b"lading" in Path(f"/proc/{number}/cmdline").read_bytes()]
    for number in ours:
        os.kill(number, signal.SIGKILL)
    return len(ours)


def delete_by_force(pulls: Pulls, pod: dict) -> None:
    pulls.namespace.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")


def evict(pulls: Pulls, pod: dict) -> None:
    head = {"name": pod["metadata"]["name"], "namespace": pulls.namespace.name}
    path = f"/api/v1/namespaces/{head['namespace']}/pods/{head['name']}/eviction"
    pulls.namespace.api.request("POST", path, {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": head})


@pytest.mark.parametrize("kill", [kill_9, delete_by_force, evict])
async def test_the_next_attempt_fetches_only_what_was_not_finished(namespace, pulls, kill):
    claim = namespace.claim()
    before: list[str] = []

    def during(pulls: Pulls, run: Run) -> None:
        wait("small files are finished", lambda: len(pulled(pulls)) >= 6)
        before.extend(pulled(pulls))
        (pod,) = pulls.pods()
        assert processes(pod), "what is to be killed is seen"
        kill(pulls, pod)
        wait("its processes have ended", lambda: not processes(pod))
        pulls.web.slow = 0.0

    result = await pulls.pull(pulls.document(offer(pulls, "m"), "m"), during=during)
    assert isinstance(result, Published)
    assert versions(claim, "m") == ["v1"]
    again = {path: pulls.web.sent[f"m/{path}"] for path in before if pulls.web.sent[f"m/{path}"] != SMALL}
    assert again == {}
    assert any("attempt 1 ended" in notice for notice in pulls.notices())
