"""A folder onto a claim of a real one-node Kubernetes, beside `kubectl cp`, in one run.

    python benchmarks/upload.py [--rounds 5] [--megabytes 512] [--files 4]

Each round runs, in turn first: `lading pull FOLDER pvc://models/m`, the whole command, which starts its pod, hashes on both
sides, makes every file durable and removes its pod; and what people do instead: make a pod that mounts the claim, wait,
`kubectl cp`, sync, delete the pod. Beside them `kubectl cp` alone into a pod that runs already, which neither verifies nor
syncs. Client, API server, kubelet and pod share this machine.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.testbed import cluster as clusters
from tests.testbed import namespaces

IMAGE = "docker.io/testbed/base:1"
WAITING = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nsignal.pause()"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=512.0)
    parser.add_argument("--files", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lading-bench-") as name:
        folder = Path(name)
        cluster = clusters.shared()
        os.environ["LADING_IMAGE"] = cluster.image
        place = namespaces.create(cluster.api, folder)
        try:
            run(place, folder, arguments.rounds, int(arguments.megabytes * 1e6), arguments.files)
        finally:
            place.remove()


def run(place, folder, rounds, size_bytes, files):
    model = filled(folder / "model", size_bytes, files)
    claim = place.claim(size="20Gi")
    start(place, "waiting")
    ways = {"lading pull": lading, "pod + kubectl cp + sync": whole, "kubectl cp alone": copy}
    seconds = {name: [] for name in ways}
    for number in range(rounds):
        order = list(ways)[number % len(ways) :] + list(ways)[: number % len(ways)]
        for name in order:
            os.sync()
            began = time.monotonic()
            ways[name](place, model, f"m{number}")
            seconds[name].append(time.monotonic() - began)
            empty(claim.path)
        print(
            f"round {number + 1}: " + ", ".join(f"{name} {took[-1]:.2f} s" for name, took in seconds.items()),
            flush=True,
        )
    report(seconds, size_bytes)


def lading(place, model, name):
    environment = {**os.environ, "KUBECONFIG": str(place.kubeconfig)}
    argv = [sys.executable, "-m", "lading", "pull", str(model), f"pvc://models/{name}", "--expect", "any", "--quiet"]
    subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)


def whole(place, model, name):
    start(place, "helper")
    place.kubectl("cp", str(model), f"helper:/volume/{name}")
    place.kubectl("exec", "helper", "--", "sync", "--file-system", "/volume")
    place.kubectl("delete", "pod", "helper", "--wait=false")


def copy(place, model, name):
    place.kubectl("cp", str(model), f"waiting:/volume/{name}")


def start(place, name):
    """A pod with the claim, which waits; as people write it."""
    container = {
        "name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["python3", "-c", WAITING],
        "volumeMounts": [{"name": "claim", "mountPath": "/volume"}],
    }  # fmt: skip
    volumes = [{"name": "claim", "persistentVolumeClaim": {"claimName": "models"}}]
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes}
    spec["securityContext"] = {"fsGroup": 65532}  # a local volume has one group for all its pods
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    place.kubectl("wait", "--for=delete", f"pod/{name}", "--timeout=60s")
    place.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    place.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def filled(folder, size_bytes, files):
    """A folder of random bytes."""
    folder.mkdir()
    for number in range(files):
        (folder / f"part-{number:04}.bin").write_bytes(os.urandom(size_bytes // files))
    return folder


def empty(folder):
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def report(seconds, size_bytes):
    ours = seconds["lading pull"]
    for name, values in seconds.items():
        rate = size_bytes / statistics.median(values) / 1e6
        print(f"{name}: median {statistics.median(values):.2f} s, {rate:.0f} MB/s")
        if values is not ours:
            ratios = [other / own for own, other in zip(ours, values, strict=True)]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"  {name} / lading pull: median {statistics.median(ratios):.2f} of {len(ratios)} rounds ({spread})")


if __name__ == "__main__":
    main()
