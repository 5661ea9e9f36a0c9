"""What a reference resolves to for a server: one pinned path, its format, and its shape."""

import json

import pytest

from lading.engines import facts
from lading.errors import FormatRefused, InvalidReference, SourceMissing
from lading.spec import ref as refs
from lading.testing.tiny_llama import PRESETS, write_gguf
from lading.volume.servable import path_for, servable
from lading.weights.gguf import Head


def of(text):
    return servable(refs.parse(str(text)))


def test_both_forms_of_the_tiny_model_have_the_same_shape(tiny_gguf, tiny_hf):
    shape = PRESETS["2m"]
    for path in (tiny_gguf, tiny_hf):
        found = of(path).facts
        assert (found.layers, found.heads, found.kv_heads, found.head_dim, found.hidden) == (
            shape.layers, shape.heads, shape.kv_heads, shape.head_dim, shape.hidden,
        )  # fmt: skip
        assert (found.vocabulary, found.max_length) == (4096, 4096)
        assert 1_836_160 * 2 <= found.weights_bytes < 1_836_160 * 2 + 10_000
    assert (of(tiny_gguf).format, of(tiny_hf).format) == ("gguf", "huggingface")
    assert (of(tiny_gguf).facts.dtype, of(tiny_hf).facts.dtype) == ("f16", "bfloat16")


def test_a_plain_folder_is_unmanaged_and_named_after_itself(tiny_hf):
    model = of(tiny_hf)
    assert model.unmanaged
    assert model.name == "tiny"
    assert path_for(model, "vllm") == tiny_hf


def test_llamacpp_is_given_the_one_file(tiny_gguf, tmp_path):
    assert path_for(of(tiny_gguf), "llama.cpp") == tiny_gguf
    folder = tmp_path / "Some_Model"
    folder.mkdir()
    (folder / "m.gguf").symlink_to(tiny_gguf)
    model = of(folder)
    assert model.name == "some-model"
    assert path_for(model, "llama.cpp") == folder / "m.gguf"
    (folder / "n.gguf").symlink_to(tiny_gguf)
    with pytest.raises(FormatRefused, match=r"m\.gguf, n\.gguf"):
        path_for(of(folder), "llama.cpp")


def test_a_split_model_is_started_by_its_first_part(tiny_gguf, tmp_path):
    for part in (1, 2):
        (tmp_path / f"m-0000{part}-of-00002.gguf").symlink_to(tiny_gguf)
    assert path_for(of(tmp_path), "llama.cpp").name == "m-00001-of-00002.gguf"


def test_llamacpp_does_not_take_safetensors(tiny_hf):
    with pytest.raises(FormatRefused, match="has huggingface"):
        path_for(of(tiny_hf), "llama.cpp")


def test_half_a_model_is_refused(tiny_hf, tmp_path):
    for path in sorted(tiny_hf.iterdir())[:-1]:
        if "00002" not in path.name:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(FormatRefused, match="missing"):
        of(tmp_path)


@pytest.mark.parametrize("text", ["s3://bucket/m", "pvc://claim/m", "https://host/m.gguf"])
def test_what_is_elsewhere_is_refused_with_the_way_to_get_it(text):
    with pytest.raises(InvalidReference) as raised:
        of(text)
    assert f"lading pull {text}" in raised.value.hint


def test_nothing_there_is_told(tmp_path):
    with pytest.raises(SourceMissing):
        of(tmp_path / "nothing")


def test_a_version_is_served_by_its_own_path_whatever_is_current(lading, tmp_path, lading_home):
    """A path through `current` would change under a restart."""
    volume = tmp_path / "volume"
    for seed in (1, 2):
        write_gguf(tmp_path / f"{seed}/tiny.gguf", seed=seed)
        done = lading("pull", tmp_path / str(seed), volume, "--model", "tiny", "--version", f"v{seed}")
        assert done.returncode == 0, done.stderr
    for text, version in (("tiny", "v2"), ("tiny@v1", "v1"), ("tiny/current", "v2"), ("tiny/v1", "v1")):
        model = of(f"{volume}/{text}")
        assert not model.unmanaged
        assert path_for(model, "llama.cpp") == volume / "tiny" / version / "tiny.gguf"


def test_a_config_of_text_and_images_keeps_its_text_shape():
    config = {
        "architectures": ["X"], "quantization_config": {"quant_method": "fp8"},
        "text_config": {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "num_experts": 8},
    }  # fmt: skip
    found = facts.of_config(json.loads(json.dumps(config)), 100)
    assert (found.hidden, found.heads, found.kv_heads, found.head_dim, found.layers) == (64, 4, 4, 16, 2)
    assert (found.quantization, found.experts, found.architecture) == ("fp8", 8, "X")


@pytest.mark.parametrize("value", [None, "four", -1, True, [1], {}])
def test_nonsense_in_a_config_is_unknown_not_a_crash(value):
    found = facts.of_config(
        dict.fromkeys(("hidden_size", "num_attention_heads", "torch_dtype", "architectures"), value), None
    )
    assert (found.hidden, found.heads) == (None, None)
    assert facts.of_gguf(Head(version=3, metadata={"general.architecture": 5})).layers is None
