"""Both forms in which services name a model on a claim, mounted by a real kubelet."""

import pytest
from tests.testbed.api import wait
from tests.testbed.namespaces import pod

pytestmark = pytest.mark.real("cluster")


@pytest.fixture
def claim(namespace, lading, tmp_path):
    """A claim with m@v1 (current) and m@v2."""
    claim = namespace.claim("models")
    for version in ("v2", "v1"):
        source = tmp_path / version
        source.mkdir()
        (source / "weights.bin").write_text(f"bytes of {version}")
        done = lading("pull", source, claim.path, "--model", "team/m", "--version", version, "--expect", "any")
        assert done.returncode == 0, done.stderr
    return claim


def server(name, sub_path):
    """A pod that mounts a model as KServe does: read-only, by subPath."""
    document = pod(name, "docker.io/testbed/base:1", ["sleep", "3600"])
    document["spec"]["containers"][0]["volumeMounts"][0].update(
        mountPath="/mnt/models", subPath=sub_path, readOnly=True
    )
    return document


def served(namespace, name):
    """What the running pod *name* reads."""
    wait(f"{name} runs", lambda: namespace.get("pods", name)["status"].get("phase") == "Running")
    return namespace.kubectl("exec", name, "--", "cat", "/mnt/models/weights.bin")


def test_current_and_a_version_are_mounted_and_a_restart_sees_the_switch(namespace, lading, claim):
    namespace.apply(server("current", "team/m/current"))
    namespace.apply(server("pinned", "team/m/v1"))
    assert served(namespace, "current") == "bytes of v1"
    assert served(namespace, "pinned") == "bytes of v1"

    assert lading("use", f"{claim.path}/team/m@v2").returncode == 0
    assert served(namespace, "current") == "bytes of v1"  # a container keeps what it was started with

    namespace.api.delete(f"/api/v1/namespaces/{namespace.name}/pods/current", grace_s=0)
    wait("it is gone", lambda: namespace.get("pods", "current") is None)
    namespace.apply(server("current", "team/m/current"))
    assert served(namespace, "current") == "bytes of v2"
    assert served(namespace, "pinned") == "bytes of v1"
