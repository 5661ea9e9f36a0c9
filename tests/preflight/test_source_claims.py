"""A claim that a Job reads from beside the one it writes to: who may mount both, and where."""

import pytest

from lading.manifests import jobs, pods
from lading.placement import holding, source_claims
from lading.placement.mounts import Mount
from lading.spec import ref as refs
from lading.spec.command import PullCommand
from lading.spec.placement import Choice, Placement
from lading.wiring.pulls import Asked, command


def claim(name, *modes, phase="Bound"):
    return {"metadata": {"name": name}, "spec": {"accessModes": modes}, "status": {"phase": phase}}


def mount(node, pod="server"):
    return Mount(pod=pod, namespace="demo", node=node, phase="Running", read_only=True)


def placed(source, dest, *, asked=None):
    """The hold of a writer of `new`, which also reads from `old`."""
    read = source_claims.judged(*source)
    assert not read.problems
    return source_claims.together(holding.holding(*dest, node=asked), read, claim="new", asked=asked)


RWO, RWX, ROX, RWOP = "ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"


@pytest.mark.parametrize(
    ("source", "dest", "node"),
    [
        ((claim("old", RWO), ()), (claim("new", RWO), ()), None),
        ((claim("old", RWX), (mount("a"),)), (claim("new", RWO), ()), None),
        ((claim("old", RWO), (mount("a"),)), (claim("new", RWO), ()), "a"),
        ((claim("old", RWO), (mount("a"),)), (claim("new", RWX), (mount("b"),)), "a"),
        ((claim("old", RWX), (mount("a"),)), (claim("new", RWO), (mount("b"),)), "b"),
        ((claim("old", RWO), (mount("a"),)), (claim("new", RWO), (mount("a"),)), "a"),
    ],
)
def test_the_node_fits_both_claims(source, dest, node):
    hold = placed(source, dest)
    assert (hold.node, hold.problem) == (node, None)
    assert (hold.beside is not None) == (node is not None)


def test_claims_on_two_nodes_are_said_to_be():
    problem = placed((claim("old", RWO), (mount("a"),)), (claim("new", RWO), (mount("b"),))).problem
    assert problem.code == "claims-apart"
    assert "node a" in problem.message
    assert "node b" in problem.message


def test_a_node_that_was_asked_for_does_not_reach_a_claim_on_another():
    problem = placed((claim("old", RWO), (mount("a"),)), (claim("new", RWX), ()), asked="b").problem
    assert problem.code == "source-held"


@pytest.mark.parametrize(
    ("source", "held", "code"),
    [
        (claim("old", RWO, phase="Pending"), (), "source-unbound"),
        (claim("old", RWOP), (mount("a"),), "source-held"),
    ],
)
def test_what_keeps_any_pod_from_reading(source, held, code):
    assert [one.code for one in source_claims.judged(source, held).problems] == [code]


def test_a_volume_that_is_only_read_is_attached_so():
    assert source_claims.judged(claim("old", ROX), (mount("a"),)).claim.attach_read_only
    assert not source_claims.judged(claim("old", RWO, ROX), ()).claim.attach_read_only


# --------------------------------------------------------------------------------------------------------- documents


def pod(source, claim="new"):
    made = jobs.job(
        PullCommand(source="pvc://old/m"), Placement(image="i"), claim=claim, namespace="demo", source=source
    )
    return made["spec"]["template"]["spec"]


def test_the_source_is_mounted_beside_the_volume_and_read_only():
    spec = pod(pods.ReadClaim(claim="old"))
    (source,) = [one for one in spec["volumes"] if one["name"] == "source"]
    assert source["persistentVolumeClaim"] == {"claimName": "old"}
    assert {"name": "source", "mountPath": "/source", "readOnly": True} in spec["containers"][0]["volumeMounts"]
    assert spec["containers"][0]["volumeMounts"][0] == {"name": "claim", "mountPath": "/volume"}


def test_a_claim_that_is_pulled_from_and_onto_is_one_volume():
    spec = pod(pods.ReadClaim(claim="new"))
    assert [one["name"] for one in spec["volumes"]] == ["claim", "tmp"]
    assert {"name": "claim", "mountPath": "/source", "readOnly": True} in spec["containers"][0]["volumeMounts"]


# ------------------------------------------------------------------------------------------------------- which way


@pytest.mark.parametrize(
    ("source", "dest", "namespace", "streamed"),
    [
        ("s3://b/m", "pvc://new/m", None, False),
        ("./folder", "pvc://new/m", None, True),
        ("pvc://old/m", "pvc://new/m", None, False),
        ("pvc://demo:old/m", "pvc://demo:new/m", None, False),
        ("pvc://demo:old/m", "pvc://new/m", "demo", False),
        ("pvc://prod:old/m", "pvc://new/m", "demo", True),
        ("pvc://old/m", "pvc://prod:new/m", "demo", True),
    ],
)
def test_one_job_where_one_pod_can_mount_both_and_a_stream_else(source, dest, namespace, streamed):
    asked = Asked(source=refs.parse(source), dest=refs.parse(dest))
    assert asked.is_streamed(Choice(namespace=namespace)) is streamed


def test_a_source_in_another_cluster_is_streamed():
    asked = Asked(source=refs.parse("pvc://a/m"), dest=refs.parse("pvc://a/m"), source_choice=Choice(context="west"))
    assert asked.is_streamed(Choice())


def test_the_job_is_the_same_however_its_namespace_is_written():
    asked = [
        Asked(source=refs.parse(text), dest=refs.parse("pvc://new/m")) for text in ("pvc://demo:old/m", "pvc://old/m")
    ]
    assert len({jobs.name(command(one), claim="new") for one in asked}) == 1
