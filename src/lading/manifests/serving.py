"""A server of weights on a claim as plain documents: its pod, a Deployment of it, and the Service that clients ask.

One replica, and `Recreate`: a claim for one node (or one pod) and a GPU are free only once the old pod is gone, and what
runs is never changed in place: another version gets another name beside it. The pod passes PodSecurity's `baseline`; who
the server runs as is its image's own choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lading.engines import gpus
from lading.manifests import ours, pod
from lading.manifests.target import MOUNT, PORT

CONTAINER = "server"
"""The server's container in a pod of `deployment`."""
SECRET = "lading-env"  # noqa: S105 - the name of a Secret
"""The Secret of the namespace that holds the variables which are passed on without being written down."""
SERVICE_PORT = 80
#: How long a server may take until it first answers ``/health``: large weights come from slow disks.
START_MINUTES = 60
#: A request under way is answered before the server ends.
GRACE_S = 30
_VOLUME = "weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server on a claim, decided.

    Attributes:
        name: A DNS label (`names.dns`); every object is called by it.
        entry: The container's command; empty: the image's own entry point.
        args: What comes after it.
        env: Without secrets.
        passed_env: Variables that come from the Secret `SECRET`.
        path: The folder below the claim's root; empty: the root.
        resources: What it requests beyond GPUs; memory is its limit, too. A processor is not limited: it would be throttled.
        tolerations: As a pod has them.
        service_account: None: the namespace's default, without a token.
        labels, annotations: Of every object and of the pods, beside ours.
        health: The path that a probe of the kubelet asks.
    """

    name: str
    namespace: str
    image: str
    args: tuple[str, ...]
    claim: str
    path: str
    entry: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    passed_env: tuple[str, ...] = ()
    gpus: int = 0
    resources: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    service_account: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    health: str = "/health"
    port: int = PORT


def deployment(server: Server) -> dict[str, Any]:
    """The Deployment; its pods carry `ours.SERVER` with the server's name."""
    chosen = {ours.SERVER: server.name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(server),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "revisionHistoryLimit": 1,
            "progressDeadlineSeconds": START_MINUTES * 60,
            "selector": {"matchLabels": chosen},
            "template": {"metadata": {"labels": labels(server)}, "spec": pod_spec(server)},
        },
    }


def service(server: Server) -> dict[str, Any]:
    """The Service: port 80 to the server's."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(server),
        "spec": {
            "type": "ClusterIP",
            "selector": {ours.SERVER: server.name},
            "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": server.port, "protocol": "TCP"}],
        },
    }


def pod_spec(server: Server) -> dict[str, Any]:
    """The pod: the server with the claim at `MOUNT`, its folder alone, read-only."""
    made: dict[str, Any] = {
        "terminationGracePeriodSeconds": GRACE_S,
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container(server)],
        "volumes": [
            {"name": _VOLUME, "persistentVolumeClaim": {"claimName": server.claim}},
            *shared_memory_volumes(server.gpus),
        ],
    }
    if server.service_account:
        made["serviceAccountName"] = server.service_account
    else:
        made["automountServiceAccountToken"] = False
    if server.node_selector:
        made["nodeSelector"] = dict(server.node_selector)
    if server.tolerations:
        made["tolerations"] = [dict(one) for one in server.tolerations]
    return made


def container(server: Server) -> dict[str, Any]:
    """The server's container, its mounts included."""
    made: dict[str, Any] = {"name": CONTAINER, "image": server.image, "imagePullPolicy": "IfNotPresent"}
    if server.entry:
        made["command"] = [pod.literal(word, template=False) for word in server.entry]
    made["args"] = [pod.literal(word, template=False) for word in server.args]
    env = variables(server)
    if env:
        made["env"] = env
    made["ports"] = [{"name": "http", "containerPort": server.port, "protocol": "TCP"}]
    made.update(probes(server.health, server.port))
    wanted = resources(server)
    if wanted:
        made["resources"] = wanted
    made["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    made["terminationMessagePolicy"] = "FallbackToLogsOnError"
    made["volumeMounts"] = [weights(server.path), *shared_memory_mounts(server.gpus)]
    return made


def weights(path: str) -> dict[str, Any]:
    """The mount of the folder *path* of the claim; the whole claim where it is empty."""
    made: dict[str, Any] = {"name": _VOLUME, "mountPath": MOUNT, "readOnly": True}
    folder = path.strip("/")
    return {**made, "subPath": folder} if folder else made


def variables(server: Server) -> list[dict[str, Any]]:
    """The container's environment; what is secret comes from `SECRET` and is not written here."""
    plain = [{"name": key, "value": pod.literal(value, template=False)} for key, value in sorted(server.env.items())]
    passed = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": name}}} for name in server.passed_env
    ]
    return [*plain, *passed]


def resources(server: Server) -> dict[str, Any]:
    """Requests and limits; empty where nothing is asked for. GPUs and other devices are limits, and so requests too."""
    requests = dict(server.resources)
    limits = {name: amount for name, amount in server.resources.items() if name != "cpu"}
    limits |= gpus.limits(server.gpus, server.resources)
    return {name: amounts for name, amounts in (("requests", requests), ("limits", limits)) if amounts}


def probes(health: str, port: int) -> dict[str, Any]:
    """Startup and readiness, asked of the server by the kubelet. No liveness: a busy server must not be killed."""
    asked = {"httpGet": {"path": health, "port": port}, "timeoutSeconds": 5}
    return {
        "startupProbe": {**asked, "periodSeconds": 1, "failureThreshold": START_MINUTES * 60},
        "readinessProbe": {**asked, "periodSeconds": 5, "failureThreshold": 3},
    }


def shared_memory_volumes(count: int) -> list[dict[str, Any]]:
    """The volume that processes share which share GPUs; none for one GPU or none."""
    return [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}] if count > 1 else []


def shared_memory_mounts(count: int) -> list[dict[str, Any]]:
    """Its mount."""
    return [{"name": "shm", "mountPath": "/dev/shm"}] if count > 1 else []  # noqa: S108 - a mount of the container


def metadata(server: Server) -> dict[str, Any]:
    """Name, namespace, labels and annotations of every object."""
    made: dict[str, Any] = {"name": server.name, "namespace": server.namespace, "labels": labels(server)}
    if server.annotations:
        made["annotations"] = dict(server.annotations)
    return made


def labels(server: Server) -> dict[str, str]:
    """Labels of every object and of the pods."""
    own = {"app.kubernetes.io/name": server.name, ours.MANAGED_BY: ours.MANAGER, ours.SERVER: server.name}
    return {**server.labels, **own}
