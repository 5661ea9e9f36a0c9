"""A one-node Kubernetes: its life, and who shares it.

Test sessions hold a lock while they run; the last to leave ends a cluster that a session started. One that a person
started (``python -m tests.testbed up``) stays. What a killed session leaves is found by record, and ended by whoever
comes next.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.testbed import base, crds, docker, image, kserve, kube, network, node, pki, plane, processes
from tests.testbed.api import Api
from tests.testbed.places import CLUSTER, PIDS

KUBECONFIG = plane.KUBECONFIG
_KEPT = CLUSTER / "kept"
_LEFT = CLUSTER / "left"
_HELD: list[IO[str]] = []


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        kubeconfig: The administrator's.
        image: Of this checkout's Lading, present on the node.
        node: Name of the one node; None where there is only a control plane.
    """

    kubeconfig: Path
    api: Api
    image: str = image.NAME
    node: str | None = node.NAME

    def kubectl(self, *argv: str, **options: Any) -> str:
        """What kubectl prints, as administrator."""
        return kube.kubectl(self.kubeconfig, *argv, **options)


def missing(*, with_node: bool = True) -> str | None:
    """Why there can be no cluster (or no control plane) here; None when there can."""
    if with_node:
        return kube.missing() or node.missing() or docker.missing() or base.missing()
    return kube.missing() or pki.missing()


def shared() -> Cluster:
    """The cluster that runs, else one that is started; with this checkout's image on its node."""
    _ensure()
    with_node = missing() is None
    return Cluster(kubeconfig=KUBECONFIG, api=Api(KUBECONFIG), node=node.NAME if with_node else None)


def with_kserve(cluster: Cluster) -> None:
    """Have KServe's controller beside *cluster*, until that ends."""
    with _alone():
        kserve.ensure(cluster.api, cluster.kubeconfig)


def up() -> list[str]:
    """Have a cluster that stays until `down`; what was done."""
    began = time.monotonic()
    _ensure()
    _KEPT.touch()
    return [f"up within {time.monotonic() - began:.1f} s: export KUBECONFIG={KUBECONFIG}"]


def down() -> list[str]:
    """End the cluster, whoever started it, and every trace of it; its logs stay."""
    with _alone():
        _down()
    return ["down"]


def status() -> list[str]:
    """What runs, as it is seen now."""
    parts = {record.name: processes.running(record) for record in sorted(PIDS.glob("*"))}
    if not parts:
        return ["down"]
    owner = "kept" if _KEPT.exists() else "of a test session" if _in_use() else "left by a killed test session"
    first = f"{'up' if healthy() else 'not healthy'}, {owner}: {KUBECONFIG}"
    return [first, *(f"{name}: {f'process {pid}' if pid else 'gone'}" for name, pid in parts.items())]


def healthy() -> bool:
    """Whether the API is ready, and the node, too, where there can be one."""
    if not (KUBECONFIG.exists() and plane.ready()):
        return False
    return missing() is not None or (node.running() and node.ready(Api(KUBECONFIG)))


def hold() -> None:
    """Say that this process may use a cluster, until it ends or calls `leave`; see what a killed one left."""
    lock = _users()
    if _try_exclusive(lock) and PIDS.exists() and not _KEPT.exists():
        _LEFT.touch()
    fcntl.flock(lock, fcntl.LOCK_SH)
    _HELD.append(lock)


def leave() -> None:
    """The other end of `hold`: the last to leave ends a cluster that nobody keeps."""
    while _HELD:
        _HELD.pop().close()
    if PIDS.exists() and not _KEPT.exists() and not _in_use():
        down()


def _in_use() -> bool:
    """Whether a test session is running."""
    with _users() as lock:
        return not _try_exclusive(lock)


def _users() -> IO[str]:
    CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    return CLUSTER.with_suffix(".users").open("a")


def _try_exclusive(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ensure() -> None:
    with _alone():
        if _LEFT.exists() or not healthy():
            _down()
            _up()
    if missing() is None:
        image.ensure()


def _up() -> None:
    with_node = missing() is None
    if with_node and network.has_kubernetes_rules():
        raise RuntimeError(
            "another Kubernetes has rules in this host's iptables, and there is room for one: "
            "if it is another checkout's, end it there with `python -m tests.testbed down`"
        )
    CLUSTER.mkdir(parents=True, exist_ok=True)
    plane.write_identities()
    with ThreadPoolExecutor() as beside:
        images = beside.submit(_node_with_images) if with_node else None
        api = plane.up()
        if images is not None:
            images.result()
            node.join(api)
    crds.apply(KUBECONFIG)


def _node_with_images() -> None:
    node.start_containerd()
    node.load(base.pause_archive(), {base.PAUSE: ""})
    node.load(base.archive(), {base.NAME: ""})


def _down() -> None:
    kserve.down()
    if os.geteuid() == 0 and CLUSTER.exists():
        node.down()
    plane.down()
    for path in CLUSTER.glob("*") if CLUSTER.exists() else ():
        if path.name != "log":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    with CLUSTER.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
