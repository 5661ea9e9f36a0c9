"""A claim of the real cluster with a small model on it, for its namespace's user, who may serve."""

import pytest

from lading.testing import tiny_llama


@pytest.fixture
def claim(namespace, engine_image, lading, tmp_path):
    """A claim with `tiny` v1 and v2 (current), and `loose`, a folder on no manifest."""
    namespace.allow_serving()
    made = namespace.claim("models", permissions=0o2775)
    for seed in (1, 2):
        tiny_llama.write_gguf(tmp_path / f"{seed}/tiny.gguf", seed=seed)
        done = lading("pull", tmp_path / str(seed), made.path, "--model", "tiny", "--version", f"v{seed}")
        assert done.returncode == 0, done.stderr
    (made.path / "loose").mkdir()
    tiny_llama.write_gguf(made.path / "loose/loose.gguf")
    return made
