"""SGLang: what people write, its command line, what it says of itself, and how it fails. Argv only: it does not run here."""

import json
from importlib import resources

import pytest

from lading.engines import effective, gpus, memory, sglang_parameters
from lading.engines.base import HardwareFacts, Launch, ModelFacts, RuleInput
from lading.engines.sglang import ENGINE
from lading.errors import InvalidParameters

GIB = 2**30
LLAMA_8B = ModelFacts(
    format="safetensors", weights_bytes=16 * 10**9, layers=32, heads=32, kv_heads=8, head_dim=128, hidden=4096,
    vocabulary=128_256, max_length=8192, dtype="bfloat16",
)  # fmt: skip
H100 = HardwareFacts(gpus=2, gpu_memory_bytes=80 * GIB, gpu_capability=9.0)


def argv(served_name="m", **params):
    return ENGINE.command(
        Launch(
            model="/mnt/m",
            served_name=served_name,
            host="0.0.0.0",
            port=8000,
            params=params,
            program=ENGINE.programs[0],
        )
    )


def test_the_command_line_of_a_configuration():
    command = argv(
        tp=2, context_length="8Ki", disable_radix_cache=True, kv_cache_dtype="fp8_e4m3", cuda_graph_bs_decode=[1, 2],
        chunked_prefill_size=-1, cuda_graph_config={"decode": {"max_bs": 8}}, enable_tf32_matmul=False,
    )  # fmt: skip
    assert command.argv == (
        "--model-path", "/mnt/m", "--served-model-name", "m", "--host", "0.0.0.0", "--port", "8000",
        "--chunked-prefill-size=-1", "--context-length", "8192", "--cuda-graph-bs-decode", "1", "2",
        "--cuda-graph-config", '{"decode":{"max_bs":8}}', "--disable-radix-cache", "--enable-metrics",
        "--no-enable-tf32-matmul", "--kv-cache-dtype", "fp8_e4m3", "--tp-size", "2",
    )  # fmt: skip
    assert command.env == {"SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION": "0"}  # a busy server answers /health at once


def test_metrics_are_on_unless_told_otherwise():
    assert "--enable-metrics" in argv().argv
    assert "--enable-metrics" not in argv(enable_metrics=False).argv


