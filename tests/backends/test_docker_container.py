"""What the daemon is asked to make, without a daemon: GPUs, shared memory, limits, networks, labels; and how an end is told."""

import dataclasses

import pytest

from lading.backends import docker_container, docker_daemon, docker_place
from lading.backends.docker_container import Seen, Wanted
from lading.backends.docker_mount import Mounted
from lading.engines.vllm import ENGINE
from lading.errors import GpusUnavailable, InvalidInput, PortInUse
from lading.hardware.gpus import Found, Gpu
from lading.ports.backend import Deployment

PLAN = Deployment(
    name="one", backend="docker", engine=ENGINE, program="vllm serve", argv=("vllm", "serve", "/mnt/models", "--port", "{port}"),
    argv_sha256="0" * 64, env={"A": "b"}, model="/models/x", served_name="x", params={}, host="127.0.0.1", port=None,
    image="docker.io/vllm/vllm-openai:v1",
)  # fmt: skip
MOUNTED = Mounted(source="/models/x", target="/mnt/models", model="/mnt/models")
WANTED = Wanted(deployment=PLAN, owner="f" * 32, mounted=MOUNTED, network="bridge")


def made(port=None, gpu_ids=(), **changes):
    return docker_container.document(dataclasses.replace(WANTED, **changes), port=port, gpu_ids=gpu_ids)


def test_two_gpus_by_their_ids_with_what_their_engines_share():
    """NCCL needs shared memory beyond Docker's 64 MiB, pinned memory and a larger stack."""
    host = made(gpus=2, gpu_ids=("GPU-a", "GPU-b"))["HostConfig"]
    assert host["DeviceRequests"] == [{"Driver": "nvidia", "Capabilities": [["gpu"]], "DeviceIDs": ["GPU-a", "GPU-b"]}]
    assert host["ShmSize"] == 2 * 2**30
    assert {one["Name"]: one["Hard"] for one in host["Ulimits"]} == {"memlock": -1, "stack": 64 * 2**20}
    assert host["IpcMode"] == "private"


def test_gpus_that_are_not_known_here_are_left_to_the_daemon():
    assert made(gpus=1)["HostConfig"]["DeviceRequests"][0]["Count"] == 1


def test_without_gpus_nothing_of_them_is_asked():
    assert not {"DeviceRequests", "ShmSize", "Ulimits"} & made()["HostConfig"].keys()


