"""Fixtures that all tests may use. Nothing outside the test's own folders is written: LADING_HOME is one of them."""

import os
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, settings
from tests.testbed import cluster as clusters
from tests.testbed.fixtures import (  # noqa: F401 - fixtures
    certificates,
    cluster,
    control_plane,
    docker_daemon,
    engine_image,
    kserve,
    minio,
    minio_environment,
    minio_tls,
    namespace,
    nginx,
)
from tests.testbed.hub import hub  # noqa: F401 - a fixture

from lading.testing import tiny_llama

# The same examples on every run, and no clock: machines are noisy. LADING_SOAK looks for new ones, and longer.
settings.register_profile(
    "steady", derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("soak", deadline=None, max_examples=2000, suppress_health_check=list(HealthCheck))
settings.load_profile("soak" if os.environ.get("LADING_SOAK") else "steady")


def pytest_configure():
    """Ctrl-C means what it means to a user, also where tests run in the background (a shell ignores it there)."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    clusters.hold()


def pytest_sessionfinish():
    """The last session ends the cluster that a session started (also each process of pytest-xdist asks)."""
    clusters.leave()


@pytest.fixture(autouse=True)
def lading_home(tmp_path_factory, monkeypatch):
    """Lading's state folder, empty, one per test."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LADING_HOME", str(home))
    monkeypatch.delenv("LADING_DEBUG", raising=False)
    return home


@pytest.fixture(scope="session")
def lading_argv():
    """The real command, as a process of its own."""
    return [sys.executable, "-m", "lading"]


@pytest.fixture
def lading(lading_argv, tmp_path):
    """Run the real command: `lading("ls", folder, cwd=…, env={…})` gives the completed process, text captured."""

    def run(*arguments, cwd=tmp_path, env=None, timeout=120, **options):
        return subprocess.run(
            [*lading_argv, *map(str, arguments)],
            cwd=cwd, env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", **(env or {})},
            capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL, **options,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory):
    """A GGUF file of a small valid Llama (2 M parameters, f16), made once."""
    return tiny_llama.write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def tiny_hf(tmp_path_factory):
    """The same model as a Hugging Face folder of two shards, made once."""
    return tiny_llama.write_huggingface(tmp_path_factory.mktemp("hf") / "tiny", shards=2)


def pytest_terminal_summary(terminalreporter):
    """Say how many code blocks of the docs were run, and how many say why not."""
    totals: dict[str, int] = {}
    for report in terminalreporter.getreports("passed"):
        for name, counts in report.user_properties:
            if name == "blocks":
                totals = {key: totals.get(key, 0) + count for key, count in counts.items()}
    if totals:
        terminalreporter.write_line(
            "code blocks in the docs: " + ", ".join(f"{count} {key}" for key, count in totals.items())
        )


@pytest.fixture
def process(lading_argv, tmp_path):
    """Start the real command; what still runs at the end is killed by its id."""
    running = []

    def start(*arguments, env=None, argv=lading_argv, **options):
        started = subprocess.Popen(
            [*argv, *map(str, arguments)], cwd=tmp_path, env={**os.environ, "NO_COLOR": "1", **(env or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
        )  # fmt: skip
        running.append(started)
        return started

    yield start
    for one in running:
        one.kill()
        one.wait()
        one.stdout.close()
        one.stderr.close()
