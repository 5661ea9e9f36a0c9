"""The image of our pods: small, without root, and nothing written where it is not told to."""

import json
import tarfile

import pytest
from tests.testbed import base, image
from tests.testbed.api import wait
from tests.testbed.namespaces import pod

pytestmark = pytest.mark.real("cluster")

_LIMIT_BYTES = 120 * 1000**2


def layers(archive):
    """The bytes of each layer of an image, unpacked, by its digest; and the image's configuration."""
    with tarfile.open(archive) as content:
        manifest = json.load(content.extractfile("manifest.json"))[0]
        config = json.load(content.extractfile(manifest["Config"]))
        sizes = [content.getmember(name).size for name in manifest["Layers"]]
    return dict(zip(config["rootfs"]["diff_ids"], sizes, strict=True)), config["config"]


@pytest.fixture(scope="module")
def run(cluster):
    """Run a locked-down pod of ours in its own namespace, by any user id; what it printed."""

    def finished(namespace, *arguments, script=None):
        document = pod("it", cluster.image, ["python3", "-c", script] if script else [], claim=None)
        container = document["spec"]["containers"][0]
        if script is None:
            container |= {"args": [*arguments]}
            del container["command"]
        container["securityContext"] = {
            "runAsNonRoot": True,
            "runAsUser": 1000810000,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        namespace.apply(document)
        status = wait("it ended", lambda: _ended(namespace.get("pods", "it")["status"]))
        said = namespace.kubectl("logs", "it")
        assert status == "Succeeded", said
        return said

    return finished


def _ended(status):
    return status["phase"] if status.get("phase") in ("Succeeded", "Failed") else None


def test_it_holds_at_most_120_mb_above_its_base(cluster):
    ours, _ = layers(image.archive())
    below, _ = layers(base.archive())
    assert below.keys() < ours.keys()
    assert sum(size for digest, size in ours.items() if digest not in below) <= _LIMIT_BYTES


def test_its_user_is_a_number_that_is_not_root(cluster):
    """`runAsNonRoot` can be checked by the kubelet, without a look into /etc/passwd."""
    _, config = layers(image.archive())
    assert config["User"] == "65532:0"
    assert config["Entrypoint"] == ["lading"]


def test_any_user_runs_it_on_a_read_only_root(run, namespace):
    """As OpenShift would: a user id from a range, no capability, nothing writable."""
    assert run(namespace, "--version").strip()


def test_it_holds_the_core_dependencies_alone(run, namespace):
    """What is not locked for it is not in it: no pip, no optimiser, no engine; S3 and its credentials are."""
    script = """
import importlib.metadata as m, botocore.session as b
print(*sorted(d.name.lower().replace('_', '-').replace('.', '-') for d in m.distributions()))
print(*[b.get_session().get_service_model(n).service_name for n in ('s3', 'sts', 'sso', 'sso-oidc')])
"""
    names, services = run(namespace, script=script).splitlines()
    locked = [
        line.split("==")[0] for line in (image.ROOT / "requirements/image.txt").read_text().splitlines() if "==" in line
    ]
    assert set(names.split()) == {*locked, "lading"}
    assert services.split() == ["s3", "sts", "sso", "sso-oidc"]
