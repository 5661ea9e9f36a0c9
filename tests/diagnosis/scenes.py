"""Troubles made on a real cluster: what is created, of what it is to be diagnosed, and what is to be found.

`python -m tests.diagnosis.record` makes them all and keeps the objects under data/, for the tests without a cluster.
"""

import json
from dataclasses import dataclass, field

BASE = "docker.io/testbed/base:1"
FINALIZER = "diagnosis.test/kept"
OTHER_NODE = "diagnosis-tainted"
OURS = {
    "event": "failed", "code": "SourceDenied", "message": "s3://models refused the credentials",
    "hint": "check the Secret", "exit_code": 1, "retryable": False,
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """One trouble.

    Attributes:
        cause: What is to be found.
        subject: Kind and name of what is diagnosed; the name is the scene's where it is empty.
        objects: Applied in order; namespaced ones without a namespace.
        deleted: Removed again when the subject exists (paths of the API with {namespace}).
        status: Written to the subject's status by hand: what this cluster has no controller for.
        evicted: The pod is evicted, as by a drain, once it runs.
        words: What the finding's sentence or remedy names.
    """

    cause: str
    subject: str = "Pod"
    objects: tuple = ()
    fatal: bool = True
    deleted: tuple = ()
    status: dict = field(default_factory=dict)
    words: tuple = ()
    evicted: bool = False


def pod(name, *command, image=BASE, spec=None, **container):
    body = {"name": "lading", "image": image, "imagePullPolicy": "IfNotPresent", **container}
    if command:
        body["command"] = [*command]
    base = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [body]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {**base, **(spec or {})}}


def kept_after_its_end(document):
    """The pod, held by a finalizer once it ended, as pods of Jobs are until they are counted."""
    return {**document, "metadata": {**document["metadata"], "finalizers": [FINALIZER]}}


def python(name, program, **more):
    return pod(name, "python3", "-c", program, **more)


def env(**source):
    return {"env": [{"name": "A", "valueFrom": source}]}


def mounted(claim):
    return {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}


MOUNTS = {"volumeMounts": [{"name": "v", "mountPath": "/volume"}]}


def holding(name, claim, *command, spec=None, **more):
    return pod(name, *(command or ("sleep", "600")), spec={**mounted(claim), **(spec or {})}, **MOUNTS, **more)


def from_config_map(own, **source):
    return pod(own, "sleep", "600", spec={"volumes": [{"name": "v", "configMap": source}]}, **MOUNTS)


def claim(name, *, storage_class="", modes=("ReadWriteOnce",), size="1Gi", volume=None):
    spec = {"accessModes": [*modes], "resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    if volume:
        spec["volumeName"] = volume
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def volume(name, *, to=None, storage_class="", node="node-1", path="/tmp", modes=("ReadWriteOnce",), size="1Gi"):
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    spec = {
        "capacity": {"storage": size}, "accessModes": [*modes], "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": storage_class, "local": {"path": path},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }  # fmt: skip
    if to:
        spec["claimRef"] = {"namespace": "{namespace}", "name": to}
    metadata = {"name": "{namespace}-" + name}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


def storage_class(name, provisioner, mode="Immediate"):
    return {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "{namespace}-" + name},
        "provisioner": provisioner, "volumeBindingMode": mode,
    }  # fmt: skip


def job(name, *command, spec=None, pod_spec=None, **container):
    template = pod(name, *command, spec=pod_spec, **container)["spec"]
    body = {"backoffLimit": 0, "template": {"spec": template}, **(spec or {})}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": body}


QUOTA = {
    "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
    "spec": {"hard": {"requests.example.com/gpu": "0"}},
}  # fmt: skip
LIMITS = {
    "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"},
    "spec": {"limits": [{"type": "Container", "max": {"cpu": "5k"}, "default": {"cpu": "100"}, "defaultRequest": {"cpu": "1m"}}]},
}  # fmt: skip
NODE = {
    "apiVersion": "v1", "kind": "Node", "metadata": {"name": OTHER_NODE, "labels": {"diagnosis": "tainted"}},
    "spec": {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]},
}  # fmt: skip
POLICY = (
    {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "{namespace}"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ]},
            "validations": [
                {"expression": "!object.metadata.name.startsWith('job-admission')", "message": "pods need an owner label"}
            ],
        },
    },
    {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "{namespace}"},
        "spec": {
            "policyName": "{namespace}", "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "{namespace}"}}
            },
        },
    },
)  # fmt: skip
SHARED = (QUOTA, LIMITS, NODE, *POLICY)
"""There for all scenes, before any."""
CRASH = "import os; open('/dev/termination-log', 'w').write({!r}); os._exit({})"
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "minio"}, "stringData": {"id": "x"}}
SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}
PRIVILEGED = {"securityContext": {"privileged": True}}

