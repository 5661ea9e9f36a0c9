"""Which server would notice: one sentence per damage, by the rules that servers find and load files by."""

import pytest

from lading.weights import noticing

HUB = ("config.json", "model.safetensors", "tokenizer.json")
SHARDED = (*HUB, "model.safetensors.index.json")


@pytest.mark.parametrize(
    ("problem", "path", "kind", "known", "said"),
    [
        ("extra", "b.pkl", "sklearn", ("a.pkl",), "sklearnserver refuses to start"),
        ("extra", ".x.joblib", "sklearn", ("a.pkl",), "sklearnserver refuses to start"),
        ("extra", "model-settings.json", "sklearn", ("a.pkl",), "MLServer obeys it"),
        ("extra", "notes.json", "sklearn", ("a.pkl",), "no server reads it"),
        ("extra", "meta.json", "files", ("model.bst",), "xgbserver"),
        ("extra", "more.safetensors", "huggingface", SHARDED, "no server reads it: the index names the others"),
        ("extra", "more.safetensors", "huggingface", HUB, "vLLM loads every"),
        ("extra", "generation_config.json", "huggingface", HUB, "answers may differ"),
        ("extra", "modeling.py", "huggingface", HUB, "--trust-remote-code"),
        ("extra", "deep/b.pkl", "sklearn", ("a.pkl",), "no server reads it"),
        ("sha256", "model.safetensors", "huggingface", HUB, "no server notices"),
        ("sha256", "a.pkl", "sklearn", ("a.pkl",), "loading it may fail"),
        ("sha256", "README.md", "huggingface", HUB, "no server reads it"),
        ("sha256", "config.json", "huggingface", HUB, "may fail at its next start"),
        ("size", "model.safetensors", "huggingface", HUB, "its header says how long it is"),
        ("size", "merges.txt", "huggingface", HUB, "a server may fail"),
        ("missing", "config.json", "huggingface", HUB, "fail at their next start"),
        ("missing", "LICENSE", "huggingface", HUB, "no server reads it"),
        ("unreadable", "model.safetensors", "huggingface", HUB, "fail at their next start"),
        ("head", "model.safetensors", "huggingface", HUB, "fail at their next start"),
    ],
)
def test_who_would_notice(problem, path, kind, known, said):
    assert said in noticing.noticed(problem, path, kind=kind, known=known)
