"""`lading serve`, `ask` and `stop` as a person uses them, with real llama.cpp; and what is said of bad input."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest
from tests.backends.places import end_all, living, start_scripted
from tests.testbed import golden, require

from lading.backends.lease import Lease
from lading.backends.process import ProcessBackend
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice
from lading.testing import tiny_llama
from lading.testing.scripted_engine import ScriptedEngine


@pytest.fixture
def home(lading_home, monkeypatch):
    """Lading's state, and no cluster: `stop --all` must not find a developer's own."""
    monkeypatch.setenv("KUBECONFIG", str(lading_home / "none"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    yield lading_home
    left = living(lading_home)
    end_all(lading_home)
    assert left == []


@pytest.fixture
def engine(home):
    require("engine", importlib.util.find_spec("xllamacpp"), "xllamacpp is not installed")


@pytest.fixture
def model(tmp_path, tiny_gguf):
    """The tiny model under a short name."""
    path = tmp_path / "tiny.gguf"
    path.symlink_to(tiny_gguf)
    return path


def check(case, done, home, tmp_path):
    """The golden file of *done*; nothing is left that was not there before."""
    said = golden.said(done)
    for path, word in ((home, "HOME"), (tmp_path, "DIR")):
        said = said.replace(str(path), word)
    said = re.sub(r"\S*/bin/python[\d.]*", "PYTHON", said)
    said = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", re.sub(r"port \d+", "port PORT", said))
    said = re.sub(r"\S+ \(pid \d+\)", "PROGRAM (pid N)", said)
    said = re.sub(r"(?m)^  \| .*$", lambda line: re.sub(r"\d+\.\d+\.\d+\.\d+ ", "", line[0]), said)
    said = re.sub(r"\d,\d{3},\d{3}", "N,NNN,NNN", said)  # the tiny model's text differs between versions of Python
    golden.check("serving", case, said)
    assert not [path for path in home.rglob("*") if path.is_file() and path.name != ".lock"]


# ---------------------------------------------------------------------------------------------------------- a whole life


@pytest.mark.real("engine")
def test_a_server_is_started_asked_and_stopped_by_name(lading, engine, model, home):
    served = lading("serve", model, "--set", "n_parallel=3", "--set", "n_ctx=2048", "--name", "mine")
    assert served.returncode == 0, served.stderr
    url = re.search(r"tiny answers at (http://127\.0\.0\.1:\d+)/v1 after", served.stdout)[1]
    assert "n_ctx: asked for 2048, runs with 2304" in served.stderr
    assert "is not on a manifest" in served.stderr
    assert "backend process: the model is on this machine\nengine llama.cpp: the model is gguf\n" in served.stderr

    for target in ("mine", url):
        answer = lading("ask", target, "Hello", "--max-tokens", "8", "--format", "json")
        document = json.loads(answer.stdout)
        assert document["model"] == "tiny"
        assert document["answer"]
    shown = lading("ask", "mine", "Once", "--max-tokens", "4", "--raw")
    assert shown.returncode == 0
    assert len(shown.stdout.strip()) > 0

    stopped = lading("stop", "mine")
    assert (stopped.returncode, stopped.stdout) == (0, "mine is stopped\n")
    assert living(home) == []


@pytest.mark.real("engine")
def test_json_tells_each_event_and_then_the_result(lading, engine, model, home):
    served = lading("serve", model, "--set", "n_ctx=512", "--format", "json")
    starting, ready, result = map(json.loads, served.stdout.splitlines())
    assert (starting["event"], ready["event"]) == ("server_starting", "server_ready")
    assert result["url"] == ready["url"]
    assert result["effective"]["n_ctx"] == 512
    assert result["argv"]
    assert json.loads(lading("stop", "--all", "--yes", "--format", "json").stdout) == {
        "event": "server_stopped",
        "name": "tiny",
    }


@pytest.mark.real("engine")
def test_serving_the_same_twice_is_once(lading, engine, model, home):
    first = json.loads(lading("serve", model, "--format", "json").stdout.splitlines()[-1])
    second = json.loads(lading("serve", model, "--format", "json").stdout.splitlines()[-1])
    assert first["url"] == second["url"]
    assert len(living(home)) == 1
    lading("stop", "--all", "--yes")


def test_a_dry_run_prints_the_command_and_starts_nothing(lading, engine, model, home):
    done = lading("serve", model, "--set", "n_parallel=2", "--port", "8123", "--env", "HF_TOKEN", "--dry-run",
                  env={"HF_TOKEN": "hf_1"})  # fmt: skip
    assert done.returncode == 0
    assert '"n_parallel": 2' in done.stdout
    assert '"port": 8123' in done.stdout
    assert "HF_TOKEN=…" in done.stdout
    assert "hf_1" not in done.stdout + done.stderr
    assert living(home) == []
    assert not (home / "run").exists()


def test_a_model_on_a_volume_is_pinned_to_its_version(lading, engine, tiny_gguf, tmp_path, home):
    volume = tmp_path / "volume"
    pulled = lading("pull", tiny_gguf.parent, volume, "--model", "tiny", "--version", "v1")
    assert pulled.returncode == 0, pulled.stderr
    done = lading("serve", f"{volume}/tiny", "--dry-run", "--format", "json")
    plan = json.loads(done.stdout)
    assert plan["model"] == f"{volume}/tiny/v1/tiny.gguf"
    assert plan["served_name"] == "tiny"
    assert "current" not in " ".join(plan["argv"])
    check("no-such-version", lading("serve", f"{volume}/tiny@v2"), home, tmp_path)
    check("a-whole-volume", lading("serve", volume), home, tmp_path)


async def test_stop_all_lists_asks_and_ends_everything_of_ours_live_runs_too(lading, home):
    backend = ProcessBackend(BackendChoice(), home=home)
    with Lease.acquire(home) as live, Lease.acquire(home) as killed:
        for name, lease in (("users", None), ("live", live.id), ("killed", killed.id)):
            request = ServeRequest(
                name=name, model="/m", served_name="tiny", engine=ScriptedEngine(), params={}, lease=lease
            )
            await backend.apply(backend.plan(request))
            await backend.ready(name, within_s=20)
        killed.release()
        asked = lading("stop", "--all")
        assert asked.returncode == 2
        assert (
            "  live  process, serves tiny, runs, of a live run\n  users  process, serves tiny, runs\n" in asked.stderr
        )
        assert "killed was left by a run that was killed; it is removed" in asked.stderr
        assert await backend.names() == ("live", "users")
        done = lading("stop", "--all", "--yes")
        assert done.stdout == "live is stopped\nusers is stopped\n"
        assert await backend.names() == ()


def test_a_server_that_runs_anyway_can_be_asked_with_a_key_from_the_environment(lading, home):
    process, port = start_scripted(key="s3cret")
    try:
        url = f"http://127.0.0.1:{port}/v1"
        denied = lading("ask", url, "Hi")
        assert denied.returncode == 1
        assert "401" in denied.stderr
        assert "LADING_API_KEY" in denied.stderr
        answer = lading("ask", url, "Hi", env={"LADING_API_KEY": "s3cret"})
        assert answer.stdout == "well done\n"
        other = lading("ask", url, "Hi", "--api-key-env", "MY_KEY", env={"MY_KEY": "s3cret"})
        assert other.stdout == "well done\n"
    finally:
        process.kill()
        process.wait()


# ---------------------------------------------------------------------------------------------------------- bad input

CASES = {
    "missing-model": ("serve", "{dir}/nothing.gguf"),
    "not-here": ("serve", "s3://bucket/model"),
    "version-of-a-folder": ("serve", "{dir}/tiny.gguf@v1"),
    "unknown-parameter": ("serve", "{dir}/tiny.gguf", "--set", "n_paralel=4"),
    "no-slots": ("serve", "{dir}/tiny.gguf", "--set", "n_parallel=0"),
    "no-value": ("serve", "{dir}/tiny.gguf", "--set", "n_parallel"),
    "unknown-engine": ("serve", "{dir}/tiny.gguf", "--engine", "lama.cpp"),
    "other-backend": ("serve", "{dir}/tiny.gguf", "--backend", "endpoint"),
    "missing-program": ("serve", "{dir}/tiny.gguf", "--engine", "vllm"),
    "missing-python": ("serve", "{dir}/tiny.gguf", "--python", "/no/such/python"),
    "bad-deadline": ("serve", "{dir}/tiny.gguf", "--deadline", "soon"),
    "bad-name": ("serve", "{dir}/tiny.gguf", "--name", "../etc"),
    "cut-file": ("serve", "{dir}/cut.gguf"),
    "two-models": ("serve", "{dir}/two"),
    "stop-unknown": ("stop", "nobody"),
    "stop-nothing": ("stop",),
    "ask-unknown": ("ask", "nobody", "Hi"),
    "ask-nobody-there": ("ask", "http://127.0.0.1:9", "Hi"),
    "ask-a-password": ("ask", "http://user:pw@127.0.0.1:9", "Hi"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told_and_leaves_nothing(lading, engine, model, home, tmp_path, tiny_gguf, case):
    (tmp_path / "cut.gguf").write_bytes(tiny_gguf.read_bytes()[:-1000])
    (tmp_path / "two").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"two/{name}.gguf").symlink_to(tiny_gguf)
    arguments = [argument.format(dir=tmp_path) for argument in CASES[case]]
    check(case, lading(*arguments, env={"PATH": "/usr/bin:/bin"}), home, tmp_path)


def test_a_port_in_use_is_told_with_its_owner(lading, engine, model, home, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = lading("serve", model, "--port", str(taken.getsockname()[1]))
    check("port-in-use", done, home, tmp_path)


@pytest.mark.real("engine")
def test_an_engine_that_dies_at_start_shows_the_end_of_its_log(lading, engine, home, tmp_path):
    """A whole GGUF file of an architecture that nobody knows."""
    path = tiny_llama.write_gguf(tmp_path / "alien.gguf")
    path.write_bytes(path.read_bytes().replace(b"llama", b"alien"))
    done = lading("serve", path)
    assert done.returncode == 1
    assert "unknown model architecture: 'alien'" in done.stderr
    assert "error: alien ended before it answered (exit status 1)" in done.stderr
    assert "Traceback" not in done.stderr
    assert living(home) == []
    assert not (home / "run/alien").exists()


@pytest.mark.parametrize("strikes", [1, 2])
def test_ctrl_c_while_it_starts_leaves_nothing(lading_argv, home, tmp_path, strikes):
    """With an engine that loads for ever; the second Ctrl-C leaves at once."""
    script = tmp_path / "serve.py"
    script.write_text(
        "from lading import wiring\n"
        "from lading.testing.scripted_engine import ScriptedEngine\n"
        "from lading.cli import app\n"
        "wiring.engine = lambda name: ScriptedEngine()\n"
        "app.main()\n"
    )
    tiny_llama.write_gguf(tmp_path / "tiny.gguf")
    command = [lading_argv[0], script, "serve", tmp_path / "tiny.gguf", "--set", "behaviour=loading"]
    run = subprocess.Popen(command, env=os.environ, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 20
    while not living(home) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    for _ in range(strikes):
        run.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, said = run.communicate(timeout=20)
    assert run.returncode == 130, said
    assert "Traceback" not in said
    assert living(home) == []
