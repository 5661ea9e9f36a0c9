"""What SGLang would refuse at start, or answer with a slow failure: the same kind of rules as `lading.engines.rules`."""

import math

from lading.engines import gpus as counting
from lading.engines import memory
from lading.engines.base import Rule, RuleInput
from lading.engines.rules import gpu_too_old, number, quantised_otherwise, rule
from lading.spec.units import show_bytes

_SOURCE = "source of sglang 0.5.23: raises"
#: The least compute capability on which a quantisation starts (not: is fast).
_MIN_CAPABILITY = {"w8a8_fp8": 8.9, "w8a8_int8": 7.5, "awq": 7.5, "awq_marlin": 8.0, "gptq_marlin": 8.0, "gptq": 6.0}


def _size(given: RuleInput, name: str) -> int:
    return int(number(given, name) or 1)


@rule(
    "heads-divide", on="tp_size attn_dp_size", source="source of sglang 0.5.23: asserts at load (distributed/utils.py)",
    hint="choose a tp_size that divides the heads",
)  # fmt: skip
def heads_divide(given: RuleInput) -> str | None:
    """Heads % (TP / attention ranks) == 0."""
    heads, tensor = given.model.heads if given.model else None, _of_attention(given)
    if not heads or heads % tensor == 0:
        return None
    return f"the model has {heads} attention heads, which {tensor} GPUs that share them do not divide"


@rule(
    "kv-heads-divide", on="tp_size attn_dp_size", source="source of sglang 0.5.23: asserts at load (models/llama.py)",
    hint="choose a tp_size that divides the KV heads, or is a multiple of them",
)  # fmt: skip
def kv_heads_divide(given: RuleInput) -> str | None:
    """kv_heads % TP == 0, or TP % kv_heads == 0, with TP of the attention."""
    kv_heads, tensor = given.model.kv_heads if given.model else None, _of_attention(given)
    if not kv_heads or kv_heads % tensor == 0 or tensor % kv_heads == 0:
        return None
    return f"the model has {kv_heads} KV heads: they can neither be split nor repeated over {tensor} GPUs"


@rule(
    "gpus", on="tp_size pp_size dp_size", source="source of sglang 0.5.23: fails at start",
    hint="lower a parallel size, or give it more GPUs",
)  # fmt: skip
def gpus(given: RuleInput) -> str | None:
    """TP·PP·DP ≤ GPUs."""
    need = counting.of_sizes(given.params)
    if given.hardware is None or given.hardware.gpus == 0 or need <= given.hardware.gpus:
        return None
    shown = " · ".join(
        f"{name} {_size(given, name)}" for name in ("tp_size", "pp_size", "dp_size") if _size(given, name) > 1
    )
    return f"{shown} needs {need} GPUs, there are {given.hardware.gpus}"


@rule("layers", on="pp_size", source="source of sglang 0.5.23: fails at load", hint="lower pp_size")
def layers(given: RuleInput) -> str | None:
    """PP ≤ layers."""
    pipeline, have = _size(given, "pp_size"), given.model.layers if given.model else None
    return f"pp_size is {pipeline}, the model has {have} layers" if have and pipeline > have else None


@rule(
    "nodes", on="nnodes tp_size pp_size dp_size", source=f"{_SOURCE} (validation_hook.py)",
    hint="leave nnodes at 1, or spread attention by attn_dp_size instead of copies",
)  # fmt: skip
def nodes(given: RuleInput) -> str | None:
    """(TP·PP) % nodes == 0; copies run on one node."""
    many, ranks = _size(given, "nnodes"), _size(given, "tp_size") * _size(given, "pp_size")
    if ranks % many:
        return f"tp_size times pp_size is {ranks}, which nnodes {many} does not divide"
    copies = _size(given, "dp_size")
    return f"dp_size {copies} runs on one node, nnodes is {many}" if copies > 1 and many > 1 else None


@rule(
    "attention-ranks", on="attn_dp_size attn_cp_size tp_size", source=f"{_SOURCE} (parallel_hook.py)",
    hint="choose sizes whose product divides tp_size",
)  # fmt: skip
def attention_ranks(given: RuleInput) -> str | None:
    """TP % (attention data · attention context) == 0."""
    inside, tensor = _size(given, "attn_dp_size") * _size(given, "attn_cp_size"), _size(given, "tp_size")
    if tensor % inside == 0:
        return None
    return f"attn_dp_size times attn_cp_size is {inside}, it must divide tp_size, which is {tensor}"


