"""What is decided about claims, from plain objects: who holds one, what points into it, how big, which class, what it says."""

import pytest
from tests.testbed import golden

from lading.answers.claims import ClaimInspected
from lading.cli import claim_view as view
from lading.errors import ClaimUnusable, InvalidInput
from lading.events import PermissionsRepaired
from lading.manifests import claims as documents
from lading.placement import claims, creation, inspection, keeping, mounts, users
from lading.placement import classes as storage
from lading.placement.classes import StorageClass
from lading.placement.creation import Wanted
from lading.placement.evidence import Evidence
from lading.placement.inspection import Contents
from lading.placement.users import Users
from lading.weights.inventory import Unmanaged, Usage, VersionUsage
from lading.weights.manifest import FileEntry, Manifest, PublishedBy, SourceEntry
from lading.weights.target import target

GIB = 1 << 30


def pod(name, *, phase="Running", node="n1", claim="c", volume=None, mounts=({},), **metadata):
    """A pod that mounts *claim* in one container, at each of *mounts*."""
    volume = volume or {"name": "v", "persistentVolumeClaim": {"claimName": claim}}
    places = [{"name": "v", "mountPath": f"/{number}", **one} for number, one in enumerate(mounts)]
    spec = {"nodeName": node, "volumes": [volume], "containers": [{"name": "main", "volumeMounts": places}]}
    metadata = {"name": name, "namespace": "ns", **metadata}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


def test_ended_pods_and_other_claims_hold_nothing():
    pods = [pod("b"), pod("a", mounts=({"subPath": "m/v1", "readOnly": True},)), pod("done", phase="Succeeded"),
            pod("failed", phase="Failed"), pod("other", claim="d"), {"metadata": {"name": "bare"}, "spec": {}}]  # fmt: skip
    found = mounts.mounts(pods, "c")
    assert [(one.pod, one.read_only, one.sub_paths) for one in found] == [("a", True, ("m/v1",)), ("b", False, ("",))]


def test_a_pod_writes_when_one_of_its_mounts_does():
    assert not mounts.mounts([pod("a", mounts=({"readOnly": True}, {}))], "c")[0].read_only
    whole = {"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}}
    assert mounts.mounts([pod("a", volume=whole)], "c")[0].read_only


def test_a_claim_that_a_pod_made_for_itself_is_its_own():
    assert mounts.mounts([pod("a", volume={"name": "v", "ephemeral": {}})], "a-v")


def document(kind, spec, *, group="serving.kserve.io/v1beta1", name="x", **metadata):
    """An object of the namespace ns."""
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": "ns", **metadata}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "path", "field"),
    [
        ({"predictor": {"model": {"storageUri": "pvc://c/m/v1/"}}}, "m/v1", "predictor.model.storageUri"),
        ({"predictor": {"sklearn": {"storageUri": "pvc://c"}}}, "", "predictor.sklearn.storageUri"),
        ({"predictor": {"storageUris": [{"uri": "hf://x"}, {"uri": "pvc://c/m"}]}}, "m", "predictor.storageUris[1].uri"),
        ({"canary": [{"predictor": {"model": {"storageUri": "pvc://c/m"}}}]}, "m", "canary[0].predictor.model.storageUri"),
        ({"model": {"lora": {"adapters": [{"uri": "pvc://c/l"}]}}}, "l", "model.lora.adapters[0].uri"),
        ({"storage": {"storageUri": "pvc://ns:c/m"}}, "m", "storage.storageUri"),
    ],
)  # fmt: skip
def test_every_place_where_a_service_names_a_claim(spec, path, field):
    found = users.pointing([document("InferenceService", spec)], "c", namespace="ns")
    assert [(user.path, user.field) for user in found] == [(path, field)]


def test_what_points_elsewhere_is_left_out():
    elsewhere = [
        document("InferenceService", {"predictor": {"model": {"storageUri": uri}}})
        for uri in ("pvc://cc/m", "pvc://other:c/m", "s3://c/m", "pvc://", "pvc:///m")
    ]
    derived = document("Deployment", {"template": {"spec": pod("p")["spec"]}}, group="apps/v1",
                       ownerReferences=[{"controller": True, "apiVersion": "v1", "kind": "X", "name": "x", "uid": "u"}])  # fmt: skip
    over = {**document("Job", {"template": {"spec": pod("p")["spec"]}}, group="batch/v1"),
            "status": {"conditions": [{"type": "Complete", "status": "True"}]}}  # fmt: skip
    text = document("InferenceService", {"predictor": {"model": {"env": "pvc://c/m", "args": ["pvc://c/m"]}}})
    assert users.pointing([*elsewhere, derived, over, text], "c", namespace="ns") == ()


def test_workloads_mount_a_claim_through_their_template():
    cron = {"jobTemplate": {"spec": {"template": {"spec": pod("p", mounts=({"subPath": "m"},))["spec"]}}}}
    found = users.pointing([document("CronJob", cron, group="batch/v1")], "c", namespace="ns")
    assert [(user.kind, user.path, user.writes) for user in found] == [("CronJob", "m", True)]


