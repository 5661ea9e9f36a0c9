"""Whether a writer gets at a claim beside those that hold it, and as which group: decided from values."""

import pytest

from lading.manifests import ours
from lading.placement import holding, identity
from lading.placement.mounts import Mount, Owner


def claim(*modes):
    return {"metadata": {"name": "models"}, "spec": {"accessModes": list(modes)}, "status": {}}


def mount(pod="granite-1", node="node-1", **more):
    owner = Owner(api_version="apps/v1", kind="Deployment", name="granite", uid="u")
    return Mount(pod=pod, namespace="demo", node=node, phase="Running", read_only=True, owners=(owner,), **more)


def test_a_shared_claim_is_written_anywhere():
    assert holding.holding(claim("ReadWriteMany"), [mount()]).node is None


def test_a_claim_of_one_node_is_written_beside_who_holds_it():
    found = holding.holding(claim("ReadWriteOnce"), [mount()])
    assert (found.node, found.beside, found.free, found.problem) == ("node-1", "granite-1", True, None)


def test_who_waits_for_a_node_holds_nothing():
    assert holding.holding(claim("ReadWriteOnce"), [mount(node=None)]).node is None


@pytest.mark.parametrize(("modes", "node"), [(["ReadWriteOncePod"], None), (["ReadWriteOnce"], "node-2")])
def test_a_claim_held_for_itself_or_elsewhere_is_refused_with_the_flag_that_frees_it(modes, node):
    found = holding.holding(claim(*modes), [mount()], node=node)
    assert found.problem.code == "claim-held"
    assert "Deployment granite (pod granite-1) holds it" in found.problem.message
    assert "--during-update scale" in found.problem.hint
    freed = holding.holding(claim(*modes), [mount()], node=node, during_update="scale")
    assert (freed.problem, freed.free) == (None, False)


def test_a_pod_that_nothing_keeps_is_the_users_to_end():
    lone = Mount(pod="shell", namespace="demo", node="n", phase="Running", read_only=False)
    assert "delete pod shell yourself" in holding.holding(claim("ReadWriteOncePod"), [lone]).problem.hint


def test_a_read_only_claim_takes_nothing():
    assert holding.holding(claim("ReadOnlyMany"), []).problem.code == "claim-read-only"
    assert holding.holding(claim("ReadOnlyMany", "ReadWriteOnce"), []).problem is None


# --------------------------------------------------------------------------------------------------------- the group

SCC = {
    "openshift.io/sa.scc.supplemental-groups": "1001130000/10000",
    "openshift.io/sa.scc.uid-range": "1001130000/10000",
}


@pytest.mark.parametrize(
    ("asked", "annotations", "groups", "expected"),
    [
        (7, SCC, [3], 7),
        (None, {}, [], ours.GROUP),
        (None, None, [], ours.GROUP),
        (None, {}, [None, 2000], 2000),
        (None, SCC, [], None),
        (None, SCC, [2000], None),
        (None, SCC, [1001130005], 1001130005),
        (None, {"openshift.io/sa.scc.uid-range": ""}, [2000], None),
    ],
)
def test_the_group_is_said_assigned_copied_or_ours(asked, annotations, groups, expected):
    mounts = [mount(f"p{number}", fs_group=group) for number, group in enumerate(groups)]
    assert identity.decide(asked=asked, annotations=annotations, mounts=mounts).fs_group == expected


def test_who_writes_is_copied_before_who_reads_and_others_before_ours():
    def writing(pod, group, **more):
        return Mount(pod=pod, namespace="d", node="n", phase="Running", read_only=False, fs_group=group, **more)

    mounts = [mount("a", fs_group=1), writing("b", 2, purpose="reader"), writing("c", 3)]
    assert identity.decide(asked=None, annotations={}, mounts=mounts).fs_group == 3
