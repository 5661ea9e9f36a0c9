"""`lading bench` prints the figures of the truth server, and says what is wrong in a sentence."""

import json
import signal
import subprocess
import time

import pytest
from tests.testbed import golden

from lading.flows import bench as flow


def table(done):
    """The rows of the piped table by column."""
    [head, *rows] = [line.split("\t") for line in done.stdout.splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_it_prints_the_known_figures(lading, truth, tmp_path):
    truth.set(ttft_ms=50, itl_ms=10)
    done = lading(
        "bench", truth.url, "--levels", "1,4", "--scenario", "D(32,16)", "--requests", "24", "--slo-ttft", "500ms",
        "--seed", "3", "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, four = table(done)
    assert (one["level"], four["level"]) == ("c=1", "c=4")
    assert (one["requests"], one["ok"], one["failed"]) == ("24", "24", "0")
    sent = truth.stats()  # a busy machine delays the server too: what it really sent is the truth
    for row in (one, four):
        assert float(row["TTFT p50 ms"]) == pytest.approx(sent["ttft_s"]["p50"] * 1000, abs=6)
        assert float(row["TPOT p50 ms"]) == pytest.approx(10, abs=1)
        assert float(row["ITL p50 ms"]) == pytest.approx(10, abs=1)
    assert 0.6 * 16 / 0.200 < float(one["out tok/s"]) <= 1.02 * 16 / 0.200
    assert 0.6 * 4 / 0.200 < float(four["req/s"]) <= 1.02 * 4 / 0.200
    assert float(four["good/s"]) == pytest.approx(float(four["req/s"]))
    assert done.stderr.startswith("truth gives the most at c=")
    assert "\nsummary: out/summary.json\n" in done.stderr
    folder = tmp_path / "out"
    assert sorted(path.name for path in folder.iterdir()) == [
        "concurrency-1.jsonl",
        "concurrency-4.jsonl",
        "summary.json",
    ]
    result = flow.load_result(folder)
    assert flow.refold(folder) == tuple(level.summary for level in result.levels)
    assert result.workload["seed"] == 3


def test_json_is_one_document_per_line_and_the_result_comes_last(lading, truth, tmp_path):
    done = lading(
        "bench", truth.url, "--rates", "40", "--arrivals", "constant", "--api", "chat", "--scenario", "D(8,4)",
        "--requests", "10", "--warmup", "2", "--format", "json", "--out", "out",
    )  # fmt: skip
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stderr == ""
    names = [document.get("event") for document in documents]
    assert [name for name in names if name != "level_progress"] == [
        "notice", "level_started", "level_measured", "wrote", None,
    ]  # fmt: skip
    assert documents[-1] == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert documents[-1]["levels"][0]["summary"]["level"] == {"kind": "rate", "value": 40.0}
    assert all(request["chat"] for request in truth.requests())


def test_a_workload_file_is_taken_and_options_win(lading, truth, tmp_path):
    (tmp_path / "load.yaml").write_text("scenario: D(8,4)\nlevels: {concurrency: [2]}\nrequests: 50\nwarmup: 0\n")
    done = lading("bench", truth.url, "--workload", "load.yaml", "--requests", "6", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert [(row["level"], row["requests"]) for row in table(done)] == [("c=2", "6")]
    assert {request["tokens"] for request in truth.requests() if request["stream"]} == {8}


def test_a_second_run_has_other_prompts(lading, truth):
    for name in "ab":
        assert lading("bench", truth.url, "--requests", "3", "--scenario", "D(8,2)", "--out", name).returncode == 0
    prompts = [str(request["prompt"]) for request in truth.requests() if request["stream"]]
    assert len(prompts) == len(set(prompts))


def test_a_dry_run_sends_nothing(lading, truth, tmp_path):
    done = lading("bench", truth.url, "--levels", "1,8", "--seed", "1", "--dry-run", "--format", "json")
    assert json.loads(done.stdout)["workload"]["levels"]["concurrency"] == [1, 8]
    assert truth.stats()["requests"] == 0
    assert list(tmp_path.iterdir()) == []


def test_the_key_is_sent_and_shown_nowhere(lading, truth, tmp_path):
    truth.set(api_key="sesame-7319")
    done = lading(
        "bench", truth.url, "--api-key-env", "MY_KEY", "--requests", "3", "--scenario", "D(8,2)", "--format", "json",
        "--out", "out", env={"MY_KEY": "sesame-7319"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = done.stdout + done.stderr + "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert "sesame" not in words


def test_failed_requests_are_data_and_shown(lading, truth):
    truth.set(fault="http500", fault_every=4)
    done = lading("bench", truth.url, "--requests", "40", "--scenario", "D(8,2)", "--warmup", "0", "--out", "out")
    assert done.returncode == 0, done.stderr
    [row] = table(done)
    assert int(row["failed"]) >= 8
    assert "requests failed" in done.stderr


def test_a_server_that_stalls_is_a_failed_level_and_exit_code_1(lading, truth):
    truth.set(fault="stall")
    done = lading(
        "bench",
        truth.url,
        "--requests",
        "2",
        "--scenario",
        "D(8,8)",
        "--warmup",
        "0",
        "--timeout",
        "300ms",
        "--out",
        "out",
    )
    said(done, truth, "stalls")
    [row] = table(done)
    assert row["verdict"].startswith("not measured: none of 2 requests was answered")


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("nothing-there", ["http://127.0.0.1:9"]),
        ("not-a-url", ["ftp://127.0.0.1"]),
        ("unknown-server", ["nobody"]),
        ("wrong-model", ["URL", "--model", "other", "--warmup", "2"]),
        ("stalls-at-warm-up", ["URL", "--timeout", "300ms", "--warmup", "2"]),
        ("bad-scenario", ["URL", "--scenario", "D(512)"]),
        ("bad-levels", ["URL", "--levels", "1,many"]),
        ("zero-level", ["URL", "--levels", "1,0"]),
        ("level-twice", ["URL", "--levels", "4,4"]),
        ("negative-rate", ["URL", "--rates", "-1"]),
        ("levels-and-rates", ["URL", "--levels", "1", "--rates", "1"]),
        ("bad-slo", ["URL", "--slo-ttft", "fast"]),
        ("no-key", ["URL", "--api-key-env", "NO_SUCH_KEY"]),
        ("ids-in-chat", ["URL", "--api", "chat", "--prompt", "tokens"]),
        ("unknown-option", ["URL", "--level", "1"]),
        ("no-workload-file", ["URL", "--workload", "load.yaml"]),
    ],
)
def test_what_is_wrong_is_a_sentence_with_a_remedy_and_leaves_nothing(lading, truth, tmp_path, case, options):
    if case == "stalls-at-warm-up":
        truth.set(fault="stall")
    done = lading("bench", *[truth.url if option == "URL" else option for option in options])
    said(done, truth, case)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_typo_in_a_workload_file_names_its_line(lading, truth, tmp_path):
    (tmp_path / "load.yaml").write_text("scenario: D(8,4)\nrequest: 50\n")
    said(lading("bench", truth.url, "--workload", "load.yaml"), truth, "workload-typo")


def test_a_folder_that_has_a_result_is_left_alone(lading, truth, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.json").write_text("mine")
    said(lading("bench", truth.url, "--out", "out"), truth, "result-there")
    assert (tmp_path / "out" / "summary.json").read_text() == "mine"


def test_ctrl_c_keeps_the_finished_levels_and_leaves_no_connection(lading_argv, truth, tmp_path):
    process = subprocess.Popen(
        [*lading_argv, "bench", truth.url, "--levels", "2,1", "--requests", "20", "--warmup", "0", "--out", "out",
         "--scenario", "D(8,8)"],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while not (tmp_path / "out" / "summary.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "levels that were finished are in out" in stderr
    assert len(flow.refold(tmp_path / "out")) == 1
    assert truth.stats()["open_connections"] == 0


def said(done, truth, case):
    """The golden file of what *done* said."""
    text = golden.said(done).replace(truth.url, "URL")
    golden.check("bench", case, text)
