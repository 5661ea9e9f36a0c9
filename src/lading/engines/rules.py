"""What can be known to fail before anything is started.

Each rule looks at resolved values (`RuleInput`) and gives the message of a breach. What is not known breaks nothing.
"raises" in a source means that the engine checks it too, at start; the others would cost a slow failure, a server that
hangs, or a number of something else than was asked for.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lading.engines import gpus as counting
from lading.engines import memory
from lading.engines.base import Engine, Params, Rule, RuleInput, Value, Violation
from lading.errors import InvalidParameters
from lading.spec.units import show_bytes

Check = Callable[[RuleInput], str | None]


def broken(rules: Sequence[Rule], given: RuleInput) -> tuple[Violation, ...]:
    """The rules that *given* breaks, in their order."""
    found = ((one, one.check(given)) for one in rules)
    return tuple(
        Violation(rule=one.name, message=message, hint=one.hint, source=one.source)
        for one, message in found
        if message is not None
    )


def broken_by(engine: Engine, given: RuleInput) -> tuple[Violation, ...]:
    """The rules of *engine* that *given* breaks, over its defaults.

    Raises:
        InvalidParameters: As `Engine.parse`.
    """
    return broken(engine.rules, replace(given, params=engine.resolved(engine.parse(given.params))))


def checked(engine: Engine, params: Params) -> dict[str, Value]:
    """*params* made canonical, and against the rules that need no other fact.

    Raises:
        InvalidParameters: As `Engine.parse`, or a rule is broken.
    """
    canonical = engine.parse(params)
    found = broken(engine.rules, RuleInput(params=engine.resolved(canonical)))
    if found:
        messages = [violation.message for violation in found]
        rest = {"problems": messages} if len(messages) > 1 else {}
        first = f"{len(messages)} rules of {engine.name} are broken" if rest else messages[0]
        raise InvalidParameters(first, hint=found[0].hint, **rest)
    return canonical


def number(given: RuleInput, name: str) -> float | None:
    """The parameter's value if it is a number."""
    value = given.params.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def gpu_too_old(given: RuleInput, least_capability: Mapping[str, float]) -> str | None:
    """Whether the GPU is too old for ``quantization``, which starts from *least_capability* on."""
    kind, capability = given.params.get("quantization"), given.hardware.gpu_capability if given.hardware else None
    least = least_capability.get(str(kind))
    if least is None or capability is None or capability >= least:
        return None
    return f"quantization {kind} needs compute capability {least}, the GPU has {capability}"


def quantised_otherwise(given: RuleInput, family: Callable[[str], str]) -> str | None:
    """Whether ``quantization`` is of another *family* than the checkpoint's."""
    kind, stored = given.params.get("quantization"), given.model.quantization if given.model else None
    if not isinstance(kind, str) or not stored or family(kind) == family(stored):
        return None
    return f"quantization is {kind}, the checkpoint is quantised by {stored}"


def rule(name: str, *, on: str, source: str, hint: str = "") -> Callable[[Check], Rule]:
    """Make a `Rule` of the function below; its docstring says what must hold, *on* names the parameters it looks at."""
    return lambda check: Rule(
        name=name,
        check=check,
        hint=hint,
        source=source,
        about=inspect.getdoc(check) or "",
        parameters=tuple(on.split()),
    )


# ------------------------------------------------------------------------------------------------------ llama.cpp

_RUN = "run on xllamacpp 2026.10.11549"
_QUANTISED = frozenset({"q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"})


@rule(
    "slots",
    on="n_parallel",
    source=f"{_RUN}: 0 says it is ready and never answers, 300 raises",
    hint="set n_parallel from 1 to 256",
)
def slots(given: RuleInput) -> str | None:
    """1 ≤ n_parallel ≤ 256."""
    n_parallel = number(given, "n_parallel")
    if n_parallel is None or 1 <= n_parallel <= 256:
        return None
    return f"n_parallel is {n_parallel:g}, it must be from 1 to 256"


