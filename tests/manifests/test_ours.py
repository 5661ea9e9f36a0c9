"""Pods, Jobs and claims of ours as documents: what they promise, read from them and tried on a real cluster."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.manifests.conftest import documents
from tests.testbed import golden, namespaces
from tests.testbed.api import ApiError

from lading.manifests import claims, gitops, jobs, ours, pods
from lading.manifests.pods import Work
from lading.spec import command as commands
from lading.spec.command import ListSourceCommand, PullCommand, RepairPermissionsCommand, VerifyCommand
from lading.spec.credentials import CredentialEnv, Credentials
from lading.spec.placement import Placement, Toleration

PLAIN = Placement(image="docker.io/testbed/base:1")
FULL = Placement(
    image="registry.example/lading:1", pull_secrets=("registry",), service_account="loader", fs_group=1000650000,
    node="node-1", node_selector={"zone": "a"},
    tolerations=(Toleration(key="nvidia.com/gpu"), Toleration(key="team", value="ml", effect="NoSchedule")),
    proxies={"HTTPS_PROXY": "http://proxy:3128"}, ca_config_map="trusted", labels={"kueue.x-k8s.io/queue-name": "q"},
)  # fmt: skip
PULL = PullCommand(source="s3://models/granite-7b/", model="granite-7b")
KEYS = Credentials(
    env=(CredentialEnv(name="AWS_ACCESS_KEY_ID", secret="minio", key="id"), CredentialEnv(name="AWS_SESSION_TOKEN", secret="minio", key="token", optional=True)),
    plain={"AWS_ENDPOINT_URL": "http://minio:9000"},
)  # fmt: skip


def job(command=PULL, placement=PLAIN, **more):
    return jobs.job(command, placement, **{"claim": "models", "namespace": "demo", **more})


def container(document):
    spec = document["spec"]
    return spec.get("template", {"spec": spec})["spec"]["containers"][0]


def environment(document):
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(document)["env"]}


def helper(placement=PLAIN, **more):
    work = Work(**{"purpose": "reader", "namespace": "demo", "claim": "models", "argv": ("sleep", "9"), "read_only": True, **more})  # fmt: skip
    return pods.helper_pod(work, placement, name="lading-reader-x", deadline_s=600)


# ------------------------------------------------------------------------------------------------------------- pods


@pytest.mark.parametrize("placement", [PLAIN, FULL])
@pytest.mark.parametrize("make", [lambda placement: job(placement=placement), helper])
def test_no_pod_of_ours_may_do_more_than_it_needs(make, placement):
    document = make(placement)
    spec = document["spec"].get("template", document)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert not {"runAsUser", "runAsGroup"} & (
        set(spec["securityContext"]) | set(container(document)["securityContext"])
    )
    assert container(document)["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert set(container(document)["resources"]) == {"requests", "limits"}


def test_what_was_said_of_the_placement_is_in_the_pod():
    spec = job(placement=FULL)["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["serviceAccountName"] == "loader"
    assert spec["nodeSelector"] == {"zone": "a"}
    assert spec["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists"},
        {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"},
    ]
    assert spec["securityContext"]["fsGroup"] == 1000650000
    assert "metadata.name" in json.dumps(spec["affinity"])
    env = environment(job(placement=FULL))
    assert env["HTTPS_PROXY"] == env["https_proxy"] == "http://proxy:3128"
    assert env["AWS_CA_BUNDLE"] == env["SSL_CERT_FILE"] == env["REQUESTS_CA_BUNDLE"] == "/etc/lading/ca/ca.crt"


def test_credentials_are_references_and_settings():
    env = environment(job(credentials=KEYS))
    assert env["AWS_ACCESS_KEY_ID"] == {"secretKeyRef": {"name": "minio", "key": "id"}}
    assert env["AWS_SESSION_TOKEN"] == {"secretKeyRef": {"name": "minio", "key": "token", "optional": True}}
    assert env["AWS_ENDPOINT_URL"] == "http://minio:9000"


def test_an_account_of_the_credentials_is_used_with_its_token_only_where_that_is_needed():
    spec = job(credentials=Credentials(service_account="irsa"))["spec"]["template"]["spec"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("irsa", False)
    spec = job(credentials=Credentials(service_account="irsa", token=True))["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is True


def test_certificates_of_the_credentials_are_trusted_unless_the_user_names_others():
    found = Credentials(ca_config_map="from-kserve", ca_key="cabundle.crt")

    def mounted(placement):
        volumes = job(placement=placement, credentials=found)["spec"]["template"]["spec"]["volumes"]
        return next(one["configMap"] for one in volumes if one["name"] == "ca")

    assert mounted(PLAIN) == {"name": "from-kserve", "items": [{"key": "cabundle.crt", "path": "ca.crt"}]}
    assert mounted(FULL)["name"] == "trusted"


def test_a_reader_mounts_read_only_what_others_on_the_node_may_write():
    spec = helper()["spec"]
    assert container(helper())["volumeMounts"][0] == {"name": "claim", "mountPath": ours.MOUNT, "readOnly": True}
    assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "models"}
    only_read = helper(attach_read_only=True)["spec"]["volumes"][0]["persistentVolumeClaim"]
    assert only_read == {"claimName": "models", "readOnly": True}


def test_a_pod_without_a_claim_has_neither_mount_nor_label_of_one():
    listing = job(ListSourceCommand(source="s3://b/p"), claim=None)
    assert [one["name"] for one in container(listing)["volumeMounts"]] == ["tmp"]
    assert ours.CLAIM not in listing["metadata"]["labels"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_kubernetes_expands_nothing_in_what_a_user_wrote(words):
    document = job(PullCommand(source=f"s3://b/$(HOME){words}"))
    value = environment(document)[ours.COMMAND_VARIABLE]
    assert "$(" not in value.replace("$$(", "")
    assert commands.parse(value.replace("$$(", "$(")).source == f"s3://b/$(HOME){words}"


# ------------------------------------------------------------------------------------------------------------- Jobs


@given(st.from_regex(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?(?:/[a-z0-9]{1,63}){0,2}", fullmatch=True))
def test_the_name_is_a_dns_label_and_the_same_for_the_same_pull(model):
    command = PullCommand(source="s3://b/p", model=model)
    name = jobs.name(command, claim="models", model=model)
    assert len(name) <= 63
    assert name == name.lower().strip("-")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name == jobs.name(PullCommand(source="s3://b/p", model=model), claim="models", model=model)
    others = [
        jobs.name(PullCommand(source="s3://b/q", model=model), claim="models", model=model),
        jobs.name(command, claim="other", model=model),
        jobs.name(PullCommand(source="s3://b/p", model=model, use=False), claim="models", model=model),
    ]
    assert len({name, *others}) == 4


def test_the_document_in_the_job_is_the_command():
    made = job(PULL)
    told = environment(made)[ours.COMMAND_VARIABLE]
    assert commands.parse(told) == PULL
    assert made["metadata"]["annotations"][ours.COMMAND] == told


@pytest.mark.parametrize("command", [PULL, PullCommand(source="s3://b/p", use=False, exclude=("*.bin",)), VerifyCommand(threads=2), ListSourceCommand(source="x"), RepairPermissionsCommand(group=5)])  # fmt: skip
def test_what_was_not_said_is_not_written_so_that_an_older_image_reads_it(command):
    told = json.loads(jobs.document(command))
    assert set(told) == {"apiVersion", "command"} | {name for name, value in command if value != type(command).model_fields[name].default}  # fmt: skip
    assert commands.parse(json.dumps(told)) == command


@pytest.mark.parametrize(
    ("command", "purpose", "read_only"),
    [
        (PULL, "pull", False),
        (VerifyCommand(), "reader", True),
        (RepairPermissionsCommand(), "repair", False),
    ],
)
def test_each_command_has_its_purpose_and_the_rights_on_the_volume_it_needs(command, purpose, read_only):
    made = job(command)
    assert made["metadata"]["labels"][ours.PURPOSE] == purpose
    assert container(made)["volumeMounts"][0].get("readOnly", False) is read_only


def test_a_job_gives_up_at_once_on_what_another_attempt_would_not_change():
    spec = job()["spec"]
    disrupted, fatal = spec["podFailurePolicy"]["rules"]
    assert disrupted["action"] == "Ignore"
    assert fatal["onExitCodes"]["values"] == [1, 2, 3, 4]
    assert ours.TRY_AGAIN not in fatal["onExitCodes"]["values"]
    assert spec["podReplacementPolicy"] == "Failed"


# ----------------------------------------------------------------------------------------------------------- claims


@given(st.integers(1, 2**60))
def test_a_claim_is_never_smaller_than_asked(size_bytes):
    text = claims.quantity(size_bytes)
    factor = {"Ti": 2**40, "Gi": 2**30, "Mi": 2**20}[text[-2:]]
    assert 0 <= int(text[:-2]) * factor - size_bytes < 2**20


def test_a_class_that_keeps_is_the_same_but_for_what_marks_it_as_anothers():
    existing = {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "ebs.csi.aws.com",
        "metadata": {
            "name": "gp3", "uid": "1", "resourceVersion": "7", "managedFields": [],
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true", "argocd.argoproj.io/tracking-id": "x"},
        },
        "parameters": {"type": "gp3"}, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True, "mountOptions": ["noatime"],
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}],
    }  # fmt: skip
    made = claims.retained_class(existing)
    changed = {"metadata": {"name": "gp3-retain", "labels": {ours.MANAGED_BY: ours.MANAGER}}, "reclaimPolicy": "Retain"}
    assert made == {**existing, **changed}


# -------------------------------------------------------------------------------------------------------------- Git


def for_git(placement=PLAIN, **more):
    made = job(PULL, placement, model="granite-7b", credentials=KEYS, started_by="ann@laptop", **more)
    return made, "lading pull s3://models/granite-7b/ pvc://models/granite-7b --secret minio --output yaml"


@pytest.mark.parametrize("hook", [False, True])
def test_a_pull_for_git_reads_well(hook):
    made, line = for_git()
    golden.check("manifests", "pull-hook.yaml" if hook else "pull.yaml", gitops.render_job(made, command=line, argocd_hook=hook))  # fmt: skip


def test_the_same_pull_is_the_same_text_whoever_prints_it():
    made, line = for_git(FULL)
    other = job(PULL, FULL, model="granite-7b", credentials=KEYS, started_by="bob@elsewhere")
    text = gitops.render_job(made, command=line)
    assert text == gitops.render_job(other, command=line)
    assert "ann@laptop" not in text
    assert made["spec"]["ttlSecondsAfterFinished"] == jobs.TTL_S, "what was given is not changed"


def test_an_account_that_is_the_users_is_not_written():
    made, line = for_git(FULL)
    kinds = [one["kind"] for one in documents(gitops.render_job(made, command=line))]
    assert kinds == ["Role", "RoleBinding", "Job"]


# --------------------------------------------------------------------------------------------------- a real cluster


@pytest.fixture(scope="module")
def restricted(cluster, tmp_path_factory):
    """A namespace that admits only what PodSecurity's `restricted` allows."""
    made = namespaces.create(cluster.api, tmp_path_factory.mktemp("restricted"))
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made.name, "labels": labels}})
    yield made
    made.remove()


