"""What can be known to fail before anything is started.

Each rule looks at resolved values (`RuleInput`) and gives the message of a breach. What is not known breaks nothing.
"raises" in a source means that the engine checks it too, at start; the others would cost a slow failure, a server that
hangs, or a number of something else than was asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

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


def rule(name: str, *, source: str, hint: str = "") -> Callable[[Check], Rule]:
    """Make a `Rule` of the function below."""
    return lambda check: Rule(name=name, check=check, hint=hint, source=source)


# ------------------------------------------------------------------------------------------------------ llama.cpp

_RUN = "run on xllamacpp 2026.10.11549"
_QUANTISED = frozenset({"q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"})


@rule("slots", source=f"{_RUN}: 0 says it is ready and never answers, 300 raises", hint="set n_parallel from 1 to 256")
def slots(given: RuleInput) -> str | None:
    """1 ≤ n_parallel ≤ 256."""
    n_parallel = number(given, "n_parallel")
    if n_parallel is None or 1 <= n_parallel <= 256:
        return None
    return f"n_parallel is {n_parallel:g}, it must be from 1 to 256"


@rule("batch", source=f"{_RUN}: the process aborts without a reason", hint="set n_batch and n_ubatch to 1 or more")
def batch(given: RuleInput) -> str | None:
    """n_batch ≥ 1 and n_ubatch ≥ 1."""
    for name in ("n_batch", "n_ubatch"):
        value = number(given, name)
        if value is not None and value < 1:
            return f"{name} is {value:g}, it must be at least 1"
    return None


@rule("ubatch-in-batch", source=f"{_RUN}: accepted in silence", hint="lower n_ubatch, or raise n_batch")
def ubatch_in_batch(given: RuleInput) -> str | None:
    """n_ubatch ≤ n_batch."""
    n_batch, n_ubatch = number(given, "n_batch"), number(given, "n_ubatch")
    if n_batch is None or n_ubatch is None or n_ubatch <= n_batch:
        return None
    return f"n_ubatch is {n_ubatch:g}, more than n_batch, which is {n_batch:g}"


@rule(
    "quantised-v-needs-flash-attention",
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
    "slot-holds-request", source=f"{_RUN}: HTTP 400 exceed_context_size_error, or an answer cut short",
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


@rule("memory", source="weights and cache, computed", hint="lower n_ctx, or choose a smaller cache type or model file")
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
