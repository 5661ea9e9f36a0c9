"""A secret given in any way there is reaches whom it is for, and no file, no output and no command line of ours."""

import contextlib
import importlib.util
import os
import subprocess
import sys
import threading

import psutil
import pytest
from tests.testbed import require

from lading.testing import web

CANARY = "canary-7f3a9c51"
STUDY = """\
name: hush
model: {ref: tiny.gguf, served_name: tiny}
engine: {name: llama.cpp, parameters: {n_ctx: 512}}
backend: {env: ENV}
workload: {scenario: "D(8,4)", levels: {concurrency: [1]}, requests: 4, warmup: 1}
space: {n_parallel: {choice: [2]}}
objective: {maximize: output_tokens_per_s}
search: {trials: 2, confirm: 0}
"""


@pytest.fixture
def watched(tmp_path, lading_home):
    """Run the command with its folders, its outputs and the command lines of its children watched for the canary."""
    lines = set()

    def watch(pid, done):
        while not done.wait(0.05):
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(pid).children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        lines.add(" ".join(child.cmdline()))

    def run(*arguments, env=None, code=None):
        process = subprocess.Popen(
            [sys.executable, "-m", "lading", *map(str, arguments)],
            cwd=tmp_path, env={**os.environ, "COLUMNS": "200", **(env or {})}, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        done = threading.Event()
        watcher = threading.Thread(target=watch, args=(process.pid, done))
        watcher.start()
        out, err = process.communicate(timeout=120)
        done.set()
        watcher.join()
        assert CANARY not in out, arguments
        assert CANARY not in err, arguments
        assert "Traceback" not in err, err
        if code is not None:
            assert process.returncode == code, err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    yield run
    assert not [line for line in lines if CANARY in line]
    for folder in (tmp_path, lading_home):
        for path in folder.rglob("*"):
            if path.is_file() and "given" not in path.name:
                assert CANARY.encode() not in path.read_bytes(), path


@pytest.fixture
def model(tmp_path, tiny_gguf):
    (tmp_path / "tiny.gguf").symlink_to(tiny_gguf)
    return tmp_path / "tiny.gguf"


@pytest.fixture
def server(tmp_path):
    """A web server that has one file."""
    with web.serving({"model/weights.bin": b"x" * 1000}) as found:
        yield found


def write(folder, env, name="study.yaml"):
    (folder / name).write_text(STUDY.replace("ENV", env))


@pytest.mark.real("engine")
def test_a_variable_passed_on_in_a_study_reaches_the_server_alone(watched, model, tmp_path, lading_home):
    require("engine", importlib.util.find_spec("xllamacpp"), "xllamacpp is not installed")
    write(tmp_path, "{HF_TOKEN: , OMP_NUM_THREADS: '1'}")
    env = {"HF_TOKEN": CANARY}
    watched("tune", "study.yaml", "--dry-run", env=env, code=0)
    watched("tune", "study.yaml", "--format", "json", env=env, code=0)
    for words in (["studies"], ["studies", "show", "hush", "--format", "json"], ["studies", "logs", "hush"],
                  ["report", "hush", "--out", "report"], ["studies", "copy", "hush", "hush-2"]):  # fmt: skip
        watched(*words, env=env, code=0)
    script = (tmp_path / "report/manifests/run.sh").read_text()
    assert ': "${HF_TOKEN:?export it first}"' in script
    assert "export OMP_NUM_THREADS=1" in script
    assert watched("studies", "copy", "hush", "x", "--set", f"backend.env.HF_TOKEN={CANARY}").returncode == 2


@pytest.mark.real("engine")
def test_a_variable_passed_on_to_a_served_model_reaches_it_alone(watched, model, lading_home):
    require("engine", importlib.util.find_spec("xllamacpp"), "xllamacpp is not installed")
    env = {"HF_TOKEN": CANARY, "LADING_API_KEY": CANARY}
    plan = watched("serve", model, "--env", "HF_TOKEN", "--dry-run", env=env, code=0)
    assert "HF_TOKEN=…" in plan.stdout
    watched("serve", model, "--env", "HF_TOKEN", "--name", "tiny", "--format", "json", env=env, code=0)
    given = [
        process.environ().get("HF_TOKEN")
        for process in psutil.process_iter()
        if _mark(process).startswith("tiny/") and process.environ().get("LADING_HOME") == str(lading_home)
    ]
    assert CANARY in given
    watched("ask", "tiny", "Hello", "--max-tokens", "2", env=env, code=0)
    watched("stop", "tiny", env=env, code=0)


def _mark(process):
    try:
        return process.environ().get("LADING_SERVER", "")
    except psutil.Error:
        return ""


@pytest.mark.parametrize(
    "env",
    [
        f"{{HF_TOKEN: {CANARY}}}",
        f"{{HTTPS_PROXY: 'http://me:{CANARY}@proxy:3128'}}",
        f"{{WEIGHTS: 'https://host/x?X-Amz-Signature={CANARY}'}}",
        f"{{HF_TOKEN: [{CANARY}]}}",
        f"HF_TOKEN={CANARY}",
        f"{{HF_TOKEN: {CANARY}, HF_TOKEN: other}}",
    ],
)
def test_a_secret_written_in_a_study_is_refused_and_not_repeated(watched, model, tmp_path, lading_home, env):
    write(tmp_path, env, "given.yaml")
    refused = watched("tune", "given.yaml", code=2)
    assert "given.yaml:4" in refused.stderr
    assert list(lading_home.iterdir()) == []


def test_what_to_write_instead_is_said(watched, model, tmp_path):
    write(tmp_path, f"{{HF_TOKEN: {CANARY}}}", "given.yaml")
    assert "backend.env.HF_TOKEN: a secret may not stand in a document; write `HF_TOKEN:` and export it" in (
        watched("tune", "given.yaml", code=2).stderr
    )


def test_a_variable_to_pass_on_that_is_not_set_is_told_before_anything_is_started(
    watched, model, tmp_path, lading_home
):
    write(tmp_path, "{NOT_SET_ANYWHERE: }")
    refused = watched("tune", "study.yaml", code=2)
    assert "study.yaml:4: backend.env.NOT_SET_ANYWHERE: is passed on from the environment, where it is not set" in (
        refused.stderr
    )
    refused = watched("serve", model, "--env", "NOT_SET_ANYWHERE", code=2)
    assert "NOT_SET_ANYWHERE cannot be passed on" in refused.stderr
    assert list(lading_home.iterdir()) == []


def test_a_secret_on_the_command_line_of_serve_is_refused_with_the_way_to_give_it(watched, model):
    refused = watched("serve", model, "--env", f"HF_TOKEN={CANARY}", code=2)
    assert "--env HF_TOKEN=… would show a secret" in refused.stderr
    assert "pass it on by its name: --env HF_TOKEN" in refused.stderr
    watched("serve", model, "--set", f"api_key={CANARY}", code=2)


def addresses(server):
    """(reference, flags) with a secret in the address: one that is served, and every way to fail."""
    there = server.url.replace("//", f"//me:{CANARY}@")
    nowhere = f"http://me:{CANARY}@127.0.0.1:1"
    return [
        f"{there}/model/weights.bin?sig={CANARY}",
        f"{there}/model/none.bin?sig={CANARY}",
        f"{nowhere}/model/weights.bin?sig={CANARY}",
        f"ftp://me:{CANARY}@host/x",
        f"http://me:{CANARY}@/x",
        f"s3://me:{CANARY}@bucket/x",
    ]


def test_an_address_with_a_password_and_a_signature(watched, server):
    server.password = f"me:{CANARY}"
    codes = [
        watched("pull", address, "volume", "--expect", "any", "--format", "json").returncode
        for address in addresses(server)
    ]
    assert codes[0] == 0
    assert 0 not in codes[1:]


def test_credentials_of_a_store(watched, server):
    env = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": CANARY, "AWS_SESSION_TOKEN": CANARY}
    for endpoint in (server.url, "http://127.0.0.1:1", f"http://me:{CANARY}@127.0.0.1:1"):
        assert watched("pull", "s3://bucket/m", "volume", "--endpoint", endpoint, env=env).returncode != 0


@pytest.mark.parametrize("source", [["http://somewhere.invalid/x.bin"], ["https://somewhere.invalid/x.bin"],
                                    ["s3://bucket/m", "--endpoint", "http://somewhere.invalid"]])  # fmt: skip
def test_a_proxy_with_a_password(watched, server, source):
    for proxy in ("127.0.0.1:1", server.url.removeprefix("http://")):
        given = f"http://me:{CANARY}@{proxy}"
        env = {"http_proxy": given, "https_proxy": given, "no_proxy": "",
               "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}  # fmt: skip
        assert watched("pull", *source, "volume", env=env).returncode != 0


def test_the_key_of_an_endpoint(watched, server):
    env = {"LADING_API_KEY": CANARY, "MY_KEY": CANARY}
    for url in (server.url, "http://127.0.0.1:1", f"http://me:{CANARY}@127.0.0.1:1", f"ftp://me:{CANARY}@host"):
        assert watched("ask", url, "Hello", env=env).returncode != 0
        assert (
            watched("bench", url, "--levels", "1", "--requests", "2", "--api-key-env", "MY_KEY", env=env).returncode
            != 0
        )


@pytest.mark.parametrize("ref", [f"https://me:{CANARY}@host/m", f"s3://me:{CANARY}@bucket/m"])
def test_a_model_named_by_an_address_with_a_password(watched, tmp_path, ref):
    (tmp_path / "given.yaml").write_text(STUDY.replace("ENV", "{}").replace("tiny.gguf", f"'{ref}'"))
    assert watched("tune", "given.yaml").returncode == 2
    assert watched("serve", ref).returncode == 2
