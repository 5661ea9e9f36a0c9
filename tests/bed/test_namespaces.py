"""What the test bed promises to every test that uses the cluster."""

import os
import subprocess
import urllib.request
from pathlib import Path

import pytest
from tests.testbed.api import Api, ApiError, wait
from tests.testbed.namespaces import create, pod, sweep

pytestmark = pytest.mark.real("cluster")


def ended(namespace, name):
    """The phase of a pod that came to its end."""

    def phase():
        found = namespace.get("pods", name)["status"].get("phase")
        return found if found in ("Succeeded", "Failed") else None

    return wait(f"pod {name} ended", phase)


def test_a_pod_writes_to_the_claims_folder_by_its_group(namespace, cluster):
    """fsGroup is honoured: a pod with any user id writes there, and the test sees the file."""
    claim = namespace.claim("models")
    script = "import os; open('/volume/hello', 'w').write(str(os.getuid()))"
    namespace.apply(pod("writer", cluster.image, ["python3", "-c", script], runAsUser=1000810000, fsGroup=4242))
    assert ended(namespace, "writer") == "Succeeded"
    assert (claim.path / "hello").read_text() == "1000810000"
    assert (claim.path / "hello").stat().st_gid == 4242


def test_a_volume_of_limited_size_is_really_full(namespace, cluster):
    claim = namespace.claim("small", capacity_on_disk_bytes=1 << 20, permissions=0o777)
    script = "import errno\ntry: open('/volume/f', 'wb').write(bytes(2 << 20))\nexcept OSError as e: assert e.errno == errno.ENOSPC"
    namespace.apply(pod("writer", cluster.image, ["python3", "-c", script], claim="small"))
    assert ended(namespace, "writer") == "Succeeded"
    assert os.statvfs(claim.path).f_bavail == 0


def test_an_unbound_claim_stays_pending(namespace):
    assert namespace.claim("later", bind=False).path is None
    assert namespace.get("persistentvolumeclaims", "later")["status"]["phase"] == "Pending"


def test_claims_of_a_class_get_volumes_meanwhile(namespace):
    """What a user's claim meets: a class with a provisioner."""
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "standard",
    }
    with namespace.provisioning("standard"):
        namespace.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": claim})
        wait("it is bound", lambda: namespace.get("persistentvolumeclaims", "c")["status"].get("phase") == "Bound")


def test_minio_is_reached_from_here_and_from_pods(namespace, cluster):
    server = namespace.minio()
    with urllib.request.urlopen(f"{server.endpoint}/minio/health/ready", timeout=5) as answer:
        assert answer.status == 200
    script = f"import urllib.request as r; r.urlopen('{server.in_cluster}/minio/health/ready', timeout=5)"
    namespace.apply(pod("reader", cluster.image, ["python3", "-c", script], claim=None))
    assert ended(namespace, "reader") == "Succeeded"


def test_the_namespaces_user_has_the_shipped_role_and_no_more(namespace):
    user = Api(namespace.kubeconfig)
    assert user.get(f"/api/v1/namespaces/{namespace.name}/pods")["items"] == []
    for path in ("/api/v1/namespaces/default/pods", "/api/v1/persistentvolumes", "/api/v1/nodes"):
        with pytest.raises(ApiError, match="403"):
            user.get(path)
    assert os.environ["KUBECONFIG"] == str(namespace.kubeconfig)


def test_nothing_of_a_namespace_is_left(cluster, tmp_path):
    """Pods that ignore SIGTERM, volumes, folders, mounted file systems and MinIO are gone with it."""
    made = create(cluster.api, tmp_path)
    claim = made.claim("models", capacity_on_disk_bytes=1 << 20)
    server = made.minio()
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    made.apply(pod("stubborn", cluster.image, ["python3", "-c", stubborn]))
    wait("it runs", lambda: made.get("pods", "stubborn")["status"].get("phase") == "Running")
    made.remove()
    wait("the namespace is gone", lambda: cluster.api.find(f"/api/v1/namespaces/{made.name}") is None)
    assert cluster.api.find(f"/api/v1/persistentvolumes/{claim.volume}") is None
    assert not claim.path.exists()
    assert made.name not in Path("/proc/mounts").read_text()
    assert subprocess.run(["pgrep", "-f", str(server.data)], check=False).returncode == 1


def test_the_namespace_of_a_killed_session_is_removed_by_the_next(cluster, namespace, tmp_path):
    """Its fixtures never came to it. The one of a session that lives is left alone."""
    session = subprocess.Popen(["sleep", "60"])
    left = create(cluster.api, tmp_path, session=session.pid)
    folder = left.claim().path
    session.kill()
    session.wait()
    removed = sweep(cluster.api)
    assert left.name in removed
    assert namespace.name not in removed
    assert not folder.exists()
    wait("it is gone", lambda: cluster.api.find(f"/api/v1/namespaces/{left.name}") is None)
    assert cluster.api.find(f"/api/v1/persistentvolumes/{left.name}-models") is None
