"""What KServe's runtime and a plain Deployment share: the container of the server and its probes."""

from typing import Any

from lading.engines import gpus
from lading.manifests import target as targets
from lading.manifests.target import ENTRY, Target

START_MINUTES = 30
#: Above the startup probe, wherever it is written.
PROBE_NOTE = "started means: one real request was answered under the served name; after that only /health is asked, so that a busy server is not taken away"


def container(target: Target, name: str, *, template: bool = False) -> dict[str, Any]:
    """The container of the server, without the mount of the weights and without resources.

    Args:
        target: What to run.
        name: The container's name.
        template: KServe expands ``{{…}}`` in it.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    command = targets.container_command(target)
    entry = ENTRY.get(targets.container_program(target.engine), ())
    made: dict[str, Any] = {"name": name, "image": target.image or target.engine.image}
    if entry:
        made["command"] = [literal(word, template=template) for word in entry]
    made["args"] = [literal(word, template=template) for word in command.argv]
    env = targets.environment(target, command)
    variables: list[dict[str, Any]] = [
        {"name": key, "value": literal(value, template=template)} for key, value in env.items()
    ]
    variables += [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": target.secret, "key": name}}}
        for name in target.passed_env
    ]
    if variables:
        made["env"] = variables
    made["ports"] = [{"containerPort": target.port, "protocol": "TCP"}]
    made["startupProbe"] = {
        "exec": {"command": ["sh", "-c", literal(targets.first_request(target), template=template)]},
        "periodSeconds": 10, "timeoutSeconds": 60, "failureThreshold": START_MINUTES * 6,
    }  # fmt: skip
    made["readinessProbe"] = {
        "httpGet": {"path": "/health", "port": target.port}, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3,
    }  # fmt: skip
    if targets.gpus(target) > 1:
        made["volumeMounts"] = [{"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108 - a mount of the container
    return made


def resources(target: Target) -> dict[str, Any]:
    """Requests and limits; empty where nothing is known. GPUs are limits, and so requests too."""
    requests = {key: value for key, value in (("cpu", target.cpus), ("memory", target.memory)) if value}
    limits = {"memory": target.memory} if target.memory else {}
    limits |= gpus.limits(targets.gpus(target), limits)
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def volumes(target: Target) -> list[dict[str, Any]]:
    """Volumes beside the weights: shared memory for processes that share GPUs."""
    if targets.gpus(target) <= 1:
        return []
    return [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}]


def metadata(target: Target, name: str, **more: Any) -> dict[str, Any]:
    """Name, namespace where one is known, and the label by which all of it is found again."""
    made: dict[str, Any] = {"name": name}
    if target.namespace:
        made["namespace"] = target.namespace
    made["labels"] = labels(target)
    return {**made, **more}


def labels(target: Target) -> dict[str, str]:
    """Labels of every object."""
    return {"app.kubernetes.io/name": target.name, "app.kubernetes.io/managed-by": "lading"}


def head(target: Target, purpose: str, file: str) -> list[str]:
    """The comment at the top: where it came from, what to change, how to apply it."""
    lines = [*target.origin, "", purpose]
    if target.model.claim is None:
        lines += [
            "",
            f"CHANGE {target.claim}: the PersistentVolumeClaim that holds the weights. They must be at",
            f"{target.model.claim_path}/ below its root. A wrong path is not an error to Kubernetes: it makes",
            "an empty folder there, and the server fails to start.",
        ]
    if target.passed_env:
        lines += [
            "",
            f"CREATE the Secret {target.secret} first, from a file with a line {target.passed_env[0]}=… for each variable:",
            f"kubectl create secret generic {target.secret} --from-env-file=FILE",
        ]
    where = f" -n {target.namespace}" if target.namespace else " -n NAMESPACE"
    if target.namespace is None:
        lines += ["", "No namespace is written: the claim's own is the right one."]
    return [*lines, "", f"kubectl apply --server-side -f {file}{where}"]


def literal(word: str, *, template: bool) -> str:
    """*word* as the container gets it: Kubernetes expands ``$(NAME)``, KServe ``{{…}}``, see `unexpanded`."""
    escaped = word.replace("$(", "$$(")
    return unexpanded(escaped) if template else escaped


def unexpanded(word: str) -> str:
    """*word* past KServe, which expands ``{{…}}`` of a runtime as a Go template.

    The back quotes are a Go string literal that survives the JSON in which KServe expands.
    """
    return word.replace("{{", "{{`{{`}}")
