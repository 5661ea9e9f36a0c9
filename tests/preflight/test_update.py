"""A server holds the claim: it is stopped for the pull and brought back, whatever becomes of the pull."""

import json
import signal
import subprocess

import pytest
from tests.testbed import golden
from tests.testbed.api import wait

from lading.manifests import stopping
from lading.volume import find

pytestmark = pytest.mark.real("cluster")
APPS = "/apis/apps/v1"


def serve(bed, name="granite", *, kind="Deployment", replicas=1, path=""):
    """A workload whose pod mounts the claim (a directory of it), running."""
    pod = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"fsGroup": 2000},
            "containers": [
                {
                    "name": "server",
                    "image": "docker.io/testbed/pause:1",
                    "volumeMounts": [{"name": "models", "mountPath": "/mnt/models", "subPath": path, "readOnly": True}],
                }
            ],
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
        },
    }
    selector = {"matchLabels": {"app": name}}
    spec = {"replicas": replicas, "selector": selector, "template": pod}
    bed.namespace.apply({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
    plural = f"{kind.lower()}s"
    wait(f"{name} serves", lambda: ready(bed, name, plural) == replicas)


def ready(bed, name="granite", plural="deployments") -> int:
    return bed.namespace.get(plural, name, root=APPS)["status"].get("readyReplicas", 0)


def recorded(bed) -> str | None:
    annotations = bed.namespace.get("persistentvolumeclaims", "models")["metadata"].get("annotations") or {}
    return annotations.get(stopping.RECORD)


@pytest.fixture
def held(bed):
    """A claim for one pod alone, held by a Deployment's."""
    claim = bed.namespace.claim(modes=("ReadWriteOncePod",))
    bed.namespace.secret("s3", bed.keys)
    serve(bed)
    return claim


@pytest.fixture
def pull(bed, lading):
    """`lading pull` of the model onto the claim, as the namespace's user."""

    def run(*options, source="s3://llm/granite"):
        return lading(
            "pull", source, "pvc://models/granite", "--endpoint", bed.minio.in_cluster, "--expect", "any", *options
        )

    return run


def test_a_held_claim_is_refused_with_the_flag_that_frees_it_and_nobody_is_stopped_unasked(bed, held, pull):
    result = pull("--secret", "s3")
    text = golden.said(result).replace(bed.namespace.get("pods")[0]["metadata"]["name"], "POD")
    golden.check("preflight", "claim-held", text)
    planned = pull("--secret", "s3", "--during-update", "scale", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "would scale Deployment granite from 1 to 0, and back afterwards" in planned.stderr
    asked = pull("--secret", "s3", "--during-update", "scale")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert bed.namespace.get("deployments", "granite", root=APPS)["status"]["observedGeneration"] == 1
    assert (ready(bed), bed.left()) == (1, [])


def test_the_server_is_stopped_for_the_pull_and_serves_again_after_it(bed, held, pull):
    result = pull("--secret", "s3", "--during-update", "scale", "--yes")
    assert result.returncode == 0, result.stderr
    assert "will scale Deployment granite from 1 to 0, and back afterwards" in result.stderr
    assert [one.model for one in find.open_volume(held.path).manifests()] == ["granite"]
    assert ready(bed) == 1
    assert recorded(bed) is None


def test_it_serves_again_also_after_ctrl_c(bed, held, lading_argv, tmp_path):
    """Struck while the server is being stopped: it is started again before the command ends."""
    argv = ("pull", "s3://llm/granite", "pvc://models/granite", "--secret", "s3", "--expect", "any", "--no-preflight")
    options = ("--endpoint", bed.minio.in_cluster, "--during-update", "scale", "--yes")
    process = subprocess.Popen(
        [*lading_argv, *argv, *options], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    with process:
        said = next(line for line in process.stderr if "stopping Deployment granite" in line)
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
    assert process.returncode == 130, said
    assert "started Deployment granite again" in said
    wait("the server is back", lambda: ready(bed) == 1)
    assert (recorded(bed), bed.left()) == (None, [])


def test_it_serves_again_also_where_the_pull_fails(bed, held, pull):
    result = pull("--secret", "s3", "--during-update", "scale", "--yes", "--no-preflight", source="s3://llm/absent")
    assert result.returncode == 1, result.stderr
    assert "s3://llm/absent has no objects" in result.stderr
    wait("the server is back", lambda: ready(bed) == 1)
    assert recorded(bed) is None


def test_what_a_killed_client_left_stopped_is_started_by_the_next_pull(bed, held, pull):
    """Its record on the claim says what was there before."""
    stop = stopping.Stop(api_version="apps/v1", kind="Deployment", name="granite", replicas=1)
    bed.namespace.kubectl("annotate", "pvc", "models", f"{stopping.RECORD}={_annotation(stop)}")
    bed.namespace.kubectl("scale", "deployment", "granite", "--replicas=0")
    wait("the claim is free", lambda: not bed.namespace.get("pods"))
    result = pull("--secret", "s3", "--yes")
    assert result.returncode == 0, result.stderr
    assert "start Deployment granite again, which an earlier update has left stopped" in result.stderr
    assert ready(bed) == 1
    assert recorded(bed) is None


def test_recreate_pulls_beside_the_server_and_restarts_it_then(bed, pull):
    bed.namespace.claim()
    bed.namespace.secret("s3", bed.keys)
    serve(bed, kind="StatefulSet")
    before = bed.namespace.get("pods")[0]["metadata"]["uid"]
    result = pull("--secret", "s3", "--during-update", "recreate", "--yes")
    assert result.returncode == 0, result.stderr
    assert ready(bed, plural="statefulsets") == 1
    (pod,) = [one for one in bed.namespace.get("pods") if one["metadata"]["name"] == "granite-0"]
    assert pod["metadata"]["uid"] != before


def test_room_for_one_copy_the_server_stops_the_old_version_goes_the_new_one_is_served(bed, pull):
    claim = bed.namespace.claim()
    bed.namespace.secret("s3", bed.keys)
    assert pull("--secret", "s3", "--no-preflight").returncode == 0
    serve(bed, path="granite/current")
    (old,) = [one.version for one in find.open_volume(claim.path).manifests()]
    failed = pull("--secret", "s3", "--replace-old", "--yes", "--no-preflight", source="s3://llm/absent")
    assert failed.returncode == 1
    assert "started Deployment granite again" in failed.stderr  # nothing was removed: the old version serves
    bed.minio.client().put_object(Bucket="llm", Key="granite/weights.bin", Body=b"n" * 50_000)
    result = pull("--secret", "s3", "--replace-old", "--yes")
    assert result.returncode == 0, result.stderr
    assert "going back means pulling it again" in result.stderr
    (new,) = [one.version for one in find.open_volume(claim.path).manifests()]
    assert new != old
    assert (ready(bed), recorded(bed)) == (1, None)


def test_an_old_version_that_a_server_names_is_not_taken_from_it(bed, pull):
    claim = bed.namespace.claim()
    bed.namespace.secret("s3", bed.keys)
    assert pull("--secret", "s3", "--no-preflight").returncode == 0
    (old,) = [one.version for one in find.open_volume(claim.path).manifests()]
    serve(bed, path=f"granite/{old}")
    bed.minio.client().put_object(Bucket="llm", Key="granite/weights.bin", Body=b"n" * 50_000)
    left = bed.left()
    result = pull("--secret", "s3", "--replace-old", "--yes")
    assert f"serves granite/{old} by the version's name, and --replace-old removes it" in result.stderr
    assert (ready(bed), bed.left()) == (1, left)


def test_a_pod_that_nothing_keeps_is_named_not_deleted(bed, pull):
    bed.namespace.claim(modes=("ReadWriteOncePod",))
    bed.namespace.secret("s3", bed.keys)
    serve(bed)
    bed.namespace.kubectl("delete", "deployment", "granite", "--cascade=orphan")
    bed.namespace.kubectl("delete", "replicaset", "--all", "--cascade=orphan")
    wait("the pod is alone", lambda: "ownerReferences" not in bed.namespace.get("pods")[0]["metadata"])
    result = pull("--secret", "s3", "--during-update", "scale", "--yes")
    assert result.returncode == 1
    assert "cannot be stopped for a while by us" in result.stderr
    assert len(bed.namespace.get("pods")) == 1


def _annotation(stop) -> str:
    return stopping.record((stop,), by="me", at="now")["metadata"]["annotations"][stopping.RECORD]


def test_a_record_that_is_not_ours_is_not_believed():
    """An annotation is anybody's word: what it names would be patched with our rights."""
    good = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a", "replicas": 2}

    def read(text):
        return stopping.recorded({"metadata": {"annotations": {stopping.RECORD: text}}}).stops

    assert [one.name for one in read(json.dumps({"stopped": [good]}))] == ["a"]
    for bad in (
        "{", "[]", '{"stopped": 3}', json.dumps({"stopped": [{**good, "kind": "DaemonSet"}]}),
        json.dumps({"stopped": [{**good, "replicas": "2"}]}), json.dumps({"stopped": [{**good, "replicas": -1}]}),
        json.dumps({"stopped": [{**good, "name": "a/../b"}]}),
    ):  # fmt: skip
        assert read(bad) == ()
