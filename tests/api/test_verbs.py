"""The plain calls on real parts: weights on a real volume, a real engine, a real study; in a running loop too."""

import os

import psutil
import pytest
from tests.testbed import require

import lading

pytestmark = pytest.mark.real("xllamacpp")


@pytest.fixture(autouse=True)
def engine_is_here():
    import importlib.util

    require("xllamacpp", importlib.util.find_spec("xllamacpp"), "pip install 'lading[demo]'")


@pytest.fixture
def tiny(tiny_gguf, tmp_path):
    """A volume with the tiny model on it."""
    lading.pull(tiny_gguf, tmp_path / "volume", model="tiny", version="v1")
    return tmp_path / "volume" / "tiny"


def test_weights_are_pulled_listed_verified_and_damage_is_found(tiny, tmp_path):
    assert [(one.model, one.version) for one in lading.models(tmp_path / "volume")] == [("tiny", "v1")]
    assert lading.verify(tiny).bad == 0
    assert lading.manifest(tiny).format == "gguf"
    weights = next((tiny / "v1").iterdir())
    weights.chmod(0o644)
    weights.write_bytes(b"GGUF" + weights.read_bytes()[4:-1] + b"\0\0")
    with pytest.raises(lading.LadingError, match=weights.name):
        lading.verify(tiny)


async def test_a_server_lives_as_long_as_its_block_and_answers(tiny, tmp_path):
    """In a running loop, as in a notebook."""
    workload = lading.Workload(scenario="D(8,4)", levels={"concurrency": [2]}, requests=6, warmup=1)
    with lading.serving(tiny, parameters={"n_parallel": 2, "n_ctx": 1024}) as server:
        assert len(_servers()) == 1
        assert lading.ask(server, "Once", max_tokens=4, raw=True)
        result = lading.bench(server, workload, tmp_path / "bench")
        assert result.levels[0].summary.completed == 6
    assert _servers() == []


def test_a_server_is_gone_when_its_block_fails(tiny):
    with pytest.raises(ZeroDivisionError), lading.serving(tiny, parameters={"n_ctx": 512}):
        raise ZeroDivisionError
    assert _servers() == []


def test_a_server_that_stays_is_stopped_by_name(tiny):
    server = lading.serve(tiny, parameters={"n_ctx": 512}, name="stays")
    assert lading.ask("stays", "Once", max_tokens=2, raw=True)
    lading.stop(server)
    lading.stop(server)
    assert _servers() == []


def test_a_study_made_here_is_tuned_reported_and_goes_on(tiny, tmp_path):
    study = lading.Study.model_validate(
        {
            "name": "here",
            "model": {"ref": str(tiny)},
            "engine": {"name": "llama.cpp", "parameters": {"n_ctx": 1024}},
            "workload": {"scenario": "D(8,4)", "levels": {"concurrency": [2]}, "requests": 6, "warmup": 2},
            "space": {"n_parallel": {"choice": [1, 2]}},
            "objective": {"maximize": "output_tokens_per_s"},
            "search": {"trials": 2, "confirm": 0},
        }
    )
    answer = lading.tune(study)
    assert answer.trials == 2
    assert lading.tune(study).server_starts == answer.server_starts, "all of it stands: nothing was started again"
    assert lading.study("here").verdict == answer.verdict
    assert (tmp_path / "report" / "report.html") in lading.write_report("here", tmp_path / "report")


def test_bad_input_is_an_error_with_a_remedy(tiny):
    with pytest.raises(lading.InvalidInput, match="n_paralel") as caught:
        lading.serve(tiny, parameters={"n_paralel": 2})
    assert "n_parallel" in f"{caught.value.message} {caught.value.hint}"


def _servers():
    """Processes of servers of this test: those that carry its home."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if "LADING_SERVER" in environment and environment.get("LADING_HOME") == os.environ["LADING_HOME"]:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