def manifest(model, version, *files, path=None):
    """A published version."""
    return Manifest(
        model=model, version=version, path=path or f"{model}/{version}", format="any",
        source=SourceEntry(ref="file:///x", revision="r"), published_at="2026-01-01T00:00:00Z",
        published_by=PublishedBy(version="1"), files=tuple(FileEntry(path=file, size_bytes=1, sha256="0" * 64) for file in files),
    )  # fmt: skip


def test_what_a_path_on_a_volume_is():
    published = [manifest("m", "v1", "model.pkl", "deep/w.bin"), manifest("m", "v2", "model.pkl")]
    loose = [Unmanaged(path="loose", format="sklearn", files={"model.pkl": 1})]

    def at(path):
        found = target(path, published, {"m": "v2"}, loose)
        return (found.model, found.version, found.problem)

    assert at("m/v1") == ("m", "v1", None)
    assert at("m/v1/deep") == ("m", "v1", None)
    assert at("m/current") == ("m", "v2", None)
    assert at("m")[2] == "it is the folder of all versions, not one: a server finds no model at its top"
    assert "names a file" in at("m/v1/model.pkl")[2]
    assert at("m/v3")[2] == "no model is there"
    assert at("m/v1/none")[2] == "there is no none in m@v1"
    assert at("") == (None, None, None)
    assert target("loose", published, {}, loose).unmanaged


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("100Gi", 100 * GIB), ("1e3", 1000), ("1.5Gi", GIB + GIB // 2), ("1500M", 1_500_000_000), ("2000m", 2),
     ("0", 0), ("", None), ("x", None), (None, None), ("1e999", None), ("-1Gi", None)],
)  # fmt: skip
def test_sizes_as_kubernetes_writes_them(text, size_bytes):
    assert documents.size_bytes(text) == size_bytes


@pytest.mark.parametrize("size_bytes", [1, 5 << 20, GIB, 3 << 40, 10**12])
def test_a_size_is_read_as_it_was_written(size_bytes):
    assert 0 <= documents.size_bytes(documents.quantity(size_bytes)) - size_bytes < 1 << 20


def kind(name, provisioner="x", **fields):
    """A storage class."""
    return StorageClass.of({"metadata": {"name": name}, "provisioner": provisioner, **fields})


@pytest.mark.parametrize(
    ("provisioner", "parameters", "answer"),
    [("ebs.csi.aws.com", {}, False), ("efs.csi.aws.com", {}, True), ("openshift-storage.rbd.csi.ceph.com", {}, False),
     ("openshift-storage.cephfs.csi.ceph.com", {}, True), ("csi.trident.netapp.io", {"backendType": "ontap-nas"}, True),
     ("csi.trident.netapp.io", {"backendType": "ontap-san"}, False), ("csi.vsphere.vmware.com", {}, False),
     ("some.vendor.io", {}, None)],
)  # fmt: skip
def test_which_drivers_serve_many_nodes(provisioner, parameters, answer):
    assert storage.shared(provisioner, parameters) is answer


def test_only_many_nodes_on_a_disk_are_warned_of():
    disk, shared = kind("gp3", "ebs.csi.aws.com"), kind("efs", "efs.csi.aws.com")
    assert storage.rwx_warning(disk, ("ReadWriteOnce",), (disk, shared)) is None
    assert storage.rwx_warning(shared, ("ReadWriteMany",), (disk, shared)) is None
    assert "no class here is known" in storage.rwx_warning(disk, ("ReadWriteMany",), (disk,))


def test_a_claim_without_a_default_class_is_warned_of():
    wanted = Wanted(name="c", namespace="ns", size_bytes=GIB)
    made = creation.plan(wanted, classes=Evidence((kind("a"), kind("b"))), there=None)
    assert made.warnings == ("no storage class is the default: the claim stays Pending unless a volume without a class fits; name one: --class, there are a, b",)  # fmt: skip
    with pytest.raises(InvalidInput, match="needs a size"):
        creation.plan(Wanted(name="c", namespace="ns", size_bytes=None), classes=storage.UNASKED, there=None)


def test_room_is_said_as_it_was_worked_out():
    found = creation.sizing(14_200_000_000, 2, source="s3://b/m, 12 files")
    assert found.size_bytes == 29 * GIB
    assert found.said == "2 × 14.2 GB (s3://b/m, 12 files) + 2.49 GB of room (5% and 1 GiB), in whole GiB: 29Gi"


def released(**spec):
    """A volume whose claim is gone."""
    given = {"capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "gp3",
             "persistentVolumeReclaimPolicy": "Delete", "claimRef": {"namespace": "ns", "name": "c", "uid": "u"}, **spec}  # fmt: skip
    return {"metadata": {"name": "pv", "resourceVersion": "7"}, "spec": given, "status": {"phase": "Released"}}


