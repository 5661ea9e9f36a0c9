"""What is known of a model without loading it: its shape, from ``config.json`` and the heads of its weight files.

The fields are those of `lading.engines.base.ModelFacts`, which is above this package: ``ModelFacts(**asdict(facts))``.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lading.errors import FormatRefused
from lading.weights import formats, gguf, safetensors

Read = Callable[[str, int, int], bytes]
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts of one model; None where unknown.

    Attributes:
        format: ``safetensors``, ``gguf``, or the kind that `formats.kind_of` gives.
        weights_bytes: Sum of the tensors' bytes as stored.
        architecture: ``LlamaForCausalLM``, or GGUF's ``llama``.
        max_length: The length it was trained for, in tokens.
        dtype: Of most of the weights' bytes.
        quantization: The method, None for plain weights.
        experts: Experts of a mixture, None for a dense model.
    """

    format: str
    weights_bytes: int | None = None
    architecture: str | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    hidden: int | None = None
    vocabulary: int | None = None
    max_length: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    experts: int | None = None


def facts(files: Mapping[str, int], read: Read) -> Facts:
    """Facts of the model in *files* (path → size in bytes); *read* gives bytes of a file: path, offset, count.

    Raises:
        FormatRefused: A file is not what its name says.
    """
    kind = formats.kind_of(files)
    if kind == "huggingface":
        return _huggingface(files, read)
    if kind == "gguf":
        return _gguf(files, read)
    return Facts(format=kind or "files")


def _huggingface(files: Mapping[str, int], read: Read) -> Facts:
    config = formats.json_object(formats.CONFIG, files, read) if formats.CONFIG in files else {}
    text = {**config, **_mapping(config.get("text_config"))}  # multimodal models keep the language model's shape there
    dtypes = _dtype_bytes(files, read)
    heads, hidden = _first(text, "num_attention_heads", "n_head"), _first(text, "hidden_size", "n_embd")
    return Facts(
        format="safetensors" if dtypes else "huggingface",
        weights_bytes=sum(dtypes.values()) or None,
        architecture=next((str(name) for name in _sequence(config.get("architectures"))), None),
        layers=_first(text, "num_hidden_layers", "n_layer"),
        heads=heads,
        kv_heads=_first(text, "num_key_value_heads") or heads,
        head_dim=_first(text, "head_dim") or (hidden // heads if hidden and heads else None),
        hidden=hidden,
        vocabulary=_first(text, "vocab_size"),
        max_length=_first(text, "max_position_embeddings", "n_positions", "n_ctx"),
        dtype=_dtype(text, dtypes),
        quantization=_quantization(config),
        experts=_first(text, "num_local_experts", "num_experts", "n_routed_experts"),
    )


def _dtype_bytes(files: Mapping[str, int], read: Read) -> Counter[str]:
    """Bytes of the safetensors at the top, by dtype."""
    found: Counter[str] = Counter()
    for path, size_bytes in files.items():
        if path.endswith(".safetensors") and "/" not in path:
            for tensor in safetensors.header(path, size_bytes, read).values():
                found[tensor.dtype] += tensor.end - tensor.begin
    return found


def _dtype(text: Mapping[str, Any], dtypes: Counter[str]) -> str | None:
    if dtypes:
        most = dtypes.most_common(1)[0][0]
        return _DTYPES.get(most, most.lower())
    found = text.get("dtype") or text.get("torch_dtype")
    return found if isinstance(found, str) else None


def _quantization(config: Mapping[str, Any]) -> str | None:
    found = _mapping(config.get("quantization_config") or config.get("compression_config")).get("quant_method")
    return found if isinstance(found, str) else None


def _gguf(files: Mapping[str, int], read: Read) -> Facts:
    heads = [gguf.head(path, files[path], read) for path in sorted(files) if path.endswith(".gguf")]
    first, tensors = heads[0], [tensor for head in heads for tensor in head.tensors.values()]
    architecture = first.metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise FormatRefused("the GGUF file does not say its architecture", hint="convert it again")

    def number(key: str) -> int | None:
        found = first.metadata.get(f"{architecture}.{key}")
        if isinstance(found, gguf.Array):  # one per layer: the widest decides what memory is needed
            found = max((item for item in found.items if isinstance(item, int)), default=None)
        return found if isinstance(found, int) else None

    query_heads, hidden = number("attention.head_count"), number("embedding_length")
    types = _type_bytes(tensors)
    most = types.most_common(1)[0][0] if types else None
    return Facts(
        format="gguf",
        weights_bytes=sum(types.values()) or None,
        architecture=architecture,
        layers=number("block_count"),
        heads=query_heads,
        kv_heads=number("attention.head_count_kv") or query_heads,
        head_dim=number("attention.key_length") or (hidden // query_heads if hidden and query_heads else None),
        hidden=hidden,
        vocabulary=_vocabulary(first, number("vocab_size")),
        max_length=number("context_length"),
        dtype=_DTYPES.get(most, most.lower()) if most else None,
        quantization=most.lower() if most and most not in {"F32", "F16", "BF16", "F64"} else None,
        experts=number("expert_count"),
    )


def _type_bytes(tensors: list[gguf.Tensor]) -> Counter[str]:
    found: Counter[str] = Counter()
    for tensor in tensors:
        found[tensor.type] += tensor.size_bytes or 0
    return found


def _vocabulary(head: gguf.Head, said: int | None) -> int | None:
    tokens = head.metadata.get("tokenizer.ggml.tokens")
    return tokens.length if isinstance(tokens, gguf.Array) else said


def _first(document: Mapping[str, Any], *keys: str) -> int | None:
    """The first of *keys* that holds a positive whole number."""
    values = (document.get(key) for key in keys)
    return next(
        (value for value in values if isinstance(value, int) and not isinstance(value, bool) and value > 0), None
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