@rule(
    "batch",
    on="n_batch n_ubatch",
    source=f"{_RUN}: the process aborts without a reason",
    hint="set n_batch and n_ubatch to 1 or more",
)
def batch(given: RuleInput) -> str | None:
    """n_batch ≥ 1 and n_ubatch ≥ 1."""
    for name in ("n_batch", "n_ubatch"):
        value = number(given, name)
        if value is not None and value < 1:
            return f"{name} is {value:g}, it must be at least 1"
    return None


@rule(
    "ubatch-in-batch",
    on="n_batch n_ubatch",
    source=f"{_RUN}: accepted in silence",
    hint="lower n_ubatch, or raise n_batch",
)
def ubatch_in_batch(given: RuleInput) -> str | None:
    """n_ubatch ≤ n_batch."""
    n_batch, n_ubatch = number(given, "n_batch"), number(given, "n_ubatch")
    if n_batch is None or n_ubatch is None or n_ubatch <= n_batch:
        return None
    return f"n_ubatch is {n_ubatch:g}, more than n_batch, which is {n_batch:g}"


@rule(
    "quantised-v-needs-flash-attention",
    on="cache_type_v flash_attn",
    source=f"{_RUN}: raises",
    hint="set flash_attn to on or auto, or cache_type_v to f16",
)
def quantised_v(given: RuleInput) -> str | None:
    """A quantised V cache needs flash attention."""
    kind = given.params.get("cache_type_v")
    if given.params.get("flash_attn") != "off" or kind not in _QUANTISED:
        return None
    return f"cache_type_v is {kind} and flash_attn is off: a quantised V cache needs flash attention"


@rule(
    "slot-holds-request", on="n_ctx n_parallel kv_unified", source=f"{_RUN}: HTTP 400 exceed_context_size_error, or an answer cut short",
    hint="raise n_ctx, lower n_parallel, or set kv_unified",
)  # fmt: skip
def slot_holds_request(given: RuleInput) -> str | None:
    """The longest prompt and its answer fit into one slot."""
    slot = memory.slot_tokens(given.params, given.model)
    if slot is None or given.longest_request_tokens is None or given.longest_request_tokens <= slot:
        return None
    return f"the longest request needs {given.longest_request_tokens:,} tokens, each of the {number(given, 'n_parallel'):g} slots has {slot:,}"


@rule(
    "threads-on-cores",
    on="n_threads n_threads_batch",
    source="measured: more threads than cores gain nothing, and are a cliff under load",
    hint="at most one thread per core",
)
def threads_on_cores(given: RuleInput) -> str | None:
    """Threads ≤ cores."""
    cpus = given.hardware.cpus if given.hardware else None
    for name in ("n_threads", "n_threads_batch"):
        threads = number(given, name)
        if cpus and threads and threads > cpus:
            return f"{name} is {threads:g}, there are {cpus} cores"
    return None


@rule(
    "memory",
    on="n_ctx n_parallel kv_unified n_ubatch cache_type_k cache_type_v n_gpu_layers",
    source="weights and cache, computed",
    hint="lower n_ctx, or choose a smaller cache type or model file",
)
def llamacpp_memory(given: RuleInput) -> str | None:
    """Weights and cache fit into the host's memory, or into that of the GPUs when all layers go there."""
    need = memory.llamacpp(given.params, given.model) if given.model else None
    hardware = given.hardware
    if need is None or hardware is None:
        return None
    on_gpu = hardware.gpus > 0 and hardware.gpu_memory_bytes and given.params.get("n_gpu_layers") == -2
    have = hardware.gpus * (hardware.gpu_memory_bytes or 0) if on_gpu else hardware.memory_bytes
    if (hardware.gpus and not on_gpu) or have is None or need.weights_bytes + need.kv_bytes <= have:
        return None
    where = f"{hardware.gpus} GPUs have" if on_gpu else "this host has"
    return f"weights need {show_bytes(need.weights_bytes)} and the cache {show_bytes(need.kv_bytes)}, {where} {show_bytes(have)}"


