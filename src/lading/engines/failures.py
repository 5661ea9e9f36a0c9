"""Why a server did not come up: the classes of failure, by the line of its log that says so.

A class's kind says what to teach a search: *configuration* (these parameters do not work here), *infrastructure* (try
again), *unknown*. Patterns are tried in order over the whole log, so what is said plainly wins over what follows from it.
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from lading.engines.base import FailureClass, LaunchFailure

#: What a log line may be at most, before it is looked at: logs are foreign bytes.
_LINE_CHARACTERS = 2000


@dataclass(frozen=True)
class Sign:
    """A line that says why: a regular expression, and the class it means."""

    pattern: str
    name: str
    kind: FailureClass
    hint: str = ""


_PORT = Sign(
    r"couldn't bind HTTP server socket|[Aa]ddress already in use|EADDRINUSE", "port-in-use", "infrastructure",
    "choose another port, or leave it out for a free one",
)  # fmt: skip

LLAMACPP: tuple[Sign, ...] = (
    _PORT,
    Sign(r"failed to open GGUF file.*(?:No such file|No such|not found)|no such file or directory", "model-not-found", "configuration", "look at the path: llama.cpp takes one .gguf file"),
    Sign(r"invalid magic characters|failed to read (?:key-value pairs|magic|header|tensor)|tensor '.*' data is not within the file bounds|corrupted or incomplete|bad magic", "model-corrupt", "configuration", "`lading verify` compares the file with its manifest; pull it again"),
    Sign(r"failed to open GGUF file", "model-not-found", "configuration", "look at the path: llama.cpp takes one .gguf file"),
    Sign(r"unknown model architecture", "model-unsupported", "configuration", "a newer llama.cpp may know this architecture"),
    Sign(r"quantized V cache requires|V cache quantization requires", "bad-argument", "configuration", "set flash_attn to on or auto, or cache_type_v to f16"),
    Sign(r"n_seq_max must be <=", "bad-argument", "configuration", "set n_parallel from 1 to 256"),
    Sign(r"n_ctx_seq == 0", "bad-argument", "configuration", "set n_ctx to 0 (the model's own) or more"),
    Sign(r"failed to allocate|unable to allocate|out of memory|std::bad_alloc|cudaMalloc failed|ErrorOutOfDeviceMemory|MemoryError", "out-of-memory", "configuration", "lower n_ctx, n_parallel or n_gpu_layers, or choose a smaller cache type"),
    Sign(r"invalid argument: |error while handling argument|the argument has been removed|AttributeError: |TypeError: |KeyError: ", "bad-argument", "configuration", "`lading engines llama.cpp` lists what it takes; is this version the one installed?"),
    Sign(r"no CUDA-capable device|CUDA driver version is insufficient|no kernel image is available", "unsupported-gpu", "configuration", "this build of llama.cpp does not fit the GPU or its driver"),
    Sign(r"No module named 'xllamacpp'|cannot open shared object file", "program-missing", "infrastructure", 'pip install "lading[demo]" into that environment'),
    Sign(r"GGML_ASSERT\(|terminate called", "aborted", "configuration", "llama.cpp gave up on these parameters: start from its defaults"),
    Sign(r"exiting due to model loading error|failed to load model", "model-unusable", "configuration", "the lines above say why"),
)  # fmt: skip

VLLM: tuple[Sign, ...] = (
    Sign(r"[Aa]ddress already in use|EADDRINUSE", _PORT.name, _PORT.kind, _PORT.hint),
    Sign(r"unrecognized arguments: |invalid choice: |argument -.*: (?:invalid|expected)|ambiguous option|the following arguments are required", "bad-argument", "configuration", "`lading engines vllm` lists what 0.33.0 takes; is this version the one installed?"),
    Sign(r"No available memory for the cache blocks", "out-of-memory", "configuration", "raise gpu_memory_utilization, or tensor_parallel_size"),
    Sign(r"To serve at least one request", "out-of-memory", "configuration", "lower max_model_len to the length that the line names, or raise gpu_memory_utilization"),
    Sign(r"Free memory on device .* is less than desired", "gpu-occupied", "infrastructure", "something else holds memory of this GPU: `nvidia-smi` shows what"),
    Sign(r"CUDA out of memory|torch\.OutOfMemoryError|CUDA error: out of memory|HIP out of memory|std::bad_alloc|MemoryError", "out-of-memory", "configuration", "lower gpu_memory_utilization, max_num_seqs or max_num_batched_tokens"),
    Sign(r"not supported for the current GPU\. Minimum capability|Bfloat16 is only supported on GPUs with compute capability|no kernel image is available", "unsupported-gpu", "configuration", "choose another quantization or dtype: this GPU is too old for it"),
    Sign(r"invalid literal for int\(\) with base 10: '(?:GPU|MIG)-", "no-gpu", "infrastructure", "this vLLM knows GPUs by index only: upgrade it (0.33 knows them by UUID), or uninstall nvidia-ml-py to have none reserved"),
    Sign(r"[Nn]o CUDA GPUs are available|NVIDIA driver .* too old|Failed to infer device type|CUDA driver version is insufficient|No HIP GPUs", "no-gpu", "infrastructure", "`nvidia-smi` shows what the machine has; is the driver loaded?"),
    Sign(r"NCCL error|ncclInternalError|ncclSystemError|Connection reset by peer|DistNetworkError", "communication", "infrastructure", "workers could not talk to each other: try again; NCCL_DEBUG=INFO says more"),
    Sign(r"Repository Not Found|is not a local folder and is not a valid model identifier|Can't load the configuration of|No such file or directory: .*config\.json|Invalid repository ID or local directory", "model-not-found", "configuration", "look at the path: vllm takes a folder with config.json"),
    Sign(r"HeaderTooLarge|InvalidHeaderDeserialization|MetadataIncompleteBuffer|Error while deserializing header|Cannot find any model weights|safetensors_rust\.SafetensorError", "model-corrupt", "configuration", "`lading verify` compares the files with their manifest; pull them again"),
    Sign(r"Model architectures .* (?:are not supported|failed to be inspected)", "model-unsupported", "configuration", "a newer vllm may know this architecture"),
    Sign(r"User-specified max_model_len .* is greater than the derived", "bad-argument", "configuration", "lower max_model_len to the model's own length"),
    Sign(r"validation errors? for |ValueError: |NotImplementedError: |AssertionError", "bad-argument", "configuration", "vllm refused these parameters together: the line says which"),
    Sign(r"No module named 'vllm'|vllm: (?:command )?not found", "program-missing", "infrastructure", "install vllm into that environment"),
    Sign(r"Engine core initialization failed|EngineDeadError|EngineCore encountered a fatal error", "crash", "unknown", "the lines above it say why"),
)  # fmt: skip


SGLANG: tuple[Sign, ...] = (
    Sign(r"[Aa]ddress already in use|EADDRINUSE|port at \d+ is not available in", _PORT.name, _PORT.kind, _PORT.hint),
    Sign(r"unrecognized arguments: |invalid choice: |argument -.*: (?:invalid|expected|must be)|ambiguous option|the following arguments are required", "bad-argument", "configuration", "`lading engines sglang` lists what 0.5.23 takes; is this version the one installed?"),
    Sign(r"Not enough memory\. Please try to increase --mem-fraction-static", "out-of-memory", "configuration", "raise mem_fraction_static or tp_size: the weights leave no cache"),
    Sign(r"The memory capacity is unbalanced", "gpu-occupied", "infrastructure", "something else holds memory of one of these GPUs: `nvidia-smi` shows what"),
    Sign(r"CUDA out of memory|torch\.OutOfMemoryError|CUDA error: out of memory|HIP out of memory|std::bad_alloc|MemoryError|Capture cuda graph failed.*memory", "out-of-memory", "configuration", "lower mem_fraction_static, cuda_graph_max_bs_decode or chunked_prefill_size"),
    Sign(r"is not supported for the current GPU\. Minimum capability|no kernel image is available|[Bb]float16 is only supported on GPUs", "unsupported-gpu", "configuration", "choose another quantization or dtype: this GPU is too old for it"),
    Sign(r"[Nn]o CUDA GPUs are available|NVIDIA driver .* too old|CUDA driver version is insufficient|No accelerator \(CUDA|No HIP GPUs|invalid device ordinal", "no-gpu", "infrastructure", "`nvidia-smi` shows what the machine has; is the driver loaded?"),
    Sign(r"NCCL error|ncclInternalError|ncclSystemError|Connection reset by peer|DistNetworkError", "communication", "infrastructure", "workers could not talk to each other: try again; NCCL_DEBUG=INFO says more"),
    Sign(r"Repository Not Found|is not a local folder and is not a valid model identifier|Can't load the configuration of|No such file or directory: .*config\.json|Unrecognized model in|HFValidationError", "model-not-found", "configuration", "look at the path: SGLang takes a folder with config.json"),
    Sign(r"HeaderTooLarge|InvalidHeaderDeserialization|MetadataIncompleteBuffer|Error while deserializing header|Cannot find any model weights|SafetensorError", "model-corrupt", "configuration", "`lading verify` compares the files with their manifest; pull them again"),
    Sign(r"Model architectures .* (?:are not supported|failed)", "model-unsupported", "configuration", "a newer SGLang may know this architecture"),
    Sign(r"context_length \(\d+\) is greater than the derived", "bad-argument", "configuration", "lower context_length to the model's own length"),
    Sign(r"No module named '?sglang|sglang: (?:command )?not found", "program-missing", "infrastructure", "install sglang into that environment"),
    Sign(r"warmup error: |health check timed out during warmup", "no-answer", "unknown", "it started and answered nothing; behind a proxy, NO_PROXY must name its own address"),
    Sign(r"ValueError: |NotImplementedError: |AssertionError", "bad-argument", "configuration", "SGLang refused these parameters together: the line says which"),
    Sign(r"Scheduler hit an exception|scheduler died|Received sigquit from a child process", "crash", "unknown", "the lines above it say why"),
)  # fmt: skip


def classify(signs: Sequence[Sign], log: Sequence[str], returncode: int | None) -> LaunchFailure:
    """The first of *signs* that the log shows, else what the exit status says, else unknown.

    *returncode* is negative for a signal, or 128 + signal as a shell gives it.
    """
    lines = [line[:_LINE_CHARACTERS].rstrip() for line in log]
    for sign in signs:
        line = next((line for line in lines if re.search(sign.pattern, line)), None)
        if line is not None:
            return LaunchFailure(name=sign.name, kind=sign.kind, reason=reason(line), hint=sign.hint)
    return _by_status(returncode, next((line for line in reversed(lines) if line.strip()), ""))


def reason(line: str) -> str:
    """*line* without what a logger puts in front of it: time, level, process."""
    text = re.sub(r"^\s*(?:\((?:EngineCore|Worker|APIServer)[^)]*\)\s*)?", "", line)
    text = re.sub(r"^(?:[0-9]+\.){2,}[0-9]+ [A-Z] (?:\S+ +)?", "", text)
    text = re.sub(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^\]]{0,40}\]\s*", "", text)
    text = re.sub(r"^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) [0-9:. -]+(?:\[[^\]]*\]\s*)?", "", text)
    return text.strip() or line.strip()


def _by_status(returncode: int | None, last: str) -> LaunchFailure:
    number = _signal(returncode)
    if number == signal.SIGKILL:
        return LaunchFailure(
            name="killed", kind="unknown", reason="it was killed (SIGKILL), most likely for want of memory",
            hint="`dmesg` names it if the kernel did; lower what it needs, or give it more memory",
        )  # fmt: skip
    if number == signal.SIGABRT:
        return LaunchFailure(
            name="aborted", kind="configuration", reason="it aborted (SIGABRT)", hint="start from the engine's defaults"
        )
    if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE):
        name = signal.Signals(number).name
        return LaunchFailure(
            name="crash",
            kind="unknown",
            reason=f"it crashed ({name})",
            hint="try again; then another version of the engine",
        )
    if number is not None:
        return LaunchFailure(name="ended-by-signal", kind="infrastructure", reason=f"it was ended by signal {number}")
    what = "it did not end" if returncode is None else f"it ended with status {returncode}"
    shown = reason(last)
    return LaunchFailure(
        name="unknown",
        kind="unknown",
        reason=f"{what}; last line: {shown}" if shown else what,
        hint="its log says more",
    )


def _signal(returncode: int | None) -> int | None:
    if returncode is None:
        return None
    if returncode < 0:
        return -returncode
    return returncode - 128 if 128 < returncode <= 128 + 64 else None
