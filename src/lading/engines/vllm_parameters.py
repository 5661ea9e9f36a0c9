"""vLLM 0.33.0: what is known of its parameters beyond names, types and defaults.

The names, types, choices and defaults of all flags are data (``data/vllm-0.33.0.json``, made by ``tools/``). Here stand
the facts that no parser tells: how a default is decided at start, what a value does to memory, what excludes what, and
a range worth searching. Ranges are proposals for one node.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from lading.engines import argparsed
from lading.engines.argparsed import log_range, one_of
from lading.engines.base import Parameter, SearchRange, Value

VERSION = "0.33.0"


@cache
def parameters() -> Mapping[str, Parameter]:
    """Every parameter of ``vllm serve`` that may be set, by name; `RESERVED` are the others."""
    return argparsed.catalogue("vllm", VERSION, CURATED, without=RESERVED)


_FLOAT16: dict[str, Value] = {"half": "float16", "float": "float32"}
_CACHE_DTYPES = (
    "auto", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "fp8_ds_mla", "nvfp4",
    "int8_per_token_head", "fp8_per_token_head", "int4_per_token_head",
    "turboquant_k8v4", "turboquant_4bit_nc", "turboquant_k3v4_nc", "turboquant_3bit_nc",
)  # fmt: skip
_QUANTISATIONS = (
    "awq", "auto_awq", "fp8", "modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed", "auto_gptq", "gptq", "gptq_marlin",
    "awq_marlin", "compressed-tensors", "experts_int8", "quark", "moe_wna16", "torchao", "inc", "mxfp4", "humming", "online",
    "fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "int8_per_channel_weight_only", "nvfp4_per_token", "mxfp8",
    "fbgemm_fp8", "fp_quant",
)  # fmt: skip
_LOAD_FORMATS = (
    "auto", "hf", "dummy", "safetensors", "pt", "npcache", "fastsafetensors", "runai_streamer", "runai_streamer_sharded",
    "sharded_state", "tensorizer", "instanttensor", "modelexpress", "mistral", "ipc_cache",
)  # fmt: skip
_ATTENTION = "FLASH_ATTN, FLASHINFER, TRITON_ATTN, FLEX_ATTENTION, FLASHMLA, CUTLASS_MLA and others"

CURATED: dict[str, dict[str, Any]] = {
    "dtype": {
        "synonyms": _FLOAT16, "memory": "±", "help": "Type of weights and activations.",
        "note": "bfloat16 needs compute capability 8.0; a quantisation may allow only some.",
    },
    "quantization": {
        "kind": "choice", "choices": _QUANTISATIONS, "default_note": "what the checkpoint says", "search": one_of(None, "fp8"), "memory": "-",
        "help": "How weights are quantised.", "note": "Must agree with a quantised checkpoint. This version has no gguf, bitsandbytes or int8.",
    },
    "load_format": {
        "kind": "choice", "choices": _LOAD_FORMATS, "help": "How weights are read; changes only the time to start.",
        "note": "dummy gives random weights: for memory probes. An object store's URL needs runai_streamer or modelexpress.",
    },
    "safetensors_load_strategy": {"help": "How safetensors files are read; changes only the time to start.", "default_note": "by the file system"},
    "max_model_len": {
        "kind": "int", "choices": ("auto",), "synonyms": {"-1": "auto"}, "minimum": 1, "default_note": "the model's own length",
        "memory": "bound", "help": "Longest prompt and answer together, in tokens.",
        "note": "Set it from the workload. More than the model's own is refused; auto shrinks to what fits.",
    },
    "trust_remote_code": {"help": "Run code that the model's folder brings.", "note": "It runs with the server's rights."},
    "seed": {"help": "Seed of random numbers.", "minimum": 0},
    "generation_config": {
        "help": "Where sampling defaults come from: auto (the model's file), vllm (none), or a folder.",
        "note": "The model's file sets temperature and may cap every answer by max_new_tokens: measure with vllm.",
    },
    "enforce_eager": {"memory": "-", "help": "No CUDA graphs and no compilation.", "note": "Starts fast, decodes slowly: a fallback."},
    "tensor_parallel_size": {
        "minimum": 1, "search": one_of(1, 2, 4, 8), "memory": "--", "help": "GPUs that share each layer.",
        "note": "Divides the attention heads; at most the GPUs of a node.",
    },
    "pipeline_parallel_size": {"minimum": 1, "search": one_of(1, 2), "memory": "--", "help": "Groups of GPUs that share the layers.", "note": "At most the layers; the architecture must support it."},
    "data_parallel_size": {
        "minimum": 1, "search": one_of(1, 2, 4), "help": "Copies of the model behind one endpoint.",
        "note": "max_num_seqs and the token limits are per copy: load the rank, not the server.",
    },
    "data_parallel_size_local": {"minimum": 0, "help": "Copies on this node."},
    "data_parallel_backend": {"kind": "choice", "choices": ("mp", "ray", "torchrun"), "help": "What starts the copies."},
    "enable_expert_parallel": {"search": one_of(False, True), "memory": "±", "help": "Split the experts instead of each expert's weights.", "note": "Only for models with experts."},
    "all2all_backend": {"memory": "+", "help": "How tokens reach their experts, with expert and data parallelism.", "note": "naive and pplx are old names. moonep: unquantised bfloat16, no load balancing."},
    "enable_eplb": {"memory": "+", "help": "Balance load between experts.", "note": "Needs enable_expert_parallel and more than one GPU."},
    "decode_context_parallel_size": {"minimum": 1, "memory": "KV", "help": "GPUs that share one sequence's cache in decode.", "note": "Divides tensor_parallel_size."},
    "prefill_context_parallel_size": {"minimum": 1, "help": "GPUs that share one prompt."},
    "distributed_executor_backend": {"kind": "str", "default_note": "mp on one node", "help": "What starts the workers: mp, ray, uni, external_launcher or a class."},
    "enable_dbo": {"memory": "+", "help": "Overlap two micro-batches.", "note": "For models with experts and a DeepEP backend."},
    "api_server_count": {"minimum": 1, "default_note": "1, or data_parallel_size", "search": one_of(1, 2, 4), "help": "Processes that answer HTTP.", "note": "More than one at high request rates."},
    "gpu_memory_utilization": {
        "minimum": 0.0, "maximum": 1.0, "search": SearchRange(low=0.80, high=0.96), "memory": "budget",
        "help": "Share of each GPU's whole memory that the server may take.",
        "note": "Checked against what is free at start. Memory may still run out under load. Older versions: 0.9.",
    },
    "kv_cache_memory_bytes": {"minimum": 1, "memory": "KV pool", "default_note": "by gpu_memory_utilization", "help": "Bytes of cache on each GPU.", "note": "gpu_memory_utilization is then ignored: reproducible trials."},
    "kv_cache_dtype": {
        "kind": "choice", "choices": _CACHE_DTYPES, "synonyms": {"fp8": "fp8_e4m3"}, "search": one_of("auto", "fp8_e4m3"), "memory": "KV /2",
        "help": "Type of cached keys and values.", "note": "fp8 is fp8_e4m3. What an attention backend takes differs. Guard the answers' quality.",
    },
    "block_size": {"minimum": 1, "default_note": "the attention backend's, 16 for FLASH_ATTN", "search": one_of(None, 16, 32, 64, 128), "help": "Tokens per block of cache."},
    "enable_prefix_caching": {"default_note": "on where the model supports it", "help": "Reuse the cache of equal prompt beginnings.", "note": "Off, or distinct prompts, while measuring: the workload decides."},
    "kv_offloading_size": {"minimum": 0, "default_note": "none", "memory": "host +", "help": "GiB of host memory that extend the cache."},
    "cpu_offload_gb": {"minimum": 0, "memory": "host +", "help": "GiB of weights kept in host memory.", "note": "Slows decode: a last resort."},
    "max_num_batched_tokens": {
        "minimum": 1, "default_note": "2048; 8192 on GPUs of 70 GiB or more (not A100, GB10); 16384 from 160 GiB; doubled by performance_mode throughput",
        "search": log_range(1024, 32768), "memory": "activation +", "help": "Most tokens of one step.",
        "note": "The first lever between TTFT and ITL. At least max_num_seqs, and max_model_len without chunked prefill.",
    },
    "max_num_seqs": {
        "minimum": 1, "default_note": "256; 1024 on GPUs of 70 GiB or more (not A100)", "search": log_range(8, 1024), "memory": "graphs +",
        "help": "Most requests in one step, per data-parallel rank.",
    },
    "max_num_active_seqs": {"minimum": 1, "default_note": "max_num_seqs", "help": "Most requests that run at once, with graphs for max_num_seqs.", "note": "At most max_num_seqs."},
    "max_num_scheduled_tokens": {"minimum": 1, "default_note": "max_num_batched_tokens", "help": "Most tokens scheduled in one step."},
    "enable_chunked_prefill": {"default_note": "on where the model supports it", "help": "Cut long prompts into steps.", "note": "Off: max_num_batched_tokens must hold the longest prompt, and vllm warns of crashes."},
    "long_prefill_token_threshold": {"minimum": 0, "search": one_of(0, 1024, 4096), "help": "Prompts longer than this wait for shorter ones; 0 for none.", "note": "At most max_model_len."},
    "prefill_schedule_interval": {"minimum": 1, "search": one_of(1, 2, 4), "help": "Steps between prefills: decode first.", "note": "Better ITL; TTFT grows by as many steps."},
    "watermark": {"minimum": 0.0, "maximum": 0.999, "search": SearchRange(low=0.0, high=0.1), "memory": "KV held back", "help": "Share of the cache kept free.", "note": "When there are preemptions."},
    "scheduler_reserve_full_isl": {"help": "Admit a request only when its whole prompt fits.", "note": "Off admits too many."},
    "async_scheduling": {"default_note": "on unless something excludes it", "search": one_of(True, False), "help": "Plan the next step while one runs.", "note": "An explicit on may be refused."},
    "stream_interval": {"minimum": 1, "help": "Tokens per chunk of a stream.", "note": "Fixed at 1 in measurements: it changes the ITL that is seen, not the engine's."},
    "max_num_queued_reqs": {"minimum": 1, "default_note": "no limit", "help": "Beyond so many waiting requests the server answers 503."},
    "max_num_queued_tokens": {"minimum": 1, "default_note": "no limit", "help": "Beyond so many waiting tokens the server answers 503."},
    "attention_backend": {"default_note": "by GPU and model", "help": f"Which attention: {_ATTENTION}.", "note": "They differ in the types they take."},
    "moe_backend": {"help": "Which kernels compute experts.", "note": "Bound to the hardware."},
    "linear_backend": {"help": "Which kernels compute quantised linear layers.", "note": "Bound to the hardware."},
    "cudagraph_capture_sizes": {"kind": "int", "minimum": 1, "default_note": "by max_cudagraph_capture_size", "memory": "+ per size", "help": "Batch sizes with a CUDA graph."},
    "max_cudagraph_capture_size": {"minimum": 0, "default_note": "min(2 · max_num_seqs, 512); 1024 on compute capability 10", "memory": "+", "help": "Largest batch with a CUDA graph."},
    "optimization_level": {"kind": "int", "minimum": 0, "maximum": 3, "default": 2, "synonyms": {f"O{n}": n for n in range(4)}, "memory": "+", "help": "How much is compiled, from 0 to 3."},
    "performance_mode": {"search": one_of("balanced", "interactivity", "throughput"), "memory": "+", "help": "Defaults for latency or for throughput.", "note": "throughput doubles unset limits of sequences and tokens."},
    "compilation_config": {"memory": "+", "help": "Compilation and CUDA graphs, as JSON.", "note": "Dotted names work: compilation_config.mode."},
    "speculative_config": {"memory": "draft +", "help": "Speculative decoding, as JSON: method, model, num_speculative_tokens.", "note": "Or spec_method, spec_model and spec_tokens."},
    "spec_method": {"search": one_of(None, "ngram", "eagle3", "mtp"), "memory": "draft +", "help": "How tokens are drafted."},
    "spec_model": {"memory": "draft +", "help": "The draft model."},
    "spec_tokens": {"minimum": 1, "search": SearchRange(low=1, high=5), "help": "Tokens drafted at once.", "note": "Fewer than max_num_batched_tokens."},
    "enable_lora": {"memory": "+", "default_note": "off", "help": "Serve LoRA adapters."},
    "max_loras": {"minimum": 1, "memory": "+", "help": "Adapters in one batch."},
    "limit_mm_per_prompt": {"memory": "-", "help": "Most images, videos and sounds per prompt, as JSON."},
    "language_model_only": {"memory": "-", "help": "Leave vision and audio out."},
    "disable_log_stats": {"help": "No statistics.", "note": "Leave it off: the effective configuration is read from them."},
    "disable_uvicorn_access_log": {"help": "No line per request.", "note": "On under load."},
    "enable_force_include_usage": {"help": "Every stream ends with token counts."},
    "enable_prompt_tokens_details": {"help": "Token counts say how many were cached."},
    "kv_cache_metrics": {"help": "Measure how long blocks of cache live."},
    "shutdown_timeout": {"minimum": 0, "help": "Seconds that requests have to end at shutdown."},
}  # fmt: skip

#: Other spellings of names: what people write for short.
ALIASES = {
    "tensor_parallel": "tensor_parallel_size", "pipeline_parallel": "pipeline_parallel_size", "data_parallel": "data_parallel_size",
    "expert_parallel": "enable_expert_parallel", "chunked_prefill": "enable_chunked_prefill", "prefix_caching": "enable_prefix_caching",
}  # fmt: skip

FOREIGN = {
    "tp_size": ("SGLang", "tensor_parallel_size"), "pp_size": ("SGLang", "pipeline_parallel_size"),
    "dp_size": ("SGLang", "data_parallel_size"), "ep_size": ("SGLang", "enable_expert_parallel (true or false)"), "attn_dp_size": ("SGLang", "data_parallel_size"),
    "dcp_size": ("SGLang", "decode_context_parallel_size"), "attn_cp_size": ("SGLang", "prefill_context_parallel_size"),
    "context_length": ("SGLang", "max_model_len"), "max_seq_len": ("TensorRT-LLM", "max_model_len"), "ctx_size": ("llama.cpp", "max_model_len"), "n_ctx": ("llama.cpp", "max_model_len"),
    "mem_fraction_static": ("SGLang", "gpu_memory_utilization (a share of all memory here)"),
    "free_gpu_memory_fraction": ("TensorRT-LLM", "gpu_memory_utilization (a share of all memory here)"),
    "kv_cache_free_gpu_memory_fraction": ("TensorRT-LLM", "gpu_memory_utilization (a share of all memory here)"),
    "max_total_tokens": ("SGLang", "kv_cache_memory_bytes"), "max_running_requests": ("SGLang", "max_num_seqs (per data-parallel rank)"),
    "max_batch_size": ("TensorRT-LLM", "max_num_seqs"), "n_parallel": ("llama.cpp", "max_num_seqs"), "parallel": ("llama.cpp", "max_num_seqs"),
    "chunked_prefill_size": ("SGLang", "max_num_batched_tokens"), "max_prefill_tokens": ("SGLang", "max_num_batched_tokens"),
    "max_num_tokens": ("TensorRT-LLM", "max_num_batched_tokens"), "n_batch": ("llama.cpp", "max_num_batched_tokens"),
    "disable_radix_cache": ("SGLang", "disable_prefix_caching"), "enable_block_reuse": ("TensorRT-LLM", "enable_prefix_caching"), "cache_prompt": ("llama.cpp", "enable_prefix_caching"),
    "schedule_policy": ("SGLang", "scheduling_policy"), "page_size": ("SGLang", "block_size"), "tokens_per_block": ("TensorRT-LLM", "block_size"),
    "disable_cuda_graph": ("SGLang", "enforce_eager"), "cuda_graph_max_bs": ("SGLang", "max_cudagraph_capture_size"), "cuda_graph_config": ("TensorRT-LLM", "max_cudagraph_capture_size"),
    "random_seed": ("SGLang", "seed"), "attn_backend": ("TensorRT-LLM", "attention_backend"), "flash_attn": ("llama.cpp", "attention_backend"),
    "speculative_algorithm": ("SGLang", "spec_method"), "speculative_draft_model_path": ("SGLang", "spec_model"), "speculative_num_steps": ("SGLang", "spec_tokens"), "spec_type": ("llama.cpp", "spec_method"),
    "tokenizer_path": ("SGLang", "tokenizer"), "cache_type_k": ("llama.cpp", "kv_cache_dtype"), "cache_type_v": ("llama.cpp", "kv_cache_dtype"),
    "tokenizer_worker_num": ("SGLang", "api_server_count"), "num_postprocess_workers": ("TensorRT-LLM", "api_server_count"), "disable_overlap_schedule": ("SGLang", "async_scheduling (the other way round)"),
}  # fmt: skip

GONE = {
    "swap_space": "the cache spills by kv_offloading_size", "preemption_mode": "preempted requests are always computed again",
    "num_scheduler_steps": "async_scheduling does its work", "max_seq_len_to_capture": "say max_cudagraph_capture_size (in sequences)",
    "cuda_graph_sizes": "say cudagraph_capture_sizes", "max_num_partial_prefills": "say long_prefill_token_threshold",
    "max_long_partial_prefills": "say long_prefill_token_threshold", "guided_decoding_backend": "say structured_outputs_config.backend",
    "speculative_model": "say spec_model", "num_speculative_tokens": "say spec_tokens", "rope_scaling": "say hf_overrides",
    "rope_theta": "say hf_overrides", "task": "say runner, and convert", "device": "it follows the platform that vllm was built for",
    "use_v2_block_manager": "leave it out", "worker_use_ray": "say distributed_executor_backend: ray",
}  # fmt: skip

_SERVED = "the model is what the study or command serves"
_HIDDEN = "a secret may not stand on a command line: set {} in the backend's env"
RESERVED = {
    "model": _SERVED, "model_tag": _SERVED, "model_path": _SERVED, "served_model_name": "give the served name (served_name)",
    "host": "the backend chooses the address", "port": "give the backend's port", "uds": "the backend chooses the address",
    "config": "name the parameters here, so that each is checked", "headless": "a server without an address cannot be asked",
    "grpc": "measured servers speak HTTP", "api_key": _HIDDEN.format("VLLM_API_KEY"), "hf_token": _HIDDEN.format("HF_TOKEN"),
}  # fmt: skip
