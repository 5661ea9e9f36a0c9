"""Each rule breaks where its source says the engine would fail, and not beside it."""

import pytest

from lading.engines import llamacpp, rules, vllm
from lading.engines.base import HardwareFacts, ModelFacts, RuleInput

LLAMA = ModelFacts(
    format="safetensors", weights_bytes=16 * 10**9, layers=32, heads=32, kv_heads=8, head_dim=128, hidden=4096,
    vocabulary=128_256, max_length=8192, dtype="bfloat16",
)  # fmt: skip
GGUF = ModelFacts(
    format="gguf",
    weights_bytes=105 * 10**6,
    layers=14,
    heads=8,
    kv_heads=4,
    head_dim=64,
    hidden=512,
    vocabulary=8192,
    max_length=4096,
)
H100 = HardwareFacts(cpus=64, gpus=8, gpu_memory_bytes=80 * 10**9, gpu_capability=9.0)
A100 = HardwareFacts(cpus=64, gpus=2, gpu_memory_bytes=40 * 10**9, gpu_capability=8.0)
T4 = HardwareFacts(cpus=8, gpus=1, gpu_memory_bytes=16 * 10**9, gpu_capability=7.5)
LAPTOP = HardwareFacts(cpus=2, memory_bytes=8 * 10**9)

#: engine, parameters, facts, the rule they break, a word of its message.
BROKEN = [
    ("llama.cpp", {"n_ubatch": 1024, "n_batch": 512}, {}, "ubatch-in-batch", "1024"),
    ("llama.cpp", {"cache_type_v": "q4_0", "flash_attn": "off"}, {}, "quantised-v-needs-flash-attention", "q4_0"),
    ("llama.cpp", {"n_ctx": 2048, "n_parallel": 4}, {"longest_request_tokens": 513}, "slot-holds-request", "512"),
    ("llama.cpp", {"n_ctx": 0}, {"model": GGUF, "longest_request_tokens": 4097}, "slot-holds-request", "4,096"),
    ("llama.cpp", {"n_threads": 3}, {"hardware": LAPTOP}, "threads-on-cores", "2 cores"),
    ("llama.cpp", {"n_ctx": 4096 * 256, "n_parallel": 256}, {"model": GGUF, "hardware": LAPTOP}, "memory", "8.00 GB"),
    ("vllm", {"tensor_parallel_size": 3}, {"model": LLAMA}, "heads-divide", "32"),
    ("vllm", {"tensor_parallel_size": 16}, {"model": LLAMA, "hardware": H100}, "gpus", "16"),
    ("vllm", {"pipeline_parallel_size": 33}, {"model": LLAMA}, "layers", "32 layers"),
    ("vllm", {"tensor_parallel_size": 4, "decode_context_parallel_size": 3}, {}, "decode-context", "multiple"),
    ("vllm", {"tensor_parallel_size": 8, "decode_context_parallel_size": 2}, {"model": LLAMA}, "decode-context", "8 groups"),
    ("vllm", {"disable_chunked_prefill": True, "max_num_batched_tokens": 2048}, {"model": LLAMA}, "whole-prompt-in-batch", "8192"),
    ("vllm", {"max_num_seqs": 512, "max_num_batched_tokens": 256}, {}, "sequences-in-batch", "512"),
    ("vllm", {"max_num_active_seqs": 9, "max_num_seqs": 8}, {}, "active-sequences", "9"),
    ("vllm", {"long_prefill_token_threshold": 8193}, {"model": LLAMA}, "prefill-threshold", "8193"),
    ("vllm", {"max_model_len": "9000"}, {"model": LLAMA}, "length-of-model", "9000"),
    ("vllm", {"max_model_len": 512}, {"longest_request_tokens": 640}, "length-holds-request", "640"),
    ("vllm", {}, {"model": LLAMA, "hardware": T4}, "memory", "16.0 GB"),
    ("vllm", {"kv_cache_memory_bytes": 10**8}, {"model": LLAMA, "hardware": A100}, "memory", "8,192 tokens"),
    ("vllm", {"quantization": "mxfp4"}, {"hardware": T4}, "quantisation-on-gpu", "7.5"),
    ("vllm", {"quantization": "fp8"}, {"model": ModelFacts(format="safetensors", quantization="awq")}, "quantisation-of-checkpoint", "awq"),
    ("vllm", {"quantization": "awq", "dtype": "float"}, {}, "quantisation-dtype", "float32"),
    ("vllm", {"quantization": "mxfp4", "dtype": "half"}, {}, "quantisation-dtype", "bfloat16"),
    ("vllm", {"attention_backend": "FLASH_ATTN", "kv_cache_dtype": "fp8"}, {"hardware": A100}, "cache-of-backend", "8.0"),
    ("vllm", {"attention_backend": "FLASH_ATTN", "kv_cache_dtype": "fp8_e5m2"}, {"hardware": H100}, "cache-of-backend", "never"),
    ("vllm", {"attention_backend": "FLEX_ATTENTION", "kv_cache_dtype": "fp8"}, {}, "cache-of-backend", "fp8_e4m3"),
    ("vllm", {"kv_cache_dtype": "float16"}, {"model": LLAMA}, "cache-is-dtype", "bfloat16"),
    ("vllm", {"dtype": "bfloat16"}, {"hardware": T4}, "bfloat16-on-gpu", "7.5"),
    ("vllm", {"enable_expert_parallel": True}, {"model": LLAMA}, "experts", "no experts"),
    ("vllm", {"enable_eplb": True}, {}, "expert-balance", "enable_expert_parallel"),
    ("vllm", {"enable_eplb": True, "enable_expert_parallel": True}, {}, "expert-balance", "more than one GPU"),
    ("vllm", {"async_scheduling": True, "pipeline_parallel_size": 2}, {}, "async-with-pipeline", "pipeline_parallel_size"),
    ("vllm", {"spec_tokens": 64, "max_num_batched_tokens": 64, "max_num_seqs": 8}, {}, "draft-in-batch", "64"),
]  # fmt: skip
#: Just beside: nothing is broken.
KEPT = [
    ("llama.cpp", {"n_batch": 32}, {}),  # the physical batch follows
    ("llama.cpp", {"cache_type_k": "q4_0", "flash_attn": "off"}, {}),
    ("llama.cpp", {"cache_type_v": "q8_0"}, {}),
    ("llama.cpp", {"n_ctx": 2048, "n_parallel": 4}, {"longest_request_tokens": 512}),
    ("llama.cpp", {"n_ctx": 2048, "n_parallel": 4, "kv_unified": True}, {"longest_request_tokens": 2048}),
    ("llama.cpp", {"n_ctx": 2048, "n_parallel": 3}, {"longest_request_tokens": 768}),  # rounded up
    ("llama.cpp", {"n_threads": 2, "n_threads_batch": -1}, {"hardware": LAPTOP, "model": GGUF}),
    ("vllm", {"tensor_parallel_size": 8}, {"model": LLAMA, "hardware": H100}),
    ("vllm", {"tensor_parallel_size": 16}, {"model": LLAMA}),  # KV heads are repeated; the GPUs are not known
    ("vllm", {"tensor_parallel_size": 16, "decode_context_parallel_size": 2}, {"model": LLAMA}),
    ("vllm", {"disable_chunked_prefill": True, "max_num_batched_tokens": "8K"}, {"model": LLAMA}),
    ("vllm", {"max_model_len": "auto"}, {"model": LLAMA, "hardware": A100}),
    ("vllm", {"quantization": "gptq_marlin"}, {"model": ModelFacts(format="safetensors", quantization="gptq")}),
    ("vllm", {"attention_backend": "FLASH_ATTN", "kv_cache_dtype": "fp8"}, {"hardware": H100}),
    ("vllm", {"kv_cache_dtype": "bfloat16"}, {"model": LLAMA}),
    ("vllm", {"enable_eplb": True, "enable_expert_parallel": True, "data_parallel_size": 2}, {}),
]  # fmt: skip
ENGINES = {"llama.cpp": llamacpp.ENGINE, "vllm": vllm.ENGINE}


