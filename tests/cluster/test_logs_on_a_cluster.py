"""A real container's log through connections that break: kubelet's own stamps, pieces and ends."""

import asyncio

import pytest
from tests.testbed import base

from lading.cluster import config
from lading.cluster.client import Cluster
from lading.cluster.kinds import POD
from lading.testing import proxy

pytestmark = pytest.mark.real("cluster")

#: Long lines are stored in pieces of 16 KiB, each with its own time; both streams, equal lines, several seconds.
#: Nothing is written to stderr beside a long line: kubelet would put it in the middle.
SCRIPT = """
import sys, time
for number in range(40):
    print(f"{number} " + "x" * (70_000 if number % 4 == 0 else 10), flush=True)
    print("same", flush=True)
    if number % 4 == 2:
        print(f"err {number}", file=sys.stderr, flush=True)
    time.sleep(0.06)
"""
OUT = [line for number in range(40) for line in (f"{number} " + "x" * (70_000 if number % 4 == 0 else 10), "same")]
ERR = [f"err {number}" for number in range(2, 40, 4)]


def pod(name, script, restart="Never"):
    container = {
        "name": "main",
        "image": base.NAME,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", script],
    }
    container["volumeMounts"] = [{"name": "kept", "mountPath": "/kept"}]
    spec = {
        "restartPolicy": restart, "terminationGracePeriodSeconds": 0, "containers": [container],
        "volumes": [{"name": "kept", "emptyDir": {}}],
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


async def test_a_log_that_breaks_again_and_again_is_whole(namespace):
    """Every line once, in each stream's order, long ones whole."""
    found = config.connection(kubeconfig=namespace.admin)
    host, _, port = found.server.removeprefix("https://").partition(":")
    with proxy.counting(host, int(port)) as relay:
        object.__setattr__(found, "server", f"https://127.0.0.1:{relay.port}")
        async with Cluster(found) as cluster:
            await cluster.create(pod("worker", SCRIPT))
            told, cuts = [], 0
            async for line in cluster.logs("worker"):
                told.append(line.text)
                if len(told) % 15 == 7:
                    relay.cut()
                    cuts += 1
    assert cuts > 5
    assert [text for text in told if not text.startswith("err")] == OUT
    assert [text for text in told if text.startswith("err")] == ERR


async def test_a_container_that_restarts_ends_its_log(namespace):
    """What follows is another run's; the one before is asked for by `previous`."""
    script = (
        "import pathlib, time; again = pathlib.Path('/kept/again')\n"
        "if again.exists(): time.sleep(600)\n"
        "again.touch(); print('once', flush=True); time.sleep(0.5); print('gone', flush=True); raise SystemExit(1)"
    )
    async with Cluster(config.connection(kubeconfig=namespace.admin)) as cluster:
        await cluster.create(pod("worker", script, restart="Always"))
        assert [line.text async for line in cluster.logs("worker")] == ["once", "gone"]
        await cluster.wait(
            POD, "worker", lambda it: it["status"]["containerStatuses"][0]["restartCount"] >= 1,
            within_s=60, what="its restart",
        )  # fmt: skip
        assert [line.text async for line in cluster.logs("worker", previous=True)] == ["once", "gone"]


async def test_a_pod_that_is_deleted_ends_its_log(namespace):
    """With what it had."""
    async with Cluster(config.connection(kubeconfig=namespace.admin)) as cluster:
        await cluster.create(pod("worker", "import time; print('one', flush=True); time.sleep(600)"))
        told = []
        async with asyncio.timeout(120):
            async for line in cluster.logs("worker"):
                told.append(line.text)
                await cluster.delete(POD, "worker", grace_s=0)
        assert told == ["one"]