SCENES = {
    # ------------------------------------------------------------------------------------------------- images
    "image-unreachable": Scene("registry-unreachable", objects=(pod("", image="127.0.0.1:9/x/y:1"),), words=("127.0.0.1:9/x/y:1",)),
    "image-missing": Scene("image-missing", objects=(pod("", image="{registry}/missing/y:1"),)),
    "image-denied": Scene("image-denied", objects=(pod("", image="{registry}/private/y:1"),), words=("--pull-secret",)),
    "image-name": Scene("image-name-invalid", objects=(pod("", image="Not/Lower:1"),)),
    "image-never": Scene("image-absent", objects=(pod("", image="docker.io/testbed/none:1", imagePullPolicy="Never"),)),
    # -------------------------------------------------------------------------------------------- configuration
    "secret-missing": Scene("secret-missing", objects=(pod("", **env(secretKeyRef={"name": "nowhere", "key": "k"})),), words=("nowhere",)),
    "secret-key": Scene("secret-key-missing", objects=(SECRET, pod("", **env(secretKeyRef={"name": "minio", "key": "secret"}))), words=("minio", "secret")),
    "config-map-env": Scene("config-map-missing", objects=(pod("", **env(configMapKeyRef={"name": "nowhere", "key": "k"})),), words=("nowhere",)),
    "config-map-volume": Scene("config-map-missing", objects=(from_config_map("", name="trusted"),), words=("trusted",)),
    "config-map-key": Scene("config-map-key-missing", objects=(SETTINGS, from_config_map("", name="settings", items=[{"key": "ca.crt", "path": "ca.crt"}])), words=("ca.crt",)),
    "root-image": Scene("runs-as-root", objects=(pod("", "sleep", "9", spec={"securityContext": {"runAsNonRoot": True}}),)),
    "sub-path-file": Scene("mount-failed", objects=(volume("sub-path-file", to="sub-path-file", path="/etc"), claim("sub-path-file", volume="{namespace}-sub-path-file"), pod("", "sleep", "9", spec=mounted("sub-path-file"), volumeMounts=[{"name": "v", "mountPath": "/volume", "subPath": "hostname/x"}])), fatal=False),
    # --------------------------------------------------------------------------------------------------- starting
    "no-program": Scene("program-missing", objects=(pod("", "/no/such"),), words=("/no/such",)),
    "not-executable": Scene("permission-denied", objects=(pod("", "/etc/passwd"),)),
    "path-missing": Scene("mount-failed", objects=(volume("path-missing", to="path-missing", path="/nowhere/at/all"), claim("path-missing", volume="{namespace}-path-missing"), holding("", "path-missing")), fatal=False),
    # ------------------------------------------------------------------------------------------------- scheduling
    "claim-missing": Scene("claim-missing", objects=(holding("", "nowhere"),), words=("nowhere",)),
    "claim-unbound": Scene("claim-unbound", objects=(claim("unbound", size="7777Gi"), holding("", "unbound")), fatal=False),
    "volume-elsewhere": Scene("volume-elsewhere", objects=(volume("elsewhere", to="elsewhere", node="node-9"), claim("elsewhere", volume="{namespace}-elsewhere"), holding("", "elsewhere")), fatal=False),
    "claim-held": Scene("claim-held", objects=(volume("held", to="held", modes=["ReadWriteOncePod"]), claim("held", modes=["ReadWriteOncePod"], volume="{namespace}-held"), holding("holder", "held"), holding("", "held")), fatal=False),
    "selector": Scene("no-node-fits", objects=(pod("", "sleep", "9", spec={"nodeSelector": {"gpu": "h200"}}),), fatal=False, words=("gpu=h200",)),
    "tainted": Scene("no-node-fits", objects=(pod("", "sleep", "9", spec={"nodeSelector": {"diagnosis": "tainted"}}),), fatal=False, words=("--toleration",)),
    "too-big": Scene("no-room-on-nodes", objects=(pod("", "sleep", "9", resources={"requests": {"memory": "9000Gi"}}),), fatal=False, words=("memory",)),
    # ----------------------------------------------------------------------------------------------------- ending
    "oom": Scene("out-of-memory", objects=(python("", "b = bytearray(300 << 20)", resources={"limits": {"memory": "48Mi"}}),), words=("48Mi",), fatal=False),
    "drained": Scene("drained", objects=(kept_after_its_end(pod("", "sleep", "600")),), fatal=False, evicted=True),
    "late": Scene("deadline-exceeded", objects=(pod("", "sleep", "600", spec={"activeDeadlineSeconds": 1}),), words=("1 s",)),
    "our-error": Scene("SourceDenied", objects=(python("", CRASH.format(json.dumps(OURS), 1)),), words=("refused the credentials", "check the Secret")),
    "try-again": Scene("SourceTransient", objects=(python("", CRASH.format(json.dumps({**OURS, "code": "SourceTransient", "exit_code": 1, "retryable": True}), 75)),), fatal=False),
    "killed": Scene("killed", objects=(python("", "import os; os._exit(137)"),), fatal=False),
    "denied-on-volume": Scene("permission-denied", objects=(python("", "raise PermissionError(13, 'Permission denied', '/volume/x')", terminationMessagePolicy="FallbackToLogsOnError"),)),
    "crash": Scene("failed", objects=(python("", "print('hello'); raise SystemExit(9)", terminationMessagePolicy="FallbackToLogsOnError"),), words=("9",), fatal=False),
    # ------------------------------------------------------------------------------------------------------- Jobs
    "job-quota": Scene("quota-exceeded", "Job", (job("", "sleep", "9", resources={"limits": {"example.com/gpu": "1"}}),), fatal=False, words=("small", "requests.example.com/gpu")),
    "job-limits": Scene("limit-range", "Job", (job("", "sleep", "9", resources={"limits": {"cpu": "9k"}}),)),
    "job-privileged": Scene("pod-security", "Job", (job("", "sleep", "9", **PRIVILEGED),), words=("privileged",)),
    "job-admission": Scene("admission-denied", "Job", (job("", "sleep", "9"),), words=("owner label",)),
    "job-account": Scene("service-account-missing", "Job", (job("", "sleep", "9", pod_spec={"serviceAccountName": "nobody"}),), words=("nobody",)),
    "job-failed": Scene("SourceDenied", "Job", (job("", "python3", "-c", CRASH.format(json.dumps(OURS), 1)),)),
    "job-given-up": Scene("SourceDenied", "Job", (job("", "python3", "-c", CRASH.format(json.dumps(OURS), 1), spec={"backoffLimit": 5, "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"containerName": "lading", "operator": "In", "values": [1]}}]}}),)),
    "job-late": Scene("deadline-exceeded", "Job", (job("", "sleep", "600", spec={"activeDeadlineSeconds": 1}),), words=("1 s",)),
    "job-suspended": Scene("suspended", "Job", (job("", "sleep", "600", spec={"suspend": True}),), fatal=False),
    "job-image": Scene("image-missing", "Job", (job("", image="{registry}/missing/y:1"),)),
    # ----------------------------------------------------------------------------------------------------- claims
    "no-class": Scene("no-volume", "PersistentVolumeClaim", (claim("", size="7777Gi"),)),
    "no-default-class": Scene("no-default-class", "PersistentVolumeClaim", (claim("", storage_class=None, size="7777Gi"),)),
    "class-missing": Scene("class-missing", "PersistentVolumeClaim", (claim("", storage_class="nowhere"),), words=("nowhere",)),
    "no-provisioner": Scene("provisioning", "PersistentVolumeClaim", (storage_class("dead", "example.com/nobody"), claim("", storage_class="{namespace}-dead")), fatal=False, words=("example.com/nobody",)),
    "first-consumer": Scene("waits-for-consumer", "PersistentVolumeClaim", (storage_class("later", "kubernetes.io/no-provisioner", "WaitForFirstConsumer"), claim("", storage_class="{namespace}-later")), fatal=False),
    "static-class": Scene("no-volume", "PersistentVolumeClaim", (storage_class("static", "kubernetes.io/no-provisioner"), claim("", storage_class="{namespace}-static"))),
    "wrong-mode": Scene("volume-mismatch", "PersistentVolumeClaim", (volume("wrong-mode", storage_class="{namespace}-a"), claim("", modes=["ReadWriteMany"], storage_class="{namespace}-a", volume="{namespace}-wrong-mode")), words=("access",)),
    "too-small": Scene("volume-mismatch", "PersistentVolumeClaim", (volume("too-small", storage_class="{namespace}-b"), claim("", size="2Gi", storage_class="{namespace}-b", volume="{namespace}-too-small"))),
    "taken": Scene("volume-taken", "PersistentVolumeClaim", (volume("taken", to="somebody"), claim("somebody", volume="{namespace}-taken"), claim("", volume="{namespace}-taken"))),
    "volume-missing": Scene("volume-missing", "PersistentVolumeClaim", (claim("", volume="{namespace}-nothing"),), fatal=False),
    "lost": Scene("volume-lost", "PersistentVolumeClaim", (volume("lost", to="lost"), claim("", volume="{namespace}-lost")), deleted=("/api/v1/persistentvolumes/{namespace}-lost",)),
    "terminating": Scene("claim-terminating", "PersistentVolumeClaim", (volume("terminating", to="terminating"), claim("", volume="{namespace}-terminating"), holding("terminating-user", "terminating")), deleted=("/api/v1/namespaces/{namespace}/persistentvolumeclaims/terminating",)),
    "resizing": Scene("resizing", "PersistentVolumeClaim", (volume("resizing", to="resizing"), claim("", volume="{namespace}-resizing")), fatal=False, status={"conditions": [{"type": "FileSystemResizePending", "status": "True", "message": "Waiting for user to (re-)start a pod to finish file system resize of volume on node."}]}),
}  # fmt: skip