def test_recovery_makes_the_claim_first_then_hands_it_the_volume_as_it_was_read():
    change = keeping.recovery_of(released(), "c", "ns", existing=None)
    (claim,), (patch,) = change.documents, change.patches
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}},
        "storageClassName": "gp3", "volumeName": "pv",
    }  # fmt: skip
    assert patch.change["metadata"] == {"resourceVersion": "7"}
    assert patch.change["spec"]["claimRef"]["uid"] is None
    assert patch.change["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_a_claim_in_the_way_is_never_taken_over():
    other = {"metadata": {"name": "c"}, "spec": {"volumeName": "another"}}
    with pytest.raises(ClaimUnusable, match="is bound to volume another"):
        keeping.recovery_of(released(), "c", "ns", existing=other)
    own = {"metadata": {"name": "c"}, "spec": {"volumeName": "pv"}}
    assert keeping.recovery_of(released(), "c", "ns", existing=own).documents == ()


def facts(**fields):
    """A bound claim on a disk."""
    volume = claims.bound_volume({**released(csi={"driver": "ebs.csi.aws.com"}), "status": {"phase": "Bound"}})
    given = {
        "name": "models", "namespace": "demo", "phase": "Bound", "capacity_bytes": 100 * GIB, "requested_bytes": 100 * GIB,
        "access_modes": ("ReadWriteOnce",), "class_name": "gp3", "volume_name": "pv", "volume_mode": "Filesystem",
        "resize": None, "leaving": False, "volume": Evidence(volume),
        "storage_class": Evidence(kind("gp3", "ebs.csi.aws.com", volumeBindingMode="WaitForFirstConsumer")), **fields,
    }  # fmt: skip
    return claims.ClaimFacts(**given)


def test_the_warning_that_models_go_with_their_claim():
    assert "lading claim retain pvc://models" in claims.retain_warning(facts())
    kept = claims.bound_volume(released(persistentVolumeReclaimPolicy="Retain"))
    assert claims.retain_warning(facts(volume=Evidence(kept))) is None
    assert claims.retain_warning(facts(volume=Evidence(unknown="x"))) is None  # unknown is not said to be bad


def inspected() -> ClaimInspected:
    """A claim with everything to say."""
    services = [
        document("InferenceService", {"predictor": {"model": {"storageUri": "pvc://models/granite/v1"}, "maxReplicas": 3}}, name="chat"),
        document("InferenceService", {"predictor": {"model": {"storageUri": "pvc://models/granite/v9"}}}, name="old"),
        document("BaseModel", {"storage": {"storageUri": "pvc://models/loose"}}, group="ome.io/v1beta1", name="base"),
    ]  # fmt: skip
    holders = mounts.mounts([pod("chat-predictor-7f", claim="models", mounts=({"subPath": "granite/v1", "readOnly": True},)),
                             pod("waiting", claim="models", node=None, phase="Pending")], "models")  # fmt: skip
    usage = Usage(
        capacity_bytes=107 * 10**9, free_bytes=90 * 10**9, staging_bytes=10**9, other_bytes=0,
        versions=(VersionUsage(model="granite", version="v1", size_bytes=14_200_000_000, current=True, adopted=False),),
        unmanaged=(Unmanaged(path="loose", format="huggingface", files={"w": 2 * 10**9}),),
    )  # fmt: skip
    contents = Contents(usage=usage, manifests=[manifest("granite", "v1", "w")], current={"granite": "v1"})
    found = Users(found=users.pointing(services, "models", namespace="ns"), unknown=("clusterbasemodels.ome.io may not be read with these rights",))  # fmt: skip
    return inspection.inspected(
        facts(mounts=holders, users=found, resize="the driver makes the volume bigger"), contents
    )


def test_an_inspected_claim_as_people_read_it():
    golden.check("claim", "inspect", view.inspected_text(inspected()) + "\n")


def test_permissions_as_people_read_them():
    found = PermissionsRepaired(
        dry_run=True, group=1000, files=1200, directories=31, unreadable=12, not_writable=40, wrong_group=0, changed=38,
        refused=("by-hand/a", "by-hand/b"), refused_count=14, closed=1,
    )  # fmt: skip
    golden.check("claim", "permissions", view.permissions_text(found, "models") + "\n")


def test_what_an_administrator_is_given():
    change = keeping.recovery_of(released(), "c", "ns", existing=None)
    golden.check("claim", "recover-yaml", view.change_yaml(change))
    existing = {**released(), "provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3"}, "metadata": {"name": "gp3"},
                "volumeBindingMode": "WaitForFirstConsumer"}  # fmt: skip
    golden.check("claim", "retain-yaml", view.change_yaml(keeping.class_change(documents.retained_class(existing), None, "gp3")))  # fmt: skip


def test_a_copy_that_is_something_else_is_not_called_the_same():
    existing = {"metadata": {"name": "gp3"}, "provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3"}}
    wanted = documents.retained_class(existing)
    assert keeping.class_change(wanted, {**wanted, "volumeBindingMode": "Immediate"}, "gp3").done
    with pytest.raises(ClaimUnusable, match="it differs in parameters, reclaimPolicy"):
        keeping.class_change(wanted, {**wanted, "parameters": {"type": "io2"}, "reclaimPolicy": "Delete"}, "gp3")