LLAMACPP: tuple[Rule, ...] = (
    slots, batch, ubatch_in_batch, quantised_v, slot_holds_request, threads_on_cores, llamacpp_memory,
)  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- vLLM

_SOURCE = "source of vllm 0.33.0: raises"
_FLASH_FP8 = "FLASH_ATTN takes an fp8 cache only on compute capability 9.0 or 10.x"
#: The least compute capability on which a quantisation starts (not: is fast).
_MIN_CAPABILITY = {"fp8": 7.5, "modelopt_fp4": 7.5, "mxfp4": 8.0}
_FP8_CACHE = frozenset({"fp8", "fp8_e4m3", "fp8_e5m2"})


def _parallel(given: RuleInput, kind: str) -> int:
    return int(number(given, f"{kind}_parallel_size") or 1)


@rule(
    "heads-divide",
    on="tensor_parallel_size",
    source=f"{_SOURCE} (config/model.py)",
    hint="choose a tensor_parallel_size that divides the heads",
)
def heads_divide(given: RuleInput) -> str | None:
    """Heads % TP == 0."""
    heads, tensor = given.model.heads if given.model else None, _parallel(given, "tensor")
    if not heads or heads % tensor == 0:
        return None
    return f"the model has {heads} attention heads, which tensor_parallel_size {tensor} does not divide"


@rule(
    "kv-heads-divide",
    on="tensor_parallel_size",
    source="source of vllm 0.33.0: asserts at load (models/llama.py)",
    hint="choose a tensor_parallel_size that divides the KV heads, or is a multiple of them",
)
def kv_heads_divide(given: RuleInput) -> str | None:
    """kv_heads % TP == 0, or TP % kv_heads == 0."""
    kv_heads, tensor = given.model.kv_heads if given.model else None, _parallel(given, "tensor")
    if not kv_heads or kv_heads % tensor == 0 or tensor % kv_heads == 0:
        return None
    return f"the model has {kv_heads} KV heads: they can neither be split nor repeated over {tensor} GPUs"


@rule(
    "gpus",
    on="tensor_parallel_size pipeline_parallel_size prefill_context_parallel_size data_parallel_size data_parallel_size_local data_parallel_rank nnodes",
    source=f"{_SOURCE} for TP·PP·PCP on a node (config/parallel.py)",
    hint="lower a parallel size, or give it more GPUs",
)
def gpus(given: RuleInput) -> str | None:
    """TP·PP·PCP·DP ≤ GPUs."""
    need = counting.of_sizes(given.params)
    if given.hardware is None or given.hardware.gpus == 0 or need <= given.hardware.gpus:
        return None
    shown = " · ".join(f"{kind} {size}" for kind, size in counting.sizes(given.params).items() if size > 1)
    return f"{shown} parallel needs {need} GPUs, there are {given.hardware.gpus}"


@rule("layers", on="pipeline_parallel_size", source=_SOURCE, hint="lower pipeline_parallel_size")
def layers(given: RuleInput) -> str | None:
    """PP ≤ layers."""
    pipeline, have = _parallel(given, "pipeline"), given.model.layers if given.model else None
    return f"pipeline_parallel_size is {pipeline}, the model has {have} layers" if have and pipeline > have else None


