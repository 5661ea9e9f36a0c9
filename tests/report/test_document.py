"""`report.json`: a round trip, and no secret in it."""

import pytest
from tests.report.conftest import make

from lading.report.document import Report
from lading.report.page import page
from lading.spec.secret import HIDDEN, public_argv, public_env
from lading.testing import histories
from lading.tuning.trial import Failed


def test_the_document_reads_back_as_it_was_written(report):
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_secrets_of_the_study_are_nowhere():
    text = histories.DOCUMENT + 'backend: {kind: process, env: {HF_TOKEN: "hf_verysecret", OMP_NUM_THREADS: "2"}}\n'
    story = histories.Story()
    failed = Failed(
        phase="start", kind="unknown", name="x", reason="denied hf_verysecret", log=("token hf_verysecret",)
    )
    story.failed(0, {"n_ctx": 8192}, failed)
    report = make(story.facts, text=text, environment={"note": "hf_verysecret"})
    for written in (report.model_dump_json(), page(report)):
        assert "hf_verysecret" not in written
        assert HIDDEN in written
        assert "OMP_NUM_THREADS" in written


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["vllm", "--api-key", "abc", "--port", "1"], ("vllm", "--api-key", HIDDEN, "--port", "1")),
        (["vllm", "--api-key=abc"], ("vllm", f"--api-key={HIDDEN}")),
        (["vllm", "--hf-token", "--port", "1"], ("vllm", "--hf-token", "--port", "1")),
        (["vllm", "--max-model-len", "8"], ("vllm", "--max-model-len", "8")),
    ],
)
def test_flags_that_look_secret_have_their_values_hidden(argv, shown):
    assert public_argv(argv) == shown


def test_tokens_of_text_are_no_secrets():
    """Engines count tokens: their flags must stay readable."""
    argv = ["vllm", "--max-num-batched-tokens", "2048", "--max-num-batched-tokens=4096",
            "--long-prefill-token-threshold", "2048"]  # fmt: skip
    assert public_argv(argv) == tuple(argv)


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "GITHUBTOKEN", "AWS_SECRET_ACCESS_KEY", "LLAMA_API_KEY", "db_password", "key"]
)
def test_variables_that_look_secret(name):
    assert public_env({name: "x", "OMP_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "0"}) == {
        "OMP_NUM_THREADS": "2",
        "TOKENIZERS_PARALLELISM": "0",
    }