@rule(
    "copies-or-attention-ranks", on="dp_size attn_dp_size", source=f"{_SOURCE} (parallel_hook.py)",
    hint="set one of them: dp_size for copies of the model, attn_dp_size for ranks inside tp_size",
)  # fmt: skip
def copies_or_attention_ranks(given: RuleInput) -> str | None:
    """DP and attention DP exclude each other."""
    copies, inside = _size(given, "dp_size"), _size(given, "attn_dp_size")
    return f"dp_size {copies} does not go with attn_dp_size {inside}" if copies > 1 and inside > 1 else None


@rule(
    "dense-layers",
    on="moe_dense_tp_size tp_size",
    source=f"{_SOURCE} (validation_hook.py)",
    hint="set moe_dense_tp_size to 1 or to tp_size",
)
def dense_layers(given: RuleInput) -> str | None:
    """moe_dense_tp_size is 1 or TP."""
    dense, tensor = number(given, "moe_dense_tp_size"), _size(given, "tp_size")
    return None if dense in (None, 1, tensor) else f"moe_dense_tp_size is {dense:g}, it must be 1 or tp_size ({tensor})"


@rule("experts", on="ep_size tp_size", source="source of sglang 0.5.23: fails at load", hint="leave ep_size at 1")
def experts(given: RuleInput) -> str | None:
    """Expert parallelism is for models with experts, and lies inside TP."""
    spread, tensor, model = _size(given, "ep_size"), _size(given, "tp_size"), given.model
    if spread > 1 and model is not None and model.layers is not None and not model.experts:
        return f"ep_size is {spread}, the model has no experts"
    return f"ep_size is {spread}, more than tp_size, which is {tensor}" if spread > tensor else None


@rule(
    "chunk-of-pages", on="chunked_prefill_size page_size", source=f"{_SOURCE} (validation_hook.py)",
    hint="choose a chunked_prefill_size that is a multiple of page_size",
)  # fmt: skip
def chunk_of_pages(given: RuleInput) -> str | None:
    """chunked_prefill_size % page_size == 0."""
    chunk, page = number(given, "chunked_prefill_size"), number(given, "page_size")
    if not chunk or not page or chunk < 0 or chunk % page == 0:
        return None
    return f"chunked_prefill_size is {chunk:g}, no multiple of page_size, which is {page:g}"


@rule(
    "priorities", on="enable_priority_scheduling schedule_policy retraction_policy", source=f"{_SOURCE} (validation_hook.py)",
    hint="set schedule_policy to fcfs or lof, with enable_priority_scheduling",
)  # fmt: skip
def priorities(given: RuleInput) -> str | None:
    """Priorities go with fcfs and lof; retraction by priority needs them."""
    policy, on = given.params.get("schedule_policy"), bool(given.params.get("enable_priority_scheduling"))
    if on and policy not in ("fcfs", "lof"):
        return f"enable_priority_scheduling does not go with schedule_policy {policy}"
    if given.params.get("retraction_policy") == "priority" and not on:
        return "retraction_policy priority needs enable_priority_scheduling"
    return None


_EXCLUDE = (
    ("enable_hierarchical_cache", "disable_radix_cache"),
    ("enable_hierarchical_cache", "enable_lmcache"),
    ("enable_torch_compile", "disable_cuda_graph_padding"),
)


@rule(
    "exclusions", on="enable_hierarchical_cache disable_radix_cache enable_lmcache enable_torch_compile disable_cuda_graph_padding",
    source=f"{_SOURCE} (kv_cache_hook.py, validation_hook.py)", hint="leave one of them out",
)  # fmt: skip
def exclusions(given: RuleInput) -> str | None:
    """A hierarchical cache needs the radix cache and excludes LMCache; compilation needs padded graphs."""
    return next(
        (
            f"{one} does not go with {other}"
            for one, other in _EXCLUDE
            if given.params.get(one) and given.params.get(other)
        ),
        None,
    )


_DRAFT = ("speculative_num_steps", "speculative_eagle_topk", "speculative_num_draft_tokens")


@rule(
    "draft-numbers", on=f"speculative_algorithm {' '.join(_DRAFT)}", source=_SOURCE,
    hint=f"set all of {', '.join(_DRAFT)}, or none",
)  # fmt: skip
def draft_numbers(given: RuleInput) -> str | None:
    """Of steps, branches and drafted tokens all are set, or none; one branch drafts steps + 1 tokens."""
    if str(given.params.get("speculative_algorithm")).upper() not in ("EAGLE", "EAGLE3", "NEXTN", "STANDALONE"):
        return None
    steps, branches, tokens = (number(given, name) for name in _DRAFT)
    if steps is None and branches is None and tokens is None:
        return None
    if steps is None or branches is None or tokens is None:
        return f"only some of {', '.join(_DRAFT)} are set"
    if branches == 1 and tokens != steps + 1:
        return (
            f"with one branch speculative_num_draft_tokens is speculative_num_steps + 1 ({steps + 1:g}), not {tokens:g}"
        )
    return None


