"""Weights and caches in bytes: formulas against measurement, and as properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.engines import llamacpp, memory, vllm
from lading.engines.base import HardwareFacts, ModelFacts

MIB = 2**20
#: The 52 M test model (`lading.testing.tiny_llama`, preset 52m) whose server was measured.
SMALL = ModelFacts(
    format="gguf",
    weights_bytes=int(52.44e6 * 2),
    layers=14,
    heads=8,
    kv_heads=4,
    head_dim=64,
    hidden=512,
    vocabulary=8192,
    max_length=4096,
)
LARGE = ModelFacts(
    format="safetensors",
    weights_bytes=16 * 10**9,
    layers=32,
    heads=32,
    kv_heads=8,
    head_dim=128,
    hidden=4096,
    vocabulary=128_256,
    max_length=8192,
    dtype="bfloat16",
)
models = st.builds(
    ModelFacts, format=st.just("gguf"), weights_bytes=st.integers(10**6, 10**12), layers=st.integers(1, 128), heads=st.just(64),
    kv_heads=st.integers(1, 64), head_dim=st.sampled_from([32, 64, 128]), hidden=st.integers(64, 16384),
    vocabulary=st.integers(256, 300_000), max_length=st.integers(256, 10**6),
)  # fmt: skip


def kv_mib(**params):
    return llamacpp.ENGINE.memory(params, SMALL).kv_bytes / MIB


def test_the_measured_server_agrees_within_1_mib():
    """Resident memory of a real llama.cpp: +168 MiB from 4,096 to 16,384 tokens over 4 slots, +56 with f32, -26 with q8_0."""
    base = kv_mib(n_ctx=4096, n_parallel=8)
    assert memory.kv_bytes_per_token(SMALL, 2, 2) == 14_336
    assert base == pytest.approx(56, abs=0.1)
    assert kv_mib(n_ctx=16384, n_parallel=8) - base == pytest.approx(168, abs=1)
    assert kv_mib(n_ctx=4096, n_parallel=8, cache_type_k="f32", cache_type_v="f32") - base == pytest.approx(56, abs=1)
    assert kv_mib(n_ctx=4096, n_parallel=8, cache_type_k="q8_0", cache_type_v="q8_0") - base == pytest.approx(
        -26, abs=1
    )


def test_the_model_s_own_length_is_paid_for_every_slot():
    assert kv_mib(n_ctx=0, n_parallel=4) == pytest.approx(4 * 56, abs=0.1)
    assert kv_mib(n_ctx=4096, n_parallel=4, kv_unified=True) == pytest.approx(56, abs=0.1)


@given(models, st.integers(1, 65536), st.integers(1, 64))
def test_more_context_or_more_slots_never_need_less(model, n_ctx, n_parallel):
    less = llamacpp.ENGINE.memory({"n_ctx": n_ctx, "n_parallel": n_parallel}, model)
    more = llamacpp.ENGINE.memory({"n_ctx": 2 * n_ctx, "n_parallel": n_parallel}, model)
    assert less.kv_bytes <= more.kv_bytes
    assert less.kv_bytes == less.kv_tokens * less.kv_bytes_per_token
    assert less.total_bytes >= model.weights_bytes


@given(models, st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]))
def test_sharing_over_gpus_never_needs_more_on_each(model, tensor, pipeline):
    alone = vllm.ENGINE.memory({}, model)
    shared = vllm.ENGINE.memory({"tensor_parallel_size": tensor, "pipeline_parallel_size": pipeline}, model)
    assert shared.weights_bytes <= alone.weights_bytes
    assert shared.kv_bytes_per_token <= alone.kv_bytes_per_token
    assert shared.weights_bytes * tensor * pipeline <= model.weights_bytes


def test_the_share_of_a_gpu_becomes_cache():
    """80 GB · 0.92 less weights and the rest, 128 KiB per token; half as much per token in fp8."""
    gpu = HardwareFacts(gpus=1, gpu_memory_bytes=80 * 10**9)
    plain, half = (vllm.ENGINE.memory({"kv_cache_dtype": kind}, LARGE, gpu) for kind in ("auto", "fp8_e4m3"))
    assert plain.kv_bytes_per_token == 2 * 32 * 8 * 128 * 2 == 131_072
    assert half.kv_bytes_per_token == plain.kv_bytes_per_token // 2
    assert plain.total_bytes == pytest.approx(0.92 * 80e9, abs=1)
    assert plain.sequences(8192) == plain.kv_tokens // 8192
    assert half.sequences(8192) >= 2 * plain.sequences(8192)


def test_a_fixed_pool_is_the_pool():
    need = vllm.ENGINE.memory(
        {"kv_cache_memory_bytes": 10**9}, LARGE, HardwareFacts(gpus=1, gpu_memory_bytes=80 * 10**9)
    )
    assert (need.kv_bytes, need.kv_tokens) == (10**9, 10**9 // 131_072)


def test_heads_that_cannot_be_split_are_repeated():
    assert (
        memory.kv_bytes_per_token(LARGE, 2, 2, tensor=16)
        == memory.kv_bytes_per_token(LARGE, 2, 2, tensor=8)
        == 131_072 // 8
    )
