"""What a running server says about itself, read from its answers and its log, and how that differs from what was asked.

Answers are foreign: whatever is not of the expected shape is passed over, nothing is made up.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lading.engines.base import Parameter, Value

#: Asked for, these say "you decide": whatever runs is no difference.
_UNSAID: tuple[Value, ...] = (None, "auto", -1)
_TRUTH = {"true": True, "false": False, "True": True, "False": False}


def differences(requested: Mapping[str, Value], effective: Mapping[str, Value]) -> tuple[str, ...]:
    """Where a server runs with something else than asked for, in words, by name. What it does not tell is no difference."""
    return tuple(
        _difference(name, asked, effective)
        for name, asked in sorted(requested.items())
        if name in effective and not _same(name, asked, effective[name])
    )


def command_differences(planned: Sequence[str], running: Sequence[str] | None) -> tuple[str, ...]:
    """Where the command line that runs is not the *planned* one, in words; *running* None: it cannot be known.

    ``{port}`` stands for any number. A program that is a script runs under its interpreter: words before the planned
    arguments are no difference.
    """
    if running is None:
        return ()
    arguments = planned[1:]
    runs = running[len(running) - len(arguments) :] if len(running) > len(arguments) else ()
    same = len(runs) == len(arguments) and all(map(_is_word, arguments, runs))
    return () if same else (f"another command runs than was planned: {shlex.join(running)}",)


def _is_word(planned: str, runs: str) -> bool:
    return re.fullmatch(r"\d+".join(map(re.escape, planned.split("{port}"))), runs) is not None


def llamacpp(answers: Mapping[str, Any], log: Sequence[str]) -> dict[str, Value]:
    """llama.cpp: slots and context (``n_ctx`` in all, ``n_ctx_slot`` of each), what it was trained for, the served name."""
    told: dict[str, Value] = {}
    slots = answers.get("slots")
    contexts = (
        [_int(slot.get("n_ctx")) for slot in slots if isinstance(slot, Mapping)] if isinstance(slots, list) else []
    )
    told["n_parallel"] = _int(_at(answers, "props", "total_slots")) or len(contexts) or None
    told["n_ctx_slot"] = _int(_at(answers, "props", "default_generation_settings", "n_ctx")) or next(
        iter(contexts), None
    )
    meta = _at(answers, "models", "data", 0, "meta")
    told["n_ctx_train"] = _int(_at(meta, "n_ctx_train"))
    told["served_name"] = _text(_at(answers, "models", "data", 0, "id"))
    told |= {name: value for name, value in _llamacpp_log(log).items() if value is not None}
    told["n_ctx"] = _n_ctx(told)
    return {name: value for name, value in told.items() if value is not None}


def _llamacpp_log(log: Sequence[str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for line in log:
        if match := re.search(r"n_slots = (\d+), n_ctx_slot = (\d+), kv_unified = '(true|false)'", line):
            found |= {"n_parallel": int(match[1]), "n_ctx_slot": int(match[2]), "kv_unified": match[3] == "true"}
        elif match := re.search(r"threadpool init, n_threads = (\d+)", line):
            found["n_threads"] = int(match[1])
    return found


def _n_ctx(told: Mapping[str, Value]) -> int | None:
    """The context in all; unknown where it is not said whether slots share one pool."""
    slot, slots = told.get("n_ctx_slot"), told.get("n_parallel")
    if not isinstance(slot, int) or not isinstance(slots, int) or "kv_unified" not in told:
        return None
    return slot if told["kv_unified"] else slot * slots


def vllm(answers: Mapping[str, Any], log: Sequence[str]) -> dict[str, Value]:
    """vLLM: the served name and length, its version, the cache's configuration, and all of it in development mode."""
    told: dict[str, Value] = _vllm_config(_at(answers, "server_info"))
    told |= _vllm_cache(_text(answers.get("metrics")) or "") | _vllm_log(log)
    told["served_name"] = _text(_at(answers, "models", "data", 0, "id"))
    told["max_model_len"] = _int(_at(answers, "models", "data", 0, "max_model_len")) or told.get("max_model_len")
    told["version"] = _text(_at(answers, "version", "version"))
    return {name: value for name, value in told.items() if value is not None}


#: Parameter → where `/server_info?config_format=json` has it, below `vllm_config`.
_SERVER_INFO: Mapping[str, tuple[str, str]] = {
    "max_model_len": ("model_config", "max_model_len"), "seed": ("model_config", "seed"), "quantization": ("model_config", "quantization"),
    "enforce_eager": ("model_config", "enforce_eager"), "max_num_seqs": ("scheduler_config", "max_num_seqs"),
    "max_num_batched_tokens": ("scheduler_config", "max_num_batched_tokens"), "async_scheduling": ("scheduler_config", "async_scheduling"),
    "enable_chunked_prefill": ("scheduler_config", "enable_chunked_prefill"), "tensor_parallel_size": ("parallel_config", "tensor_parallel_size"),
    "pipeline_parallel_size": ("parallel_config", "pipeline_parallel_size"), "data_parallel_size": ("parallel_config", "data_parallel_size"),
    "enable_expert_parallel": ("parallel_config", "enable_expert_parallel"), "block_size": ("cache_config", "block_size"),
    "kv_cache_dtype": ("cache_config", "cache_dtype"), "gpu_memory_utilization": ("cache_config", "gpu_memory_utilization"),
    "enable_prefix_caching": ("cache_config", "enable_prefix_caching"),
}  # fmt: skip
#: Parameter → label of the gauge `vllm:cache_config_info`.
_CACHE_LABELS: Mapping[str, str] = {
    "block_size": "block_size", "kv_cache_dtype": "cache_dtype", "gpu_memory_utilization": "gpu_memory_utilization",
    "enable_prefix_caching": "enable_prefix_caching", "num_gpu_blocks": "num_gpu_blocks", "kv_cache_memory_bytes": "kv_cache_memory_bytes",
}  # fmt: skip


