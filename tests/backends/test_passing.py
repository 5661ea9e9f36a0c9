"""What is passed on to a server is named, and what the server prints of it is not repeated."""

import pytest

from lading.backends import passing
from lading.errors import InvalidInput
from lading.spec import secret


def test_values_are_kept_and_names_are_looked_for(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    assert passing.given({"HF_TOKEN": None, "OMP_NUM_THREADS": "2"}) == {"OMP_NUM_THREADS": "2"}
    with pytest.raises(InvalidInput, match="NOWHERE cannot be passed on"):
        passing.given({"NOWHERE": None})


def test_a_server_that_prints_its_environment_does_not_tell_ours(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    monkeypatch.setenv("DB_PASSWORD", "on")
    assert passing.without_secrets("401 for hf_0123456789, on") == f"401 for {secret.HIDDEN}, on"


@pytest.mark.parametrize(
    ("name", "value", "secret_looking"),
    [
        ("HF_TOKEN", "x", True),
        ("HTTPS_PROXY", "http://me:pw@proxy:3128", True),
        ("HTTPS_PROXY", "http://proxy:3128", False),
        ("WEIGHTS", "https://host/x?X-Amz-Signature=abc", True),
        ("OMP_NUM_THREADS", "2", False),
    ],
)
def test_what_looks_secret(name, value, secret_looking):
    assert secret.holds_secret(name, value) is secret_looking
