"""SGLang 0.5.23: what is known of its parameters beyond names, types and defaults.

The names, types, choices and defaults of all flags are data (``data/sglang-0.5.23.json``, made by ``tools/``). Here stand
the facts that no parser tells: how a default is decided at start, what a value does to memory, what excludes what, and
a range worth searching. Ranges are proposals for one node; vLLM's do not fit, the same words mean other things.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from lading.engines import argparsed
from lading.engines.argparsed import log_range, one_of
from lading.engines.base import Parameter, SearchRange, Value

VERSION = "0.5.23"


@cache
def parameters() -> Mapping[str, Parameter]:
    """Every parameter of the server that may be set, by name; `RESERVED` and `GONE` are the others."""
    return argparsed.catalogue("sglang", VERSION, CURATED, without=RESERVED.keys() | GONE.keys())


_FLOAT16: dict[str, Value] = {"half": "float16", "float": "float32"}
_GRAPHS = {"kind": "choice", "choices": ("full", "breakable", "disabled"), "default_note": "by the model and the GPU", "memory": "+"}  # fmt: skip

CURATED: dict[str, dict[str, Any]] = {
    "dtype": {"synonyms": _FLOAT16, "memory": "±", "help": "Type of weights and activations.", "note": "A quantisation may allow only some."},
    "quantization": {
        "default_note": "what the checkpoint says", "search": one_of(None, "fp8"), "memory": "-", "help": "How weights are quantised.",
        "note": "Must agree with a quantised checkpoint. There is no int8: w8a8_int8 is its name here.",
    },
    "kv_cache_dtype": {
        "synonyms": {"bf16": "bfloat16"}, "search": one_of("auto", "fp8_e4m3"), "memory": "KV /2", "help": "Type of cached keys and values.",
        "note": "No plain fp8: e4m3 or e5m2. fa3 with fp8_e5m2 becomes triton, with a warning. Guard the answers' quality.",
    },
    "context_length": {
        "minimum": 1, "default_note": "the model's own length", "memory": "bound", "help": "Longest prompt and answer together, in tokens.",
        "note": "Set it from the workload. More than the model's own is refused.",
    },
    "load_format": {"help": "How weights are read; changes only the time to start.", "note": "dummy gives random weights: for memory probes."},
    "trust_remote_code": {"help": "Run code that the model's folder brings.", "note": "It runs with the server's rights."},
    "random_seed": {"default_note": "by chance", "help": "Seed of random numbers.", "note": "Fix it for trials that can be compared."},
    "sampling_defaults": {"help": "Where sampling defaults come from: the model's file, or openai (none of its own).", "note": "Measure with openai."},
    "tp_size": {"minimum": 1, "search": one_of(1, 2, 4, 8), "memory": "--", "help": "GPUs that share each layer.", "note": "Divides the attention heads; at most the GPUs of a node."},
    "pp_size": {"minimum": 1, "search": one_of(1, 2), "memory": "--", "help": "Groups of GPUs that share the layers.", "note": "Turns the overlap scheduler off. At most the layers."},
    "dp_size": {
        "minimum": 1, "search": one_of(1, 2, 4), "help": "Copies of the model behind one endpoint, each on its own GPUs.",
        "note": "On one node only, and not with attn_dp_size above 1. Older versions meant ranks inside tp_size by it.",
    },
    "attn_dp_size": {
        "minimum": 1, "memory": "KV split", "help": "Ranks inside tp_size that each attend to their own requests.",
        "note": "For models with experts or latent attention. Divides tp_size; chunked_prefill_size and max_running_requests are split over it.",
    },
    "ep_size": {"minimum": 1, "memory": "±", "help": "GPUs over which experts are spread.", "note": "Only for models with experts; at most tp_size."},
    "attn_cp_size": {"minimum": 1, "memory": "KV", "help": "GPUs that share one prompt's attention.", "note": "attn_dp_size times it divides tp_size."},
    "dcp_size": {"minimum": 1, "memory": "KV", "help": "GPUs that share one sequence's cache in decode.", "note": "Not with enable_prefill_cp."},
    "moe_a2a_backend": {"memory": "+", "help": "How tokens reach their experts.", "note": "deepep takes 2 GiB of buffers."},
    "moe_dense_tp_size": {"minimum": 1, "help": "GPUs that share dense layers of a model with experts.", "note": "1 or tp_size."},
    "nnodes": {"minimum": 1, "help": "Machines of one server.", "note": "Divides tp_size times pp_size."},
    "mem_fraction_static": {
        "minimum": 0.0, "maximum": 1.0, "default_note": "what activations, graphs and the runtime leave: see the memory rule",
        "search": SearchRange(low=0.70, high=0.92), "memory": "budget", "help": "Share of each GPU's whole memory for weights and cache.",
        "note": "What is left holds activations and graphs: too much, and memory runs out under load. Not vLLM's share, which holds all.",
    },
    "max_total_tokens": {"minimum": 1, "memory": "KV pool", "default_note": "by mem_fraction_static", "help": "Tokens of cache.", "note": "Reproducible trials."},
    "max_running_requests": {
        "minimum": 1, "default_note": "2048 to 4096, at most half of the cache's tokens; 48 with speculation", "search": log_range(8, 2048), "memory": "graphs +",
        "help": "Most requests that run at once.", "note": "For all attention ranks together; lowered in silence to what the cache holds.",
    },
    "max_queued_requests": {"minimum": 1, "default_note": "no limit", "help": "Beyond so many waiting requests the server answers 503."},
    "chunked_prefill_size": {
        "minimum": -1, "default_note": "2048 below 20 GiB of GPU memory, 4096 below 60, 8192 below 160, then 16384", "search": log_range(1024, 32768),
        "memory": "activation +", "help": "Most tokens of a prompt in one step; -1: whole prompts.",
        "note": "The first lever between TTFT and ITL. A multiple of page_size.",
    },
    "max_prefill_tokens": {"minimum": 1, "search": log_range(4096, 65536), "memory": "activation +", "help": "Most prompt tokens of one step.", "note": "The bound is context_length where that is more."},
    "prefill_max_requests": {"minimum": 1, "default_note": "no limit", "help": "Most prompts in one step."},
    "prefill_decode_interval": {"minimum": 0, "default_note": "0", "search": one_of(None, 2, 8), "help": "Rounds of decode after each prefill.", "note": "Better ITL, later first tokens."},
    "enable_mixed_chunk": {"search": one_of(False, True), "help": "Prompts and answers in one step.", "note": "Not with most speculation."},
    "schedule_policy": {"search": one_of("fcfs", "lpm"), "help": "Which waiting request comes next.", "note": "lpm: the longest known prefix first. Priorities allow fcfs and lof."},
    "schedule_conservativeness": {
        "minimum": 0.0, "search": SearchRange(low=0.3, high=1.5), "help": "How much cache a new request is expected to need.",
        "note": "Lower where requests wait beside free cache, higher where requests are retracted.",
    },
    "page_size": {"minimum": 1, "default_note": "1; some attention backends force 16 to 128", "search": one_of(None, 16, 32, 64), "memory": "waste", "help": "Tokens per page of cache."},
    "disable_radix_cache": {"help": "No reuse of equal prompt beginnings.", "note": "On, or distinct prompts, while measuring: the workload decides. /flush_cache empties it."},
    "enable_hierarchical_cache": {"memory": "host +", "help": "Host memory extends the cache.", "note": "Not with disable_radix_cache or enable_lmcache."},
    "hicache_size": {"minimum": 0, "memory": "host +", "help": "GiB of host memory for the cache, on each rank; 0: hicache_ratio decides."},
    "swa_full_tokens_ratio": {"minimum": 0.0, "maximum": 1.0, "default_note": "0.8", "memory": "KV split", "help": "Cache of layers with a window, as a share of the others'."},
    "disable_overlap_schedule": {"help": "Plan the next step only when one has ended."},
    "num_continuous_decode_steps": {"minimum": 1, "search": one_of(1, 2, 4), "help": "Steps of decode between looks at the queue.", "note": "More throughput, later first tokens."},
    "stream_interval": {"minimum": 1, "help": "Tokens per chunk of a stream.", "note": "Fixed at 1 in measurements: it changes the ITL that is seen, not the engine's."},
    "attention_backend": {"default_note": "by GPU and model", "memory": "±", "help": "Which kernels attend.", "note": "They differ in the types and page sizes they take."},
    "prefill_attention_backend": {"default_note": "attention_backend", "help": "Which kernels attend to prompts."},
    "decode_attention_backend": {"default_note": "attention_backend", "help": "Which kernels attend to answers."},
    "sampling_backend": {"default_note": "flashinfer where it is there", "help": "Which kernels sample."},
    "grammar_backend": {"default_note": "xgrammar", "help": "What holds answers to a grammar."},
    "moe_runner_backend": {"help": "Which kernels compute experts.", "note": "Bound to the hardware."},
    "cuda_graph_backend_decode": {**_GRAPHS, "help": "CUDA graphs of decode.", "note": "disabled: starts fast, decodes slowly, a fallback."},
    "cuda_graph_backend_prefill": {**_GRAPHS, "help": "CUDA graphs of prefill."},
    "cuda_graph_max_bs_decode": {
        "minimum": 1, "default_note": "8 to 512 by GPU memory and tp_size", "memory": "+ 2 MiB each", "help": "Largest batch with a CUDA graph.",
        "note": "Up to max_running_requests: beyond it steps run without a graph.",
    },
    "cuda_graph_max_bs_prefill": {"minimum": 1, "default_note": "chunked_prefill_size", "memory": "+", "help": "Most prompt tokens with a CUDA graph."},
    "cuda_graph_bs_decode": {"minimum": 1, "memory": "+ per size", "help": "Batch sizes with a CUDA graph."},
    "cuda_graph_bs_prefill": {"minimum": 1, "memory": "+ per size", "help": "Prompt tokens with a CUDA graph."},
    "enable_torch_compile": {"memory": "+", "help": "Compile the model for small batches.", "note": "A long start. Not with disable_cuda_graph_padding."},
    "speculative_algorithm": {"memory": "draft +", "help": "How tokens are drafted: EAGLE, EAGLE3, NEXTN, STANDALONE, NGRAM and others.", "note": "Set all three numbers, or none."},
    "speculative_draft_model_path": {"memory": "draft +", "help": "The draft model."},
    "speculative_num_steps": {"minimum": 1, "help": "Steps of drafting.", "note": "From 1 to 5."},
    "speculative_eagle_topk": {"minimum": 1, "help": "Branches of each step.", "note": "Above 1, page_size above 1 needs a backend that takes trees."},
    "speculative_num_draft_tokens": {"minimum": 1, "help": "Tokens that are verified at once.", "note": "steps + 1 with one branch."},
    "cpu_offload_gb": {"minimum": 0, "memory": "host +", "help": "GiB of weights kept in host memory.", "note": "Slows decode: a last resort."},
    "enable_symm_mem": {"memory": "+ 4 GB", "help": "Memory that GPUs write into each other's."},
    "tokenizer_worker_num": {"minimum": 1, "search": one_of(1, 2, 4), "help": "Processes that tokenise.", "note": "More than one at high request rates."},
    "detokenizer_worker_num": {"minimum": 1, "help": "Processes that turn tokens into text."},
    "enable_lora": {"memory": "+", "default_note": "on with lora_paths", "help": "Serve LoRA adapters."},
    "max_loras_per_batch": {"minimum": 1, "memory": "+", "help": "Adapters in one batch."},
    "enable_metrics": {"help": "Answer /metrics.", "note": "SGLang leaves it off; Lading starts it with it, unless told otherwise."},
    "enable_cache_report": {"help": "Token counts say how many were cached."},
    "decode_log_interval": {"minimum": 1, "help": "Steps of decode between lines of the log."},
    "skip_server_warmup": {"help": "Be ready without a first answer.", "note": "Leave it off: the first user waits instead."},
    "watchdog_timeout": {"minimum": 1.0, "help": "Seconds after which a step that does not end ends the server."},
}  # fmt: skip

#: Other spellings of names: what people write for short, and what the parser expands because it is not ambiguous.
ALIASES = {
    "tp": "tp_size", "pp": "pp_size", "dp": "dp_size", "tensor_parallel": "tp_size", "pipeline_parallel": "pp_size",
    "data_parallel": "dp_size", "expert_parallel": "ep_size", "mem_fraction": "mem_fraction_static", "context_len": "context_length",
}  # fmt: skip

FOREIGN = {
    "max_model_len": ("vLLM", "context_length"), "max_seq_len": ("TensorRT-LLM", "context_length"), "n_ctx": ("llama.cpp", "context_length"), "ctx_size": ("llama.cpp", "context_length"),
    "gpu_memory_utilization": ("vLLM", "mem_fraction_static (weights and cache only, here)"),
    "free_gpu_memory_fraction": ("TensorRT-LLM", "mem_fraction_static (a share of all memory here)"),
    "kv_cache_memory_bytes": ("vLLM", "max_total_tokens"), "num_gpu_blocks_override": ("vLLM", "max_total_tokens"),
    "max_num_seqs": ("vLLM", "max_running_requests"), "max_batch_size": ("TensorRT-LLM", "max_running_requests"),
    "n_parallel": ("llama.cpp", "max_running_requests"), "parallel": ("llama.cpp", "max_running_requests"),
    "max_num_batched_tokens": ("vLLM", "chunked_prefill_size"), "max_num_tokens": ("TensorRT-LLM", "chunked_prefill_size"), "n_batch": ("llama.cpp", "chunked_prefill_size"),
    "enable_chunked_prefill": ("vLLM", "chunked_prefill_size (-1 for off)"), "disable_chunked_prefill": ("vLLM", "chunked_prefill_size (-1 for off)"),
    "enable_prefix_caching": ("vLLM", "disable_radix_cache (the other way round)"), "disable_prefix_caching": ("vLLM", "disable_radix_cache"),
    "enable_block_reuse": ("TensorRT-LLM", "disable_radix_cache (the other way round)"), "cache_prompt": ("llama.cpp", "disable_radix_cache (the other way round)"),
    "enforce_eager": ("vLLM", "cuda_graph_backend_decode (disabled)"), "max_cudagraph_capture_size": ("vLLM", "cuda_graph_max_bs_decode"),
    "cudagraph_capture_sizes": ("vLLM", "cuda_graph_bs_decode"), "block_size": ("vLLM", "page_size"), "tokens_per_block": ("TensorRT-LLM", "page_size"),
    "scheduling_policy": ("vLLM", "schedule_policy"), "async_scheduling": ("vLLM", "disable_overlap_schedule (the other way round)"),
    "enable_expert_parallel": ("vLLM", "ep_size (a number)"), "seed": ("vLLM", "random_seed"), "tokenizer": ("vLLM", "tokenizer_path"),
    "spec_method": ("vLLM", "speculative_algorithm"), "spec_model": ("vLLM", "speculative_draft_model_path"), "spec_tokens": ("vLLM", "speculative_num_draft_tokens"),
    "speculative_config": ("vLLM", "speculative_algorithm"), "all2all_backend": ("vLLM", "moe_a2a_backend"), "api_server_count": ("vLLM", "tokenizer_worker_num"),
    "flash_attn": ("llama.cpp", "attention_backend"), "cache_type_k": ("llama.cpp", "kv_cache_dtype"), "cache_type_v": ("llama.cpp", "kv_cache_dtype"),
    "hf_overrides": ("vLLM", "json_model_override_args"), "max_num_queued_reqs": ("vLLM", "max_queued_requests"),
}  # fmt: skip

_DISABLED = "say {} disabled"
GONE = {
    "disable_cuda_graph": _DISABLED.format("cuda_graph_backend_decode and cuda_graph_backend_prefill"),
    "cuda_graph_max_bs": "say cuda_graph_max_bs_decode", "cuda_graph_bs": "say cuda_graph_bs_decode",
    "enable_dp_attention": "say attn_dp_size", "monokernel_backend": "say enable_amd_monokernel",
    "enable_flashinfer_allreduce_fusion": "say flashinfer_allreduce_fusion_backend: auto",
    "enable_ep_moe": "say ep_size", "enable_deepep_moe": "say moe_a2a_backend: deepep",
}  # fmt: skip

_SERVED = "the model is what the study or command serves"
_HIDDEN = "a secret may not stand on a command line, and SGLang reads it nowhere else: put a gateway before it"
RESERVED = {
    "model_path": _SERVED, "model": _SERVED, "served_model_name": "give the served name (served_name)",
    "host": "the backend chooses the address", "port": "give the backend's port", "config": "name the parameters here, so that each is checked",
    "grpc_mode": "measured servers speak HTTP", "smg_grpc_mode": "measured servers speak HTTP",
    "api_key": _HIDDEN, "admin_api_key": _HIDDEN, "ssl_keyfile_password": _HIDDEN, "hf_token": "a secret may not stand on a command line: set HF_TOKEN in the backend's env",
}  # fmt: skip
