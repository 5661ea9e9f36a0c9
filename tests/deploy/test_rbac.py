"""What `deploy/rbac` gives, and no more: read from the files, built by kustomize, and asked of a real API server."""

import re
from pathlib import Path

import pytest
import yaml

from lading.cluster import kinds
from lading.cluster.access import Right
from lading.cluster.client import Cluster
from lading.cluster.config import connection
from lading.placement import helper, preflight, users

RBAC = Path(__file__).parents[2] / "deploy" / "rbac"
ROLE = yaml.safe_load((RBAC / "role.yaml").read_text())
SERVING = yaml.safe_load((RBAC / "serving" / "role.yaml").read_text())
CLUSTER_ROLE = yaml.safe_load((RBAC / "cluster-facts" / "clusterrole.yaml").read_text())
READING = {"get", "list", "watch"}

NEEDED = (
    *preflight.RIGHTS,
    *(Right(verb, kinds.POD, sub=sub) for sub in ("exec", "portforward") for verb in ("get", "create")),
    *(Right(verb, kinds.CLAIM) for verb in ("create", "list", "watch", "patch")),
    *(Right(verb, kinds.JOB) for verb in ("patch", "delete")),
    *(Right(verb, kind, sub="scale") for kind in (kinds.DEPLOYMENT, kinds.STATEFUL_SET) for verb in ("get", "patch")),
    *(Right("patch", kind) for kind in (kinds.INFERENCE_SERVICE, kinds.OME_INFERENCE_SERVICE)),
    *(Right("list", kind) for kind in (kinds.EVENT, kinds.QUOTA, kinds.LIMIT_RANGE, kinds.SERVICE_ACCOUNT)),
    *(Right("get", kind) for kind in (kinds.SECRET, kinds.CONFIG_MAP, kinds.SERVICE_ACCOUNT)),
    Right("watch", kinds.EVENT),
)  # fmt: skip
#: What `lading.backends.deployment` and `kserve` do beyond that.
NEEDED_TO_SERVE = (
    *(Right(verb, kind) for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.INFERENCE_SERVICE, kinds.SERVING_RUNTIME)
      for verb in ("get", "list", "create", "patch", "delete")),
    *(Right(verb, kinds.LEASE) for verb in ("list", "create", "patch", "delete")),
    *(Right("delete", kind) for kind in (kinds.REPLICA_SET, kinds.POD)),
    Right("list", kinds.ENDPOINT_SLICE), Right("list", kinds.REPLICA_SET), Right("get", kinds.POD, sub="log"),
)  # fmt: skip
#: What would let a user of the namespace do more than keep models on claims.
TOO_MUCH = (
    Right("list", kinds.SECRET), Right("create", kinds.SECRET), Right("delete", kinds.CLAIM), Right("patch", kinds.POD),
    Right("create", kinds.ROLE), Right("patch", kinds.ROLE_BINDING), Right("patch", kinds.DEPLOYMENT),
    Right("delete", kinds.DEPLOYMENT), Right("delete", kinds.INFERENCE_SERVICE), Right("create", kinds.SERVICE_ACCOUNT),
    Right("get", kinds.NODE), Right("get", kinds.VOLUME), Right("list", kinds.STORAGE_CLASS),
    Right("patch", kinds.VOLUME), Right("create", kinds.STORAGE_CLASS), Right("list", kinds.NAMESPACE),
)  # fmt: skip


def test_no_rule_has_a_wildcard_or_a_verb_that_gives_rights():
    for rule in (*ROLE["rules"], *SERVING["rules"], *CLUSTER_ROLE["rules"]):
        words = {word for part in ("apiGroups", "resources", "verbs") for word in rule[part]}
        assert not words & {"*", "escalate", "bind", "impersonate", "update", "deletecollection"}


def test_the_cluster_s_facts_are_only_read():
    assert {verb for rule in CLUSTER_ROLE["rules"] for verb in rule["verbs"]} <= READING


def test_every_kind_that_may_point_into_a_claim_may_be_read():
    given = {(group, plural) for role in (ROLE, CLUSTER_ROLE) for rule in role["rules"] for group in rule["apiGroups"] for plural in rule["resources"]}  # fmt: skip
    missing = {kind.resource for kind in users.KINDS if (kind.group, kind.plural) not in given}
    assert missing == set()


@pytest.mark.real("cluster")
async def test_the_namespace_s_user_may_do_what_is_needed_and_nothing_of_what_is_too_much(namespace):
    async with Cluster(connection(kubeconfig=namespace.kubeconfig)) as cluster:
        assert await cluster.missing(dict.fromkeys([*NEEDED, *helper.rights()])) == ()
        assert await cluster.get(kinds.NAMESPACE, namespace.name), "its own, for OpenShift's ranges"
        lacking = await cluster.missing(TOO_MUCH)
    assert set(map(_bare, TOO_MUCH)) == set(map(_bare, lacking))


@pytest.mark.real("cluster")
async def test_who_may_serve_may_do_what_that_needs_and_no_more_about_rights_and_secrets(namespace):
    namespace.allow_serving()
    for_serving = {kinds.DEPLOYMENT.resource, kinds.INFERENCE_SERVICE.resource}
    still = [right for right in TOO_MUCH if right.kind.resource not in for_serving]
    async with Cluster(connection(kubeconfig=namespace.kubeconfig)) as cluster:
        assert await cluster.missing([*NEEDED, *NEEDED_TO_SERVE]) == ()
        lacking = await cluster.missing(still)
    assert set(map(_bare, still)) == set(map(_bare, lacking))


@pytest.mark.real("cluster")
def test_the_base_and_the_overlay_of_the_readme_build_and_are_accepted(cluster, namespace, tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", (RBAC / "README.md").read_text(), re.DOTALL)
    (tmp_path / "deploy").mkdir()
    copied = tmp_path / "deploy" / "rbac"
    for path in RBAC.rglob("*.yaml"):
        target = copied / path.relative_to(RBAC)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(block.replace("team-a\n", f"{namespace.name}\n", 1))
    built = cluster.kubectl("kustomize", str(overlay))
    made = {one["kind"]: one for one in yaml.safe_load_all(built)}
    assert set(made) == {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        assert [subject["name"] for subject in made[kind]["subjects"]] == ["team-a-ml"]
    assert made["Role"]["metadata"]["namespace"] == namespace.name
    cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=built)


def _bare(right):
    return (right.verb, right.kind.resource, right.sub)
