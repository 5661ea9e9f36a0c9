"""Whole models pass; half models are refused, and the refusal names the shard or the tensor."""

import json
import struct

import pytest

from lading.errors import FormatRefused, InvalidInput
from lading.weights import formats

CONFIG = b'{"architectures": ["LlamaForCausalLM"]}'


def shard(*tensors):
    """A safetensors file with one float each."""
    entries = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * at, 4 * at + 4]} for at, name in enumerate(tensors)
    }
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * 4 * len(tensors)


def index(**weight_map):
    return json.dumps({"weight_map": weight_map}).encode()


def part(number, count, suffix="safetensors", stem="model"):
    return f"{stem}-{number:05}-of-{count:05}.{suffix}"


GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
ONE, TWO = part(1, 2), part(2, 2)
SHARDED = {
    "config.json": CONFIG,
    "model.safetensors.index.json": index(a=ONE, b=ONE, c=TWO),
    ONE: shard("a", "b"),
    TWO: shard("c"),
    "tokenizer.json": b"{}",
}


def check(files, **options):
    sizes = {path: len(data) for path, data in files.items()}
    return formats.check(sizes, lambda path, offset, count: files[path][offset : offset + count], **options)


@pytest.mark.parametrize(
    ("files", "kind", "weights", "tensors"),
    [
        ({"config.json": CONFIG, "model.safetensors": shard("a", "b")}, "huggingface", ("model.safetensors",), 2),
        (SHARDED, "huggingface", (ONE, TWO), 3),
        ({"config.json": CONFIG, "pytorch_model.bin": b"x"}, "huggingface", ("pytorch_model.bin",), None),
        (SHARDED | {"model.gguf": b"", "extra.pkl": b""}, "huggingface", (ONE, TWO), 3),
        (
            {
                "config.json": CONFIG,
                "consolidated.safetensors.index.json": index(
                    a=part(1, 2, stem="consolidated"), b=part(2, 2, stem="consolidated")
                ),
                part(1, 2, stem="consolidated"): shard("a"),
                part(2, 2, stem="consolidated"): shard("b"),
            },
            "huggingface",
            (part(1, 2, stem="consolidated"), part(2, 2, stem="consolidated")),
            2,
        ),
        (
            {
                "config.json": CONFIG,
                "model.safetensors.index.fp16.json": index(a=part(1, 1, stem="model.fp16")),
                part(1, 1, stem="model.fp16"): shard("a"),
            },
            "huggingface",
            (part(1, 1, stem="model.fp16"),),
            1,
        ),
        ({"model.gguf": GGUF}, "gguf", ("model.gguf",), 0),
        ({"config.json": CONFIG, "q8/model.gguf": GGUF}, "gguf", ("q8/model.gguf",), 0),
        ({part(1, 2, "gguf"): GGUF, part(2, 2, "gguf"): GGUF}, "gguf", (part(1, 2, "gguf"), part(2, 2, "gguf")), 0),
        ({"model.pkl": b"x", "model_metadata.json": b"{}"}, "sklearn", ("model.pkl",), None),
        ({"anything.joblib": b"x", "sub/other.joblib": b""}, "sklearn", ("anything.joblib",), None),
        ({"config.json": CONFIG, "model.pickle": b"x"}, "sklearn", ("model.pickle",), None),
    ],
)
def test_a_whole_model_is_recognised(files, kind, weights, tensors):
    found = check(files)
    assert (found.kind, found.weights, found.tensors) == (kind, weights, tensors)
    assert check(files, expect=kind) == found


def without(files, *paths):
    return {path: data for path, data in files.items() if path not in paths}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (without(SHARDED, TWO), f"1 of the 2 shards that model.safetensors.index.json names are missing: {TWO}"),
        (without(SHARDED, "config.json"), "config.json is missing beside"),
        (
            without(SHARDED, "model.safetensors.index.json"),
            "one of 2 shards, but the index model.safetensors.index.json is missing",
        ),
        (without(SHARDED, "model.safetensors.index.json", TWO), f"1 of 2 parts are missing: {TWO}"),
        (
            without(SHARDED, ONE, TWO),
            f"2 of the 2 shards that model.safetensors.index.json names are missing: {ONE}, {TWO}",
        ),
        ({"config.json": CONFIG, "tokenizer.json": b"{}"}, "weights are not; found config.json, tokenizer.json"),
        (SHARDED | {"config.json": b"<html>"}, "config.json is not JSON"),
        (SHARDED | {"config.json": b"[]"}, "config.json is not a JSON object"),
        (SHARDED | {"model.safetensors.index.json": b"{}"}, "has no weight_map"),
        (SHARDED | {"model.safetensors.index.json": b'{"weight_map": {"a": 1}}'}, "has no weight_map"),
        (
            {"config.json": CONFIG, "model.safetensors.index.json": index(a="x.bin"), "x.bin": b"x"},
            "says that x.bin has the tensor 'a'; it has not",
        ),
        (SHARDED | {TWO: shard("d")}, f"says that {TWO} has the tensor 'c'; it has not"),
        (
            SHARDED | {TWO: shard("c", "d")},
            f"{TWO} has the tensor 'd', which model.safetensors.index.json does not name",
        ),
        (SHARDED | {TWO: shard("c")[:-1]}, f"{TWO} is not a whole safetensors file: tensor 'c' ends at byte 4"),
        (SHARDED | {"lora/adapter.safetensors": b""}, "lora/adapter.safetensors is not a whole safetensors file"),
        ({part(1, 2, "gguf"): GGUF}, f"1 of 2 parts are missing: {part(2, 2, 'gguf')}"),
        ({"a.gguf": GGUF, "b.gguf": b"GGUF"}, "b.gguf is not a whole GGUF file"),
        (
            {"a.pkl": b"x", "b.joblib": b"x"},
            "2 model files at the top, and sklearnserver takes exactly one: a.pkl, b.joblib",
        ),
        ({"a.pkl": b"x", ".b.pkl": b"x"}, "2 model files at the top"),
        ({"a.pkl": b""}, "a.pkl is empty"),
        ({"README.md": b"x"}, "no model is in these 1 files: README.md"),
        ({"sub/model.pkl": b"x"}, "no model is in these 1 files"),
        ({}, "no model is in these 0 files: none"),
    ],
)
def test_half_a_model_is_refused_and_what_is_wrong_is_named(files, says):
    with pytest.raises(FormatRefused) as refused:
        check(files)
    assert says in refused.value.message
    assert refused.value.hint


def test_many_missing_shards_are_counted_and_the_first_named():
    names = [part(number, 30) for number in range(1, 31)]
    files = {
        "config.json": CONFIG,
        "model.safetensors.index.json": index(**{f"t{i}": name for i, name in enumerate(names)}),
    }
    with pytest.raises(FormatRefused, match=r"30 of the 30 shards .* and 26 more"):
        check(files)


def test_another_format_than_expected_is_refused():
    with pytest.raises(FormatRefused, match="this is sklearn, not gguf"):
        check({"a.pkl": b"x"}, expect="gguf")


def test_any_takes_what_is_no_model():
    assert check({"README.md": b"x"}, expect="any") == formats.Format(kind="files", weights=())


def test_an_unknown_expectation_names_the_nearest():
    with pytest.raises(InvalidInput) as refused:
        check({}, expect="huggingfase")
    assert refused.value.hint == "did you mean `huggingface`?"


def test_an_index_cannot_name_files_outside():
    files = {"config.json": CONFIG, "model.safetensors.index.json": index(a="../../etc/passwd")}
    with pytest.raises(FormatRefused, match="are missing"):
        check(files)
