"""`lading serve --backend docker` as a person uses it, on a real daemon, beside a server that is a process."""

import json

import pytest
from tests.backends.places import end_all

from lading.backends.process import ProcessBackend
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice
from lading.testing.scripted_engine import ScriptedEngine

pytestmark = [pytest.mark.real("docker"), pytest.mark.timeout(300)]


@pytest.fixture
def daemon(docker_daemon, monkeypatch, lading_home):
    monkeypatch.setenv("DOCKER_HOST", docker_daemon)
    monkeypatch.setenv("KUBECONFIG", str(lading_home / "none"))
    yield docker_daemon
    end_all(lading_home)


async def test_a_container_is_served_listed_asked_and_stopped_beside_a_process(
    lading, daemon, engine_image, tiny_gguf, tmp_path, lading_home
):
    """A name that both have must be told apart."""
    model = tmp_path / "tiny.gguf"
    model.symlink_to(tiny_gguf)
    served = lading(
        "serve", model, "--backend", "docker", "--image", engine_image, "--name", "one", "--set", "n_ctx=512"
    )
    assert served.returncode == 0, served.stderr
    assert "is not on a manifest" in served.stderr

    process = ProcessBackend(BackendChoice(), home=lading_home)
    for name in ("one", "two"):
        request = ServeRequest(name=name, model="/m", served_name="scripted", engine=ScriptedEngine(), params={})
        await process.apply(process.plan(request))
        await process.ready(name, within_s=20)
    rows = [json.loads(line) for line in lading("serve", "--list", "--format", "json").stdout.splitlines()]
    assert [(row["name"], row["backend"], row["state"]) for row in rows] == [
        ("one", "process", "runs"), ("two", "process", "runs"), ("one", "docker", "runs"),
    ]  # fmt: skip
    both = lading("stop", "one")
    assert both.returncode == 2
    assert "one runs on process and docker\nhint: say which: --backend process" in both.stderr

    answer = lading("ask", "one", "Hello", "--backend", "docker", "--max-tokens", "4", "--format", "json")
    assert json.loads(answer.stdout)["model"] == "tiny", answer.stderr
    assert lading("stop", "one", "--backend", "docker").stdout == "one is stopped\n"
    assert lading("stop", "--all", "--yes").stdout == "one is stopped\ntwo is stopped\n"
    assert lading("serve", "--list", "--format", "json").stdout == ""