def test_on_a_bridge_the_daemon_chooses_the_port_of_this_machine():
    found = made()
    assert found["HostConfig"]["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    assert (found["Entrypoint"], found["Cmd"][0]) == (["vllm", "serve"], "/mnt/models")


def test_with_the_hosts_network_the_chosen_port_is_in_the_command_and_written_down():
    found = made(network="host", port=1234)
    assert found["Cmd"][-1] == "1234"
    assert found["Labels"]["lading.dev/port"] == "1234"
    assert "PortBindings" not in found["HostConfig"]


@pytest.mark.parametrize(
    "change",
    [
        {"network": "host"}, {"gpus": 1}, {"memory_bytes": 1}, {"secrets": {"HF_TOKEN": "x"}},
        {"deployment": dataclasses.replace(PLAN, image="other")}, {"deployment": dataclasses.replace(PLAN, port=1)},
    ],
)  # fmt: skip
def test_whatever_makes_another_server_makes_another_digest(change):
    assert dataclasses.replace(WANTED, **change).digest != WANTED.digest


def test_neither_a_lease_nor_a_secrets_value_makes_another_digest():
    """The second run of a study finds its server; and no digest tells of a secret."""
    leased = dataclasses.replace(WANTED, deployment=dataclasses.replace(PLAN, lease="l"))
    assert leased.digest == WANTED.digest
    one, two = (dataclasses.replace(WANTED, secrets={"HF_TOKEN": value}) for value in ("x", "y"))
    assert one.digest == two.digest
    assert "HF_TOKEN" not in str(docker_container.labels(one, None))
    assert "HF_TOKEN" not in repr(one)


GPUS = tuple(
    Gpu(index=index, uuid=f"GPU-{index}", name="H200", memory_bytes=2**37, used_bytes=0, free_bytes=2**37) for index in (0, 1)
)  # fmt: skip


def machine(monkeypatch, found):
    monkeypatch.setattr(docker_place.gpus, "look", lambda: found)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_gpu_that_another_server_of_ours_has_is_not_given_again(monkeypatch, tmp_path):
    machine(monkeypatch, Found(gpus=GPUS))
    other = dataclasses.replace(SEEN, state="running", device_ids=("GPU-0",), labels={"lading.dev/name": "other"})
    with docker_place.reserved_gpus(tmp_path, dataclasses.replace(WANTED, gpus=1), [other]) as held:
        assert held.uuids == ("GPU-1",)
        with pytest.raises(GpusUnavailable, match="server one"):  # held until the container is there
            docker_place.reserved_gpus(tmp_path, dataclasses.replace(WANTED, gpus=1), [other]).__enter__()
    ended = dataclasses.replace(other, state="exited")
    with docker_place.reserved_gpus(tmp_path, dataclasses.replace(WANTED, gpus=2), [ended]) as held:
        assert held.uuids == ("GPU-0", "GPU-1")


def test_gpus_that_are_hidden_from_this_command_are_not_given(monkeypatch, tmp_path):
    machine(monkeypatch, Found(gpus=GPUS))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with docker_place.reserved_gpus(tmp_path, dataclasses.replace(WANTED, gpus=1), []) as held:
        assert held.uuids == ("GPU-1",)


@pytest.mark.parametrize(
    ("found", "count"),
    [(Found(gpus=GPUS), 1), (Found(needs_package=True, why_none="no package"), 1), (Found(why_none="no driver"), 0)],
)
def test_a_machine_without_a_driver_is_asked_for_no_gpu_unless_it_is_said_by_number(monkeypatch, found, count):
    """vLLM takes one by its defaults; its image for processors takes none."""
    machine(monkeypatch, found)
    assert docker_place.gpu_count(PLAN, "auto") == count
    assert docker_place.gpu_count(PLAN, 2) == 2
    assert docker_place.gpu_count(PLAN, 0) == 0


def test_limits_are_read_as_kubernetes_writes_them():
    assert docker_container.limits({"memory": "16Gi", "cpu": "1500m"}) == (16 * 2**30, 1.5)
    assert docker_container.limits({}) == (None, None)
    host = made(memory_bytes=2**30, cpus=1.5)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (2**30, 2**30, 1_500_000_000)


@pytest.mark.parametrize("resources", [{"memory": "lots"}, {"cpu": "two"}, {"nvidia.com/gpu": "1"}])
def test_limits_that_are_none_are_refused(resources):
    with pytest.raises(InvalidInput):
        docker_container.limits(resources)


SEEN = Seen(id="1", labels={}, state="exited", running=False, started=True, exit_code=0, oom_killed=False, error="", pid=0,
            image="", argv=(), host="", port=None, network="bridge")  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"exit_code": 3}, "exit status 3"),
        ({"exit_code": 134}, "killed by SIGABRT"),
        ({"exit_code": 137, "oom_killed": True}, "killed for want of memory"),
        ({"started": False, "error": "no such device"}, "never started: no such device"),
        ({"exit_code": 190}, "exit status 190"),
    ],
)
def test_an_end_is_told_in_words(change, told):
    assert docker_container.ending(dataclasses.replace(SEEN, **change)) == told


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("10.0.0.1", "http://10.0.0.1:80"),
    ],
)
def test_where_this_machine_asks_it(host, url):
    assert dataclasses.replace(SEEN, host=host, port=80).url == url


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ('could not select device driver "nvidia" with capabilities: [[gpu]]', "NVIDIA Container Toolkit"),
        ("nvidia-container-cli: device error: GPU-x: unknown device", "nvidia-smi"),
        ('exec: "/app/llama-server": stat /app/llama-server: no such file or directory: unknown', "--image"),
        ('invalid mount config for type "bind": bind source path does not exist: /x', "one machine"),
    ],
)
def test_refusals_of_the_daemon_say_what_to_do(said, hint):
    assert hint in docker_daemon._refusal(500, said, None).hint


def test_a_port_that_the_daemon_finds_taken_is_that_error():
    said = "driver failed programming external connectivity: Bind for 127.0.0.1:80 failed: port is already allocated"
    assert isinstance(docker_daemon._refusal(500, said, None), PortInUse)


def test_a_user_who_may_not_ask_the_daemon_is_told_the_group():
    refused = docker_daemon._refusal(900, "Cannot connect", PermissionError(13, "Permission denied"))
    assert "group docker" in refused.hint
