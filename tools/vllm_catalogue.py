# ruff: noqa: INP001
"""Make `src/lading/engines/data/vllm-VERSION.json` from the facts of vLLM's own argument parser.

    python tools/vllm_catalogue.py FACTS.json 0.33.0 > src/lading/engines/data/vllm-0.33.0.json

FACTS.json is a list of ``{"names", "type", "choices", "default"}``, one per option of `vllm serve`: what
``make_arg_parser(FlexibleArgumentParser())`` of ``vllm.entrypoints.common.cli_args`` holds in ``_action_groups``, read
where vllm is installed (its CUDA-free build on ``UnspecifiedPlatform`` is enough): the strings of each action, the name
of its type function, its choices, and the repr of its default. Facts only: names, types, choices, defaults.
"""

import ast
import json
import re
import sys
from pathlib import Path

#: What the parser's type function does not tell (it is the same for every optional value), or tells too roughly.
KINDS = {
    "int": """grpc_port max_log_len distributed_timeout_seconds cpu_distributed_timeout_seconds max_parallel_loading_workers
        kv_cache_memory_bytes num_gpu_blocks_override prefix_cache_retention_interval mamba_block_size max_cpu_loras
        max_num_scheduled_tokens max_num_active_seqs max_num_queued_reqs max_num_queued_tokens max_lora_cls_labels
        prefix_match_unit max_model_len numa_bind_nodes optimization_level spec_tokens""",
    "float": "kv_offloading_size video_pruning_rate",
    "json": """quantization_config pooler_config mm_processor_kwargs default_mm_loras speculative_config watermark_config
        diffusion_config kv_transfer_config kv_events_config ec_transfer_config engram_config reasoning_config
        weight_transfer_config""",
    "str": "config pt_load_map_location hf_overrides log_config_file",
}
MANY = """served_model_name cudagraph_capture_sizes middleware api_key lora_modules ignore_patterns logits_processors
    allowed_media_domains lora_target_modules kv_cache_dtype_skip_layers collect_detailed_traces custom_histogram_buckets
    sleep_preserve_parameter_names numa_bind_nodes numa_bind_cpus device_ids disable_access_log_for_endpoints
    cpu_offload_params offload_params"""
JSON_TYPES = {"loads", "parse_dataclass", "union_dict_and_str", "_parse_type"}
OFF = ("--no-", "--disable-")


def main(facts: Path, version: str) -> str:
    """The data file's text: one parameter per line."""
    rows = [row for row in map(compact, json.loads(facts.read_text())) if row]
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    return f'{{"version":"{version}","parameters":[\n{lines}\n]}}\n'


def compact(fact: dict) -> dict | None:
    """One option as name, flags, off-flags, kind, choices, default and whether it takes several values."""
    names = fact["names"]
    if "--help" in names:
        return None
    name = names[0].lstrip("-").replace("-", "_")
    kind = kind_of(name, fact)
    off = [flag for flag in names[1:] if kind == "bool" and is_opposite(names[0], flag)]
    row = {"name": name, "flags": [flag for flag in names if flag not in off], "kind": kind}
    if off:
        row["off"] = off
    if kind == "choice":
        number = int if fact["type"] == "int" else str
        row["choices"] = [number(choice) for choice in fact["choices"] if choice not in ("None", None)]
    if name in MANY.split():
        row["many"] = True
    default = default_of(fact["default"], kind)
    if default is not None and not row.get("many"):
        row["default"] = default
    return row


def kind_of(name: str, fact: dict) -> str:
    """The kind of value an option takes."""
    for kind, names in KINDS.items():
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
    sys.stdout.write(main(Path(sys.argv[1]), sys.argv[2]))