def _vllm_config(info: Any) -> dict[str, Value]:
    config = _at(info, "vllm_config") or info
    found = {name: _at(config, *path) for name, path in _SERVER_INFO.items()}
    return {name: value for name, value in found.items() if isinstance(value, bool | int | float | str)}


def _vllm_cache(metrics: str) -> dict[str, Value]:
    match = re.search(r"^vllm:cache_config_info\{(.*)\}", metrics, re.MULTILINE)
    labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[1])) if match else {}
    return {
        name: _scalar(labels[label]) for name, label in _CACHE_LABELS.items() if labels.get(label, "None") != "None"
    }


def _vllm_log(log: Sequence[str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for line in log:
        if match := re.search(r"GPU KV cache size: ([0-9,]+) tokens", line):
            found["kv_cache_tokens"] = int(match[1].replace(",", "") or 0)
        elif match := re.search(r"Chunked prefill is enabled with max_num_batched_tokens=(\d+)", line):
            found |= {"enable_chunked_prefill": True, "max_num_batched_tokens": int(match[1])}
        elif match := re.search(r"Available KV cache memory: ([0-9.]+) GiB", line):
            found["kv_cache_gib"] = _scalar(match[1])
    return found


def sglang(answers: Mapping[str, Any], log: Sequence[str], parameters: Mapping[str, Parameter]) -> dict[str, Value]:
    """SGLang: all its parameters as it resolved them, the length and served name that it lists, its version, its cache."""
    info = answers.get("server_info")
    info = info if isinstance(info, Mapping) else answers.get("get_server_info")
    told: dict[str, Value] = {name: _plain(_at(info, name)) for name in parameters}
    told |= _sglang_log(log)
    told["served_name"] = _text(_at(answers, "models", "data", 0, "id")) or _text(
        _at(answers, "model_info", "served_model_name")
    )
    told["context_length"] = _int(_at(answers, "models", "data", 0, "max_model_len")) or told.get("context_length")
    per_rank = _int(_at(info, "internal_states", 0, "effective_max_running_requests_per_dp"))
    if per_rank is not None:
        told["max_running_requests"] = per_rank * (_int(_at(info, "attn_dp_size")) or 1)
    told["version"] = _text(_at(info, "version"))
    return {name: value for name, value in told.items() if value is not None}


def _sglang_log(log: Sequence[str]) -> dict[str, Value]:
    """Of the line that a server writes once it knows what its memory allows: tokens of cache, and the length."""
    found: dict[str, Value] = {}
    for line in log:
        if match := re.search(r"max_total_num_tokens=(\d{1,15}),.* context_len=(\d{1,15}),", line):
            found |= {"kv_cache_tokens": int(match[1]), "context_length": int(match[2])}
    return found


def _plain(value: Any) -> Value:
    """*value* as a parameter of it is compared: a list or document as its compact JSON text."""
    if isinstance(value, list | Mapping):
        try:
            return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            return None
    return value if isinstance(value, bool | int | float | str) else None


def _scalar(text: str) -> Value:
    if text in _TRUTH:
        return _TRUTH[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _difference(name: str, asked: Value, effective: Mapping[str, Value]) -> str:
    said = f"{name}: asked for {asked}, runs with {effective[name]}"
    if name == "n_ctx":
        slot, trained = effective.get("n_ctx_slot"), effective.get("n_ctx_train")
        if slot is not None and slot == trained:
            return f"{said} (each slot is capped to the {trained} tokens the model was trained for)"
        return f"{said} (rounded to {slot} per slot)" if slot is not None else said
    return said


def _same(name: str, asked: Value, told: Value) -> bool:
    if asked in _UNSAID or (name == "n_ctx" and asked == 0):
        return True
    if isinstance(asked, bool) or isinstance(told, bool):
        return asked is told
    if isinstance(asked, int | float) and isinstance(told, int | float):
        return abs(asked - told) <= 1e-6 * max(abs(asked), abs(told))
    return asked == told


def _at(tree: Any, *path: str | int) -> Any:
    """What is at *path* in *tree*, None where there is nothing such."""
    for step in path:
        if isinstance(step, str) and isinstance(tree, Mapping):
            tree = tree.get(step)
        elif isinstance(step, int) and isinstance(tree, list) and len(tree) > step:
            tree = tree[step]
        else:
            return None
    return tree


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
