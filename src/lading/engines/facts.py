"""A model's shape, from what its own files say before their tensors: ``config.json``, or the head of a GGUF file."""

from collections.abc import Mapping
from typing import Any

from lading.engines.base import ModelFacts
from lading.weights.gguf import Array, Head, Scalar

#: GGUF's number of a file's type → its name; only those that are common.
_FILE_TYPES = {
    0: "f32",
    1: "f16",
    2: "q4_0",
    3: "q4_1",
    7: "q8_0",
    8: "q5_0",
    9: "q5_1",
    15: "q4_k_m",
    18: "q6_k",
    32: "bf16",
}


def of_config(config: Mapping[str, Any], weights_bytes: int | None) -> ModelFacts:
    """Of a Hugging Face model; a model of text and images keeps the text's shape in ``text_config``."""
    inner = config.get("text_config")
    text = {**config, **inner} if isinstance(inner, Mapping) else config
    heads, hidden = _whole(text.get("num_attention_heads")), _whole(text.get("hidden_size"))
    split = hidden // heads if heads and hidden else None
    quantization = config.get("quantization_config")
    architectures = config.get("architectures")
    return ModelFacts(
        format="safetensors",
        weights_bytes=weights_bytes,
        architecture=str(architectures[0]) if isinstance(architectures, list) and architectures else None,
        layers=_whole(text.get("num_hidden_layers")),
        heads=heads,
        kv_heads=_whole(text.get("num_key_value_heads")) or heads,
        head_dim=_whole(text.get("head_dim")) or split,
        hidden=hidden,
        vocabulary=_whole(text.get("vocab_size")),
        max_length=_whole(text.get("max_position_embeddings")),
        dtype=_word(text.get("torch_dtype") or text.get("dtype")),
        quantization=_word(quantization.get("quant_method")) if isinstance(quantization, Mapping) else None,
        experts=_whole(text.get("num_local_experts") or text.get("num_experts") or text.get("n_routed_experts")),
    )


def of_gguf(head: Head) -> ModelFacts:
    """Of a GGUF file."""
    architecture = _word(head.metadata.get("general.architecture"))

    def number(key: str) -> int | None:
        return _whole(head.metadata.get(f"{architecture}.{key}"))

    heads, hidden = number("attention.head_count"), number("embedding_length")
    split = hidden // heads if heads and hidden else None
    tokens = head.metadata.get("tokenizer.ggml.tokens")
    sizes = [tensor.size_bytes for tensor in head.tensors.values()]
    return ModelFacts(
        format="gguf",
        weights_bytes=sum(size for size in sizes if size is not None) if None not in sizes else None,
        architecture=architecture,
        layers=number("block_count"),
        heads=heads,
        kv_heads=number("attention.head_count_kv") or heads,
        head_dim=number("attention.key_length") or split,
        hidden=hidden,
        vocabulary=number("vocab_size") or (tokens.length if isinstance(tokens, Array) else None),
        max_length=number("context_length"),
        dtype=_file_type(head.metadata.get("general.file_type")),
        experts=number("expert_count") or None,
    )


def _file_type(number: Any) -> str | None:
    return _FILE_TYPES.get(number) if isinstance(number, int) else None


def _whole(value: Scalar | Array | Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None
