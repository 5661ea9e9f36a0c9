"""The docker backend at its worst, on the real daemon: deaths, memory, images, ports, names, secrets, a daemon that is away."""

import asyncio
import json
import socket

import pytest
from tests.backends.docker_places import DockerPlace
from tests.backends.places import answer
from tests.testbed import docker

from lading.backends import docker_daemon as talking
from lading.backends import docker_place
from lading.backends.docker import DockerBackend
from lading.engines.llamacpp import ENGINE
from lading.errors import InvalidInput, MissingExtra, PortInUse, ServerDied, ServingError, TeardownFailed
from lading.flows import serve
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice

pytestmark = pytest.mark.real("docker")


@pytest.fixture
def make(tmp_path, docker_daemon, engine_image, tiny_gguf, monkeypatch):
    """A place with options; what it started is deleted."""
    monkeypatch.setenv("DOCKER_HOST", docker_daemon)
    home = tmp_path / "home"
    yield lambda **options: DockerPlace(
        home, options.pop("image", engine_image), options.pop("model", tiny_gguf), **options
    )
    monkeypatch.setenv("DOCKER_HOST", docker_daemon)
    for container in containers(home):
        docker.docker("rm", "--force", container)


@pytest.fixture
def place(make):
    return make()


def containers(home):
    """Ids of what runs, or ran, for *home*."""
    owner = docker_place.owner(home)
    return (
        docker.docker("ps", "--all", "--quiet", "--filter", f"label=lading.dev/owner={owner}").split() if owner else []
    )


def inspected(home):
    [container] = containers(home)
    return json.loads(docker.docker("inspect", container))[0]


async def started(place, name="one", **params):
    backend = place.backend()
    await backend.apply(backend.plan(place.request(name, **params)))
    return backend


async def test_the_engines_own_command_is_what_runs_and_nothing_differs(place, tiny_gguf):
    """llama.cpp by its catalogue: planned, run and effective are one."""
    request = ServeRequest(name="one", model=str(tiny_gguf), served_name="tiny", engine=ENGINE,
                           params=ENGINE.parse({"n_parallel": 2, "n_ctx": 512}))  # fmt: skip
    async with serve.serving(place.backend(), request, within_s=20, emit=lambda _: None) as served:
        assert served.deployment.argv[0] == "/app/llama-server"
        assert "0.0.0.0" in served.deployment.argv
        assert served.ready.argv == served.deployment.argv
        assert served.ready.effective["n_parallel"] == 2
        assert served.differences == ()
    assert containers(place.home) == []


async def test_the_model_is_mounted_alone_and_read_only(place, tiny_gguf):
    await started(place)
    [mount] = inspected(place.home)["Mounts"]
    assert (mount["Source"], mount["RW"]) == (str(tiny_gguf), False)
    [container] = containers(place.home)
    with pytest.raises(RuntimeError, match="Read-only file system"):
        docker.docker("exec", container, "touch", mount["Destination"])


async def test_any_later_process_is_told_of_a_server_and_can_ask_it(place):
    """Its state is with the daemon; its process is known, so that no measurement takes it for foreign load."""
    backend = await started(place, lease=place.lease())
    await backend.ready("one", within_s=20)
    later = place.backend()
    [told] = await later.servers()
    assert (told.name, told.backend, told.engine, told.state, told.of_a_run) == (
        "one",
        "docker",
        "llama.cpp",
        "runs",
        True,
    )
    async with later.reached("one") as endpoint:
        assert await answer(endpoint) == "tiny"
    assert list(docker_place.noted(place.home)) == [inspected(place.home)["State"]["Pid"]]
    await later.remove("one")
    assert list(docker_place.noted(place.home)) == []
    with pytest.raises(ServingError, match="does not run"):
        async with later.reached("one"):
            pass
    place.close()


