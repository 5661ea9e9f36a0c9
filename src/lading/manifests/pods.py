"""Pods of ours as plain documents: the helper pod that mounts a claim for moments, and the pod template of our Jobs.

Every pod passes PodSecurity's `restricted` and OpenShift's `restricted-v2`: it names no UID (the image's own, or the one
that the namespace is given), writes nothing but the claim and an emptyDir, and has no token of the API unless its
credentials are made from one.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lading.manifests import ours
from lading.spec.credentials import CredentialEnv, Credentials
from lading.spec.placement import Placement, Toleration

CONTAINER = "lading"
"""The one container of our pods."""
HOME = "/tmp"  # noqa: S108 - an emptyDir of the pod
CA_FOLDER = "/etc/lading/ca"
TERMINATION_LOG = "/dev/termination-log"
"""Where a pod of ours leaves its error as JSON for whoever cannot read its log."""
GRACE_S = 30
"""From SIGTERM to SIGKILL: the file under way is dropped, its journal is flushed; both take under a second."""
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"

# Measured: `lading run` peaks at 76 MB while it pulls 1 GiB in four files from an S3 server: eight buffers of 1 MiB, whatever
# the files' size, beside the interpreter. The limit leaves room for dirty pages, which count for the pod until they are on
# disk: with less, writing slows down. A processor is requested, not limited: hashing takes what is idle, and yields first.
JOB_RESOURCES: Mapping[str, Mapping[str, str]] = {
    "requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "1Gi"},
}  # fmt: skip
#: A helper pod lists, reads and moves names; an upload into it is hashed there in buffers of the same size.
HELPER_RESOURCES: Mapping[str, Mapping[str, str]] = {
    "requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"},
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadClaim:
    """A claim that a pod of ours only reads from, mounted at `ours.SOURCE_MOUNT`; *attach_read_only* as in `Work`."""

    claim: str
    attach_read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one pod of ours does, on which claim.

    Attributes:
        purpose: One of `ours.PURPOSES`.
        claim: Mounted at `ours.MOUNT`, at its root; None: no claim (a source is only listed).
        argv: What runs in the image.
        command: The command document (JSON) that `lading run` reads; never holds a secret.
        read_only: The claim is mounted read-only.
        attach_read_only: The whole volume is attached read-only: for a claim whose only mode is ReadOnlyMany. A volume
            that another pod of the node writes must be attached as it is there.
        source: A second claim, which it reads from; may be the first one.
        env: More variables, without secrets.
        started_by: Who started it, for whoever finds it later.
    """

    purpose: str
    namespace: str
    claim: str | None
    argv: tuple[str, ...] = ("lading", "run")
    model: str | None = None
    command: str | None = None
    read_only: bool = False
    attach_read_only: bool = False
    source: ReadClaim | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    credentials: Credentials = field(default_factory=Credentials)
    started_by: str | None = None


def helper_pod(work: Work, placement: Placement, *, name: str, deadline_s: int) -> dict[str, Any]:
    """A pod that mounts the claim and waits for streams into it.

    Args:
        work: What it is for; its *argv* keeps the pod alive.
        placement: How it is run.
        name: The pod's name.
        deadline_s: The cluster ends it after so long, whatever became of us.
    """
    spec = _spec(work, placement, HELPER_RESOURCES, run=_field("metadata.uid"))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": work.namespace, **metadata(work, placement)},
        "spec": {**spec, "activeDeadlineSeconds": deadline_s},
    }


def template(work: Work, placement: Placement) -> dict[str, Any]:
    """The pod template of a Job of ours.

    ``LADING_RUN`` is the Job's uid, so that the pod of a next attempt knows its predecessor's lock as its own.
    """
    run = _field(f"metadata.labels['{CONTROLLER_UID}']")
    head = metadata(
        dataclasses.replace(work, command=None), placement
    )  # the Job's own annotation, and the variable, will do
    made = {"metadata": head, "spec": _spec(work, placement, JOB_RESOURCES, run=run)}
    variable = {"name": ours.JOB_VARIABLE, "valueFrom": _field(f"metadata.labels['{JOB_NAME}']")}
    made["spec"]["containers"][0]["env"].append(variable)
    return made


def metadata(work: Work, placement: Placement) -> dict[str, Any]:
    """Labels and annotations of an object that does *work*."""
    labels = ours.labels(work.purpose, claim=work.claim or "", model=work.model)
    made: dict[str, Any] = {"labels": {**placement.labels, **{key: value for key, value in labels.items() if value}}}
    annotations = {ours.COMMAND: work.command, ours.STARTED_BY: work.started_by}
    written = {key: value for key, value in annotations.items() if value}
    if written:
        made["annotations"] = written
    return made


