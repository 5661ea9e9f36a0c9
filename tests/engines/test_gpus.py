"""How many GPUs parameters ask for: as the engine counts, and the same number everywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.engines import gpus
from lading.engines.base import HardwareFacts, RuleInput
from lading.engines.llamacpp import ENGINE as LLAMACPP
from lading.engines.sglang import ENGINE as SGLANG
from lading.engines.vllm import ENGINE as VLLM
from lading.manifests import pod, target
from lading.manifests.target import ModelPlace, Target
from lading.testing.toy_engine import ToyEngine


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, 1),
        ({"tensor_parallel_size": 4}, 4),
        ({"tensor_parallel_size": 2, "pipeline_parallel_size": 2, "data_parallel_size": 2}, 8),
        ({"prefill_context_parallel_size": 2}, 2),
        ({"tensor_parallel_size": 4, "decode_context_parallel_size": 2, "enable_expert_parallel": True}, 4),
        ({"tensor_parallel_size": 2, "data_parallel_size": 4, "data_parallel_size_local": 2}, 4),
        ({"data_parallel_size": 4, "data_parallel_size_local": 0}, 0),
        ({"tensor_parallel_size": 2, "data_parallel_size": 4, "data_parallel_rank": 3}, 2),
        ({"tensor_parallel_size": 8, "pipeline_parallel_size": 2, "nnodes": 2}, 8),
    ],
)
def test_vllm_takes_the_product_of_its_sizes_on_one_node(params, expected):
    assert gpus.asked(VLLM, VLLM.parse(params)) == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, 1),
        ({"tp_size": 4, "pp_size": 2}, 8),
        ({"tp_size": 2, "dp_size": 4}, 8),
        ({"tp_size": 8, "attn_dp_size": 4, "ep_size": 8}, 8),
        ({"tp_size": 8, "pp_size": 2, "nnodes": 2}, 8),
    ],
)
def test_sglang_takes_the_product_of_its_own_sizes(params, expected):
    """Copies count; the data parallelism of attention lies inside tensor."""
    assert gpus.asked(SGLANG, SGLANG.parse(params)) == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, 0),
        ({"n_gpu_layers": "auto"}, 0),
        ({"n_gpu_layers": 0}, 0),
        ({"n_gpu_layers": 20}, 1),
        ({"n_gpu_layers": "all"}, 1),
        ({"n_gpu_layers": "all", "device": "none"}, 0),
        ({"n_gpu_layers": "all", "device": "CUDA0,CUDA1"}, 2),
        ({"device": "CUDA0, CUDA1"}, 2),
        ({"n_gpu_layers": 0, "device": "CUDA0"}, 0),
        ({"n_gpu_layers": "all", "tensor_split": [3, 1, 0]}, 2),
        ({"n_gpu_layers": "all", "tensor_split": [3, 1], "split_mode": "none"}, 1),
    ],
)
def test_llamacpp_takes_the_devices_it_is_told(params, expected):
    assert gpus.asked(LLAMACPP, LLAMACPP.parse(params)) == expected


def test_only_llamacpp_can_be_kept_off_by_its_parameters():
    assert gpus.kept_off(LLAMACPP, {"n_gpu_layers": 0})
    assert gpus.kept_off(LLAMACPP, {"device": "none"})
    assert not gpus.kept_off(LLAMACPP, {})
    assert not gpus.kept_off(VLLM, {})


def test_an_engine_without_sizes_asks_for_none():
    assert gpus.asked(ToyEngine(), {}) == 0


@given(st.integers(1, 8), st.integers(1, 4), st.integers(1, 4), st.integers(0, 16))
def test_manifest_and_rule_count_as_one(tensor, pipeline, data, have):
    params = {"tensor_parallel_size": tensor, "pipeline_parallel_size": pipeline, "data_parallel_size": data}
    place = ModelPlace(host_path="/m", claim_path="m/v1")
    made = Target(name="m", served_name="m", engine=VLLM, params=params, model=place)
    count = gpus.asked(VLLM, params)
    assert count == tensor * pipeline * data == target.gpus(made)
    assert pod.resources(made)["limits"]["nvidia.com/gpu"] == str(count)
    broken = VLLM.violations(RuleInput(params=params, hardware=HardwareFacts(gpus=have)))
    assert any(one.rule == "gpus" for one in broken) == (0 < have < count)


@pytest.mark.parametrize(
    ("engine", "params", "expected"),
    [
        (VLLM, {}, 0.92),
        (VLLM, {"gpu_memory_utilization": 0.5}, 0.5),
        (VLLM, {"kv_cache_memory_bytes": 10**9}, 0.0),
        (LLAMACPP, {"n_gpu_layers": "all"}, 0.0),
        (SGLANG, {}, 0.0),
        (SGLANG, {"mem_fraction_static": 0.8}, 0.8),
    ],
)
def test_the_share_that_must_be_free_is_what_the_engine_checks_at_start(engine, params, expected):
    assert gpus.memory_share(engine, engine.parse(params)) == expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ((), {"nvidia.com/gpu": "2"}),
        (("cpu", "memory", "example.com/fpga"), {"nvidia.com/gpu": "2"}),
        (("amd.com/gpu",), {}),
        (("nvidia.com/mig-1g.10gb",), {}),
        (("nvidia.com/gpu.shared",), {}),
        (("gpu.intel.com/i915",), {}),
    ],
)
def test_a_pod_asks_for_nvidias_unless_its_resources_name_others(named, expected):
    assert gpus.limits(2, named) == expected
    assert gpus.limits(0, named) == {}


def test_a_number_stands_above_the_parameters():
    params = {"tensor_parallel_size": 4}
    assert [gpus.wanted(VLLM, params, said) for said in ("auto", 2, 0)] == [4, 2, 0]


def test_a_vllm_that_knows_gpus_by_index_only_is_told_apart():
    """The line is of vLLM 0.9 to 0.23, bound by UUID."""
    line = "ValueError: invalid literal for int() with base 10: 'GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc'"
    failure = VLLM.classify([line], 1)
    assert (failure.name, failure.kind) == ("no-gpu", "infrastructure")
    assert "by index only" in failure.hint
