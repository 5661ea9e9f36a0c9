"""The node: containerd with its images, kubelet, kube-proxy. Needs root; every trace of it can be removed."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.testbed import kube, mounts, network, packages, processes
from tests.testbed.api import Api, wait
from tests.testbed.places import CLUSTER, PIDS

NAME = "node-1"
PACKAGES = ("containerd", "runc", "containernetworking-plugins", "iptables", "conntrack", "iproute2", "openssl")
_SOCKET = CLUSTER / "containerd.sock"
_LOADED = CLUSTER / "images.json"
_TASKS = CLUSTER / "containerd" / "state" / "io.containerd.runtime.v2.task" / "k8s.io"
_CNI_PLUGINS = Path("/usr/lib/cni")

# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc cannot lower the score, and every pod dies in its sandbox.
_CONTAINERD = f"""\
version = 2
root = "{CLUSTER}/containerd/root"
state = "{CLUSTER}/containerd/state"
[grpc]
address = "{_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/testbed/pause:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{_CNI_PLUGINS}"
conf_dir = "{CLUSTER}/cni"
"""
_KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": f"{CLUSTER}/pki/ca.crt"},
    },
    "authorization": {"mode": "Webhook"},
    "tlsCertFile": f"{CLUSTER}/pki/kubelet.crt",
    "tlsPrivateKeyFile": f"{CLUSTER}/pki/kubelet.key",
    "cgroupDriver": "cgroupfs",
    # No tree of pods' cgroups: a kubelet ends whatever it does not know there, another one's pods, too.
    "cgroupsPerQOS": False,
    "enforceNodeAllocatable": [],
    "containerRuntimeEndpoint": f"unix://{_SOCKET}",
    "failSwapOn": False,
    "localStorageCapacityIsolation": False,
    # Disks that are nearly full are no reason to evict what is tested, nor to forget images that nobody can pull again.
    "evictionHard": {
        "memory.available": "100Mi",
        "nodefs.available": "1%",
        "imagefs.available": "1%",
        "nodefs.inodesFree": "1%",
    },
    "imageGCHighThresholdPercent": 100,
    "imageGCLowThresholdPercent": 99,
}


def missing() -> str | None:
    """Why there can be no node here; None when there can."""
    if os.geteuid() != 0:
        return "a node needs root"
    lacking = [name for name in ("containerd", "runc", "iptables", "ip", "openssl") if shutil.which(name) is None]
    if not (_CNI_PLUGINS / "bridge").exists():
        lacking.append("containernetworking-plugins")
    return f"{', '.join(lacking)} not installed (make testbed installs them on Debian)" if lacking else None


def prepare() -> list[str]:
    """Install what the node is made of, where that is ours to do; a sentence on it."""
    if packages.can_install():
        packages.install(PACKAGES)
    return [f"node: {missing() or 'containerd, runc and CNI plugins are there'}"]


def start_containerd() -> None:
    """Start containerd, without images, and wait until it answers."""
    CLUSTER.mkdir(parents=True, exist_ok=True)
    network.write_cni(CLUSTER / "cni")
    (CLUSTER / "containerd.toml").write_text(_CONTAINERD)
    argv = ["containerd", "--config", CLUSTER / "containerd.toml"]
    processes.start(PIDS / "containerd", argv, log=CLUSTER / "log" / "containerd.log")
    wait("containerd answers", running, within_s=60)


def join(api: Api) -> None:
    """Start kubelet and kube-proxy and wait until the node is ready."""
    (CLUSTER / "kubelet.json").write_text(json.dumps(_KUBELET))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    kube.start(
        "kubelet", "--config", CLUSTER / "kubelet.json", "--kubeconfig", CLUSTER / "kubelet.kubeconfig",
        "--hostname-override", NAME, "--root-dir", CLUSTER / "kubelet", "--node-ip", network.host_address(),
        "--cert-dir", CLUSTER / "pki",
    )  # fmt: skip
    kube.start(
        "proxy", "--kubeconfig", CLUSTER / "admin.kubeconfig", "--hostname-override", NAME, "--proxy-mode", "iptables",
        "--bind-address", "127.0.0.1", "--metrics-bind-address", "127.0.0.1:10249", "--cluster-cidr", "10.244.0.0/16",
    )  # fmt: skip
    wait(f"{NAME} is ready", lambda: ready(api), within_s=120)


def ready(api: Api) -> bool:
    """Whether the API has the node as ready."""
    node = api.find(f"/api/v1/nodes/{NAME}") or {}
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def down() -> None:
    """End everything of the node, pods first, also after a crash: processes, shims, mounts, bridge, rules."""
    processes.end(PIDS / "proxy")
    processes.end(PIDS / "kubelet")
    if running():
        for task in ctr("task", "ls", "--quiet").split():
            with contextlib.suppress(RuntimeError):
                ctr("task", "rm", "--force", task)
    _end_orphans()
    processes.end(PIDS / "containerd")
    mounts.unmount(CLUSTER)
    network.clear()


def ctr(*argv: str | Path) -> str:
    """What containerd's client prints, in the namespace of Kubernetes."""
    done = subprocess.run(
        ["ctr", "--address", _SOCKET, "--namespace", "k8s.io", *argv], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"ctr {argv[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def running() -> bool:
    """Whether the node's containerd answers."""
    if not _SOCKET.exists():
        return False
    try:
        ctr("version")
    except RuntimeError:
        return False
    return True


def loaded() -> dict[str, str]:
    """Images that were loaded, each with the digest of what it was made from."""
    try:
        return dict(json.loads(_LOADED.read_text()))
    except (OSError, ValueError):
        return {}


def load(archive: Path, images: Mapping[str, str]) -> None:
    """Load *archive*, which holds *images*: names with the digest of what each was made from."""
    ctr("images", "import", archive)
    _LOADED.write_text(json.dumps({**loaded(), **images}))


def _end_orphans() -> None:
    """Shims and containers that containerd left behind when it was killed: known by our socket and our tasks' ids."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"containerd-shim-runc-v2") and str(_SOCKET).encode() in argv:
                os.kill(int(process.name), signal.SIGKILL)
    for task in _TASKS.glob("*"):
        with contextlib.suppress(OSError, ValueError):
            pid = int((task / "init.pid").read_text())
            if task.name in Path(f"/proc/{pid}/cgroup").read_text():
                os.kill(pid, signal.SIGKILL)