def _spec(
    work: Work, placement: Placement, resources: Mapping[str, Mapping[str, str]], *, run: Mapping[str, Any]
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": work.credentials.token,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": _security(placement),
        "containers": [_container(work, placement, placement.resources or resources, run=run)],
        "volumes": _volumes(work, placement),
    }
    account = placement.service_account or work.credentials.service_account
    if account:
        made["serviceAccountName"] = account
    if placement.pull_secrets:
        made["imagePullSecrets"] = [{"name": name} for name in placement.pull_secrets]
    if placement.node_selector:
        made["nodeSelector"] = dict(placement.node_selector)
    if placement.node:
        made["affinity"] = on_node(placement.node)
    if placement.tolerations:
        made["tolerations"] = tolerations(placement.tolerations)
    return made


def _security(placement: Placement) -> dict[str, Any]:
    made: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if placement.fs_group is not None:
        # OnRootMismatch: kubelet would else walk every file of every model at each start
        made |= {"fsGroup": placement.fs_group, "fsGroupChangePolicy": "OnRootMismatch"}
    return made


def _container(
    work: Work, placement: Placement, resources: Mapping[str, Mapping[str, str]], *, run: Mapping[str, Any]
) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [{"name": "tmp", "mountPath": HOME}]
    if work.claim:
        read_only = {"readOnly": True} if work.read_only or work.attach_read_only else {}
        mounts.insert(0, {"name": "claim", "mountPath": ours.MOUNT, **read_only})
    if work.source:
        mounts.append({"name": _source_volume(work), "mountPath": ours.SOURCE_MOUNT, "readOnly": True})
    if _ca(work, placement):
        mounts.append({"name": "ca", "mountPath": CA_FOLDER, "readOnly": True})
    return {
        "name": CONTAINER,
        "image": placement.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [_literal(word) for word in work.argv],
        "env": [*_env(work, placement), {"name": ours.RUN_VARIABLE, "valueFrom": run}, *map(_secret, work.credentials.env)],
        "resources": {kind: dict(amounts) for kind, amounts in resources.items()},
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }  # fmt: skip


def _env(work: Work, placement: Placement) -> list[dict[str, Any]]:
    values: dict[str, str | None] = {
        "HOME": HOME,
        ours.NAMESPACE_VARIABLE: work.namespace,
        ours.CLAIM_VARIABLE: work.claim,
        ours.STARTED_BY_VARIABLE: work.started_by,
        ours.IMAGE_VARIABLE: placement.image,
        ours.COMMAND_VARIABLE: work.command,
        **work.credentials.plain,
        **_ca_variables(work, placement),
        **{name: value for key, value in placement.proxies.items() for name in (key.upper(), key.lower())},
        **work.env,
    }
    return [{"name": name, "value": _literal(value)} for name, value in values.items() if value is not None]


def _ca(work: Work, placement: Placement) -> tuple[str, str] | None:
    """ConfigMap and key of the certificates to trust: the user's word before the credentials'."""
    if placement.ca_config_map:
        return placement.ca_config_map, "ca.crt"
    found = work.credentials
    return (found.ca_config_map, found.ca_key) if found.ca_config_map else None


def _ca_variables(work: Work, placement: Placement) -> dict[str, str]:
    """Each client has its own variable. The file replaces the image's own authorities: it must hold all that are needed."""
    names = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if _ca(work, placement) else ()
    return dict.fromkeys(names, f"{CA_FOLDER}/ca.crt")


def _volumes(work: Work, placement: Placement) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}]
    if work.claim:
        read_only = {"readOnly": True} if work.attach_read_only else {}
        made.insert(0, {"name": "claim", "persistentVolumeClaim": {"claimName": work.claim, **read_only}})
    if work.source and _source_volume(work) != "claim":
        read_only = {"readOnly": True} if work.source.attach_read_only else {}
        made.append({"name": "source", "persistentVolumeClaim": {"claimName": work.source.claim, **read_only}})
    ca = _ca(work, placement)
    if ca:
        items = [{"key": ca[1], "path": "ca.crt"}]
        made.append({"name": "ca", "configMap": {"name": ca[0], "items": items}})
    return made


def _source_volume(work: Work) -> str:
    """One claim is one volume of a pod: some drivers mount no claim twice."""
    return "claim" if work.source and work.source.claim == work.claim else "source"


def on_node(node: str) -> dict[str, Any]:
    """Affinity that lets a pod run on *node* alone, still by way of the scheduler, which knows volumes and taints."""
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def tolerations(given: Sequence[Toleration]) -> list[dict[str, str]]:
    """As a pod carries them: without a value any value of the taint is tolerated."""
    made = []
    for one in given:
        entry = {"key": one.key, "operator": "Exists" if one.value is None else "Equal"}
        made.append(entry | _some(value=one.value, effect=one.effect))
    return made


def _some(**values: str | None) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}


def _secret(credential: CredentialEnv) -> dict[str, Any]:
    chosen: dict[str, Any] = {"name": credential.secret, "key": credential.key}
    if credential.optional:
        chosen["optional"] = True
    return {"name": credential.name, "valueFrom": {"secretKeyRef": chosen}}


def _field(path: str) -> dict[str, Any]:
    return {"fieldRef": {"fieldPath": path}}


def _literal(word: str) -> str:
    """*word* as the container gets it: Kubernetes would expand ``$(NAME)``."""
    return word.replace("$(", "$$(")
