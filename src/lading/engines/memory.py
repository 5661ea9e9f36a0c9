"""What a server will need, from the model's shape and the parameters. Estimates: the engine's own profile decides.

Weights and caches are arithmetic and agree with measurement within 1 MiB on a 52 M model (the tests hold these figures);
what an engine needs beside them (activations, graphs, the runtime) is a rough figure, so that a rule built on the sum
only refuses what is far from possible.
"""

import math

from lading.engines.base import HardwareFacts, MemoryEstimate, ModelFacts, Params, Value

MIB = 2**20
#: llama.cpp gives each slot a multiple of this many tokens.
SLOT_STEP = 256
#: Bytes of one cached value by the cache's type; block formats hold 32 values and a scale.
VALUE_BYTES = {
    "f32": 4.0, "float32": 4.0, "f16": 2.0, "float16": 2.0, "bf16": 2.0, "bfloat16": 2.0,
    "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32, "q4_1": 20 / 32, "q4_0": 18 / 32, "iq4_nl": 18 / 32,
    "fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "nvfp4": 18 / 32, "mxfp8": 33 / 32, "fp4_mx_block16": 17 / 32,
}  # fmt: skip


def kv_bytes_per_token(
    model: ModelFacts, key_bytes: float, value_bytes: float, *, tensor: int = 1, pipeline: int = 1
) -> int | None:
    """Bytes that one token's keys and values take on one device; None where the shape is unknown.

    ``(layers / pipeline) · max(1, kv_heads / tensor) · head_dim · (key + value)``: heads that cannot be split are
    repeated on every rank. Not for latent attention, whose cache is one vector per layer.
    """
    if not model.layers or not model.kv_heads or not model.head_dim:
        return None
    layers = math.ceil(model.layers / pipeline)
    heads = max(1, model.kv_heads // tensor)
    return math.ceil(layers * heads * model.head_dim * (key_bytes + value_bytes))


def slot_tokens(params: Params, model: ModelFacts | None = None) -> int | None:
    """Tokens of context that each slot of llama.cpp gets: rounded up to 256, never more than the model was trained for."""
    n_ctx, n_parallel = params.get("n_ctx"), params.get("n_parallel") or 1
    trained = model.max_length if model else None
    if not isinstance(n_ctx, int) or not isinstance(n_parallel, int) or n_parallel < 1:
        return None
    if n_ctx == 0:
        return trained
    share = n_ctx if params.get("kv_unified") else math.ceil(n_ctx / n_parallel)
    rounded = math.ceil(share / SLOT_STEP) * SLOT_STEP
    return min(rounded, trained) if trained else rounded


def llamacpp(params: Params, model: ModelFacts) -> MemoryEstimate | None:
    """llama.cpp's need, with *params* resolved: the whole cache is allocated at start."""
    per_token = kv_bytes_per_token(model, _value_bytes(params["cache_type_k"]), _value_bytes(params["cache_type_v"]))
    slot = slot_tokens(params, model)
    if per_token is None or slot is None or model.weights_bytes is None:
        return None
    slots = 1 if params.get("kv_unified") and params.get("n_ctx") else _whole(params.get("n_parallel"), 1)
    tokens = slot * slots
    return MemoryEstimate(
        weights_bytes=model.weights_bytes,
        kv_bytes=tokens * per_token,
        overhead_bytes=16 * MIB + _activations(model, _whole(params.get("n_ubatch"), 512), 4),
        kv_bytes_per_token=per_token,
        kv_tokens=tokens,
    )


def vllm(params: Params, model: ModelFacts, hardware: HardwareFacts | None) -> MemoryEstimate | None:
    """The need of vLLM per GPU, with *params* resolved: what the share of the GPU leaves beside weights becomes the cache.

    Without the GPU's size, the cache is that of one sequence of the longest length: the least it starts with.
    """
    tensor, pipeline = _whole(params.get("tensor_parallel_size"), 1), _whole(params.get("pipeline_parallel_size"), 1)
    value_bytes = _kv_value_bytes(params, model)
    per_token = kv_bytes_per_token(model, value_bytes, value_bytes, tensor=tensor, pipeline=pipeline)
    if per_token is None or model.weights_bytes is None:
        return None
    weights = model.weights_bytes // (tensor * pipeline)
    overhead = 512 * MIB + _activations(model, _whole(params.get("max_num_batched_tokens"), 2048), 2)
    kv_bytes = _pool_bytes(params, hardware, weights + overhead)
    longest = _whole(params.get("max_model_len"), model.max_length or 0)
    return MemoryEstimate(
        weights_bytes=weights,
        kv_bytes=longest * per_token if kv_bytes is None else kv_bytes,
        overhead_bytes=overhead,
        kv_bytes_per_token=per_token,
        kv_tokens=None if kv_bytes is None else kv_bytes // per_token,
    )


def sglang(params: Params, model: ModelFacts, hardware: HardwareFacts | None) -> MemoryEstimate | None:
    """The need of SGLang per GPU, with *params* resolved: the static share of the GPU less the weights becomes the cache.

    Without the GPU's size, the cache is that of one sequence of the longest length: the least that serves it.
    """
    tensor, pipeline = _whole(params.get("tp_size"), 1), _whole(params.get("pp_size"), 1)
    value_bytes = _kv_value_bytes(params, model)
    shared = max(1, tensor // _whole(params.get("attn_dp_size"), 1))
    per_token = kv_bytes_per_token(model, value_bytes, value_bytes, tensor=shared, pipeline=pipeline)
    if per_token is None or model.weights_bytes is None:
        return None
    weights = model.weights_bytes // (tensor * pipeline)
    fixed = _whole(params.get("max_total_tokens"), 0)
    share, size = sglang_static_share(params, hardware), hardware.gpu_memory_bytes if hardware else None
    longest = _whole(params.get("context_length"), model.max_length or 0)
    pool = max(0, int(share * size) - weights) // per_token if share is not None and size else None
    tokens = min(fixed, pool) if fixed and pool is not None else fixed or pool
    return MemoryEstimate(
        weights_bytes=weights,
        kv_bytes=(longest if tokens is None else tokens) * per_token,
        overhead_bytes=_sglang_reserve_bytes(params, size),
        kv_bytes_per_token=per_token,
        kv_tokens=tokens,
    )


def sglang_static_share(params: Params, hardware: HardwareFacts | None) -> float | None:
    """``mem_fraction_static``: as asked, else as SGLang computes it from the GPU's size; None where that is unknown."""
    asked = params.get("mem_fraction_static")
    if isinstance(asked, int | float) and not isinstance(asked, bool):
        return float(asked)
    size = hardware.gpu_memory_bytes if hardware else None
    return max(0.0, (size - _sglang_reserve_bytes(params, size)) / size) if size else None


#: GPU memory below which a default holds, in GiB; tokens of a chunk; largest batch with a graph, below and from four GPUs.
_SGLANG_SIZES = ((20, 2048, 8, 8), (35, 4096, 48, 160), (60, 4096, 32, 160), (160, 8192, 256, 512), (math.inf, 16384, 512, 512))  # fmt: skip


def _sglang_reserve_bytes(params: Params, gpu_memory_bytes: int | None) -> int:
    """What SGLang keeps free for activations, graphs and the runtime: ``512 + 1.5 · tokens + 1024 · TP · PP / 8 + 2 · graphs`` MiB.

    At least 10 GiB on GPUs of more than 60 GiB, and 2 GiB more for DeepEP's buffers (arg_groups/memory_hook.py).
    Graphs of prefill, some 8 MiB each, are not counted: how many there are is decided at start.
    """
    size_gib = (gpu_memory_bytes or 40 * 1024 * MIB) / (1024 * MIB)
    _, tokens, graphs, more_graphs = next(row for row in _SGLANG_SIZES if size_gib < row[0])
    ranks = _whole(params.get("tp_size"), 1) * _whole(params.get("pp_size"), 1)
    batch = _whole(
        params.get("cuda_graph_max_bs_decode"), more_graphs if _whole(params.get("tp_size"), 1) >= 4 else graphs
    )
    graphed = 0 if params.get("cuda_graph_backend_decode") == "disabled" else batch
    whole_prompts = params.get("chunked_prefill_size") == -1
    step = (
        _whole(params.get("max_prefill_tokens"), 16384)
        if whole_prompts
        else _whole(params.get("chunked_prefill_size"), tokens)
    )
    reserve_mib = 512 + 1.5 * max(step, 2048) + 1024 * ranks / 8 + 2 * graphed
    if size_gib > 60:
        reserve_mib = max(reserve_mib, 10 * 1024)
    return int((reserve_mib + (2048 if params.get("moe_a2a_backend") == "deepep" else 0)) * MIB)


def _pool_bytes(params: Params, hardware: HardwareFacts | None, taken_bytes: int) -> int | None:
    fixed = params.get("kv_cache_memory_bytes")
    if isinstance(fixed, int) and not isinstance(fixed, bool):
        return fixed
    share = params.get("gpu_memory_utilization")
    if hardware is None or not hardware.gpu_memory_bytes or not isinstance(share, int | float):
        return None
    return max(0, int(share * hardware.gpu_memory_bytes) - taken_bytes)


def _kv_value_bytes(params: Params, model: ModelFacts) -> float:
    kind = params.get("kv_cache_dtype", "auto")
    if kind == "auto":
        dtype = params.get("dtype", "auto")
        kind = (model.dtype or "bfloat16") if dtype == "auto" else dtype
    return _value_bytes(kind)


def _value_bytes(kind: Value) -> float:
    """Bytes per value of a cache of *kind*, 2 where it is not known."""
    return VALUE_BYTES.get(str(kind), 2.0)


def _whole(value: Value, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else otherwise


def _activations(model: ModelFacts, tokens: int, value_bytes: int) -> int:
    """Roughly what one step over *tokens* holds: some vectors per token, and the logits of a share of them."""
    return tokens * value_bytes * (8 * (model.hidden or 0) + (model.vocabulary or 0) // 2)
