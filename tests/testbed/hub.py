"""A model hub as the environment of a user names it, and the real client of Hugging Face."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lading.testing import hub as hubs

FETCH = "import sys; from huggingface_hub import snapshot_download; print(snapshot_download(*sys.argv[1:]))"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub at `HF_ENDPOINT`; nobody is logged in, and the cache is empty."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with hubs.serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def download(name):
    """The snapshot of a repository that the real client fetches into the cache of `HF_HOME`."""
    environment = {**os.environ, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FETCH, name], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())
