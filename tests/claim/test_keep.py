"""`lading claim retain` and `recover`, on real classes and volumes."""

import pytest
from ruamel.yaml import YAML
from tests.claim.conftest import answer
from tests.testbed.api import wait

pytestmark = pytest.mark.real("cluster")

FIELDS = {
    "provisioner": "example.com/disks",
    "parameters": {"type": "gp3", "encrypted": "true"},
    "mountOptions": ["discard"],
    "allowVolumeExpansion": True,
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowedTopologies": [{"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": ["a"]}]}],
}


def test_the_copy_of_a_class_is_the_same_but_for_what_becomes_of_volumes(admin, lading, namespace, storage_class):
    name = storage_class("gp3", annotations={"storageclass.kubernetes.io/is-default-class": "true"}, **FIELDS)
    assert answer(admin("claim", "retain", name, "--dry-run", "--format", "json"))["done"] is False
    assert answer(admin("claim", "retain", name, "--format", "json"))["done"] is True
    copy = namespace.api.get(f"/apis/storage.k8s.io/v1/storageclasses/{name}-retain")
    assert {key: copy[key] for key in FIELDS} == FIELDS
    assert copy["reclaimPolicy"] == "Retain"
    assert not copy["metadata"].get("annotations")
    again = admin("claim", "retain", name)
    assert again.stdout == f"class {name}-retain is there already\n"
    assert admin("claim", "retain", f"{name}-retain").stdout == f"class {name}-retain keeps its volumes already\n"
    denied = lading("claim", "retain", name)
    assert denied.returncode == 1
    assert f"an administrator runs: lading claim retain {name}" in denied.stderr


def test_who_may_read_classes_but_not_make_them_gets_the_yaml(lading, namespace, storage_class):
    name = storage_class("gp3", **FIELDS)
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": namespace.name}}
    rules = [{"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get", "list"]}]
    subject = {"kind": "ServiceAccount", "name": "user", "namespace": namespace.name}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace.name}
    namespace.api.apply({**role, "rules": rules})
    namespace.api.apply({**role, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]})
    try:
        result = lading("claim", "retain", name)
    finally:
        for plural in ("clusterroles", "clusterrolebindings"):
            namespace.api.delete(f"/apis/rbac.authorization.k8s.io/v1/{plural}/{namespace.name}")
    assert result.returncode == 1
    assert "create storageclasses.storage.k8s.io" in result.stderr
    printed = YAML(typ="safe").load(result.stdout)
    assert {key: printed[key] for key in FIELDS} == FIELDS
    namespace.api.apply(printed)  # the administrator
    assert namespace.api.get(f"/apis/storage.k8s.io/v1/storageclasses/{name}-retain")["reclaimPolicy"] == "Retain"


def test_a_bound_volume_is_kept_or_its_patch_is_printed(admin, lading, namespace):
    claim = namespace.claim("models", retain=False)
    denied = lading("claim", "retain", "pvc://models")
    assert denied.returncode == 1
    assert denied.stdout.startswith(f"kubectl patch persistentvolume {claim.volume} --type merge --patch '")
    assert "nothing was done" in denied.stderr
    patch = denied.stdout.split("'")[1]
    namespace.kubectl("patch", "persistentvolume", claim.volume, "--type", "merge", "--patch", patch)
    assert answer(admin("claim", "retain", "--volume", claim.volume, "--format", "json"))["said"].endswith("already")


def test_a_released_volume_is_recovered_with_its_data(admin, lading, namespace):
    """The claim is deleted, the volume stays; a new claim of the same name has it again, and a pod may read it."""
    claim = namespace.claim("models")
    (claim.path / "kept").write_text("as it was")
    place = f"/api/v1/persistentvolumes/{claim.volume}"
    bound = admin("claim", "recover", claim.volume)
    assert bound.stdout == f"volume {claim.volume} is bound to claim models already\n"
    namespace.api.delete(f"/api/v1/namespaces/{namespace.name}/persistentvolumeclaims/models")
    wait("it is released", lambda: namespace.api.get(place)["status"]["phase"] == "Released")

    denied = lading("claim", "recover", claim.volume)
    assert denied.returncode == 1
    assert f"an administrator runs: lading claim recover {claim.volume}" in denied.stderr
    unasked = admin("claim", "recover", claim.volume)
    assert "add --yes" in unasked.stderr
    dry = admin("claim", "recover", claim.volume, "--dry-run")
    assert "kubectl patch persistentvolume" in dry.stdout
    assert namespace.api.get(place)["status"]["phase"] == "Released"
    assert namespace.get("persistentvolumeclaims", "models") is None

    done = answer(admin("claim", "recover", claim.volume, "--yes", "--format", "json"))
    assert done["done"] is True
    made = namespace.get("persistentvolumeclaims", "models")
    assert (made["status"]["phase"], made["spec"]["volumeName"]) == ("Bound", claim.volume)
    volume = namespace.api.get(place)
    assert volume["spec"]["claimRef"]["uid"] == made["metadata"]["uid"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert (claim.path / "kept").read_text() == "as it was"


def test_a_volume_that_is_in_use_is_not_taken(admin, namespace):
    claim = namespace.claim("models")
    result = admin("claim", "recover", claim.volume, "--claim", "mine", "--yes")
    assert result.returncode == 1
    assert f"bound to pvc://{namespace.name}:models" in result.stderr
    missing = admin("claim", "recover", f"{claim.volume}x", "--yes")
    assert f"did you mean {claim.volume}?" in missing.stderr