def test_a_served_name_with_a_colon_is_refused_before_sglang_does():
    with pytest.raises(InvalidParameters, match="colon: llama:8b"):
        argv(served_name="llama:8b")


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ({"context-length": "8k"}, {"context_length": 8000}),
        ({"context_length": "8Ki"}, {"context_length": 8192}),
        ({"--tensor-parallel-size": 4}, {"tp_size": 4}),
        ({"tp": "4", "tp_size": 4}, {"tp_size": 4}),
        ({"--no-enable-tf32-matmul": True}, {"enable_tf32_matmul": False}),
        ({"kv_cache_dtype": "bf16"}, {"kv_cache_dtype": "bfloat16"}),
        ({"dtype": "half"}, {"dtype": "float16"}),
        ({"enable_hicache": True}, {"enable_hierarchical_cache": True}),
        ({"cuda_graph_config.decode.max_bs": 8}, {"cuda_graph_config": '{"decode":{"max_bs":8}}'}),
        ({"mem_fraction_static": None}, {}),
    ],
)
def test_what_people_write_is_one_canonical_form(written, canonical):
    assert ENGINE.parse(written) == canonical


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"max_running_request": 8}, "max_running_request is not a parameter of sglang 0.5.23; did you mean max_running_requests?"),
        ({"max_num_seqs": 8}, "max_num_seqs is vLLM's name: sglang's is max_running_requests"),
        ({"disable_cuda_graph": True}, "disable_cuda_graph is gone in sglang 0.5.23: say cuda_graph_backend_decode and cuda_graph_backend_prefill disabled"),
        ({"cuda_graph_max_bs": 8}, "cuda_graph_max_bs is gone in sglang 0.5.23: say cuda_graph_max_bs_decode"),
        ({"kv_cache_dtype": "fp8"}, "kv_cache_dtype: 'fp8' is not one of auto, fp8_e5m2, fp8_e4m3, mxfp8, bf16, bfloat16, nvfp4, fp4_mx_block16; did you mean mxfp8?"),
        ({"mem_fraction_static": 1.5}, "mem_fraction_static: 1.5 is more than 1"),
        ({"port": 1}, "port is not set here: give the backend's port"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_the_nearest_right(written, message):
    with pytest.raises(InvalidParameters) as refused:
        ENGINE.parse(written)
    assert refused.value.message == message


def test_a_secret_is_never_repeated():
    with pytest.raises(InvalidParameters, match="may not stand on a command line") as refused:
        ENGINE.parse({"api_key": "s3cret"})
    assert "s3cret" not in str(refused.value)


def test_the_data_is_whole():
    """531 options beside --help: those that may be set, those a launch sets by itself, and the deprecated ones."""
    rows = json.loads(resources.files("lading.engines").joinpath("data/sglang-0.5.23.json").read_text())["parameters"]
    names = {row["name"] for row in rows}
    refused = sglang_parameters.RESERVED.keys() | sglang_parameters.GONE.keys()
    assert len(rows) == 531
    assert ENGINE.parameters.keys() == names - refused
    assert sglang_parameters.CURATED.keys() <= ENGINE.parameters.keys()
    assert not sglang_parameters.FOREIGN.keys() & names
    assert all(target.split()[0] in ENGINE.parameters for _, target in sglang_parameters.FOREIGN.values())
    assert set(sglang_parameters.ALIASES.values()) <= ENGINE.parameters.keys()


def test_gpus_are_those_of_its_own_sizes():
    """Attention ranks and experts lie inside tp_size."""
    assert gpus.asked(ENGINE, {"tp_size": 4, "pp_size": 2, "dp_size": 2, "attn_dp_size": 1}) == 16
    assert gpus.asked(ENGINE, {"tp_size": 4, "attn_dp_size": 4, "ep_size": 4}) == 4


BROKEN = {
    "heads-divide": {"tp_size": 3},
    "kv-heads-divide": {"tp_size": 32, "attn_dp_size": 1, "pp_size": 1},
    "gpus": {"tp_size": 4},
    "layers": {"pp_size": 64},
    "nodes": {"nnodes": 2},
    "attention-ranks": {"attn_dp_size": 2},
    "copies-or-attention-ranks": {"dp_size": 2, "attn_dp_size": 2, "tp_size": 2},
    "dense-layers": {"moe_dense_tp_size": 3, "tp_size": 2},
    "experts": {"ep_size": 2, "tp_size": 2},
    "chunk-of-pages": {"chunked_prefill_size": 1000, "page_size": 64},
    "priorities": {"enable_priority_scheduling": True, "schedule_policy": "lpm"},
    "exclusions": {"enable_hierarchical_cache": True, "disable_radix_cache": True},
    "draft-numbers": {"speculative_algorithm": "EAGLE", "speculative_num_steps": 3},
    "length-of-model": {"context_length": 16384},
    "length-holds-request": {"context_length": 1024},
    "memory": {"mem_fraction_static": 0.1},
    "quantisation-on-gpu": {"quantization": "w8a8_fp8"},
    "quantisation-of-checkpoint": {"quantization": "awq"},
    "cache-on-gpu": {"kv_cache_dtype": "mxfp8"},
}
SPECIAL = {
    "kv-heads-divide": {"model": ModelFacts(format="safetensors", kv_heads=12, heads=96)},
    "quantisation-on-gpu": {"hardware": HardwareFacts(gpus=1, gpu_capability=8.0)},
    "quantisation-of-checkpoint": {"model": ModelFacts(format="safetensors", quantization="gptq")},
}


@pytest.mark.parametrize("rule", [rule.name for rule in ENGINE.rules])
def test_each_rule_is_broken_by_what_sglang_would_refuse(rule):
    facts = {"model": LLAMA_8B, "hardware": H100, "longest_request_tokens": 4096, **SPECIAL.get(rule, {})}
    told = {one.rule: one for one in ENGINE.violations(RuleInput(params=ENGINE.parse(BROKEN[rule]), **facts))}
    assert rule in told
    assert told[rule].hint


@pytest.mark.parametrize(
    "params",
    [
        {"tp_size": 2}, {"dp_size": 2}, {"tp_size": 2, "attn_dp_size": 2}, {"chunked_prefill_size": -1, "page_size": 64},
        {"chunked_prefill_size": 4096, "page_size": 64}, {"schedule_policy": "lof", "enable_priority_scheduling": True},
        {"speculative_algorithm": "EAGLE", "speculative_num_steps": 3, "speculative_eagle_topk": 1, "speculative_num_draft_tokens": 4},
        {"kv_cache_dtype": "fp8_e4m3", "mem_fraction_static": 0.85},
    ],
    ids=str,
)  # fmt: skip
def test_what_sglang_takes_breaks_no_rule(params):
    given = RuleInput(params=ENGINE.parse(params), model=LLAMA_8B, hardware=H100, longest_request_tokens=4096)
    assert ENGINE.violations(given) == ()


def test_the_static_share_is_computed_as_sglang_does():
    """On 24 GiB it keeps 512 + 1.5 · 4096 + 128 + 2 · 48 MiB; above 60 GiB at least 10 GiB, and more for its chunk of 8192."""
    resolved = ENGINE.resolved({})
    assert memory.sglang_static_share(resolved, H100) == pytest.approx(1 - 13440 / (80 * 1024))
    least = ENGINE.resolved({"chunked_prefill_size": 2048, "cuda_graph_backend_decode": "disabled"})
    assert memory.sglang_static_share(least, H100) == pytest.approx(70 / 80)
    small = HardwareFacts(gpus=1, gpu_memory_bytes=24 * GIB)
    assert memory.sglang_static_share(resolved, small) == pytest.approx(1 - 6880 / (24 * 1024))
    assert memory.sglang_static_share(ENGINE.resolved({"mem_fraction_static": 0.8}), small) == 0.8
    assert memory.sglang_static_share(resolved, None) is None


def test_the_cache_is_what_the_share_leaves():
    one = ENGINE.memory({"mem_fraction_static": 0.8}, LLAMA_8B, H100)
    assert one.kv_bytes_per_token == 2 * 32 * 8 * 128 * 2
    assert one.kv_tokens == (int(0.8 * 80 * GIB) - 16 * 10**9) // one.kv_bytes_per_token
    two = ENGINE.memory({"mem_fraction_static": 0.8, "tp_size": 2, "kv_cache_dtype": "fp8_e4m3"}, LLAMA_8B, H100)
    assert two.weights_bytes == 8 * 10**9
    assert two.kv_bytes_per_token == one.kv_bytes_per_token / 4
    split = ENGINE.memory({"mem_fraction_static": 0.8, "tp_size": 2, "attn_dp_size": 2}, LLAMA_8B, H100)
    assert split.kv_bytes_per_token == one.kv_bytes_per_token
    assert ENGINE.memory({"max_total_tokens": 1000}, LLAMA_8B, H100).kv_tokens == 1000


INFO = {
    "tp_size": 2, "page_size": 64, "mem_fraction_static": 0.875, "max_running_requests": None, "attn_dp_size": 2,
    "chunked_prefill_size": 4096, "cuda_graph_bs_decode": [1, 2, 4], "quantization": None, "version": "0.5.23", "api_key": "s3cret",
    "internal_states": [{"effective_max_running_requests_per_dp": 128}],
}  # fmt: skip
LOG = [
    "[2026-11-21 10:00:00 TP0] Load weight end. elapsed=3.1 s",
    "[2026-11-21 10:00:00 TP0] max_total_num_tokens=250000, chunked_prefill_size=8192, max_prefill_tokens=16384, max_running_requests=2048, context_len=8192, available_gpu_mem=9.10 GB",
]  # fmt: skip


def test_it_tells_all_of_its_parameters_as_it_resolved_them():
    models = {"data": [{"id": "m", "max_model_len": 4096}]}
    told = ENGINE.effective({"server_info": INFO, "models": models}, LOG)
    assert told == {
        "tp_size": 2, "page_size": 64, "mem_fraction_static": 0.875, "max_running_requests": 256, "attn_dp_size": 2,
        "chunked_prefill_size": 4096, "cuda_graph_bs_decode": "[1,2,4]", "version": "0.5.23", "served_name": "m",
        "context_length": 4096, "kv_cache_tokens": 250_000,
    }  # fmt: skip
    assert ENGINE.effective({"get_server_info": INFO}, ())["page_size"] == 64
    assert ENGINE.effective({}, LOG) == {"kv_cache_tokens": 250_000, "context_length": 8192}


def test_a_silent_change_is_told_in_words():
    asked = ENGINE.parse({"page_size": 1, "tp_size": 2, "cuda_graph_bs_decode": [1, 2, 4], "max_running_requests": 512})
    told = ENGINE.effective({"server_info": INFO}, ())
    assert effective.differences(asked, told) == (
        "max_running_requests: asked for 512, runs with 256",
        "page_size: asked for 1, runs with 64",
    )


@pytest.mark.parametrize(
    ("line", "name", "kind"),
    [
        ("launch_server.py: error: unrecognized arguments: --swap-space 4", "bad-argument", "configuration"),
        ("sglang serve: error: ambiguous option: --cuda-graph-max-bs could match --cuda-graph-max-bs-decode, --cuda-graph-max-bs-prefill", "bad-argument", "configuration"),
        ("RuntimeError: Not enough memory. Please try to increase --mem-fraction-static. Current value: mem_fraction_static=0.1", "out-of-memory", "configuration"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "out-of-memory", "configuration"),
        ("ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89.", "unsupported-gpu", "configuration"),
        ("ValueError: The memory capacity is unbalanced. Some GPUs may be occupied by other processes.", "gpu-occupied", "infrastructure"),
        ("[Errno 98] error while attempting to bind on address ('0.0.0.0', 30000): address already in use", "port-in-use", "infrastructure"),
        ("RuntimeError: No CUDA GPUs are available", "no-gpu", "infrastructure"),
        ("ValueError: User-specified context_length (9000) is greater than the derived context_length (4096).", "bad-argument", "configuration"),
        ("AssertionError: chunked_prefill_size must be divisible by page_size", "bad-argument", "configuration"),
        ("Initialization failed. warmup error: requests.exceptions.ProxyError", "no-answer", "unknown"),
    ],
)  # fmt: skip
def test_known_lines_have_their_class(line, name, kind):
    """The line that says it plainly wins over the traceback it stands in; a port tried in passing is no failure."""
    log = [
        "[2026-11-21 10:00:00] Port 30000 is already in use, trying port 30001",
        f"[2026-11-21 10:00:01 TP0] {line}",
        "[2026-11-21 10:00:02] Received sigquit from a child process. It usually means the child failed.",
    ]
    failure = ENGINE.classify(log, -9)
    assert (failure.name, failure.kind, failure.reason) == (name, kind, line)
    assert failure.hint