@rule(
    "length-of-model",
    on="context_length",
    source=f"{_SOURCE} unless SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1",
    hint="lower context_length",
)
def length_of_model(given: RuleInput) -> str | None:
    """context_length ≤ the model's own length."""
    asked, own = number(given, "context_length"), given.model.max_length if given.model else None
    if asked is None or own is None or asked <= own:
        return None
    return f"context_length is {asked:g}, the model was trained for {own}"


@rule(
    "length-holds-request",
    on="context_length",
    source="a longer request is refused with HTTP 400",
    hint="raise context_length",
)
def length_holds_request(given: RuleInput) -> str | None:
    """The longest prompt and its answer fit."""
    own = given.model.max_length if given.model else None
    longest, need = number(given, "context_length") or own, given.longest_request_tokens
    if longest is None or need is None or need <= longest:
        return None
    return f"the longest request needs {need:,} tokens, the server takes {longest:,.0f}"


@rule(
    "memory", on="mem_fraction_static max_total_tokens chunked_prefill_size max_prefill_tokens kv_cache_dtype dtype tp_size pp_size attn_dp_size cuda_graph_max_bs_decode",
    source="weights and cache, computed; raises at start: Not enough memory",
    hint="raise tp_size or mem_fraction_static, or quantise",
)  # fmt: skip
def sglang_memory(given: RuleInput) -> str | None:
    """Weights fit into the static share beside some cache; both, with what activations need, into the GPU."""
    need = memory.sglang(given.params, given.model, given.hardware) if given.model else None
    have = given.hardware.gpu_memory_bytes if given.hardware else None
    if need is None or have is None:
        return None
    share = memory.sglang_static_share(given.params, given.hardware) or 1.0
    if need.weights_bytes >= share * have:
        return (
            f"weights need {show_bytes(need.weights_bytes)} on each GPU, {share:.3g} of {show_bytes(have)} may be used"
        )
    fixed = number(given, "max_total_tokens")
    if fixed and need.weights_bytes + fixed * need.kv_bytes_per_token > have:
        shown = show_bytes(math.ceil(fixed * need.kv_bytes_per_token))
        return f"weights need {show_bytes(need.weights_bytes)} and max_total_tokens {shown} on each GPU, which has {show_bytes(have)}"
    return None


@rule(
    "quantisation-on-gpu",
    on="quantization",
    source=f"{_SOURCE} (model_loader/loader.py)",
    hint="choose another quantization, or a newer GPU",
)
def quantisation_on_gpu(given: RuleInput) -> str | None:
    """The GPU is new enough for the quantisation."""
    return gpu_too_old(given, _MIN_CAPABILITY)


@rule(
    "quantisation-of-checkpoint",
    on="quantization",
    source=f"{_SOURCE} (configs/model_config.py)",
    hint="leave quantization out: the checkpoint says it",
)
def quantisation_of_checkpoint(given: RuleInput) -> str | None:
    """A quantised checkpoint and the flag agree."""
    return quantised_otherwise(given, _family)


@rule("cache-on-gpu", on="kv_cache_dtype", source=_SOURCE, hint="set kv_cache_dtype to auto or fp8_e4m3")
def cache_on_gpu(given: RuleInput) -> str | None:
    """An mxfp8 cache needs compute capability 10.0."""
    kind, capability = given.params.get("kv_cache_dtype"), given.hardware.gpu_capability if given.hardware else None
    if kind != "mxfp8" or capability is None or capability >= 10.0:
        return None
    return f"kv_cache_dtype mxfp8 needs compute capability 10.0, the GPU has {capability}"


def _of_attention(given: RuleInput) -> int:
    """GPUs that share one attention: TP without the ranks that each have their own."""
    return max(1, _size(given, "tp_size") // _size(given, "attn_dp_size"))


def _family(quantisation: str) -> str:
    """The method without the kernel's name, and modelopt's kinds as one."""
    plain = quantisation.removesuffix("_marlin").replace("_", "-")
    return "modelopt" if plain.startswith("modelopt") else plain


SGLANG: tuple[Rule, ...] = (
    heads_divide, kv_heads_divide, gpus, layers, nodes, attention_ranks, copies_or_attention_ranks, dense_layers, experts,
    chunk_of_pages, priorities, exclusions, draft_numbers, length_of_model, length_holds_request, sglang_memory,
    quantisation_on_gpu, quantisation_of_checkpoint, cache_on_gpu,
)  # fmt: skip
