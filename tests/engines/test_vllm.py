"""vLLM: what people write, its command line, what it says of itself, and how it fails. Argv only: it does not run here."""

import json
from importlib import resources

import pytest

from lading.engines import effective, vllm_parameters
from lading.engines.base import Launch
from lading.engines.vllm import ENGINE
from lading.errors import InvalidParameters


def argv(host="0.0.0.0", **params):
    return ENGINE.command(
        Launch(model="/mnt/m", served_name="m", host=host, port=8000, params=params, program="vllm serve")
    )


def test_the_command_line_of_a_configuration():
    command = argv(
        tp=2, max_model_len="8K", disable_prefix_caching=True, kv_cache_dtype="fp8", cudagraph_capture_sizes=[1, 2]
    )
    assert command.argv == (
        "/mnt/m", "--served-model-name", "m", "--host", "0.0.0.0", "--port", "8000", "--cudagraph-capture-sizes", "1", "2",
        "--disable-prefix-caching", "--kv-cache-dtype", "fp8_e4m3", "--max-model-len", "8192", "--tensor-parallel-size", "2",
    )  # fmt: skip
    assert command.env == {}


def test_development_endpoints_are_open_on_this_host_only():
    assert argv(host="127.0.0.1").env == {"VLLM_SERVER_DEV_MODE": "1"}
    assert argv(host="10.0.0.7").env == {}


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ({"max-model-len": "8k"}, {"max_model_len": 8000}),
        ({"max_model_len": "8K"}, {"max_model_len": 8192}),
        ({"max_num_batched_tokens": "2.5k"}, {"max_num_batched_tokens": 2500}),
        ({"max_model_len": -1}, {"max_model_len": "auto"}),
        ({"--no-enable-prefix-caching": True}, {"enable_prefix_caching": False}),
        ({"disable_chunked_prefill": False}, {"enable_chunked_prefill": True}),
        ({"enable_custom_all_reduce": True}, {"disable_custom_all_reduce": False}),
        ({"-tp": "4", "tensor_parallel_size": 4}, {"tensor_parallel_size": 4}),
        ({"dtype": "half"}, {"dtype": "float16"}),
        ({"attention_backend": "FLASH_ATTN"}, {"attention_backend": "FLASH_ATTN"}),
        ({"optimization_level": "O3"}, {"optimization_level": 3}),
        ({"compilation_config": {"mode": 3, "a": 1}}, {"compilation_config": '{"a":1,"mode":3}'}),
        ({"compilation_config.mode": 3, "-cc": '{"a": 1}'}, {"compilation_config": '{"a":1,"mode":3}'}),
        ({"structured-outputs-config.backend": "xgrammar"}, {"structured_outputs_config": '{"backend":"xgrammar"}'}),
        ({"gpu_memory_utilization": None}, {}),
    ],
)
def test_what_people_write_is_one_canonical_form(written, canonical):
    assert ENGINE.parse(written) == canonical


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"max_num_seq": 8}, "max_num_seq is not a parameter of vllm 0.33.0; did you mean max_num_seqs?"),
        ({"tp_size": 2}, "tp_size is SGLang's name: vllm's is tensor_parallel_size"),
        ({"n_parallel": 2}, "n_parallel is llama.cpp's name: vllm's is max_num_seqs"),
        ({"swap_space": 4}, "swap_space is gone in vllm 0.33.0: the cache spills by kv_offloading_size"),
        ({"scheduling_policy": "fcsf"}, "scheduling_policy: 'fcsf' is not one of fcfs, priority; did you mean fcfs?"),
        ({"gpu_memory_utilization": "1.5"}, "gpu_memory_utilization: 1.5 is more than 1"),
        ({"max_num_seqs": 1.5}, "max_num_seqs: 1.5 is not a whole number"),
        ({"enforce_eager": "perhaps"}, "enforce_eager: 'perhaps' is neither true nor false"),
        ({"-tp": 2, "tensor-parallel-size": 4}, "-tp and tensor-parallel-size are one parameter, with different values"),
        ({"disable_prefix_caching": True, "enable_prefix_caching": True}, "disable_prefix_caching and enable_prefix_caching are one parameter, with different values"),
        ({"api_key": "s3cret"}, "api_key is not set here: a secret may not stand on a command line: set VLLM_API_KEY in the backend's env"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_the_nearest_right(written, message):
    with pytest.raises(InvalidParameters) as refused:
        ENGINE.parse(written)
    assert refused.value.message == message
    assert "s3cret" not in str(refused.value)


def test_the_data_is_whole():
    """320 options beside --help: those that may be set, and those a launch sets by itself."""
    rows = json.loads(resources.files("lading.engines").joinpath("data/vllm-0.33.0.json").read_text())["parameters"]
    assert len(rows) == 320
    assert len(ENGINE.parameters) == 320 - len({row["name"] for row in rows} & vllm_parameters.RESERVED.keys())
    assert vllm_parameters.CURATED.keys() <= ENGINE.parameters.keys()
    assert not vllm_parameters.GONE.keys() & ENGINE.parameters.keys()
    assert not vllm_parameters.FOREIGN.keys() & ENGINE.parameters.keys()
    assert all(
        set(target.replace("(", " ").split()) & {*ENGINE.parameters, "disable_prefix_caching"}
        for _, target in vllm_parameters.FOREIGN.values()
    )


SERVER_INFO = {
    "vllm_config": {
        "model_config": {"max_model_len": 8192, "enforce_eager": False, "seed": 0},
        "scheduler_config": {"max_num_seqs": 256, "max_num_batched_tokens": 2048},
        "parallel_config": {"tensor_parallel_size": 2},
        "cache_config": {"block_size": 16, "cache_dtype": "fp8_e4m3", "gpu_memory_utilization": 0.92},
    }
}
METRICS = """# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="32",cache_dtype="auto",enable_prefix_caching="True",gpu_memory_utilization="0.9",num_gpu_blocks="2000",kv_cache_memory_bytes="None"} 1.0
"""  # fmt: skip
LOG = [
    "INFO 11-21 10:00:00 [core.py:90] Available KV cache memory: 30.50 GiB",
    "INFO 11-21 10:00:00 [kv_cache_utils.py:829] GPU KV cache size: 250,000 tokens, Maximum concurrency for 8,192 tokens per request: 30.52x",
    "INFO 11-21 10:00:00 [scheduler.py:1] Chunked prefill is enabled with max_num_batched_tokens=4096.",
]


def test_what_it_says_of_itself_is_read_wherever_it_says_it():
    models = {"data": [{"id": "m", "max_model_len": 4096}]}
    assert ENGINE.effective({"models": models, "version": {"version": "0.33.0"}}, LOG) == {
        "served_name": "m", "max_model_len": 4096, "version": "0.33.0", "kv_cache_gib": 30.5, "kv_cache_tokens": 250_000,
        "enable_chunked_prefill": True, "max_num_batched_tokens": 4096,
    }  # fmt: skip
    told = ENGINE.effective({"server_info": SERVER_INFO}, ())
    assert (told["max_num_seqs"], told["kv_cache_dtype"], told["tensor_parallel_size"]) == (256, "fp8_e4m3", 2)
    told = ENGINE.effective({"metrics": METRICS}, ())
    assert told == {
        "block_size": 32, "kv_cache_dtype": "auto", "enable_prefix_caching": True, "gpu_memory_utilization": 0.9, "num_gpu_blocks": 2000,
    }  # fmt: skip


def test_a_silent_change_is_told_in_words():
    told = ENGINE.effective({"server_info": SERVER_INFO}, ())
    asked = ENGINE.parse(
        {"max_num_seqs": 512, "max_model_len": "auto", "gpu_memory_utilization": "0.92", "watermark": 0.1}
    )
    assert effective.differences(asked, told) == ("max_num_seqs: asked for 512, runs with 256",)


@pytest.mark.parametrize(
    ("line", "name", "kind"),
    [
        ("vllm serve: error: unrecognized arguments: --swap-space 4", "bad-argument", "configuration"),
        ("ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`", "out-of-memory", "configuration"),
        ("ValueError: To serve at least one request with the models's max seq len (131072), 16.00 GiB KV cache is needed", "out-of-memory", "configuration"),
        ("ValueError: Free memory on device cuda:0 (3.1/79.1 GiB) on startup is less than desired GPU memory utilization", "gpu-occupied", "infrastructure"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "out-of-memory", "configuration"),
        ("ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 75.", "unsupported-gpu", "configuration"),
        ("OSError: [Errno 98] Address already in use", "port-in-use", "infrastructure"),
        ("RuntimeError: No CUDA GPUs are available", "no-gpu", "infrastructure"),
        ("ValueError: User-specified max_model_len (9000) is greater than the derived max_model_len", "bad-argument", "configuration"),
    ],
)  # fmt: skip
def test_known_lines_have_their_class(line, name, kind):
    """The line that says it plainly wins over the traceback it stands in, and over what follows from it."""
    log = [
        "(EngineCore_0 pid=12) INFO 11-21 10:00:00 [core.py:90] Initializing",
        f"(EngineCore_0 pid=12) ERROR 11-21 10:00:01 [core.py:718] {line}",
        "RuntimeError: Engine core initialization failed. See root cause above.",
    ]
    failure = ENGINE.classify(log, 1)
    assert (failure.name, failure.kind, failure.reason) == (name, kind, line)
    assert failure.hint


@pytest.mark.parametrize(
    ("returncode", "name", "kind"),
    [(-9, "killed", "unknown"), (137, "killed", "unknown"), (-6, "aborted", "configuration"), (134, "aborted", "configuration"),
     (-11, "crash", "unknown"), (-15, "ended-by-signal", "infrastructure"), (3, "unknown", "unknown"), (None, "unknown", "unknown")],
)  # fmt: skip
def test_without_a_known_line_the_exit_status_speaks(returncode, name, kind):
    failure = ENGINE.classify(
        ["INFO 11-21 10:00:00 [api.py:1] Starting vLLM server on http://0.0.0.0:8000"], returncode
    )
    assert (failure.name, failure.kind) == (name, kind)
