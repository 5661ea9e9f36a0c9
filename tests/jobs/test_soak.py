"""Pulls killed at random points, client and pod: one complete model is left each time, no stray pod, no Job for ever."""

import os
import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.jobs.conftest import Pulls, versions
from tests.jobs.test_killed import kill_9
from tests.testbed.api import wait
from tests.testbed.namespaces import Claim

from lading.weights import layout

pytestmark = [pytest.mark.real("cluster"), pytest.mark.slow, pytest.mark.timeout(900)]
CHAINS, ROUNDS = (5, 10) if os.environ.get("LADING_SOAK") else (4, 5)


class Chain:
    """The same pull onto one claim again and again, each but the last ended at a random point.

    A kill is of the pod's process, of the client alone, or of both; a client that was killed leaves a Job, which the
    next round finds and follows, or stops first, as a person would.
    """

    def __init__(self, number: int, pulls: Pulls, argv: list[str], claim: Claim) -> None:
        self.chance = random.Random(number)
        self.name = f"m{number}"
        self.pulls, self.claim = pulls, claim.name
        self.published = claim.path / f"m{number}" / "v1"
        self.incoming = claim.path / layout.INCOMING
        self.source = pulls.offer(f"m{number}", files=4, size_bytes=1 << 20)
        self.argv = [*argv, "pull", self.source, f"pvc://{claim.name}/m{number}", "--expect", "any", "--version", "v1"]
        self.argv += ["--no-preflight", "--cpu", "50m", "--memory", "200Mi"]
        self.kills: list[str] = []
        self.early = 0

    def run(self) -> None:
        ways = ["pod", "client", "stopped", *(self.chance.choice(["client", "stopped"]) for _ in range(ROUNDS - 3))]
        self.chance.shuffle(ways)
        for way in ways:
            client = self.start()
            self.wait_for_bytes(client)
            time.sleep(self.chance.uniform(0.0, 4.0))
            self.kills.append(way)
            self.early += self.incoming.exists() and any(self.incoming.iterdir()) and not self.published.exists()
            self.kill(way, client)
        self.finish(self.start())

    def kill(self, way: str, client: subprocess.Popen) -> None:
        if way == "pod":
            for pod in self.pods():
                kill_9(self.pulls, pod)
        client.send_signal(signal.SIGKILL)
        client.communicate()
        if way == "stopped":
            self.stop()

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)  # fmt: skip

    def finish(self, client: subprocess.Popen) -> None:
        _, said = client.communicate(timeout=150)
        assert client.returncode == 0, said

    def stop(self) -> None:
        """As a person would: cancel the Job and wait for its end."""
        for job in self.pulls.namespace.get("jobs", root="/apis/batch/v1"):
            if self.mounts(job["spec"]["template"]["spec"]):
                self.pulls.namespace.kubectl("delete", "job", job["metadata"]["name"], "--wait=false", check=False)
        wait("its pods are gone", lambda: not self.pods())

    def wait_for_bytes(self, client: subprocess.Popen) -> None:
        before = self.sent()
        flows = lambda: self.sent() > before or client.poll() is not None  # noqa: E731 - said once
        wait(
            "bytes flow, or it has ended", flows, within_s=250
        )  # the lock of a writer that was killed falls after 120 s

    def sent(self) -> int:
        return sum(
            self.pulls.web.sent[path] for path in list(self.pulls.web.sent) if path.startswith(self.name + "/part")
        )

    def pods(self) -> list[dict]:
        return [pod for pod in self.pulls.pods() if self.mounts(pod["spec"])]

    def mounts(self, spec: dict) -> bool:
        return any((one.get("persistentVolumeClaim") or {}).get("claimName") == self.claim for one in spec["volumes"])


def test_pulls_killed_at_random_points(lading_argv, namespace, pulls):
    pulls.web.slow = 0.5
    claims = [namespace.claim(f"claim-{number}") for number in range(CHAINS)]
    chains = [Chain(number, pulls, lading_argv, claim) for number, claim in enumerate(claims)]
    with ThreadPoolExecutor(CHAINS) as pool:
        list(pool.map(Chain.run, chains))
    assert sum(chain.early for chain in chains) > CHAINS, "kills that met a pull under way"
    print([(chain.kills, chain.early) for chain in chains])
    for number, claim in enumerate(claims):
        assert versions(claim, f"m{number}") == ["v1"]
    over = {"Succeeded", "Failed"}
    wait("no pod of ours runs", lambda: all(pod["status"]["phase"] in over for pod in pulls.pods()))
    stray = [
        job for job in namespace.get("jobs", root="/apis/batch/v1") if not job["spec"].get("ttlSecondsAfterFinished")
    ]
    assert stray == []
