"""The volume's commands on a claim of a real cluster, as its namespace's user: as on the folder that the claim is."""

import json
import subprocess

import pytest
from tests.testbed.api import wait

import lading as lading_api
from lading.testing.volume import CONTENT, OTHER, listed, loose, publish, transfer, write
from lading.volume import find

pytestmark = pytest.mark.real("cluster")


@pytest.fixture
def claim(namespace):
    """A claim whose volume lies in a folder here, group-writable as a pod of ours leaves it."""
    return namespace.claim("models", permissions=0o2775)


@pytest.fixture
def volume(claim):
    """`tiny` v1 to v3, v2 current; `org/other` v1; a folder without a manifest; an interrupted pull."""
    volume = find.create_volume(claim.path)
    for number, content in enumerate((CONTENT, OTHER, OTHER), 1):
        publish(volume, "tiny", f"v{number}", content, at=f"2026-01-0{number}T00:00:00Z")
    volume.use("tiny", "v2")
    publish(volume, "org/other", "v1", OTHER)
    loose(volume.root / "Loose Model", {"model.joblib": b"pickle"})
    with volume.stage("left", "v1", transfer(volume, "left", "v1", OTHER)) as staging:
        write(staging, "half.bin", b"x" * 1000)
    return volume


def documents(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_reading_a_claim_says_what_reading_its_folder_says(lading, namespace, volume):
    for command in (["ls"], ["ls", "--files"], ["du"]):
        here, there = (
            documents(lading(*command, place, "--format", "json")) for place in (volume.root, "pvc://models")
        )
        assert [{**line, "free_bytes": None} for line in here] == [{**line, "free_bytes": None} for line in there]
    for reference in ("tiny@v1", "tiny/v1", "tiny/current"):
        here = documents(lading("show", f"{volume.root}/{reference}", "--format", "json"))
        there = documents(lading("show", f"pvc://models/{reference}", "--format", "json"))
        assert there[0].pop("directory") == f"pvc://models/{here[0].pop('path')}"
        assert here[0].pop("directory")
        there[0].pop("path")
        assert here == there
    wait("no pod of ours is left", lambda: not namespace.get("pods"))


def test_people_are_told_of_the_claim_never_of_the_pod_s_folder(lading, volume):
    shown = lading("show", "pvc://models/tiny")
    assert shown.stdout.startswith(
        "tiny@v2: files, 1 file, 3 B, the current version\n  directory  pvc://models/tiny/v2\n"
    )
    used = lading("du", "pvc://models")
    assert used.stdout.startswith("pvc://models: 10.3 kB published, 1.00 kB staged, 6 B without a manifest")
    for command, said in (
        (["show", "pvc://models/tinny"], "did you mean `pvc://models/tiny`?"),
        (["show", "pvc://models/tiny@v9"], "did you mean `pvc://models/tiny@v3`?"),
        (["show", "pvc://models"], "see lading ls pvc://models"),
        (["cat", "pvc://models/Loose Model", "missing"], "cannot be read: No such file"),
    ):
        refused = lading(*command)
        assert said in refused.stderr
        assert "/volume" not in refused.stderr
        assert refused.returncode in {1, 2}


def test_verify_hashes_beside_the_claim(lading, volume):
    sound = lading("verify", "pvc://models")
    assert sound.stdout.count("is what its manifest says") == 4, sound.stderr
    (volume.root / "tiny/v1/config.json").write_bytes(b"[]")
    bad = lading("verify", "pvc://models/tiny@v1", "--format", "json")
    assert bad.returncode == 4
    assert [line.get("problem") for line in map(json.loads, bad.stdout.splitlines())] == ["sha256", None]


def test_cat_prints_the_bytes(lading, lading_argv, volume):
    for reference, path, data in (
        ("pvc://models/tiny@v1", "sub/dir/weights.bin", CONTENT["sub/dir/weights.bin"]),
        ("pvc://models/Loose Model", "model.joblib", b"pickle"),
    ):
        done = subprocess.run([*lading_argv, "cat", reference, path], capture_output=True, check=True, timeout=120)
        assert done.stdout == data
    refused = lading("cat", "pvc://models/tiny", "../../.lading/volume.json")
    assert "has no file" in refused.stderr


def test_use_rm_and_prune_change_the_claim(lading, namespace, volume):
    assert lading("use", "pvc://models/tiny@v3").stdout == "tiny@v3 is now the current version, before: v2\n"
    assert volume.current("tiny") == "v3"
    assert lading("rm", "pvc://models/tiny@v1", "--dry-run").stdout == "would remove tiny@v1, 10.2 kB\n"
    assert ("tiny", "v1") in listed(volume)
    assert lading("rm", "pvc://models/tiny@v1", "--yes").stdout == "removed tiny@v1, 10.2 kB\n"
    said = documents(
        lading("prune", "pvc://models", "--keep", "1", "--older-than", "0.001s", "--yes", "--format", "json")
    )
    done = [one for one in said if "removed" in one]
    assert [(one["removed"], one["model"], one["version"]) for one in done] == [
        ("version", "tiny", "v2"),
        ("staging", "left", "v1"),
    ]
    assert done[1]["path"].startswith("pvc://models/.lading/incoming/")
    assert listed(volume) == {("tiny", "v3"), ("org/other", "v1")}
    wait("no pod of ours is left", lambda: not namespace.get("pods"))


def test_a_folder_on_a_claim_is_adopted_where_it_lies(lading, claim):
    """Also on a claim that is no volume yet: `ls` names the folder, `adopt` makes it one, `verify` finds it whole."""
    loose(claim.path / "Granite 7B", {"model.joblib": b"pickle"})
    [found] = documents(lading("ls", "pvc://models", "--format", "json"))
    assert (found["path"], found["format"], found["problem"]) == ("Granite 7B", "sklearn", None)
    assert not (claim.path / ".lading").exists()
    done = lading("adopt", "pvc://models/Granite 7B")
    assert done.stdout.startswith("pvc://models/granite-7b@"), done.stderr
    assert " is listed where it lies, at pvc://models/Granite 7B: sklearn, 1 file, 6 B" in done.stdout
    document = json.loads((claim.path / ".lading/volume.json").read_text())
    assert (document["claim"], document["namespace"]) == ("models", claim.volume.removesuffix("-models"))
    assert "is what its manifest says" in lading("verify", "pvc://models/granite-7b").stdout
    assert (claim.path / "Granite 7B/model.joblib").read_bytes() == b"pickle"


def test_an_empty_claim_is_empty(lading, claim):
    done = lading("ls", "pvc://models")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "nothing is published on pvc://models\n"
    assert not (claim.path / ".lading").exists()


def service(name, uri):
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "containers": [{
                        "name": "server", "image": "docker.io/testbed/pause:1",
                        "volumeMounts": [{"name": "models", "mountPath": "/mnt", "subPath": uri, "readOnly": True}],
                    }],
                    "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
                },
            },
        },
    }  # fmt: skip


def test_what_a_workload_points_to_is_not_pruned_and_who_loads_current_is_told(lading, namespace, volume):
    namespace.apply(service("pinned", "tiny/v1"))
    done = lading("prune", "pvc://models/tiny", "--keep", "1", "--yes")
    assert done.stdout == "nothing to remove\n", done.stderr
    assert "tiny@v1 stays: Deployment pinned may be loading it" in done.stderr
    assert ("tiny", "v1") in listed(volume)
    namespace.apply(service("follower", "tiny/current"))
    used = lading("use", "pvc://models/tiny@v3")
    assert used.stdout == "tiny@v3 is now the current version, before: v2\n"
    assert used.stderr.endswith("these load it when they start next: Deployment follower\n"), used.stderr


def test_the_python_names_take_claims_too(namespace, volume):
    assert [(found.model, found.version) for found in lading_api.models("pvc://models/tiny")] == [
        ("tiny", "v1"),
        ("tiny", "v2"),
        ("tiny", "v3"),
    ]
    assert lading_api.verify("pvc://models/tiny@v1").bad == 0
    lading_api.use("pvc://models/tiny@v1")
    assert lading_api.manifest("pvc://models/tiny").version == volume.current("tiny") == "v1"
