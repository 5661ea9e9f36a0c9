"""The helper pod on the real cluster: it mounts, it goes, it says at once why it cannot come."""

import asyncio
import json
import signal
import subprocess
import sys

import pytest
from tests.streams.conftest import IMAGE, WAITING
from tests.testbed.api import wait

from lading.cluster import config
from lading.cluster.client import Cluster
from lading.errors import ClaimUnusable, ClusterDenied, PodFailed
from lading.manifests import ours
from lading.placement import helper as helpers
from lading.placement.helper import helper
from lading.placement.mounts import Mount
from lading.spec.placement import Choice, Placement
from lading.wiring import claims

pytestmark = pytest.mark.real("cluster")


@pytest.fixture
def placement(cluster):
    """Our image."""
    return Placement(image=cluster.image)


def pods(place):
    return [pod["metadata"]["name"] for pod in place.get("pods") if "deletionTimestamp" not in pod["metadata"]]


async def test_it_mounts_the_claim_and_is_gone_with_the_block(place, user, placement):
    claim = place.claim("rw")
    async with helper(user, "rw", write=True, placement=placement) as pod:
        assert (await pod.run(["sh", "-c", f"echo hello > {ours.MOUNT}/file"])).code == 0
        labels = place.get("pods", pod.name)["metadata"]["labels"]
        assert (labels[ours.PURPOSE], labels[ours.CLAIM]) == ("writer", "rw")
    assert (claim.path / "file").read_text() == "hello\n"
    wait("the pod is gone", lambda: not place.get("pods", pod.name))
    async with helper(user, "rw", write=False, placement=placement) as pod:
        read = await pod.run(["cat", f"{ours.MOUNT}/file"])
        refused = await pod.run(["touch", f"{ours.MOUNT}/other"])
        lines = [line async for line in pod.lines(["sh", "-c", "printf 'a\\nb\\n\\nc'"])]
        with pytest.raises(PodFailed, match="status 4") as caught:
            [line async for line in pod.lines(["sh", "-c", "echo why >&2; exit 4"])]
    assert (read.stdout, refused.code, lines) == (b"hello\n", 1, [b"a", b"b", b"", b"c"])
    assert b"Read-only" in refused.stderr
    assert caught.value.log == ("why",)


async def test_it_is_gone_also_when_the_block_fails_or_is_cancelled(place, user, placement):
    place.claim("left")

    async def hold(entered):
        async with helper(user, "left", write=False, placement=placement) as pod:
            entered.set_result(pod.name)
            await asyncio.sleep(600)

    entered = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(hold(entered))
    name = await entered
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    wait("the pod is gone", lambda: not place.get("pods", name))


async def test_a_claim_that_is_not_there(user, placement):
    with pytest.raises(ClaimUnusable, match="there is no claim nothing in namespace") as caught:
        async with helper(user, "nothing", write=False, placement=placement):
            pass
    assert "lading claim create nothing" in caught.value.hint


async def test_a_claim_without_a_volume(place, user, placement):
    place.claim("unbound", bind=False)
    with pytest.raises(ClaimUnusable, match="unbound"):
        async with helper(user, "unbound", write=False, placement=placement):
            pass
    assert not [name for name in pods(place) if "unbound" in name]


async def test_an_image_that_cannot_be_pulled(place, user):
    place.claim("imageless")
    wrong = Placement(image="docker.io/testbed/nothing:1")
    with pytest.raises(PodFailed, match=r"docker\.io/testbed/nothing:1"):
        async with helper(user, "imageless", write=False, placement=wrong):
            pass
    wait("the pod is gone", lambda: not [name for name in pods(place) if "imageless" in name])


async def test_an_image_without_lading_ends_at_once_and_says_so(place, user):
    place.claim("foreign")
    with pytest.raises(PodFailed):
        async with helper(user, "foreign", write=False, placement=Placement(image=IMAGE)):
            pass
    wait("the pod is gone", lambda: not [name for name in pods(place) if "foreign" in name])


async def test_a_quota_that_is_used_up(cluster, namespace, placement):
    namespace.claim()
    spec = {"hard": {"pods": "0"}}
    namespace.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": spec})
    wait("the quota counts", lambda: namespace.get("resourcequotas", "none").get("status", {}).get("hard"))
    async with Cluster(config.connection(kubeconfig=namespace.kubeconfig)) as user:
        with pytest.raises(PodFailed, match="the quota none has no room for a helper pod"):
            async with helper(user, "models", write=False, placement=placement):
                pass


async def test_a_claim_that_another_pod_has_for_itself(place, user, placement):
    place.claim("alone", modes=("ReadWriteOncePod",))
    mounting(place, "server", "alone")
    with pytest.raises(ClaimUnusable, match="ReadWriteOncePod, and pod server has it"):
        async with helper(user, "alone", write=True, placement=placement):
            pass