@rule(
    "decode-context",
    on="decode_context_parallel_size tensor_parallel_size",
    source=f"{_SOURCE} (config/parallel.py, config/model.py)",
    hint="leave decode_context_parallel_size at 1, or raise tensor_parallel_size above the KV heads",
)
def decode_context(given: RuleInput) -> str | None:
    """TP % DCP == 0; with grouped heads TP > K, DCP ≤ TP // K and (H // K) % DCP == 0."""
    context, tensor = _parallel(given, "decode_context"), _parallel(given, "tensor")
    if context == 1:
        return None
    if tensor % context:
        return f"tensor_parallel_size {tensor} is not a multiple of decode_context_parallel_size {context}"
    heads, kv_heads = (given.model.heads, given.model.kv_heads) if given.model else (None, None)
    if (
        not heads
        or not kv_heads
        or (tensor > kv_heads and context <= tensor // kv_heads and heads // kv_heads % context == 0)
    ):
        return None
    return f"decode_context_parallel_size {context} does not fit {heads} heads in {kv_heads} groups over {tensor} GPUs"


@rule(
    "whole-prompt-in-batch",
    on="max_num_batched_tokens max_model_len enable_chunked_prefill",
    source=f"{_SOURCE} (config/scheduler.py)",
    hint="raise max_num_batched_tokens, or leave chunked prefill on",
)
def whole_prompt_in_batch(given: RuleInput) -> str | None:
    """Without chunked prefill, max_num_batched_tokens ≥ max_model_len."""
    tokens, longest = number(given, "max_num_batched_tokens"), _longest(given)
    if (
        given.params.get("enable_chunked_prefill") is not False
        or tokens is None
        or longest is None
        or tokens >= longest
    ):
        return None
    return f"without chunked prefill max_num_batched_tokens ({tokens:g}) must hold max_model_len ({longest:g})"


@rule(
    "sequences-in-batch",
    on="max_num_seqs max_num_batched_tokens",
    source=f"{_SOURCE} (config/scheduler.py)",
    hint="raise max_num_batched_tokens, or lower max_num_seqs",
)
def sequences_in_batch(given: RuleInput) -> str | None:
    """max_num_batched_tokens ≥ max_num_seqs."""
    return _at_most(given, "max_num_seqs", number(given, "max_num_batched_tokens"), "max_num_batched_tokens")


@rule(
    "active-sequences",
    on="max_num_active_seqs max_num_seqs",
    source=f"{_SOURCE} (config/scheduler.py)",
    hint="lower max_num_active_seqs",
)
def active_sequences(given: RuleInput) -> str | None:
    """max_num_active_seqs ≤ max_num_seqs."""
    return _at_most(given, "max_num_active_seqs", number(given, "max_num_seqs"), "max_num_seqs")


@rule(
    "prefill-threshold",
    on="long_prefill_token_threshold max_model_len",
    source=f"{_SOURCE} (config/scheduler.py)",
    hint="lower long_prefill_token_threshold",
)
def prefill_threshold(given: RuleInput) -> str | None:
    """long_prefill_token_threshold ≤ max_model_len."""
    return _at_most(given, "long_prefill_token_threshold", _longest(given), "max_model_len")


@rule(
    "length-of-model",
    on="max_model_len",
    source=f"{_SOURCE} unless VLLM_ALLOW_LONG_MAX_MODEL_LEN=1",
    hint="lower max_model_len",
)
def length_of_model(given: RuleInput) -> str | None:
    """max_model_len ≤ the model's own length."""
    return _at_most(
        given, "max_model_len", given.model.max_length if given.model else None, "what the model was trained for"
    )


@rule(
    "length-holds-request",
    on="max_model_len",
    source="a longer request is refused with HTTP 400",
    hint="raise max_model_len",
)
def length_holds_request(given: RuleInput) -> str | None:
    """The longest prompt and its answer fit."""
    longest, need = _longest(given), given.longest_request_tokens
    if longest is None or need is None or need <= longest:
        return None
    return f"the longest request needs {need:,} tokens, the server takes {longest:,.0f}"


@rule(
    "memory",
    on="gpu_memory_utilization kv_cache_memory_bytes max_model_len max_num_batched_tokens kv_cache_dtype dtype tensor_parallel_size pipeline_parallel_size",
    source="weights and cache, computed; raises at start",
    hint="raise tensor_parallel_size or gpu_memory_utilization, lower max_model_len, or quantise",
)
def vllm_memory(given: RuleInput) -> str | None:
    """Weights fit beside a cache for one sequence of the longest length."""
    need = memory.vllm(given.params, given.model, given.hardware) if given.model else None
    have = given.hardware.gpu_memory_bytes if given.hardware else None
    longest = _longest(given)
    if need is None or have is None:
        return None
    share = number(given, "gpu_memory_utilization") or 1.0
    if need.weights_bytes >= share * have:
        return f"weights need {show_bytes(need.weights_bytes)} on each GPU, {share:g} of {show_bytes(have)} may be used"
    least = int(longest or 0) * need.kv_bytes_per_token
    room = number(given, "kv_cache_memory_bytes") or share * have - need.weights_bytes
    if least > room and given.params.get("max_model_len") != "auto":
        return f"one sequence of {longest:,.0f} tokens needs {show_bytes(least)} of cache, at most {show_bytes(room)} is left on each GPU"
    return None


@rule(
    "quantisation-on-gpu",
    on="quantization",
    source=f"{_SOURCE} (get_min_capability)",
    hint="choose another quantization, or a newer GPU",
)
def quantisation_on_gpu(given: RuleInput) -> str | None:
    """The GPU is new enough for the quantisation."""
    return gpu_too_old(given, _MIN_CAPABILITY)


@rule(
    "quantisation-of-checkpoint",
    on="quantization",
    source=f"{_SOURCE} (config/model.py)",
    hint="leave quantization out: the checkpoint says it",
)
def quantisation_of_checkpoint(given: RuleInput) -> str | None:
    """A quantised checkpoint and the flag agree."""
    return quantised_otherwise(given, _family)


@rule(
    "quantisation-dtype",
    on="quantization dtype",
    source=f"{_SOURCE} (get_supported_act_dtypes)",
    hint="leave dtype at auto",
)
def quantisation_dtype(given: RuleInput) -> str | None:
    """Quantised weights do not go with float32; mxfp4 only with bfloat16."""
    kind, dtype = given.params.get("quantization"), given.params.get("dtype")
    if kind and dtype == "float32":
        return f"quantization {kind} does not take dtype float32"
    if kind == "mxfp4" and dtype == "float16":
        return "quantization mxfp4 takes bfloat16 only"
    return None


@rule(
    "cache-of-backend",
    on="attention_backend kv_cache_dtype",
    source="source of vllm 0.33.0 (fa_utils.py): raises, or another backend is taken",
    hint="leave attention_backend out, or kv_cache_dtype at auto",
)
def cache_of_backend(given: RuleInput) -> str | None:
    """The attention backend takes the cache's type."""
    backend, kind = str(given.params.get("attention_backend")), str(given.params.get("kv_cache_dtype"))
    capability = given.hardware.gpu_capability if given.hardware else None
    if backend == "FLEX_ATTENTION" and kind != "auto" and kind not in _PLAIN_CACHE:
        return f"FLEX_ATTENTION takes no quantised cache, kv_cache_dtype is {kind}"
    if backend != "FLASH_ATTN" or kind not in _FP8_CACHE:
        return None
    if kind == "fp8_e5m2":
        return "FLASH_ATTN never takes an fp8_e5m2 cache"
    known = capability is None or capability == 9.0 or 10.0 <= capability < 11.0
    return None if known else f"{_FLASH_FP8}, the GPU has {capability}"


_PLAIN_CACHE = frozenset({"float16", "bfloat16"})


@rule("cache-is-dtype", on="kv_cache_dtype dtype", source=_SOURCE, hint="leave kv_cache_dtype at auto")
def cache_is_dtype(given: RuleInput) -> str | None:
    """An unquantised cache has the model's own type."""
    kind, dtype = given.params.get("kv_cache_dtype"), given.params.get("dtype", "auto")
    if dtype == "auto":
        dtype = given.model.dtype if given.model else None
    if kind not in _PLAIN_CACHE or dtype not in _PLAIN_CACHE or kind == dtype:
        return None
    return f"kv_cache_dtype is {kind}, the model runs in {dtype}"


@rule("bfloat16-on-gpu", on="dtype", source=f"{_SOURCE} (platforms/cuda.py)", hint="set dtype to float16")
def bfloat16_on_gpu(given: RuleInput) -> str | None:
    """bfloat16 needs compute capability 8.0."""
    capability = given.hardware.gpu_capability if given.hardware else None
    if given.params.get("dtype") != "bfloat16" or capability is None or capability >= 8.0:
        return None
    return f"dtype bfloat16 needs compute capability 8.0, the GPU has {capability}"


@rule("experts", on="enable_expert_parallel", source=_SOURCE, hint="leave enable_expert_parallel off")
def experts(given: RuleInput) -> str | None:
    """Expert parallelism is for models with experts."""
    if (
        not given.params.get("enable_expert_parallel")
        or given.model is None
        or given.model.layers is None
        or given.model.experts
    ):
        return None
    return "enable_expert_parallel is on, the model has no experts"


@rule(
    "expert-balance",
    on="enable_eplb enable_expert_parallel tensor_parallel_size prefill_context_parallel_size data_parallel_size",
    source=_SOURCE,
    hint="set enable_expert_parallel, with more than one GPU",
)
def expert_balance(given: RuleInput) -> str | None:
    """Load balancing of experts needs expert parallelism over more than one GPU."""
    if not given.params.get("enable_eplb"):
        return None
    if not given.params.get("enable_expert_parallel"):
        return "enable_eplb needs enable_expert_parallel"
    ranks = math.prod(_parallel(given, kind) for kind in ("tensor", "prefill_context", "data"))
    return None if ranks > 1 else "enable_eplb needs more than one GPU"


@rule(
    "async-with-pipeline",
    on="async_scheduling pipeline_parallel_size",
    source=_SOURCE,
    hint="leave async_scheduling out",
)
def async_with_pipeline(given: RuleInput) -> str | None:
    """An explicit async scheduling excludes pipeline parallelism."""
    if given.params.get("async_scheduling") is not True or _parallel(given, "pipeline") == 1:
        return None
    return "async_scheduling does not go with pipeline_parallel_size above 1"


@rule(
    "draft-in-batch",
    on="spec_tokens max_num_batched_tokens",
    source=_SOURCE,
    hint="lower spec_tokens, or raise max_num_batched_tokens",
)
def draft_in_batch(given: RuleInput) -> str | None:
    """max_num_batched_tokens > the tokens drafted ahead."""
    drafted, tokens = number(given, "spec_tokens"), number(given, "max_num_batched_tokens")
    if drafted is None or tokens is None or tokens > drafted:
        return None
    return f"max_num_batched_tokens ({tokens:g}) must be more than spec_tokens ({drafted:g})"


def _longest(given: RuleInput) -> float | None:
    """max_model_len, or the model's own length where it is left out."""
    asked = number(given, "max_model_len")
    return asked if asked is not None else given.model.max_length if given.model else None


def _at_most(given: RuleInput, name: str, limit: float | None, of: str) -> str | None:
    value = number(given, name)
    if value is None or limit is None or value <= limit:
        return None
    return f"{name} is {value:g}, more than {of}, which is {limit:g}"


def _family(quantisation: str) -> str:
    """The method without the kernel's or tool's name: gptq_marlin and auto_gptq are gptq."""
    return quantisation.removeprefix("auto_").removesuffix("_marlin").replace("_", "-")


VLLM: tuple[Rule, ...] = (
    heads_divide, kv_heads_divide, gpus, layers, decode_context, whole_prompt_in_batch, sequences_in_batch,
    active_sequences, prefill_threshold, length_of_model, length_holds_request, vllm_memory, quantisation_on_gpu,
    quantisation_of_checkpoint, quantisation_dtype, cache_of_backend, cache_is_dtype, bfloat16_on_gpu, experts,
    expert_balance, async_with_pipeline, draft_in_batch,
)  # fmt: skip
