"""The load client against servers that are not ours, and over TLS."""

import importlib.util
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.testbed import require

import lading.backends
from lading.errors import InvalidInput
from lading.events import ignore
from lading.load import loops, pool
from lading.load.openai import OpenAILoad
from lading.ports.backend import Endpoint
from lading.testing import truth as truths
from lading.testing.load import measured, one_level, told, workload

SERVER = Path(lading.backends.__file__).with_name("xllamacpp_server.py")


@pytest.fixture(scope="module")
def llama(tiny_gguf):
    """A real llama.cpp server of two slots; its URL."""
    require("engine", importlib.util.find_spec("xllamacpp"), "xllamacpp is not installed")
    document = f'{{"model.path": "{tiny_gguf}", "n_ctx": 2048, "n_parallel": 2, "port": {free_port()}, "model_alias": ["tiny"]}}'
    argv = [sys.executable, str(SERVER), document]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            ready = next((line for line in process.stdout if line.startswith("READY ")), None)
            assert ready is not None, "the server did not start"
            yield ready.split()[1]
        finally:
            process.terminate()
            process.wait(10)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.real("engine")
@pytest.mark.parametrize("api", ["completions", "chat"])
def test_real_llama_cpp_gives_every_token_and_closes_after_each_answer(llama, tmp_path, api):
    offered = workload(scenario="D(24,12)", levels={"concurrency": [1, 2]}, requests=8, api=api, timeout=30)
    at = Endpoint(base_url=llama, served_name="tiny")

    async def run():
        load = OpenAILoad()
        assert await load.warm_up(at, workload(scenario="D(24,12)", warmup=2, api=api), emit=ignore) == 2
        return await measured(load, at, offered, tmp_path)

    for done in loops.run(run()):
        _, found = told(done)
        assert done.summary.completed == 8
        assert done.summary.output_tokens_mean == 12
        assert api == "chat" or done.summary.prompt_tokens_mean in {24, 25}
        assert all(len(record.token_times_s) == 12 for record in found)
        assert all(record.finish_reason == "length" for record in found)
        assert done.summary.health.reconnects <= 4  # it announces keep-alive, and does not keep


@pytest.mark.real("engine")
async def test_real_llama_cpp_in_an_open_loop_on_a_loop_that_already_runs(llama, tmp_path):
    offered = workload(scenario="U(8,24)/(4,12)", levels={"rate": [20]}, requests=20, timeout=30)
    done = await one_level(OpenAILoad(), Endpoint(base_url=llama, served_name="tiny"), offered, tmp_path)
    assert done.summary.completed == 20
    assert done.summary.e2e_scheduled_s is not None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    require("openssl", shutil.which("openssl"), "no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", paths[0], "-keyout", paths[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return paths


async def test_https_is_measured_like_http(certificate, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with truths.running(ttft_ms=10, itl_ms=2, certificate=certificate[0], key=certificate[1]) as server:
        at = Endpoint(base_url=server.url, served_name="truth", takes_token_ids=True, vocabulary=1000,
                      request_body={"ignore_eos": True})  # fmt: skip
        done = await one_level(OpenAILoad(), at, workload(levels={"concurrency": [3]}), tmp_path)
    assert done.summary.completed == 12


async def test_a_certificate_that_nobody_signed_is_a_lost_level_that_says_so(certificate, tmp_path):
    with truths.running(certificate=certificate[0], key=certificate[1]) as server:
        at = Endpoint(base_url=server.url, served_name="truth", takes_token_ids=True, vocabulary=1000,
                      request_body={"ignore_eos": True})  # fmt: skip
        [lost] = await measured(OpenAILoad(), at, workload(requests=2), tmp_path)
    assert "CERTIFICATE_VERIFY_FAILED" in lost.reason


@pytest.mark.parametrize(
    "url", ["ftp://a", "http://", "http://a:99999", "nothing", "http://user:pass@a", "http://a/?q=1"]
)
def test_what_is_no_url_of_a_server_is_refused(url):
    with pytest.raises(InvalidInput):
        pool.target(url)


@pytest.mark.parametrize(
    ("url", "authority", "prefix"),
    [
        ("http://a", "a", ""),
        ("https://a:443/base/", "a", "/base"),
        ("http://a:8000", "a:8000", ""),
        ("http://[::1]:80", "[::1]", ""),
    ],
)
def test_a_target_says_its_authority(url, authority, prefix):
    target = pool.target(url)
    assert (target.authority, target.prefix) == (authority, prefix)


async def test_a_header_with_a_line_break_is_refused_without_its_value(tmp_path):
    at = Endpoint(base_url="http://127.0.0.1:9", served_name="m", takes_token_ids=True, vocabulary=99,
                  request_body={"ignore_eos": True}, headers={"Authorization": "Bearer x\r\nX-Evil: sesame"})  # fmt: skip
    with pytest.raises(InvalidInput, match="Authorization") as caught:
        await measured(OpenAILoad(), at, workload(), tmp_path)
    assert "sesame" not in str(caught.value)
