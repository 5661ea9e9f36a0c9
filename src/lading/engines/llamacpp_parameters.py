"""llama.cpp's server: every parameter, as ``llama-server`` flags and as attributes of ``xllamacpp.CommonParams``.

Names are llama.cpp's own (``n_ctx``, ``n_parallel``), the flags are aliases of them. Flags, types and defaults were read
from the argument parser and the attributes inside xllamacpp 2026.10.11549 (tests compare them again); search ranges are
proposals for a CPU. The two programs differ where `Parameter.program_defaults` says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lading.engines import values
from lading.engines.base import Parameter, SearchRange, Value

SOURCE = "llama-server --help and xllamacpp.CommonParams of xllamacpp 2026.10.11549"
MAX_SLOTS = 256


@dataclass(frozen=True)
class Attribute:
    """How a value is written for xllamacpp: under *path*, as a member of *enum* where *members* names one.

    A list begins with *head*, and is filled up with zeros to *length*, where the attribute has a fixed one. A number is
    multiplied by *unit*.
    """

    path: str
    enum: str = ""
    members: Mapping[Value, str] | None = None
    inverse: bool = False
    many: bool = False
    head: tuple[Value, ...] = ()
    length: int = 0
    unit: int = 1

    def write(self, value: Value) -> Any:
        """*value* as the launcher takes it."""
        if self.many:
            items = [self._member(item) for item in (*self.head, *values.document(value))]
            return items + [0.0] * (self.length - len(items))
        if self.inverse:
            return not value
        return self._member(value)

    def _member(self, value: Value) -> Any:
        if self.members is None:
            return value * self.unit if isinstance(value, int) and self.unit != 1 else value
        return f"{self.enum}.{self.members[value]}"


@dataclass(frozen=True)
class Cores:
    """A CPU range ``lo-hi`` as a mask of booleans."""

    path: str

    def write(self, value: Value) -> dict[str, Any]:
        """The mask, and that it is to be used."""
        low, _, high = str(value).partition("-")
        mask = [int(low) <= core <= int(high or low) for core in range(_MAX_THREADS)]
        return {f"{self.path}.cpumask": mask, f"{self.path}.mask_valid": True}


_MAX_THREADS = 512


def _members(prefix: str, words: Sequence[str]) -> dict[Value, str]:
    return {word: f"{prefix}_{word.upper().replace('-', '_')}" for word in words}


_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
_GGML = _members("GGML_TYPE", _CACHE_TYPES)
_SPECULATION = (
    "none", "draft-simple", "draft-eagle3", "draft-mtp", "draft-dflash", "draft-dspark",
    "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache",
)  # fmt: skip
_SWITCHED: dict[Value, str] = {
    "on": "LLAMA_FLASH_ATTN_TYPE_ENABLED",
    "off": "LLAMA_FLASH_ATTN_TYPE_DISABLED",
    "auto": "LLAMA_FLASH_ATTN_TYPE_AUTO",
}
_LOAD: dict[Value, str] = {
    "auto": "LLAMA_LOAD_MODE_AUTO", "none": "LLAMA_LOAD_MODE_NONE", "mmap": "LLAMA_LOAD_MODE_MMAP",
    "mlock": "LLAMA_LOAD_MODE_MLOCK", "mmap+mlock": "LLAMA_LOAD_MODE_MMAP_MLOCK", "dio": "LLAMA_LOAD_MODE_DIRECT_IO",
}  # fmt: skip
_NUMA = _members("GGML_NUMA_STRATEGY", ("distribute", "isolate", "numactl"))

#: How each parameter is written for xllamacpp; one that is missing here needs ``llama-server``.
ATTRIBUTES: dict[str, Attribute | Cores] = {}
PARAMETERS: dict[str, Parameter] = {}


def _add(name: str, flags: str, to: str | Attribute | Cores | None = None, **facts: Any) -> None:
    if isinstance(to, str):
        to = Attribute(to)
    if to is not None:
        ATTRIBUTES[name] = to
    PARAMETERS[name] = Parameter(
        name=name, flags=tuple(flags.split()), attribute=to.path if to else "", source=SOURCE, **facts
    )


_add(
    "n_ctx", "--ctx-size -c", "n_ctx", kind="int", default=0, minimum=0,
    default_note="0: the model's own length for every slot",
    search=SearchRange(low=1024, high=32768, log=True), memory="KV",
    help="Tokens of context in all, divided among the slots unless the cache is unified.",
    note="At least n_parallel × (longest prompt + answer). Rounded up to 256 per slot; capped at the trained length per slot.",
)  # fmt: skip
_add(
    "n_parallel", "--parallel -np", "n_parallel", kind="int", default=1, minimum=1, maximum=MAX_SLOTS,
    program_defaults={"llama-server": None}, default_note="llama-server: auto (4 slots over a unified cache); xllamacpp: 1",
    search=SearchRange(low=1, high=16, log=True), memory="KV",
    help="Slots: how many requests are worked on at once.",
    note="0 starts, says it is ready and answers nothing; more than 256 does not start.",
)  # fmt: skip
_add(
    "kv_unified", "--kv-unified -kvu", "kv_unified", kind="bool", default=False, off_flags=("--no-kv-unified", "-no-kvu"),
    default_note="llama-server: on where the number of slots is left to it", search=SearchRange(values=(False, True)), memory="KV",
    help="One pool of context for all slots; each may use all of it.",
)  # fmt: skip
_add(
    "kv_unified_per_slot", "--kv-unified-per-slot", "kv_unified_per_slot", kind="int", default=0, minimum=0, memory="KV",
    default_note="0: no limit", help="With a unified cache, the most context one slot may use; without n_ctx it sizes the pool.",
)  # fmt: skip
_add(
    "n_batch", "--batch-size -b", "n_batch", kind="int", default=2048, minimum=1,
    search=SearchRange(low=32, high=2048, log=True), memory="activation +",
    help="Most tokens of one decode call, over all slots.", note="0 aborts. Small batches trade TTFT for ITL.",
)  # fmt: skip
_add(
    "n_ubatch", "--ubatch-size -ub", "n_ubatch", kind="int", default=512, minimum=1,
    search=SearchRange(low=64, high=512, log=True), memory="activation +",
    help="Most tokens computed at once.", note="At most n_batch.",
)  # fmt: skip
_add(
    "n_threads", "--threads -t", "cpuparams.n_threads", kind="int", default=-1, minimum=-1, maximum=_MAX_THREADS,
    default_note="-1: the physical cores", search=SearchRange(low=1, high=16),
    help="Threads that generate.", note="More than the cores gain nothing and cost a lot.",
)  # fmt: skip
_add(
    "n_threads_batch", "--threads-batch -tb", "cpuparams_batch.n_threads", kind="int", default=-1, minimum=-1,
    maximum=_MAX_THREADS, default_note="-1: as n_threads", search=SearchRange(low=1, high=16), help="Threads that read prompts.",
)  # fmt: skip
_add(
    "poll", "--poll", "cpuparams.poll", kind="int", default=50, minimum=0, maximum=100, search=SearchRange(values=(0, 50)),
    help="How busily threads wait for work: 0 sleeps, 100 spins.",
)  # fmt: skip
_add(
    "priority", "--prio", Attribute("cpuparams.priority", "ggml_sched_priority", {
        -1: "GGML_SCHED_PRIO_LOW", 0: "GGML_SCHED_PRIO_NORMAL", 1: "GGML_SCHED_PRIO_MEDIUM", 2: "GGML_SCHED_PRIO_HIGH",
        3: "GGML_SCHED_PRIO_REALTIME"}),
    kind="choice", default=0, choices=(-1, 0, 1, 2, 3), help="Priority of its threads, from low (-1) to real time (3).",
)  # fmt: skip
_add(
    "cpu_mask",
    "--cpu-mask -C",
    kind="str",
    pattern="(0x)?[0-9a-fA-F]+",
    help="CPUs to run on, as a hexadecimal mask.",
    default_note="all",
)
_add(
    "cpu_range",
    "--cpu-range -Cr",
    Cores("cpuparams"),
    kind="str",
    pattern="[0-9]{1,3}-[0-9]{1,3}",
    help="CPUs to run on, ``lo-hi``.",
    default_note="all",
)
_add(
    "cpu_strict",
    "--cpu-strict",
    "cpuparams.strict_cpu",
    kind="bool",
    default=False,
    help="One thread per CPU of the mask.",
)
_add(
    "n_threads_http", "--threads-http", "n_threads_http", kind="int", default=-1, minimum=-1, default_note="-1: decided at start",
    help="Threads that answer HTTP.",
)  # fmt: skip
_add(
    "numa", "--numa", Attribute("numa", "ggml_numa_strategy", _NUMA), kind="choice", choices=tuple(_NUMA),
    default_note="off", search=SearchRange(values=(None, "distribute", "isolate")), help="How threads and memory are laid over NUMA nodes.",
)  # fmt: skip
_add(
    "flash_attn", "--flash-attn -fa", Attribute("flash_attn_type", "llama_flash_attn_type", _SWITCHED), kind="choice",
    default="auto", choices=("on", "off", "auto"), memory="-", help="Flash attention.", note="A quantised cache_type_v needs it.",
)  # fmt: skip
_add(
    "cache_type_k", "--cache-type-k -ctk", Attribute("cache_type_k", "ggml_type", _GGML), kind="choice", default="f16",
    choices=_CACHE_TYPES, search=SearchRange(values=("f16", "q8_0")), memory="KV", help="Type of the cached keys.",
    note="Guard the answers' quality below q8_0.",
)  # fmt: skip
_add(
    "cache_type_v", "--cache-type-v -ctv", Attribute("cache_type_v", "ggml_type", _GGML), kind="choice", default="f16",
    choices=_CACHE_TYPES, search=SearchRange(values=("f16", "q8_0")), memory="KV", help="Type of the cached values.",
    note="A quantised one needs flash_attn on or auto.",
)  # fmt: skip
_add(
    "cont_batching", "--cont-batching -cb", "cont_batching", kind="bool", default=True, off_flags=("--no-cont-batching", "-nocb"),
    help="Let new requests join those being answered.",
)  # fmt: skip
_add(
    "cache_prompt", "--cache-prompt", "cache_prompt", kind="bool", default=True, off_flags=("--no-cache-prompt",),
    help="Reuse the prompt that a slot holds.", note="Each measured request says cache_prompt: false.",
)  # fmt: skip
_add(
    "n_cache_reuse", "--cache-reuse", "n_cache_reuse", kind="int", default=0, minimum=0, search=SearchRange(values=(0, 256)),
    help="Shortest piece of a prompt to reuse by shifting; 0 for none.",
)  # fmt: skip
_add(
    "cache_ram_mib", "--cache-ram -cram", "cache_ram_mib", kind="int", default=8192, minimum=-1, search=SearchRange(values=(0, 8192)),
    memory="host +", help="MiB of host memory for prompts of idle slots; -1 for no limit, 0 for none.",
    note="Grows with traffic.",
)  # fmt: skip
_add(
    "n_ctx_checkpoints", "--ctx-checkpoints -ctxcp --swa-checkpoints", "n_ctx_checkpoints", kind="int", default=32, minimum=0,
    memory="host +", help="Checkpoints of the context kept per slot.",
)  # fmt: skip
_add(
    "n_gpu_layers", "--n-gpu-layers --gpu-layers -ngl", Attribute("n_gpu_layers"), kind="int", default=-1, minimum=-2,
    choices=("auto", "all"), synonyms={"auto": -1, "-1": -1, "all": -2}, default_note="-1: auto", memory="+",
    help="Layers on the GPU: a number, auto (-1) or all (-2).",
)  # fmt: skip
_add(
    "device", "--device -dev", kind="str", help="Devices to offload to, separated by commas; none for none.", default_note="all",
)  # fmt: skip
_add(
    "split_mode", "--split-mode -sm", Attribute("split_mode", "llama_split_mode", _members("LLAMA_SPLIT_MODE", ("none", "layer", "row", "tensor"))),
    kind="choice", default="layer", choices=("none", "layer", "row", "tensor"), search=SearchRange(values=("layer", "row", "tensor")),
    help="How a model is split over GPUs.", note="tensor is experimental.",
)  # fmt: skip
_add(
    "tensor_split", "--tensor-split -ts", Attribute("tensor_split", many=True, length=128), kind="float", minimum=0, many=True, default_note="by free memory",
    help="Each GPU's share of the model.",
)  # fmt: skip
_add("main_gpu", "--main-gpu -mg", "main_gpu", kind="int", default=0, minimum=0, help="The GPU of split_mode none.")
_add("cpu_moe", "--cpu-moe -cmoe", kind="bool", default=False, memory="-", help="Keep all experts on the CPU.")
_add(
    "n_cpu_moe",
    "--n-cpu-moe -ncmoe",
    kind="int",
    default=0,
    minimum=0,
    memory="-",
    help="Keep the experts of so many layers on the CPU.",
)
_add(
    "override_tensor",
    "--override-tensor -ot",
    kind="str",
    pattern="[^=]+=[^=]+",
    memory="±",
    help="Where tensors of a pattern go: ``exps=CPU``.",
)
_add(
    "moe_cache_mib",
    "--moe-cache-mib",
    Attribute("moe_cache_size", unit=2**20),
    kind="int",
    default=0,
    minimum=0,
    memory="+",
    help="MiB on the GPU that cache experts kept on the CPU.",
)
_add(
    "fit", "--fit -fit", "fit_params", kind="bool", default=True, help="Let the server change unset arguments to fit into memory.",
    note="Lading starts it off: a server that changes its own arguments is another trial.",
)  # fmt: skip
_add(
    "fit_target", "--fit-target -fitt", kind="int", many=True, minimum=0, default_note="1024 MiB per device", help="MiB that fit leaves free on each device.",
)  # fmt: skip
_add(
    "fit_ctx",
    "--fit-ctx -fitc",
    "fit_params_min_ctx",
    kind="int",
    default=4096,
    minimum=0,
    help="The shortest context fit may choose.",
)
_add(
    "load_mode", "--load-mode -lm", Attribute("load_mode", "llama_load_mode", _LOAD), kind="choice", default="auto", choices=tuple(_LOAD),
    search=SearchRange(values=("mmap", "mlock", "dio")), help="How weights come into memory.", note="Replaces --mmap, --no-mmap and --mlock.",
)  # fmt: skip
_add(
    "lazy_mode", "--lazy-mode -lzm", Attribute("lazy_mode", "llama_lazy_mode", _members("LLAMA_LAZY_MODE", ("off", "auto", "on"))), kind="choice",
    default="auto", choices=("off", "auto", "on"), help="Read rows of very large tensors when needed.",
)  # fmt: skip
_add(
    "repack", "--repack", Attribute("no_extra_bufts", inverse=True), kind="bool", default=True, off_flags=("--no-repack", "-nr"), memory="host +",
    help="Lay weights out anew for this CPU.", note="q4_0 keeps a second copy.",
)  # fmt: skip
_add(
    "kv_offload", "--kv-offload -kvo", Attribute("no_kv_offload", inverse=True), kind="bool", default=True, off_flags=("--no-kv-offload", "-nkvo"),
    memory="KV", help="Keep the cache on the GPU.",
)  # fmt: skip
_add(
    "op_offload", "--op-offload", Attribute("no_op_offload", inverse=True), kind="bool", default=True, off_flags=("--no-op-offload",),
    help="Compute operations on host tensors on the GPU.",
)  # fmt: skip
_add(
    "swa_full",
    "--swa-full",
    "swa_full",
    kind="bool",
    default=False,
    memory="KV",
    help="Cache all of a sliding window's layers.",
)
_add(
    "spec_type", "--spec-type", Attribute("speculative.types", "common_speculative_type", _members("COMMON_SPECULATIVE_TYPE", _SPECULATION), many=True, head=("none",)),
    kind="choice", many=True, choices=_SPECULATION, default_note="none", search=SearchRange(values=(None, "ngram-simple", "ngram-mod")), memory="+",
    help="Kinds of speculative decoding.", note="draft-* need draft_model.",
)  # fmt: skip
_add(
    "draft_model",
    "--spec-draft-model -md --model-draft",
    "speculative.draft.mparams.path",
    kind="str",
    memory="+",
    help="The draft model's file.",
)
_add(
    "draft_n_max",
    "--spec-draft-n-max",
    "speculative.draft.n_max",
    kind="int",
    default=3,
    minimum=0,
    search=SearchRange(low=1, high=8),
    help="Most tokens drafted at once.",
)
_add(
    "draft_n_min",
    "--spec-draft-n-min",
    "speculative.draft.n_min",
    kind="int",
    default=0,
    minimum=0,
    help="Fewest tokens worth a draft.",
)
_add(
    "draft_p_min",
    "--spec-draft-p-min --draft-p-min",
    "speculative.draft.p_min",
    kind="float",
    default=0.0,
    minimum=0,
    maximum=1,
    search=SearchRange(low=0.0, high=0.9),
    help="Least probability of a drafted token.",
)
for _kind, _attribute in (("simple", "ngram_simple"), ("map-k", "ngram_map_k"), ("map-k4v", "ngram_map_k4v")):
    _owner = f"ngram-{_kind}"
    _name = _owner.replace("-", "_")
    _add(
        f"{_name}_size_n",
        f"--spec-{_owner}-size-n",
        f"speculative.{_attribute}.size_n",
        kind="int",
        default=12,
        minimum=1,
        help=f"Length of the n-gram that {_owner} looks up.",
    )
    _add(
        f"{_name}_size_m",
        f"--spec-{_owner}-size-m",
        f"speculative.{_attribute}.size_m",
        kind="int",
        default=48,
        minimum=1,
        help=f"Tokens that {_owner} drafts.",
    )
    _add(
        f"{_name}_min_hits",
        f"--spec-{_owner}-min-hits",
        f"speculative.{_attribute}.min_hits",
        kind="int",
        default=1,
        minimum=1,
        help=f"Times an n-gram must have been seen for {_owner}.",
    )
_add(
    "ngram_mod_n_match",
    "--spec-ngram-mod-n-match",
    "speculative.ngram_mod.n_match",
    kind="int",
    default=24,
    minimum=1,
    help="Length that ngram-mod looks up.",
)
_add(
    "ngram_mod_n_min",
    "--spec-ngram-mod-n-min",
    "speculative.ngram_mod.n_min",
    kind="int",
    default=48,
    minimum=0,
    help="Fewest tokens ngram-mod drafts.",
)
_add(
    "ngram_mod_n_max",
    "--spec-ngram-mod-n-max",
    "speculative.ngram_mod.n_max",
    kind="int",
    default=64,
    minimum=0,
    help="Most tokens ngram-mod drafts.",
)
_add(
    "warmup",
    "--warmup",
    "warmup",
    kind="bool",
    default=True,
    off_flags=("--no-warmup",),
    help="Run once with nothing before being ready.",
)
_add(
    "metrics",
    "--metrics",
    "endpoint_metrics",
    kind="bool",
    default=False,
    help="Offer /metrics.",
    note="Lading starts it on.",
)
_add(
    "slots",
    "--slots",
    "endpoint_slots",
    kind="bool",
    default=True,
    off_flags=("--no-slots",),
    help="Offer /slots.",
    note="Lading starts it on.",
)
_add("props", "--props", "endpoint_props", kind="bool", default=False, help="Let POST /props change settings.")
_add(
    "seed",
    "--seed -s",
    "sampling.seed",
    kind="int",
    minimum=0,
    maximum=2**32 - 1,
    default_note="random",
    help="Seed of sampling.",
)
_add(
    "n_predict",
    "--n-predict --predict -n",
    "n_predict",
    kind="int",
    default=-1,
    minimum=-1,
    default_note="-1: no limit",
    help="Most tokens of an answer; a request may say less.",
)
_add(
    "ignore_eos",
    "--ignore-eos",
    "sampling.ignore_eos",
    kind="bool",
    default=False,
    help="Never end an answer early.",
    note="Each measured request says so itself.",
)
_add(
    "temperature",
    "--temperature --temp",
    "sampling.temp",
    kind="float",
    default=0.8,
    minimum=0,
    help="Temperature of requests that say none.",
)
_add(
    "timeout_s",
    "--timeout -to",
    "timeout_read",
    kind="int",
    default=3600,
    minimum=1,
    help="Seconds a connection may be silent.",
)
_add(
    "sse_ping_interval_s",
    "--sse-ping-interval",
    "sse_ping_interval",
    kind="int",
    default=30,
    minimum=-1,
    help="Seconds between keep-alive comments in a stream; -1 for none.",
)
_add(
    "sleep_idle_s",
    "--sleep-idle-seconds",
    "sleep_idle_seconds",
    kind="int",
    default=-1,
    minimum=-1,
    default_note="-1: never",
    help="Seconds without a request after which the model is unloaded.",
)
_add(
    "context_shift",
    "--context-shift",
    "ctx_shift",
    kind="bool",
    default=False,
    off_flags=("--no-context-shift",),
    help="Drop the oldest tokens instead of ending an answer.",
)
_add(
    "jinja",
    "--jinja",
    "use_jinja",
    kind="bool",
    default=True,
    off_flags=("--no-jinja",),
    help="Render chats by the model's own template.",
)
_add(
    "verbosity",
    "--log-verbosity --verbosity -lv",
    "verbosity",
    kind="int",
    default=3,
    minimum=0,
    maximum=5,
    help="How much is logged, from 0 to 5.",
    note="Below 3 the lines that `effective` reads are missing.",
)

#: Names that people also write, beyond the flags.
ALIASES = {
    "context_length": "n_ctx", "flash_attn_type": "flash_attn", "parallel_slots": "n_parallel",
    "fit_params": "fit", "endpoint_metrics": "metrics", "endpoint_slots": "slots", "endpoint_props": "props",
    "ngl": "n_gpu_layers", "temp": "temperature", "threads_batch": "n_threads_batch", "timeout_read": "timeout_s",
    "sse_ping_interval": "sse_ping_interval_s", "sleep_idle_seconds": "sleep_idle_s", "moe_cache_size": "moe_cache_mib",
}  # fmt: skip

FOREIGN = {
    "max_num_seqs": ("vLLM", "n_parallel"), "max_running_requests": ("SGLang", "n_parallel"), "max_batch_size": ("TensorRT-LLM", "n_parallel"),
    "max_model_len": ("vLLM", "n_ctx (in all: n_parallel times as much)"), "max_seq_len": ("TensorRT-LLM", "n_ctx (in all: n_parallel times as much)"),
    "max_num_batched_tokens": ("vLLM", "n_batch"), "chunked_prefill_size": ("SGLang", "n_batch"), "max_num_tokens": ("TensorRT-LLM", "n_batch"),
    "kv_cache_dtype": ("vLLM", "cache_type_k and cache_type_v"), "enable_prefix_caching": ("vLLM", "cache_prompt"),
    "attention_backend": ("vLLM", "flash_attn"), "tensor_parallel_size": ("vLLM", "split_mode (with tensor_split)"), "tp_size": ("SGLang", "split_mode (with tensor_split)"),
    "speculative_config": ("vLLM", "spec_type"), "random_seed": ("SGLang", "seed"), "enable_metrics": ("SGLang", "metrics"),
    "gpu_memory_utilization": ("vLLM", "n_gpu_layers and n_ctx (llama.cpp takes no share of memory)"),
}  # fmt: skip

GONE = {
    "mmap": "say load_mode: mmap", "no_mmap": "say load_mode: none", "mlock": "say load_mode: mlock",
    "draft": "say draft_n_max", "draft_n": "say draft_n_max", "draft_max": "say draft_n_max (or ngram_mod_n_max)",
    "draft_min": "say draft_n_min (or ngram_mod_n_min)",
    "defrag_thold": "leave it out: it does nothing any more", "spec_ngram_size_n": "say ngram_simple_size_n",
    "spec_ngram_size_m": "say ngram_simple_size_m", "spec_ngram_min_hits": "say ngram_simple_min_hits",
}  # fmt: skip

RESERVED = {
    "model": "the model is what the study or command serves", "model_path": "the model is what the study or command serves",
    "m": "the model is what the study or command serves", "alias": "give the served name (served_name)", "a": "give the served name (served_name)",
    "model_alias": "give the served name (served_name)", "host": "the backend chooses the address", "hostnames": "the backend chooses the address",
    "port": "give the backend's port", "api_key": "a secret may not stand on a command line: set LLAMA_API_KEY in the backend's env",
    "hf_token": "a secret may not stand on a command line: set HF_TOKEN in the backend's env",
}  # fmt: skip