async def test_it_runs_beside_the_pod_that_has_the_claim_and_takes_its_group(place, user, placement):
    place.claim("shared")
    mounting(place, "beside", "shared", group=1234)
    async with helper(user, "shared", write=True, placement=placement) as pod:
        spec = place.get("pods", pod.name)["spec"]
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms[0]["matchFields"][0]["values"] == ["node-1"]
    assert spec["securityContext"]["fsGroup"] == 1234


def mounting(place, name, claim, *, group=None):
    """A pod of somebody's, which mounts *claim* and runs."""
    place.apply({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1, "securityContext": {"fsGroup": group} if group else {},
            "containers": [{
                "name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["python3", "-c", WAITING],
                "volumeMounts": [{"name": "claim", "mountPath": "/mnt"}],
            }],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}],
        },
    })  # fmt: skip
    place.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def test_alone_it_ends_by_itself_and_told_to_end_it_ends_at_once(place, cluster):
    for name, idle_s in (("idle", "1"), ("busy", "600")):
        argv = ["python3", "-m", "lading.placement.hold", idle_s]
        container = {"name": "main", "image": cluster.image, "imagePullPolicy": "IfNotPresent", "command": argv}
        spec = {"restartPolicy": "Never", "containers": [container], "terminationGracePeriodSeconds": 600}
        place.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    wait("it ended", lambda: place.get("pods", "idle")["status"].get("phase") == "Succeeded")
    place.kubectl("wait", "--for=condition=Ready", "pod/busy", "--timeout=60s")
    place.kubectl("delete", "pod", "busy", "--timeout=60s")  # of the 600 s that it may take


async def test_what_a_killed_client_left_is_cleared_by_the_next_command(place, user, placement):
    place.claim("killed")
    labels = ours.labels("reader", claim="killed")
    container = {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["true"]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    place.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "left-over", "labels": labels}, "spec": spec})
    wait("it ended", lambda: place.get("pods", "left-over")["status"].get("phase") == "Succeeded")
    async with helper(user, "killed", write=False, placement=placement):
        assert "left-over" not in pods(place)


async def test_rights_are_asked_for_before_anything_is_done(place, cluster, tmp_path, monkeypatch):
    place.claim("denied")
    place.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}})
    document = json.loads(place.kubeconfig.read_text())
    document["users"][0]["user"]["token"] = place.kubectl("create", "token", "nobody").strip()
    poor = tmp_path / "poor"
    poor.write_text(json.dumps(document))
    choice = Choice(kubeconfig=poor, image=cluster.image)
    with pytest.raises(ClusterDenied, match="pods/exec") as caught:
        async with claims.reached("pvc://denied", choice, write=True):
            pass
    assert "persistentvolumeclaims" in caught.value.hint
    assert not [name for name in pods(place) if "denied" in name]


def test_ctrl_c_removes_the_pod(place, cluster):
    place.claim("interrupted")
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom lading.spec.placement import Choice\n"
        "from lading.wiring import claims\n"
        f"choice = Choice(kubeconfig=Path({str(place.kubeconfig)!r}), image={cluster.image!r})\n"
        "with claims.opened('pvc://interrupted', choice, write=False):\n print('up', flush=True)\n time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as client:
        assert client.stdout.readline() == b"up\n"
        client.send_signal(signal.SIGINT)
        client.wait(60)
    wait("the pod is gone", lambda: not [name for name in pods(place) if "interrupted" in name])


def held(**options):
    return Mount(pod="server", namespace="n", phase="Running", read_only=False, **options)


@pytest.mark.parametrize(
    ("modes", "mounts", "node"),
    [
        (["ReadWriteOnce"], [], None),
        (["ReadWriteOnce"], [held(node="a")], "a"),
        (["ReadWriteOnce"], [held(node="gone", leaving=True), held(node="a")], "a"),
        (["ReadWriteOnce"], [held(node=None)], None),
        (["ReadWriteMany"], [held(node="a")], None),
        (["ReadWriteOnce", "ReadWriteMany"], [held(node="a")], None),
        (["ReadWriteOncePod"], [held(node="a", leaving=True)], "a"),
    ],
)
def test_where_it_must_run(modes, mounts, node):
    claim = {"metadata": {"name": "c"}, "spec": {"accessModes": modes}}
    assert helpers.place(claim, mounts, write=True) == node


def test_a_read_only_claim_is_not_written():
    claim = {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadOnlyMany"]}}
    assert helpers.place(claim, [], write=False) is None
    with pytest.raises(ClaimUnusable, match="ReadOnlyMany"):
        helpers.place(claim, [], write=True)
