"""KServe's own scikit-learn server with a model saved by joblib: `lading ask` gets its predictions by V1 and V2."""

import json
import subprocess
import time

import pytest
from tests.testbed import docker, require, sklearn_server

from lading.backends import asking_given, asking_predict
from lading.backends.asking import Client
from lading.errors import NotReady, WrongModelServed
from lading.ports.backend import Endpoint
from lading.testing import faulty
from lading.wiring import asking

pytestmark = pytest.mark.real("sklearnserver")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a classifier of four features: their sum above 6 is class 1."""
    missing = sklearn_server.missing()
    require("sklearnserver", missing is None, missing or "")
    folder = tmp_path_factory.mktemp("models") / "iris"
    sklearn_server.train(folder)
    return folder


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    """Its URL."""
    with sklearn_server.running(model, tmp_path_factory.mktemp("log") / "server.log") as url:
        yield url


async def ask(url, text, **options):
    given = None if text is None else asking_given.read(text)
    return await asking.ask(Endpoint(base_url=url, served_name=""), given, within_s=60.0, **options)


@pytest.mark.parametrize(
    ("protocol", "answer"), [(None, [0, 1]), ("v1", [0, 1]), ("v2", [[0, 1]])], ids=["found out", "v1", "v2"]
)
async def test_rows_are_predicted(server, protocol, answer):
    reply = await ask(server, "[[0, 0, 0, 0], [4, 6, 2, 1]]", protocol=protocol)
    assert json.loads(reply.answer) == answer
    assert (reply.model, reply.protocol) == ("iris", protocol or "v1")


@pytest.mark.parametrize("protocol", ["v1", "v2"])
async def test_without_an_input_zeros_are_sent_for_the_features_that_the_model_wants(server, protocol):
    told = []
    reply = await ask(server, None, protocol=protocol, sending=told.append)
    assert json.loads(reply.answer) in ([0], [[0]])
    assert reply.sample == "zeros for the 4 features that the model asks for"
    assert "0.0, 0.0, 0.0, 0.0" in told[0]


def test_the_command_predicts_from_a_file_and_says_what_it_sent(lading, server, tmp_path):
    (tmp_path / "sample.json").write_text('{"instances": [[4, 6, 2, 1]]}')
    done = lading("ask", server, "--file", "sample.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    shown = lading("ask", server, "[4, 6, 2, 1]", "--protocol", "v2")
    assert (shown.returncode, shown.stdout) == (0, "output-0 INT64 [1]: [1]\n")
    assert shown.stderr == "sent to /v2/models/iris/infer: input-0 INT64 [1, 4] = [4, 6, 2, 1]\n"


def test_json_has_the_whole_answer_and_a_request_comes_from_stdin(lading_argv, server, tmp_path):
    body = '{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [4, 6, 2, 1]}]}'
    argv = [*lading_argv, "ask", server, "--file", "-", "--format", "json"]
    done = subprocess.run(argv, input=body, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True)
    reply = json.loads(done.stdout)
    assert (reply["protocol"], reply["sent"]) == ("v2", json.loads(body))
    assert reply["document"]["outputs"][0]["data"] == [1]


def test_a_wrong_shape_gives_the_servers_own_words_and_what_it_takes(lading, server):
    done = lading("ask", server, "[[1, 2, 3]]")
    assert done.returncode == 1
    assert "answered 500: X has 3 features, but LogisticRegression is expecting 4 features as input." in done.stderr
    assert "hint: it takes rows of 4 numbers" in done.stderr
    other = lading("ask", server, "[[1, 2, 3, 4]]", "--model", "other")
    assert (other.returncode, "serves iris, not other" in other.stderr) == (2, True)


# ------------------------------------------------------------------------------------------------------ readiness


@pytest.mark.parametrize("protocol", ["v1", "v2"])
async def test_ready_means_that_a_prediction_was_answered(server, protocol):
    async with Client(server) as client:
        found = await asking_predict.until_predicting(
            client, "iris", protocol, deadline=time.monotonic() + 60, check=lambda: None
        )
        assert found.sent is not None
        with pytest.raises(NotReady, match=r"other at .* was not ready after"):
            await asking_predict.until_predicting(
                client, "other", protocol, deadline=time.monotonic() + 0.3, check=lambda: None
            )


class _Gone(Exception):
    pass


async def test_waiting_ends_as_soon_as_the_server_is_known_to_be_gone():
    def check():
        raise _Gone

    async with Client("http://127.0.0.1:9") as client:
        with pytest.raises(_Gone):
            await asking_predict.until_predicting(client, "m", "v2", deadline=time.monotonic() + 60, check=check)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"model_name": "other", "outputs": [{"name": "y", "shape": [1], "data": [1]}]}, WrongModelServed),
        ({"outputs": []}, NotReady),
        ({"error": "no"}, NotReady),
    ],
)
async def test_a_first_answer_that_is_none_is_no_readiness(document, kind):
    metadata = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}'
    files = {"v2/models/m": metadata, "v2/models/m/ready": b"", "v2/models/m/infer": json.dumps(document).encode()}
    with faulty.serving(files) as server:
        async with Client(server.url) as client:
            with pytest.raises(kind):
                await asking_predict.until_predicting(
                    client, "m", "v2", deadline=time.monotonic() + 20, check=lambda: None
                )


# ----------------------------------------------------------------------------------------------------- as an image


@pytest.mark.slow
async def test_the_image_serves_a_folder_read_only(model):
    """As a runtime of KServe starts it: the model mounted at /mnt/models, as nobody in particular."""
    missing = sklearn_server.missing_image()
    require("sklearnserver image", missing is None, missing or "")
    sklearn_server.ensure()
    with docker.daemon():
        sklearn_server.in_docker()
        argv = [
            "--detach",
            "--network",
            "host",
            "--read-only",
            "--mount",
            f"type=bind,src={model},dst=/mnt/models,readonly",
        ]
        port = str(sklearn_server.free_port())
        words = ["--model_name=iris", "--model_dir=/mnt/models", f"--http_port={port}", "--enable_grpc=false"]
        container = docker.docker("run", *argv, "--tmpfs", "/tmp", sklearn_server.NAME, *words)
        try:
            async with Client(f"http://127.0.0.1:{port}") as client:
                await asking_predict.until_predicting(
                    client, "iris", "v2", deadline=time.monotonic() + 120, check=lambda: None
                )
            for protocol in ("v1", "v2"):
                reply = await ask(f"http://127.0.0.1:{port}", "[[4, 6, 2, 1]]", protocol=protocol)
                assert json.loads(reply.answer) in ([1], [[1]])
        finally:
            docker.docker("rm", "--force", container)
