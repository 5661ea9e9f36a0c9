"""Pulls killed at random moments, client and pod: one complete model is left each time, no stray pod, no Job for ever."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.jobs.conftest import Pulls, versions
from tests.jobs.test_killed import delete_by_force, evict, kill_9, processes
from tests.testbed.api import wait
from tests.testbed.namespaces import Claim

from lading.volume import journal
from lading.weights import layout

SOAK = bool(os.environ.get("LADING_SOAK"))
pytestmark = [pytest.mark.real("cluster"), pytest.mark.slow, pytest.mark.timeout(2400 if SOAK else 600)]
CHAINS, KILLS = (5, 10) if SOAK else (4, 5)
WAYS = (
    "kill -9",
    "force",
    "evict",
    "client",
    "stop",
    "all",
)  # stop: client and Job; all: its pod, too, before that can clean up
POD_KILLS = {"kill -9": kill_9, "force": delete_by_force, "evict": evict}
SMALL, BIG = 1 << 16, 1 << 20
WITHIN_S = 600 if SOAK else 240  # a node under load, and the 10, 20, 40 … s that a Job waits before it tries again


class Chain:
    """The same pull onto one claim, killed again and again at random moments, let through at the end.

    One file is held back until then, so that no kill can come too late. A client that was killed leaves a Job, which the
    next client finds and follows, or which somebody deletes meanwhile.
    """

    def __init__(self, number: int, pulls: Pulls, argv: list[str], claim: Claim) -> None:
        self.number = number
        self.chance = random.Random(number)
        self.name = f"m{number}"
        self.pulls, self.claim, self.web = pulls, claim, pulls.web
        self.argv = [*argv, "pull", self._offer(), f"pvc://{claim.name}/{self.name}", "--expect", "any"]
        self.argv += ["--version", "v1", "--no-preflight", "--cpu", "50m", "--memory", "200Mi"]
        self.client: subprocess.Popen[str] | None = None
        self.ended: set[str] = set()
        self.finished: dict[str, int] = {}
        self.kills: list[str] = []
        self.under_way = 0

    def _offer(self) -> str:
        """Small files that are soon done, one that takes seconds, and one that is held back."""
        source = self.pulls.offer(self.name, files=4, size_bytes=SMALL)
        for path in ("part-2.bin", "part-3.bin"):
            self.web.files[f"{self.name}/{path}"] = os.urandom(BIG)
        self.pulls.sums(self.name)
        self.web.held.add(f"{self.name}/part-3.bin")
        return source

    def run(self) -> None:
        ways = [WAYS[(number + self.number) % len(WAYS)] for number in range(KILLS)]
        self.chance.shuffle(ways)
        try:
            for number, way in enumerate(ways):
                self._until_it_runs(with_bytes=number % 2 == 0)
                time.sleep(self.chance.uniform(0.0, 4.0))
                self._note()
                self._kill(way)
            self._finish()
        finally:
            self._end_client()

    # ------------------------------------------------------------------------------------------------ one round

    def _until_it_runs(self, *, with_bytes: bool) -> None:
        """A client follows, and a pod runs that nobody killed; or even one that is sent something."""
        self._start_client()
        before = self._sent()
        self._wait("a pod runs", self._running)
        if with_bytes:
            self._wait("bytes flow", lambda: self._sent() > before)

    def _note(self) -> None:
        """What is finished now: it must never be sent again."""
        for path in (self.claim.path / layout.JOURNAL).glob("*"):
            for name in journal.read(path).finished:
                self.finished.setdefault(f"{self.name}/{name}", self.web.sent[f"{self.name}/{name}"])
        incoming = self.claim.path / layout.INCOMING
        self.under_way += incoming.is_dir() and any(incoming.iterdir())

    def _kill(self, way: str) -> None:
        """Kill the pull, which is not done before and not after."""
        if way in POD_KILLS:
            self._kill_pod(POD_KILLS[way])
        elif way == "all":
            self._kill_pod(kill_9)
        if way in {"client", "stop", "all"}:
            self._end_client()
        if way in {"stop", "all"}:
            self._delete_job()
        assert not (self.claim.path / self.name / "v1").exists()
        self.kills.append(way)

    def _kill_pod(self, kill: Callable[[Pulls, dict], None]) -> None:
        pod = self._wait("a pod runs", self._running)
        uid = pod["metadata"]["uid"]
        kill(self.pulls, pod)
        self._wait("its processes have ended", lambda: not processes(pod))
        self.ended.add(uid)

    def _delete_job(self) -> None:
        """As with kubectl: the next client finds no Job, and perhaps the last of its pods."""
        self.ended |= {pod["metadata"]["uid"] for pod in self._pods()}
        for job in self.pulls.namespace.get("jobs", root="/apis/batch/v1"):
            if self._mounts(job["spec"]["template"]["spec"]):
                self.pulls.namespace.kubectl("delete", "job", job["metadata"]["name"], "--wait=false")

    def _finish(self) -> None:
        """What is held back comes: the pull is done, and said to be."""
        self._start_client()
        self.web.held.discard(f"{self.name}/part-3.bin")
        said, errors = self.client.communicate(timeout=WITHIN_S)
        assert self.client.returncode == 0, (self.kills, said, errors)

    # ------------------------------------------------------------------------------------------------ what is seen

    def _start_client(self) -> None:
        if self.client is None:
            self.client = subprocess.Popen(
                self.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
            )

    def _end_client(self) -> None:
        if self.client is not None:
            self.client.send_signal(signal.SIGKILL)
            self.client.communicate()
        self.client = None

    def _wait(self, what: str, found: Callable[[], object]) -> dict:
        """Wait for *found*; a client that ends meanwhile, ends this."""

        def look() -> object:
            if self.client is not None and self.client.poll() is not None:
                raise AssertionError((what, self.kills, self.client.returncode, *self.client.communicate()))
            time.sleep(0.2)
            return found()

        return wait(f"{self.name}, {self.kills}: {what}", look, within_s=WITHIN_S)

    def _running(self) -> dict | None:
        for pod in self._pods():
            states = [one["state"] for one in pod["status"].get("containerStatuses", ())]
            uid = pod["metadata"]["uid"]
            if uid not in self.ended and any("running" in state for state in states) and processes(pod):
                return pod
        return None

    def _sent(self) -> int:
        return sum(self.web.sent[path] for path in self.web.files if path.startswith(f"{self.name}/part"))

    def _pods(self) -> list[dict]:
        return [pod for pod in self.pulls.pods() if self._mounts(pod["spec"])]

    def _mounts(self, spec: dict) -> bool:
        volumes = [one.get("persistentVolumeClaim") or {} for one in spec["volumes"]]
        return any(volume.get("claimName") == self.claim.name for volume in volumes)

    # ------------------------------------------------------------------------------------------------ what is left

    def check(self) -> None:
        """One complete model, nothing half-done beside it, nothing that was fetched twice."""
        assert versions(self.claim, self.name) == ["v1"]
        own = self.claim.path / self.name
        assert sorted(path.name for path in own.iterdir()) == ["current", "v1"]
        for path in (own / "v1").iterdir():
            assert path.read_bytes() == self.web.files[f"{self.name}/{path.name}"]
        for folder in (layout.INCOMING, layout.JOURNAL, layout.REMOVING, layout.TEMPORARY):
            assert not any((self.claim.path / folder).iterdir()), folder
        again = {path: self.web.sent[path] for path, sent in self.finished.items() if self.web.sent[path] != sent}
        assert again == {}


def test_pulls_killed_at_random_moments(lading_argv, namespace, pulls):
    pulls.web.slow = 0.2
    with ThreadPoolExecutor(CHAINS) as pool:
        claims = pool.map(namespace.claim, [f"claim-{number}" for number in range(CHAINS)])
        chains = [Chain(number, pulls, lading_argv, claim) for number, claim in enumerate(claims)]
        list(pool.map(Chain.run, chains))
    assert sum(len(chain.kills) for chain in chains) == CHAINS * KILLS
    assert sum(chain.under_way for chain in chains) >= CHAINS * KILLS / 2, "kills that met a transfer under way"
    assert all(chain.finished for chain in chains)
    for chain in chains:
        chain.check()
    wait("what runs has ended", lambda: not [pod for pod in pulls.pods() if not has_ended(pod)])
    jobs = {job["metadata"]["name"]: job for job in namespace.get("jobs", root="/apis/batch/v1")}
    assert all(job["spec"].get("ttlSecondsAfterFinished") for job in jobs.values())
    assert {pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") for pod in pulls.pods()} <= set(jobs)


def has_ended(pod: dict) -> bool:
    return pod["status"]["phase"] in {"Succeeded", "Failed"}
