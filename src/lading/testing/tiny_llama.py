"""A small valid Llama without any download: Hugging Face safetensors and GGUF, the same weights in both.

The weights are random but made so that every engine behaves as with a real model under load: it never ends an answer
early and never emits half a character, so a request for 64 tokens gives 64 tokens, one per chunk. Good for arithmetic
of weights and caches, transfers, format rules and load; not for quality. The same arguments give the same bytes (for
one Python version: see `lading.testing.tiny_tokenizer`).
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lading.errors import MissingExtra
from lading.testing import tiny_tokenizer
from lading.testing.tiny_tokenizer import CHAT_TEMPLATE, END_OF_TEXT, SPECIAL, TURN_END, Tokenizer

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Dtype = Literal["bf16", "f16", "f32"]
Outtype = Literal["f32", "f16", "bf16", "q8_0", "q4_0"]

MAX_LENGTH = 4096
ROPE_THETA = 10_000.0
NORM_EPSILON = 1e-5
#: Hidden channel 0 holds this constant all the way: no layer writes to it. The output reads it to push tokens down.
_CONSTANT = 16.0
_UNWANTED = -6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """The shape of a model; its name is about its number of parameters."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    vocabulary: int


PRESETS: Mapping[str, Preset] = {
    "2m": Preset(hidden=128, layers=4, heads=4, kv_heads=2, head_dim=32, feed_forward=384, vocabulary=4096),
    "10m": Preset(hidden=256, layers=8, heads=4, kv_heads=2, head_dim=64, feed_forward=768, vocabulary=8192),
    "24m": Preset(hidden=384, layers=10, heads=6, kv_heads=2, head_dim=64, feed_forward=1152, vocabulary=8192),
    "52m": Preset(hidden=512, layers=14, heads=8, kv_heads=4, head_dim=64, feed_forward=1536, vocabulary=8192),
}


def write_huggingface(folder: Path, preset: str = "2m", shards: int = 1, seed: int = 0, dtype: Dtype = "bf16") -> Path:
    """A Hugging Face model in *folder* (made when needed): weights in *shards* files, tokenizer, configurations.

    Raises:
        MissingExtra: numpy is not installed.
    """
    _require_numpy()
    shape = PRESETS[preset]
    tokenizer = tiny_tokenizer.trained(shape.vocabulary)
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in _documents(shape, tokenizer, dtype).items():
        _write_json(folder / name, document)
    tensors = [(name, _encoded(array, dtype)) for name, array in _weights(shape, tokenizer, seed)]
    _write_shards(folder, tensors, shards, dtype)
    return folder