async def test_a_broken_model_ends_the_wait_at_once_with_the_engines_own_words(make, tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"junk" * 1000)
    model = tmp_path / "broken.gguf"
    backend = make(model=model).backend()
    request = ServeRequest(name="one", model=str(model), served_name="tiny", engine=ENGINE, params={})
    await backend.apply(backend.plan(request))
    with pytest.raises(ServerDied, match=r"exit status 1.*invalid magic") as raised:
        await backend.ready("one", within_s=60)
    assert raised.value.returncode == 1
    assert any("invalid magic" in line for line in raised.value.log)
    assert not await backend.alive("one")
    assert [told.state for told in await backend.servers()] == ["dead (exit status 1)"]
    await backend.remove("one")


async def test_a_server_that_takes_too_much_memory_is_told_by_that_name(make):
    """The kernel kills it; Docker says so, and nothing in its log does."""
    place = make(resources={"memory": "16Mi"})
    backend = await started(place)
    with pytest.raises(ServerDied, match="killed for want of memory") as raised:
        await backend.ready("one", within_s=60)
    assert raised.value.returncode == 137
    assert "resources: memory" in raised.value.hint
    await backend.remove("one")


async def test_a_container_that_somebody_removes_ends_the_wait(place):
    backend = place.backend()
    await backend.apply(backend.plan(place.request("one", "silent")))
    waiting = asyncio.ensure_future(backend.ready("one", within_s=60))
    [container] = containers(place.home)
    await asyncio.to_thread(docker.docker, "rm", "--force", container)
    with pytest.raises(ServerDied, match=r"removed by someone|want of memory|SIGKILL"):
        await waiting
    await backend.remove("one")


async def test_a_dead_server_is_replaced_by_the_next_of_its_name(place):
    backend = await started(place)
    await backend.ready("one", within_s=20)
    [container] = containers(place.home)
    docker.docker("kill", container)
    await backend.apply(backend.plan(place.request("one")))
    ready = await backend.ready("one", within_s=20)
    assert await answer(ready.endpoint) == "tiny"
    assert containers(place.home) != [container]
    await backend.remove("one")


async def test_an_image_that_cannot_be_had_says_how_to_get_it(make):
    place = make(image="127.0.0.1:1/nobody/nothing:9")
    with pytest.raises(ServingError, match="not on this machine, and cannot be pulled") as raised:
        await started(place)
    assert "docker pull 127.0.0.1:1/nobody/nothing:9" in raised.value.hint
    assert containers(place.home) == []


async def test_an_image_without_the_program_leaves_no_container(make, tiny_gguf):
    place = make(image="docker.io/testbed/base:1")
    backend = place.backend()
    request = ServeRequest(name="one", model=str(tiny_gguf), served_name="tiny", engine=ENGINE, params={})
    with pytest.raises(ServingError, match="was not started") as raised:
        await backend.apply(backend.plan(request))
    assert "does not have that program" in raised.value.hint
    assert containers(place.home) == []


@pytest.mark.parametrize("network", ["bridge", "host"])
async def test_a_port_that_is_taken_is_told_and_nothing_is_left(make, network):
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = make(network=network, port=other.getsockname()[1])
        with pytest.raises(PortInUse, match=str(other.getsockname()[1])):
            await started(place)
    assert containers(place.home) == []


@pytest.mark.parametrize("network", ["bridge", "host"])
async def test_the_port_asked_for_is_the_one_it_listens_on(make, network):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = make(network=network, port=port)
    backend = await started(place)
    ready = await backend.ready("one", within_s=20)
    assert ready.endpoint.base_url == f"http://127.0.0.1:{port}"
    await backend.remove("one")


async def test_a_container_that_is_not_ours_is_left_alone_though_it_has_our_name(place, engine_image):
    owner = docker_place.own(place.home)
    name = f"lading-one-{owner[:8]}"
    docker.docker("create", "--name", name, engine_image.removeprefix("docker.io/"))
    try:
        with pytest.raises(ServingError, match="already in use"):
            await started(place)
        backend = place.backend()
        await backend.remove("one")
        assert await backend.names() == ()
        assert docker.docker("ps", "--all", "--quiet", "--filter", f"name={name}")
    finally:
        docker.docker("rm", "--force", name)


