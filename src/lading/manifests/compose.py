"""`docker-compose.yaml`: the server in its image on one machine, the weights mounted read-only."""

from typing import Any

from lading.manifests import target as targets
from lading.manifests.target import ENTRY, MOUNT, Target
from lading.manifests.yaml import render


def docker_compose(target: Target) -> str:
    """The compose file.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    command = targets.container_command(target)
    program = targets.container_program(target.engine)
    service: dict[str, Any] = {"image": target.engine.image}
    if program in ENTRY:
        service["entrypoint"] = [_dollar(word) for word in ENTRY[program]]
    service["command"] = [_dollar(word) for word in command.argv]
    service["ports"] = [f"127.0.0.1:{target.port}:{target.port}"]
    service["volumes"] = [
        {"type": "bind", "source": _dollar(target.model.host_path), "target": MOUNT, "read_only": True,
         "bind": {"create_host_path": False}}
    ]  # fmt: skip
    env = {name: _dollar(value) for name, value in targets.environment(target, command).items()}
    env |= {name: f"${{{name}:?export it first}}" for name in target.passed_env}
    if env:
        service["environment"] = env
    service["healthcheck"] = {
        "test": ["CMD-SHELL", _dollar(targets.first_request(target))],
        "interval": "60s", "timeout": "60s", "start_period": "30m", "start_interval": "5s", "retries": 3,
    }  # fmt: skip
    service["restart"] = "unless-stopped"
    service.update(_resources(target))
    document = {"name": target.name, "services": {target.name: service}}
    return render([document], head=[*target.origin, "", "docker compose up"], notes=[_notes(target)])


def _resources(target: Target) -> dict[str, Any]:
    gpus = targets.gpus(target)
    limits = {key: value for key, value in (("cpus", target.cpus), ("memory", _bytes(target.memory))) if value}
    resources: dict[str, Any] = {"limits": limits} if limits else {}
    if gpus:
        resources["reservations"] = {"devices": [{"driver": "nvidia", "count": gpus, "capabilities": ["gpu"]}]}
    found: dict[str, Any] = {"deploy": {"resources": resources}} if resources else {}
    if gpus > 1:
        found["shm_size"] = "2gb"
    return found


def _bytes(quantity: str | None) -> str | None:
    """A Kubernetes quantity as compose writes it: ``16Gi`` → ``16g`` (compose's units are binary)."""
    if quantity is None:
        return None
    return quantity.lower().removesuffix("i") if quantity.lower().endswith("i") else quantity.lower()


def _dollar(word: str) -> str:
    """*word* safe from compose's own ``${…}``."""
    return word.replace("$", "$$")


def _notes(target: Target) -> dict[tuple[str | int, ...], str]:
    return {
        ("services", target.name, "ports"): "reachable from this machine alone; write 8080:8080 to open it",
        ("services", target.name, "volumes", 0): "the folder that was measured",
        ("services", target.name, "healthcheck"): "healthy means: one real request was answered under the served name",
    }
