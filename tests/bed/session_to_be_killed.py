"""A test session that starts a cluster with a pod on it, and waits to be killed; run by `test_cluster.py`."""

import time

from tests.testbed.api import wait
from tests.testbed.namespaces import pod


def test_waits(namespace, cluster, capfd):
    namespace.claim("models", capacity_on_disk_bytes=1 << 20)
    namespace.apply(pod("sleeper", cluster.image, ["python3", "-c", "import time; time.sleep(3600)"]))
    wait("the pod runs", lambda: namespace.get("pods", "sleeper")["status"].get("phase") == "Running")
    with capfd.disabled():
        print("READY", flush=True)
    time.sleep(170)