async def test_two_state_folders_on_one_daemon_never_meet(place, tmp_path, engine_image, tiny_gguf):
    """Same names, and leases that the other cannot see: neither is reaped by the other."""
    await started(place, lease=place.lease())
    other = DockerPlace(tmp_path / "other", engine_image, tiny_gguf)
    theirs = await started(other)
    assert await theirs.names() == ("one",)
    assert await theirs.reap() == ()
    await theirs.remove("one")
    assert len(containers(place.home)) == 1
    assert await place.backend().names() == ("one",)
    place.close()


async def test_a_secret_is_told_to_the_daemon_and_nowhere_else(make, monkeypatch):
    """Passed on by name: in the container's environment, and in no plan, label, argument or file of ours."""
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    place = make(env={"HF_TOKEN": None, "PLAIN": "yes"})
    backend = place.backend()
    plan = backend.plan(place.request("one"))
    assert "hf_abc" not in repr(plan)
    assert plan.env["PLAIN"] == "yes"
    await backend.apply(plan)
    found = inspected(place.home)
    assert {"HF_TOKEN=hf_abcdefghijklmnop", "PLAIN=yes"} <= set(found["Config"].pop("Env"))
    assert "hf_abc" not in json.dumps(found)
    assert not any("hf_abc" in path.read_text() for path in (place.home / "docker").rglob("*") if path.is_file())
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InvalidInput, match="HF_TOKEN"):
        await backend.apply(plan)


async def test_a_daemon_that_is_away_is_told_and_what_it_has_is_not_forgotten(place, monkeypatch, tmp_path):
    backend = await started(place)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(ServingError, match="daemon does not answer") as raised:
        await backend.names()
    assert "docker info" in raised.value.hint
    with pytest.raises(TeardownFailed, match="one cannot be removed"):
        await backend.remove("one")
    assert backend.log("one") == ()


async def test_without_a_daemon_nothing_is_asked_where_nothing_was_started(place, tmp_path, monkeypatch):
    """`lading studies reap` works on a machine without Docker, and what was refused is not to be removed."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    backend = DockerBackend(BackendChoice(kind="docker"), home=tmp_path)
    assert (await backend.reap(), await backend.names(), await backend.servers()) == ((), (), ())
    assert not await backend.alive("one")
    with pytest.raises(ServingError, match="daemon does not answer"):
        await backend.apply(backend.plan(place.request("one")))
    await backend.remove("one")
    assert list(tmp_path.glob("*")) == []


async def test_another_machines_daemon_is_refused(place, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://user@elsewhere")
    with pytest.raises(ServingError, match="another machine's"):
        await started(place)


async def test_the_missing_extra_is_told_with_its_command(place, monkeypatch):
    monkeypatch.setattr(talking, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra) as raised:
        await started(place)
    assert raised.value.hint == 'pip install "lading[docker]"'


async def test_a_daemon_that_is_started_again_meanwhile_is_waited_for(place, monkeypatch, tmp_path, docker_daemon):
    """Its socket goes and comes back while the server is waited for; containers live through that (live restore)."""
    relay = Relay(docker_daemon.removeprefix("unix://"), tmp_path / "relay.sock")
    await relay.open()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/relay.sock")
    backend = await started(place)
    waiting = asyncio.ensure_future(backend.ready("one", within_s=60))
    await relay.close()
    await asyncio.sleep(0)
    assert not waiting.done()
    await relay.open()
    ready = await waiting
    assert await answer(ready.endpoint) == "tiny"
    await backend.remove("one")
    await relay.close()


class Relay:
    """The daemon's socket at another place, which can be taken away."""

    def __init__(self, target, path):
        self.target, self.path = target, path
        self.server = None
        self.writers = set()

    async def open(self):
        self.server = await asyncio.start_unix_server(self._serve, self.path)

    async def close(self):
        self.server.close()
        self.path.unlink(missing_ok=True)
        for writer in self.writers:
            writer.close()

    async def _serve(self, reader, writer):
        onward_reader, onward_writer = await asyncio.open_unix_connection(self.target)
        self.writers |= {writer, onward_writer}
        await asyncio.gather(pump(reader, onward_writer), pump(onward_reader, writer))


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()