def tried(namespace, document):
    """What the API server makes of *document* without keeping it; unknown fields are refused."""
    path = namespace.api.path(document, namespace.name).rpartition("/")[0]
    return namespace.api.request("POST", f"{path}?dryRun=All&fieldValidation=Strict", document)


def pod_of(document):
    """The pod that a Job would make: pod security speaks only of pods."""
    template = document["spec"]["template"]
    head = {"generateName": "x-", "namespace": document["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "x", **head}, "spec": template["spec"]}  # fmt: skip


@pytest.mark.real("cluster")
@pytest.mark.parametrize("placement", [PLAIN, FULL], ids=["plain", "full"])
@pytest.mark.parametrize("command", [PULL, VerifyCommand(), ListSourceCommand(source="s3://b/p"), RepairPermissionsCommand()], ids=lambda one: one.command)  # fmt: skip
def test_pods_of_our_jobs_are_admitted_where_restricted_is_enforced(restricted, command, placement):
    restricted.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "loader"}})
    made = job(command, placement, namespace=restricted.name, credentials=KEYS)
    tried(restricted, made)
    assert tried(restricted, pod_of(made))["spec"]["containers"]


@pytest.mark.real("cluster")
@pytest.mark.parametrize("placement", [PLAIN, FULL], ids=["plain", "full"])
def test_helper_pods_are_admitted_where_restricted_is_enforced(restricted, placement):
    restricted.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "loader"}})
    made = helper(placement, namespace=restricted.name)
    assert tried(restricted, made)["spec"]["activeDeadlineSeconds"] == 600


@pytest.mark.real("cluster")
def test_the_namespace_refuses_a_pod_that_asks_for_more(restricted):
    made = helper(namespace=restricted.name)
    container(made)["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(ApiError, match="violates PodSecurity"):
        tried(restricted, made)


@pytest.mark.real("cluster")
@pytest.mark.parametrize("hook", [False, True])
def test_what_is_printed_for_git_is_accepted_by_the_server(restricted, hook):
    made, line = for_git(namespace=restricted.name)
    text = gitops.render_job(made, command=line, argocd_hook=hook)
    said = restricted.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    assert [one.partition("/")[0] for one in said.splitlines()] == [
        "serviceaccount", "role.rbac.authorization.k8s.io", "rolebinding.rbac.authorization.k8s.io", "job.batch",
    ]  # fmt: skip


@pytest.mark.real("cluster")
def test_claims_and_classes_are_accepted_by_the_server(restricted):
    tried(restricted, claims.claim("models", namespace=restricted.name, size_bytes=5 << 30, storage_class="fast"))
    tried(restricted, claims.retained_class({"metadata": {"name": "x"}, "provisioner": "example.com/x", "volumeBindingMode": "Immediate"}))  # fmt: skip
