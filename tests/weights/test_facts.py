"""Facts of a model, from heads alone; equal for the same weights in both formats."""

import json
from dataclasses import asdict, fields

import pytest

from lading.engines.base import ModelFacts
from lading.testing import tiny_llama
from lading.weights.facts import Facts, facts


def of(folder):
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}

    def read(path, offset, count):
        with (folder / path).open("rb") as file:
            file.seek(offset)
            return file.read(count)

    return facts(files, read)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_llama.write_huggingface(tmp_path_factory.mktemp("hf"), "2m", shards=2)


def test_the_fields_are_those_of_the_engines():
    assert [field.name for field in fields(Facts)] == [field.name for field in fields(ModelFacts)]
    assert ModelFacts(**asdict(Facts(format="gguf", layers=3))) == ModelFacts(format="gguf", layers=3)


def test_facts_of_a_hugging_face_model(tiny):
    shape = tiny_llama.PRESETS["2m"]
    found = of(tiny)
    assert found == Facts(
        format="safetensors",
        weights_bytes=found.weights_bytes,
        architecture="LlamaForCausalLM",
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        hidden=shape.hidden,
        vocabulary=shape.vocabulary,
        max_length=tiny_llama.MAX_LENGTH,
        dtype="bfloat16",
    )
    shards = sum(path.stat().st_size for path in tiny.glob("*.safetensors"))
    assert 0 < shards - found.weights_bytes < 20_000


def test_facts_of_a_gguf_model_are_those_of_its_other_form(tiny, tmp_path):
    tiny_llama.write_gguf(tmp_path / "tiny.gguf", "2m", outtype="q8_0")
    gguf, safetensors = asdict(of(tmp_path)), asdict(of(tiny))
    same = ["layers", "heads", "kv_heads", "head_dim", "hidden", "vocabulary", "max_length", "experts"]
    assert {key: gguf[key] for key in same} == {key: safetensors[key] for key in same}
    assert (gguf["format"], gguf["architecture"], gguf["quantization"]) == ("gguf", "llama", "q8_0")
    assert gguf["weights_bytes"] < safetensors["weights_bytes"] * 0.6


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {}),
        ({"num_attention_heads": 8, "hidden_size": 64}, {"heads": 8, "kv_heads": 8, "hidden": 64, "head_dim": 8}),
        ({"text_config": {"num_hidden_layers": 3}, "vision_config": {"num_hidden_layers": 9}}, {"layers": 3}),
        (
            {"quantization_config": {"quant_method": "awq"}, "torch_dtype": "float16"},
            {"quantization": "awq", "dtype": "float16"},
        ),
        ({"num_local_experts": 8}, {"experts": 8}),
        ({"num_hidden_layers": "many", "vocab_size": True, "hidden_size": -1, "architectures": 3}, {}),
    ],
)
def test_facts_from_a_configuration(tmp_path, config, expected):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert asdict(of(tmp_path)) == asdict(Facts(format="huggingface", **expected))