def write_gguf(path: Path, preset: str = "2m", outtype: Outtype = "f16", seed: int = 0) -> Path:
    """A GGUF file at *path* with the weights that `write_huggingface` gives for the same *preset* and *seed*.

    Raises:
        MissingExtra: numpy or gguf is not installed.
    """
    _require_numpy()
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise MissingExtra("writing a GGUF file", extra="demo") from error

    shape = PRESETS[preset]
    tokenizer = tiny_tokenizer.trained(shape.vocabulary)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(f"tiny-llama-{preset}")
    _add_shape(writer, shape)
    writer.add_file_type(_file_type(gguf, outtype))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_tokenizer(writer, tokenizer, shape.vocabulary, gguf.TokenType)
    for name, array in _weights(shape, tokenizer, seed):
        kind = _tensor_type(gguf, name, outtype) if array.ndim > 1 else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(_interleaved(name, array, shape), kind)
        writer.add_tensor(_gguf_name(name), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _require_numpy() -> None:
    try:
        import numpy as np  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("generating a model", extra="demo") from error


# ---------------------------------------------------------------------------------------------------------- weights


def _weights(shape: Preset, tokenizer: Tokenizer, seed: int) -> Iterator[tuple[str, "Array"]]:
    """All tensors by their Hugging Face names, as float32, in a fixed order: random, N(0, 1 / inputs)."""
    import numpy as np

    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, scale: float) -> "Array":
        drawn: Array = random.standard_normal((rows, columns), dtype=np.float32)
        drawn *= np.float32(scale)
        return drawn

    def layer(rows: int, columns: int, scale: float = 1.0) -> "Array":
        return matrix(rows, columns, scale / columns**0.5)

    def silent(array: "Array") -> "Array":
        array[0] = 0.0  # what a block adds to channel 0
        return array

    norm = np.ones(shape.hidden, dtype=np.float32)
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    embedding = matrix(shape.vocabulary, shape.hidden, 1.0)
    embedding[:, 0] = _CONSTANT
    yield "model.embed_tokens.weight", embedding
    for number in range(shape.layers):
        block = f"model.layers.{number}"
        yield f"{block}.input_layernorm.weight", norm
        yield f"{block}.self_attn.q_proj.weight", layer(queries, shape.hidden)
        yield f"{block}.self_attn.k_proj.weight", layer(keys, shape.hidden)
        yield f"{block}.self_attn.v_proj.weight", layer(keys, shape.hidden)
        yield f"{block}.self_attn.o_proj.weight", silent(layer(shape.hidden, queries, 0.7))
        yield f"{block}.post_attention_layernorm.weight", norm
        yield f"{block}.mlp.gate_proj.weight", layer(shape.feed_forward, shape.hidden)
        yield f"{block}.mlp.up_proj.weight", layer(shape.feed_forward, shape.hidden)
        yield f"{block}.mlp.down_proj.weight", silent(layer(shape.hidden, shape.feed_forward, 0.7))
    yield "model.norm.weight", norm
    output = layer(shape.vocabulary, shape.hidden, 2.0)
    output[:, 0] = _UNWANTED
    output[list(tokenizer.plain), 0] = 0.0
    yield "lm_head.weight", output


# ---------------------------------------------------------------------------------------------------------- Hugging Face


def _documents(shape: Preset, tokenizer: Tokenizer, dtype: Dtype) -> dict[str, Any]:
    stop, pad = tokenizer.id_of(TURN_END), tokenizer.id_of(END_OF_TEXT)
    torch_dtype = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}[dtype]
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": MAX_LENGTH,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_THETA,
        "rope_scaling": None,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "vocab_size": shape.vocabulary,
        "bos_token_id": None,
        "eos_token_id": stop,
        "pad_token_id": pad,
        "torch_dtype": torch_dtype,
    }
    special = {"eos_token": TURN_END, "pad_token": END_OF_TEXT, "additional_special_tokens": list(SPECIAL)}
    tokenizer_config = special | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_LENGTH,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    return {
        "config.json": config,
        "generation_config.json": {"eos_token_id": stop, "pad_token_id": pad, "do_sample": True, "temperature": 0.8},
        "tokenizer.json": tiny_tokenizer.tokenizer_json(tokenizer),
        "tokenizer_config.json": tokenizer_config,
        "special_tokens_map.json": special,
    }


def _encoded(array: "Array", dtype: Dtype) -> "Array":
    """*array* in the bytes of *dtype*; bf16 is the upper half of float32, rounded to nearest even."""
    import numpy as np

    if dtype == "f32":
        return array
    if dtype == "f16":
        return array.astype(np.float16)
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _write_shards(folder: Path, tensors: Sequence[tuple[str, "Array"]], shards: int, dtype: Dtype) -> None:
    """The tensors in order over *shards* files of about equal size, with an index where there is more than one."""
    groups = _shared_out(tensors, shards)
    if shards == 1:
        _write_safetensors(folder / "model.safetensors", groups[0], dtype)
        return
    names = [f"model-{nth:05d}-of-{shards:05d}.safetensors" for nth in range(1, shards + 1)]
    for name, group in zip(names, groups, strict=True):
        _write_safetensors(folder / name, group, dtype)
    weight_map = {tensor: name for name, group in zip(names, groups, strict=True) for tensor, _ in group}
    total = sum(array.nbytes for _, array in tensors)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    _write_json(folder / "model.safetensors.index.json", index)


