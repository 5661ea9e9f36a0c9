"""The compose file: the keys of the compose specification, and nothing that compose would expand."""

import pytest
from tests.manifests.conftest import TARGETS, documents, llamacpp, vllm

from lading.manifests.compose import docker_compose
from lading.manifests.target import container_command

SERVICE_KEYS = {
    "image",
    "entrypoint",
    "command",
    "ports",
    "volumes",
    "environment",
    "healthcheck",
    "restart",
    "deploy",
    "shm_size",
}
HEALTH_KEYS = {"test", "interval", "timeout", "start_period", "start_interval", "retries"}


def service(target):
    (document,) = documents(docker_compose(target))
    assert set(document) == {"name", "services"}
    return document["services"][target.name]


@pytest.mark.parametrize("engine", TARGETS)
def test_only_keys_of_the_specification_with_their_types(engine):
    target = TARGETS[engine]()
    made = service(target)
    assert set(made) <= SERVICE_KEYS
    assert set(made["healthcheck"]) == HEALTH_KEYS
    assert made["healthcheck"]["test"][0] == "CMD-SHELL"
    assert all(isinstance(word, str) for word in [*made["entrypoint"], *made["command"], *made["ports"]])
    assert made["command"] == list(container_command(target).argv)
    assert made["volumes"] == [{"type": "bind", "source": target.model.host_path, "target": "/mnt/models", "read_only": True,
                                "bind": {"create_host_path": False}}]  # fmt: skip
    assert made["ports"] == ["127.0.0.1:8080:8080"]


def test_gpus_and_limits_are_written_as_compose_has_them():
    deploy = service(vllm())["deploy"]["resources"]
    assert deploy == {"limits": {"cpus": "4", "memory": "24g"},
                      "reservations": {"devices": [{"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}]}}  # fmt: skip
    assert service(vllm())["shm_size"] == "2gb"
    assert "deploy" not in service(llamacpp())


def test_what_compose_would_expand_is_escaped():
    made = service(vllm(env={"A": "${HOME} $1"}))
    assert made["environment"]["A"] == "$${HOME} $$1"
