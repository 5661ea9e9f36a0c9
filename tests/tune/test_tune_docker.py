"""`lading tune` over the docker backend: real containers of the engine image on the real daemon."""

import pytest
from tests.testbed import docker

from lading import wiring
from lading.tuning import trial as trials
from lading.tuning.trial import Completed

STUDY = """\
name: boxed
model: {{ref: tiny.gguf, served_name: tiny}}
engine: {{name: llama.cpp, parameters: {{n_ctx: 512}}}}
backend: {{kind: docker, image: "{image}"}}
workload: {{scenario: "D(8,4)", levels: {{concurrency: [1]}}, requests: 4, warmup: 2}}
space: {{n_parallel: {{choice: [2]}}}}
objective: {{maximize: output_tokens_per_s}}
search: {{confirm: 0}}
deadlines: {{start: 60s, measure: 60s, teardown: 30s}}
"""

pytestmark = pytest.mark.real("docker")


def test_a_study_runs_in_containers_and_leaves_none(
    tmp_path, tiny_gguf, lading, lading_home, docker_daemon, engine_image, monkeypatch
):
    """Two trials: each its own container, with its own parameters and log, gone before the next."""
    monkeypatch.setenv("DOCKER_HOST", docker_daemon)
    (tmp_path / "tiny.gguf").symlink_to(tiny_gguf)
    (tmp_path / "study.yaml").write_text(STUDY.format(image=engine_image))
    done = lading("tune", "study.yaml")
    assert done.returncode in {0, 1}, done.stderr
    store = wiring.store()
    run = store.latest("boxed")
    default, searched = trials.fold(store.facts(run.id))
    assert isinstance(default.outcome, Completed)
    assert isinstance(searched.outcome, Completed)
    assert (default.role, searched.role) == ("default", "search")
    assert searched.effective["n_parallel"] == 2
    assert (lading_home / "studies" / run.id / "trial-1" / "attempt-1" / "server.log").read_text().strip()
    assert docker.docker("ps", "--all", "--quiet", "--filter", f"label=lading.dev/owner={owner(lading_home)}") == ""


def owner(home):
    return (home / "docker" / "owner").read_text()
