"""Targets for every engine, and the CRD schemas of the real controllers."""

import os
from pathlib import Path

import pytest
import yaml
from tests.testbed import require

from lading import wiring
from lading.manifests.target import ModelPlace, Target

ORIGIN = (
    "Written by Lading 0.1.0 on 2026-11-20.",
    "Study granite-chat, run 1, trial 7: max_num_seqs=128",
    "max_num_seqs=128 serves 1,940 tok/s at c=32, p95 TTFT 410 ms: +31 % [24, 38] over the defaults",
)


def vllm(**changes):
    values = {
        "name": "granite-chat", "served_name": "granite", "engine": wiring.engine("vllm"),
        "params": {"max_num_seqs": 128, "tensor_parallel_size": 2, "max_model_len": 8192, "kv_cache_dtype": "fp8_e4m3"},
        "model": ModelPlace(host_path="/srv/volume/granite-7b/v2", claim="models", claim_path="granite-7b/v2"),
        "program": "vllm serve", "origin": ORIGIN, "namespace": "demo", "cpus": "4", "memory": "24Gi",
    }  # fmt: skip
    return Target(**{**values, **changes})


def llamacpp(**changes):
    values = {
        "name": "tiny-chat", "served_name": "tiny-llama", "engine": wiring.engine("llama.cpp"),
        "params": {"n_ctx": 8192, "n_batch": 512, "cache_type_v": "q8_0", "flash_attn": "on"},
        "model": ModelPlace(host_path="/srv/volume/tiny-llama/v1", claim_path="tiny-llama/v1", file="tiny.gguf"),
        "program": "xllamacpp", "origin": ORIGIN,
        "argv": ("/opt/venv/bin/python", "/opt/lading/xllamacpp_server.py", '{"model.path": "/srv/m.gguf", "port": {port}}'),
    }  # fmt: skip
    return Target(**{**values, **changes})


def sglang(**changes):
    values = {
        "engine": wiring.engine("sglang"), "program": "python3 -m sglang.launch_server",
        "params": {"max_running_requests": 128, "tp_size": 2, "context_length": 8192, "chunked_prefill_size": -1},
    }  # fmt: skip
    return vllm(**{**values, **changes})


TARGETS = {"vllm": vllm, "llama.cpp": llamacpp, "sglang": sglang}


def documents(text):
    """The YAML documents in *text*, read as YAML 1.1, as kubectl and compose do."""
    return list(yaml.safe_load_all(text))


@pytest.fixture(scope="session")
def crds():
    """The folder of the controllers' CustomResourceDefinitions, as data."""
    folder = os.environ.get("LADING_TEST_CRDS", "")
    require("crds", folder and Path(folder, "kserve").is_dir(), "LADING_TEST_CRDS names no folder with kserve/*.yaml")
    return Path(folder)
