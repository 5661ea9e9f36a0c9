"""The host's network as the test bed uses it: its first address, a bridge for pods, and no trace of either afterwards."""

import json
import shutil
import subprocess
from pathlib import Path

BRIDGE = "testbed0"
POD_RANGE = "10.244.0.0/24"
_TOOLS = (("iptables-save", "iptables-restore"), ("ip6tables-save", "ip6tables-restore"))


def host_address() -> str:
    """The first address of this host that is not loopback: pods reach it by that."""
    said = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True)
    return said.stdout.split()[0]


def write_cni(folder: Path) -> None:
    """The configuration of the pods' network."""
    folder.mkdir(parents=True, exist_ok=True)
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(folder.parent / "cni-data"),
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    document = {"cniVersion": "1.0.0", "name": "testbed", "plugins": [bridge, ports]}
    (folder / "10-testbed.conflist").write_text(json.dumps(document))


def has_kubernetes_rules() -> bool:
    """Whether some Kubernetes of this host has rules: ours when it runs, else another one's."""
    return any("KUBE-SERVICES" in _run(save) for save, _ in _TOOLS if shutil.which(save))


def clear() -> None:
    """Remove the bridge, and the rules that kube-proxy, kubelet and the bridge made."""
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)
    for save, restore in _TOOLS:
        if shutil.which(save):
            before = _run(save).splitlines()
            after = [line for line in before if not _is_ours(line)]
            if after != before:
                subprocess.run([restore], input="\n".join(after) + "\n", text=True, check=True, capture_output=True)


def _is_ours(rule: str) -> bool:
    """A rule or chain of Kubernetes, or of a CNI plugin for our bridge."""
    return any(mark in rule for mark in ("KUBE-", ":CNI-", "-A CNI-", "-j CNI-", 'name: \\"testbed\\"'))


def _run(save: str) -> str:
    return subprocess.run([save], capture_output=True, text=True, check=False).stdout
