"""A server that runs anyway: its key stays secret, its name is found out, and nothing can be set on it."""

import pytest
from tests.backends.places import start_scripted

from lading.backends.endpoint import EndpointBackend, checked_url
from lading.errors import InvalidInput, NotReady, ServingError
from lading.ports.backend import ServeRequest
from lading.spec.study import BackendChoice
from lading.testing.scripted_engine import ScriptedEngine


@pytest.fixture
def server():
    """Start scripted servers; all are ended."""
    started = []

    def start(**settings):
        process, port = start_scripted(**settings)
        started.append(process)
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.kill()
        process.wait()


def request(served_name="tiny", **params):
    return ServeRequest(name="one", model="", served_name=served_name, engine=ScriptedEngine(), params=params)


async def ready(url, home, served_name="tiny", **choice):
    backend = EndpointBackend(BackendChoice(kind="endpoint", url=url, **choice), home=home)
    await backend.apply(backend.plan(request(served_name)))
    return await backend.ready("one", within_s=5)


async def test_the_key_comes_from_the_environment_and_is_shown_nowhere(server, tmp_path, monkeypatch):
    url = server(key="s3cret")
    with pytest.raises(NotReady, match="401: no valid key") as raised:
        await ready(url, tmp_path)
    assert "LADING_API_KEY" in raised.value.hint
    monkeypatch.setenv("LADING_API_KEY", " s3cret\n")
    found = await ready(url, tmp_path)
    assert found.endpoint.headers == {"Authorization": "Bearer s3cret"}
    assert "s3cret" not in repr(found)
    monkeypatch.setenv("OTHER", "s3cret")
    monkeypatch.delenv("LADING_API_KEY")
    assert (await ready(url, tmp_path, api_key_env="OTHER")).endpoint.served_name == "tiny"
    assert list(tmp_path.iterdir()) == []


async def test_the_one_served_name_is_found_out(server, tmp_path):
    assert (await ready(server(), tmp_path, served_name="")).endpoint.served_name == "tiny"


async def test_of_several_names_one_must_be_said(server, tmp_path):
    url = server(also=["second"])
    with pytest.raises(ServingError, match="2 models: tiny, second") as raised:
        await ready(url, tmp_path, served_name="")
    assert "--served-name" in raised.value.hint
    assert (await ready(url, tmp_path, served_name="tiny")).endpoint.served_name == "tiny"


async def test_nobody_there_is_told_at_the_deadline(tmp_path):
    backend = EndpointBackend(BackendChoice(kind="endpoint", url="http://127.0.0.1:9"), home=tmp_path)
    await backend.apply(backend.plan(request()))
    with pytest.raises(NotReady, match="nothing listens there"):
        await backend.ready("one", within_s=0.5)


def test_parameters_cannot_be_set_on_it(tmp_path):
    backend = EndpointBackend(BackendChoice(kind="endpoint", url="http://127.0.0.1:9"), home=tmp_path)
    with pytest.raises(InvalidInput, match="its n_ctx cannot be set from here"):
        backend.plan(request(n_ctx=5))


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://host:8000", "http://host:8000"),
        ("http://host:8000/v1/", "http://host:8000"),
        ("https://host/openai/v1", "https://host/openai"),
        ("http://host/?key=1", "http://host"),
    ],
)
def test_a_url_loses_what_requests_add_themselves(given, url):
    assert checked_url(given) == url


@pytest.mark.parametrize("given", [None, "", "host:8000", "ftp://host", "http://user:pw@host", "http://"])
def test_what_is_no_plain_http_url_is_refused_without_showing_a_password(given):
    with pytest.raises(InvalidInput) as raised:
        checked_url(given)
    assert "pw" not in raised.value.message