def _shared_out(tensors: Sequence[tuple[str, "Array"]], shards: int) -> list[list[tuple[str, "Array"]]]:
    """The tensors in order, in *shards* groups of about equal size, none empty."""
    groups: list[list[tuple[str, Array]]] = [[]]
    filled, left = 0, sum(array.nbytes for _, array in tensors)
    for index, (name, array) in enumerate(tensors):
        later = shards - len(groups)
        full = filled + array.nbytes / 2 > (filled + left) / (later + 1)
        if groups[-1] and later and (full or len(tensors) - index <= later):
            groups.append([])
            filled = 0
        groups[-1].append((name, array))
        filled += array.nbytes
        left -= array.nbytes
    return groups


def _write_safetensors(path: Path, tensors: Sequence[tuple[str, "Array"]], dtype: Dtype) -> None:
    """A safetensors file: length of the header (u64), header padded with spaces to 8 bytes, the raw data."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, array in tensors:
        end = offset + array.nbytes
        header[name] = {"dtype": dtype.upper(), "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, array in tensors:
            file.write(array.tobytes())


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------- GGUF

_GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


def _gguf_name(name: str) -> str:
    base = name.removesuffix(".weight")
    if not base.startswith("model.layers."):
        return f"{_GGUF_NAMES[base]}.weight"
    _, _, number, part = base.split(".", 3)
    return f"blk.{number}.{_GGUF_NAMES[part]}.weight"


def _interleaved(name: str, array: "Array", shape: Preset) -> "Array":
    """*array* as llama.cpp wants it: rows of queries and keys rotate in neighbouring pairs there, in halves here.

    Without it the model still answers, with other tokens than every other engine gives.
    """
    heads = {"q_proj": shape.heads, "k_proj": shape.kv_heads}.get(name.split(".")[-2])
    if heads is None:
        return array
    rows, columns = array.shape
    return array.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _tensor_type(gguf: Any, name: str, outtype: Outtype) -> Any:
    """The type of a matrix; beside q4_0 the embedding and the output stay at q8_0, as llama.cpp's own converter does."""
    if outtype == "q4_0" and name in {"model.embed_tokens.weight", "lm_head.weight"}:
        return gguf.GGMLQuantizationType.Q8_0
    return gguf.GGMLQuantizationType[outtype.upper()]


def _file_type(gguf: Any, outtype: Outtype) -> int:
    kind = gguf.LlamaFileType
    return int(kind.ALL_F32 if outtype == "f32" else kind[f"MOSTLY_{outtype.upper()}"])


def _add_shape(writer: Any, shape: Preset) -> None:
    writer.add_block_count(shape.layers)
    writer.add_context_length(MAX_LENGTH)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(ROPE_THETA)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    writer.add_vocab_size(shape.vocabulary)


def _add_tokenizer(writer: Any, tokenizer: Tokenizer, vocabulary: int, kind: Any) -> None:
    """The tokenizer; every id up to *vocabulary* needs a token, those the training did not fill are unused ones."""
    known = len(tokenizer.tokens)
    unused = [f"[PAD{index}]" for index in range(known, vocabulary)]
    types = [kind.NORMAL] * (known - len(SPECIAL)) + [kind.CONTROL] * len(SPECIAL) + [kind.UNUSED] * len(unused)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*tokenizer.tokens, *unused])
    writer.add_token_types(types)
    writer.add_token_merges([f"{left} {right}" for left, right in tokenizer.merges])
    writer.add_eos_token_id(tokenizer.id_of(TURN_END))
    writer.add_pad_token_id(tokenizer.id_of(END_OF_TEXT))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