@pytest.mark.parametrize(("engine", "params", "facts", "rule", "word"), BROKEN)
def test_a_breach_is_named_with_its_values_and_a_remedy(engine, params, facts, rule, word):
    found = ENGINES[engine].violations(RuleInput(params=params, **facts))
    assert [violation.rule for violation in found if violation.rule == rule] == [rule], found
    [violation] = [violation for violation in found if violation.rule == rule]
    assert word in violation.message
    assert violation.hint
    assert violation.source


@pytest.mark.parametrize(("engine", "params", "facts"), KEPT)
def test_beside_the_edge_nothing_is_broken(engine, params, facts):
    assert ENGINES[engine].violations(RuleInput(params=params, **facts)) == ()


def test_every_rule_is_broken_by_some_example():
    """n_parallel and n_batch below 1 are out of bounds already; their rules hold for values that no parser saw."""
    tried = {(engine, rule) for engine, _, _, rule, _ in BROKEN}
    untried = {(engine.name, rule.name) for engine in ENGINES.values() for rule in engine.rules} - tried
    assert untried == {("llama.cpp", "slots"), ("llama.cpp", "batch"), ("vllm", "kv-heads-divide")}


@pytest.mark.parametrize(
    ("rule", "params", "message"),
    [
        (rules.slots, {"n_parallel": 0}, "n_parallel is 0, it must be from 1 to 256"),
        (rules.slots, {"n_parallel": 300}, "n_parallel is 300, it must be from 1 to 256"),
        (rules.batch, {"n_batch": 0}, "n_batch is 0, it must be at least 1"),
        (
            rules.kv_heads_divide,
            {"tensor_parallel_size": 3},
            "the model has 8 KV heads: they can neither be split nor repeated over 3 GPUs",
        ),
    ],
)
def test_rules_behind_the_bounds(rule, params, message):
    assert rule.check(RuleInput(params=params, model=LLAMA)) == message


class Watched(dict):
    """Remembers what was looked up."""

    def __init__(self, *values):
        super().__init__(*values)
        self.seen = set()

    def __getitem__(self, name):
        self.seen.add(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        self.seen.add(name)
        return super().get(name, default)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_a_rule_looks_at_no_parameter_that_it_does_not_name(engine):
    """So `lading engines … --param` tells every rule that a parameter is in."""
    examples = [(params, facts) for name, params, facts, *_ in [*BROKEN, *KEPT] if name == engine.name]
    for params, facts in examples:
        for rule in engine.rules:
            watched = Watched(engine.resolved(engine.parse(params)))
            rule.check(RuleInput(params=watched, **facts))
            assert watched.seen <= set(rule.parameters), rule.name
