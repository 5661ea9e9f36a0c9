"""A wrong study is refused with file, line, key and remedy; nothing is started, and nothing exists afterwards."""

import subprocess

import pytest
from tests.testbed import golden

from lading.cli import app

STUDY = """\
name: bad
model: {ref: tiny.gguf, served_name: tiny}
engine:
  name: llama.cpp
  parameters: {n_ctx: 1024}
workload:
  scenario: "D(16,8)"
  levels: {concurrency: [1, 4]}
  requests: 40
space:
  n_parallel: {choice: [1, 4]}
objective: {maximize: output_tokens_per_s}
constraints: []
search: {confirm: 0}
deadlines: {measure: 60s}
"""

# case: (what is replaced, by what)
CASES = {
    "yaml-error": ("parameters: {n_ctx: 1024}", "parameters: {n_ctx: 1024"),
    "unknown-key": ("  requests: 40", "  request: 40"),
    "unknown-key-of-a-dimension": ("{choice: [1, 4]}", "{choise: [1, 4]}"),
    "wrong-type": ("  requests: 40", "  requests: many"),
    "empty-choice": ("{choice: [1, 4]}", "{choice: []}"),
    "empty-range": ("{choice: [1, 4]}", "{int: [8, 2]}"),
    "empty-space": ("{choice: [1, 4]}", "{choice: [1, 4], when: {n_ctx: 2048}}"),
    "range-with-a-typo": ("{choice: [1, 4]}", "{int: [1, 4], lug: true}"),
    "range-of-a-wrong-type": ("{choice: [1, 4]}", "{int: [1, 4], log: maybe}"),
    "parameter-above-its-bounds": ("{choice: [1, 4]}", "{choice: [2048, 4096]}"),
    "unsatisfiable-rules": (
        "n_parallel: {choice: [1, 4]}",
        "n_ubatch: {choice: [128, 256]}\n  n_batch: {choice: [32, 64]}",
    ),
    "unknown-metric": ("maximize: output_tokens_per_s", "maximize: tokens"),
    "two-objectives": ("{maximize: output_tokens_per_s}", "{maximize: requests_per_s, minimize: ttft_s}"),
    "unknown-engine": ("name: llama.cpp", "name: lama.cpp"),
    "unknown-parameter": ("  n_parallel:", "  n_paralel:"),
    "unknown-fixed-parameter": ("{n_ctx: 1024}", "{n_ctxx: 1024}"),
    "parameter-out-of-bounds": ("{n_ctx: 1024}", "{n_ctx: -7}"),
    "missing-model": ("ref: tiny.gguf", "ref: nothing.gguf"),
    "model-elsewhere": ("ref: tiny.gguf", "ref: s3://bucket/tiny"),
    "not-a-model": ("ref: tiny.gguf", "ref: bad.yaml"),
    "bad-scenario": ("D(16,8)", "X(16,8)"),
    "level-not-offered": ("{maximize: output_tokens_per_s}", "{maximize: output_tokens_per_s, at: 8}"),
    "percentile-that-40-requests-cannot-tell": (
        "constraints: []",
        "constraints: [{metric: ttft_s, percentile: 99, at_most: 1}]",
    ),
    "percentile-not-computed": ("constraints: []", "constraints: [{metric: ttft_s, percentile: 60, at_most: 1}]"),
    "goodput-without-slo": ("maximize: output_tokens_per_s", "maximize: goodput_rps"),
    "deadline-too-short": ("{concurrency: [1, 4]}", "{rate: [0.1]}"),
    "endpoint-cannot-be-tuned": ("workload:", "backend: {kind: endpoint, url: http://127.0.0.1:1}\nworkload:"),
    "unknown-backend": ("workload:", "backend: {kind: proces}\nworkload:"),
    "missing-program": ("workload:", "backend: {python: /nonexistent/python}\nworkload:"),
    "several-problems": ("  requests: 40\nspace:\n  n_parallel:", "  requests: 0\n  sead: 1\nspace:\n  n_parallel:"),
}


@pytest.fixture
def tune(monkeypatch, tmp_path, capfd):
    """The command's own `main`, in this process: thirty interpreters would take half a minute to say the same."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as left:
            app.main(["tune", *arguments])
        said = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, left.value.code, said.out, said.err)

    return run


@pytest.fixture
def write(tmp_path, tiny_gguf):
    """The study with one thing wrong, beside its model."""

    def change(case):
        old, new = CASES[case]
        assert old in STUDY
        (tmp_path / "tiny.gguf").symlink_to(tiny_gguf)
        (tmp_path / "bad.yaml").write_text(STUDY.replace(old, new, 1))

    return change


@pytest.mark.parametrize("case", CASES)
def test_a_bad_study_says_where_and_what_to_do_and_leaves_nothing(case, tune, write, tmp_path, lading_home):
    write(case)
    before = _tree(tmp_path), _tree(lading_home)
    done = tune("bad.yaml")
    assert done.returncode in {2, 3}
    assert done.stdout == ""
    golden.check("tune", case, golden.said(done).replace(str(tmp_path), "DIR"))
    assert (_tree(tmp_path), _tree(lading_home)) == before


@pytest.mark.parametrize("case", ["yaml-error", "several-problems", "missing-program"])
def test_a_process_of_its_own_says_the_same(case, lading, write, tmp_path, lading_home):
    write(case)
    golden.check("tune", case, golden.said(lading("tune", "bad.yaml")))
    assert _tree(lading_home) == []


def test_a_study_that_does_not_exist(lading, lading_home):
    golden.check("tune", "no-file", golden.said(lading("tune", "nothing.yaml")))
    assert _tree(lading_home) == []


def test_a_dry_run_creates_nothing(lading, tmp_path, lading_home, tiny_gguf):
    (tmp_path / "tiny.gguf").symlink_to(tiny_gguf)
    (tmp_path / "bad.yaml").write_text(STUDY)
    before = _tree(tmp_path)
    done = lading("tune", "bad.yaml", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "at most 3 server starts" in done.stdout
    assert "nothing was started (--dry-run)" in done.stdout
    assert (_tree(tmp_path), _tree(lading_home)) == (before, [])


def _tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
