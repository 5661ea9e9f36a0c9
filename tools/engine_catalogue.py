# ruff: noqa: INP001
"""Make `src/lading/engines/data/ENGINE-VERSION.json` from the facts of an engine's own argument parser.

    python tools/engine_catalogue.py vllm FACTS.json 0.33.0 > src/lading/engines/data/vllm-0.33.0.json
    python tools/engine_catalogue.py sglang FACTS.json 0.5.23 > src/lading/engines/data/sglang-0.5.23.json

FACTS.json is a list of ``{"names", "type", "choices", "default"}``, one per option of the server's argparse parser: the
strings of each action, the name of its type function, its choices, and the repr of its default. Facts only: names,
types, choices, defaults. vLLM's are what ``make_arg_parser(FlexibleArgumentParser())`` of
``vllm.entrypoints.common.cli_args`` holds in ``_action_groups`` (its CUDA-free build on ``UnspecifiedPlatform`` is
enough); SGLang's are what ``ServerArgs.add_cli_args(ArgumentParser())`` of ``sglang.srt.server_args`` holds in ``_actions``.
"""

import ast
import json
import re
import sys
from pathlib import Path

#: What the parser's type function does not tell (it is the same for every optional value), or tells too roughly.
KINDS = {
    "vllm": {
        "int": """grpc_port max_log_len distributed_timeout_seconds cpu_distributed_timeout_seconds max_parallel_loading_workers
            kv_cache_memory_bytes num_gpu_blocks_override prefix_cache_retention_interval mamba_block_size max_cpu_loras
            max_num_scheduled_tokens max_num_active_seqs max_num_queued_reqs max_num_queued_tokens max_lora_cls_labels
            prefix_match_unit max_model_len numa_bind_nodes optimization_level spec_tokens""",
        "float": "kv_offloading_size video_pruning_rate",
        "json": """quantization_config pooler_config mm_processor_kwargs default_mm_loras speculative_config watermark_config
            diffusion_config kv_transfer_config kv_events_config ec_transfer_config engram_config reasoning_config
            weight_transfer_config""",
        "str": "config pt_load_map_location hf_overrides log_config_file",
    },
    "sglang": {"json": "json_model_override_args model_loader_extra_config"},
}
MANY = {
    "vllm": """served_model_name cudagraph_capture_sizes middleware api_key lora_modules ignore_patterns logits_processors
        allowed_media_domains lora_target_modules kv_cache_dtype_skip_layers collect_detailed_traces custom_histogram_buckets
        sleep_preserve_parameter_names numa_bind_nodes numa_bind_cpus device_ids disable_access_log_for_endpoints
        cpu_offload_params offload_params""",
    "sglang": """numa_node gc_threshold encoder_urls encoder_register_urls return_aux_hidden_state_layer_ids
        flashinfer_autotune_skip_ops cuda_graph_bs_decode cuda_graph_bs_prefill lora_target_modules lora_paths
        allowed_media_domains custom_weight_loader log_requests_target uvicorn_access_log_exclude_prefixes
        tokenizer_metrics_allowed_custom_labels bucket_time_to_first_token bucket_inter_token_latency
        bucket_e2e_request_latency prompt_tokens_buckets generation_tokens_buckets debug_tensor_dump_layers
        prefill_delayer_forward_passes_buckets prefill_delayer_wait_seconds_buckets""",
}
JSON_TYPES = {
    "loads",
    "parse_dataclass",
    "union_dict_and_str",
    "_parse_type",
    "json_list_type",
    "parse_cuda_graph_config_arg",
}
OFF = ("--no-", "--disable-")


def main(engine: str, facts: Path, version: str) -> str:
    """The data file's text: one parameter per line."""
    rows = [row for row in (compact(engine, fact) for fact in json.loads(facts.read_text())) if row]
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    return f'{{"version":"{version}","parameters":[\n{lines}\n]}}\n'


def compact(engine: str, fact: dict) -> dict | None:
    """One option as name, flags, off-flags, kind, choices, default and whether it takes several values."""
    names = fact["names"]
    if "--help" in names:
        return None
    name = names[0].lstrip("-").replace("-", "_")
    kind = kind_of(engine, name, fact)
    off = [flag for flag in names[1:] if kind == "bool" and is_opposite(names[0], flag)]
    row = {"name": name, "flags": [flag for flag in names if flag not in off], "kind": kind}
    if off:
        row["off"] = off
    if kind == "choice":
        number = int if fact["type"] == "int" else str
        row["choices"] = [number(choice) for choice in fact["choices"] if choice not in ("None", None)]
    if name in MANY[engine].split():
        row["many"] = True
    default = default_of(fact["default"], kind)
    if default is not None and not row.get("many"):
        row["default"] = default
    return row


def kind_of(engine: str, name: str, fact: dict) -> str:
    """The kind of value an option takes."""
    for kind, names in KINDS[engine].items():
        if name in names.split():
            return kind
    if fact["choices"]:
        return "choice"
    if fact["type"] in JSON_TYPES:
        return "json"
    if fact["type"] in ("int", "float"):
        return fact["type"]
    if fact["type"] == "human_readable_int":
        return "int"
    return "bool" if fact["type"] == "None" else "str"


def is_opposite(flag: str, other: str) -> bool:
    """Whether *other* switches off what *flag* switches on (or the other way round for ``--disable-x``)."""
    if flag.startswith("--disable-"):
        return other == flag.replace("--disable-", "--enable-", 1)
    if other == flag.replace("--", "--no-", 1):
        return True
    bare = flag.removeprefix("--enable-").removeprefix("--")
    return any(other == prefix + bare for prefix in OFF)


def default_of(text: str, kind: str) -> object:
    """The default as a JSON scalar; None where it is decided at start, or is a document."""
    member = re.fullmatch(r"<\w+\.\w+: (.+)>", text)
    try:
        value = ast.literal_eval(member[1] if member else text)
    except (ValueError, SyntaxError):
        return None
    if kind == "float" and isinstance(value, int):
        return float(value)
    if value in ("", "==SUPPRESS==") or not isinstance(value, bool | int | float | str):
        return None
    return value


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
