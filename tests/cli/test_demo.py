"""The demo, as a newcomer runs it: the real commands, a real server, and an answer that is honest either way."""

import json
import re

import psutil
import pytest
from tests.testbed import require

from lading.measure import records
from lading.measure.summary import summarize


@pytest.fixture(autouse=True)
def engine_is_here():
    import importlib.util

    require("xllamacpp", importlib.util.find_spec("xllamacpp"), "pip install 'lading[demo]'")


@pytest.mark.real("xllamacpp")
@pytest.mark.parametrize("concurrency", [8, 1])
def test_the_demo_ends_with_a_report_and_manifests_whose_numbers_a_real_server_gave(concurrency, lading, tmp_path):
    """With eight requests at a time more slots help; with one there is nothing to gain. Both end well, and say which."""
    done = lading("demo", "here", "--quick", "--concurrency", concurrency, timeout=280)
    assert done.returncode == 0, done.stderr

    folder = tmp_path / "here"
    for command in ("pull source/tiny-llama volume", "verify volume", "tune study.yaml", "report demo --out report"):
        assert f"$ lading {command}" in done.stderr
    report = json.loads((folder / "report" / "report.json").read_text())
    result = report["result"]
    assert result["verdict"] in done.stdout
    _check_verdict(result)
    for name in ("run.sh", "docker-compose.yaml", "kserve-inferenceservice.yaml", "deployment.yaml"):
        assert (folder / "report" / "manifests" / name).stat().st_size > 0
    assert _refolded(folder) == _stated(report)
    assert not [process for process in psutil.process_iter() if _serves_from(process, folder)]
    assert {path.name for path in tmp_path.iterdir()} == {"here"}, "nothing is written outside the demo's folder"


def test_the_demo_never_empties_a_folder_that_is_not_its_own(lading, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    done = lading("demo", "mine")
    assert done.returncode == 2
    assert done.stderr == (
        "error: mine is not an earlier demo, and not empty\nhint: name another folder: lading demo FOLDER\n"
    )
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def _check_verdict(result):
    """A gain is claimed exactly when its whole interval is above zero."""
    stated = [one["gain"] for one in [result["winner"], *result.get("finalists", [])] if one and one.get("gain")]
    if "no significant gain" in result["verdict"]:
        assert not any(gain["significant"] for gain in stated)
    else:
        assert re.search(r"[+]\d", result["verdict"])
        assert stated[0]["significant"]
        assert stated[0]["low_percent"] > 0


def _refolded(folder):
    """Throughput of every level, folded again from the raw records: trial folder → tokens/s."""
    found = {}
    for path in sorted((folder / "home" / "studies").glob("demo.1/trial-*/**/*.jsonl")):
        with path.open() as lines:
            found[path.parts[-3]] = summarize(*records.parse(lines)).output_tokens_per_s
    return found


def _stated(report):
    return {
        f"trial-{one['trial']['number']}": level["output_tokens_per_s"]
        for one in report["trials"]
        for level in one["trial"]["levels"]
    }


def _serves_from(process, folder):
    try:
        return any(str(folder) in word for word in process.cmdline())
    except psutil.Error:
        return False
