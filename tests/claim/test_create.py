"""`lading claim create` and `classes`, on a real API server, mostly as the namespace's user."""

import json

import pytest
from ruamel.yaml import YAML
from tests.claim.conftest import answer

pytestmark = pytest.mark.real("cluster")

QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "disk"}, "spec": {"hard": {"requests.storage": "10Gi"}}}  # fmt: skip


def test_a_claim_is_made_and_a_second_run_changes_nothing(lading, namespace):
    first = answer(lading("claim", "create", "models", "--size", "2Gi", "--access-mode", "RWX", "--format", "json"))
    assert (first["outcome"], first["size"], first["access_modes"]) == ("create", "2Gi", ["ReadWriteMany"])
    made = namespace.get("persistentvolumeclaims", "models")
    second = answer(lading("claim", "create", "models", "--size", "2Gi", "--access-mode", "RWX", "--format", "json"))
    assert second["outcome"] == "unchanged"
    assert namespace.get("persistentvolumeclaims", "models")["metadata"]["uid"] == made["metadata"]["uid"]
    smaller = answer(lading("claim", "create", "models", "--size", "1Gi", "--format", "json"))
    assert smaller["outcome"] == "unchanged"
    assert "cannot shrink" in smaller["warnings"][0]


def test_a_dry_run_and_yaml_make_nothing(lading, namespace):
    dry = answer(lading("claim", "create", "models", "--size", "2Gi", "--dry-run", "--format", "json"))
    printed = lading("claim", "create", "models", "--size", "2Gi", "--output", "yaml")
    assert YAML(typ="safe").load(printed.stdout)["spec"] == dry["document"]["spec"]
    assert namespace.get("persistentvolumeclaims", "models") is None
    namespace.apply(printed.stdout)
    assert answer(lading("claim", "create", "models", "--size", "2Gi", "--format", "json"))["outcome"] == "unchanged"


def test_what_cannot_change_is_shown(lading, namespace):
    namespace.claim("models", bind=False)
    result = lading("claim", "create", "models", "--size", "1Gi", "--class", "fast", "--access-mode", "RWX")
    assert result.returncode == 1
    assert "class none, not fast and access mode ReadWriteOnce, not ReadWriteMany" in result.stderr


def test_a_quota_is_said_before_anything_is_made(lading, namespace):
    namespace.apply(QUOTA)
    result = lading("claim", "create", "models", "--size", "50Gi")
    assert result.returncode == 1
    assert "goes beyond the quota disk" in result.stderr
    assert "limit requests.storage=10Gi" in result.stderr
    assert namespace.get("persistentvolumeclaims", "models") is None


def test_an_unknown_class_is_refused_with_the_nearest(admin, storage_class):
    name = storage_class("standard")
    result = admin("claim", "create", "models", "--size", "1Gi", "--class", name[:-1])
    assert result.returncode == 2
    assert f"did you mean {name}?" in result.stderr


def test_many_nodes_on_a_disk_are_warned_of_with_the_classes_that_can(admin, storage_class):
    disk = storage_class("gp3", provisioner="ebs.csi.aws.com")
    shared = storage_class("efs", provisioner="efs.csi.aws.com")
    result = admin("claim", "create", "models", "--size", "1Gi", "--class", disk, "--access-mode", "RWX")
    assert result.returncode == 0
    assert "Amazon EBS" in result.stderr
    assert shared in result.stderr.partition("these classes can: ")[2]


def test_a_class_that_waits_for_a_pod_is_explained(admin, storage_class):
    name = storage_class("local", volumeBindingMode="WaitForFirstConsumer", reclaimPolicy="Retain")
    made = answer(admin("claim", "create", "models", "--size", "1Gi", "--class", name, "--format", "json"))
    assert made["phase"] == "Pending"
    assert "its first pod" in made["waits"]
    inspected = admin("claim", "inspect", "models")
    assert inspected.stdout.startswith("models is Pending: 1.07 GB asked for")
    assert "unknown: what is on it: it is not bound" in inspected.stdout
    grown = admin("claim", "create", "models", "--size", "2Gi", "--class", name)
    assert "cannot change before it is bound" in grown.stderr


def test_a_bound_claim_grows_where_its_class_allows_it(admin, namespace, storage_class):
    name = storage_class("big", allowVolumeExpansion=True)
    namespace.claim("models", storage_class=name)
    grown = answer(admin("claim", "create", "models", "--size", "3Gi", "--format", "json"))
    assert grown["outcome"] == "grow"
    assert namespace.get("persistentvolumeclaims", "models")["spec"]["resources"]["requests"]["storage"] == "3Gi"
    assert answer(admin("claim", "inspect", "models", "--no-pod", "--format", "json"))["resize"]
    fixed = storage_class("fixed")
    namespace.claim("small", storage_class=fixed)
    result = admin("claim", "create", "small", "--size", "3Gi")
    assert result.returncode == 1
    assert "cannot be made bigger" in result.stderr


def test_the_size_comes_from_the_source(lading, namespace, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(b"x")
    (folder / "weights.bin").write_bytes(bytes(3 << 20))
    made = answer(lading("claim", "create", "models", "--for", folder, "--copies", "2", "--format", "json"))
    assert made["size"] == "2Gi"  # 6 MiB and the room for a file system, in whole GiB
    assert "2 × 3.15 MB" in made["sizing"]
    assert namespace.get("persistentvolumeclaims", "models")["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_classes_are_listed_where_they_may_be_read(admin, lading, storage_class):
    default = storage_class(
        "a", provisioner="nfs.csi.k8s.io", annotations={"storageclass.kubernetes.io/is-default-class": "true"}
    )
    storage_class("b", provisioner="ebs.csi.aws.com", volumeBindingMode="WaitForFirstConsumer", reclaimPolicy="Retain")
    listed = admin("claim", "classes", "--format", "json")
    found = {one["name"]: one for one in map(json.loads, listed.stdout.splitlines())}
    assert found[default]["default"] is True
    assert found[default]["shared"] is True
    other = found[default[:-1] + "b"]
    assert (other["binding_mode"], other["reclaim_policy"], other["shared"]) == (
        "WaitForFirstConsumer",
        "Retain",
        False,
    )
    denied = lading("claim", "classes")
    assert denied.returncode == 1
    assert "storage classes may not be read with these rights" in denied.stderr
