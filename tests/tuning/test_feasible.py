"""What is refused before anything is started."""

import pytest

from lading.engines.base import HardwareFacts, ModelFacts
from lading.errors import InvalidParameters
from lading.testing import toy_engine
from lading.testing.toy_engine import ToyEngine
from lading.tuning import feasible
from lading.tuning.feasible import Facts

MODEL = ModelFacts(format="gguf", weights_bytes=4 * 10**9)
ENGINE = ToyEngine()


def test_nothing_is_refused_without_a_reason():
    assert feasible.check(ENGINE, {"batch": 64}, Facts()) is None
    assert feasible.check(ENGINE, {"batch": 64}, Facts(model=MODEL)) is None, "unknown hardware refuses nothing"


def test_a_broken_rule_is_named_with_its_values():
    refusal = feasible.check(ENGINE, {"batch": 9000, "kv": "fp8", "graph": False}, Facts())
    assert refusal.rule == "batch-in-context"
    assert refusal.reason == "batch 9000 is more than context 4096; fp8 needs graph"
    assert refusal.hint == "lower batch"


@pytest.mark.parametrize(
    ("hardware", "refused"),
    [
        (HardwareFacts(memory_bytes=9 * 10**9), False),
        (HardwareFacts(memory_bytes=8 * 10**9), True),
        (HardwareFacts(memory_bytes=10**12, gpus=1, gpu_memory_bytes=8 * 10**9), True),
        (HardwareFacts(memory_bytes=10**9, gpus=1, gpu_memory_bytes=9 * 10**9), False),
        (HardwareFacts(), False),
    ],
)
def test_memory_is_that_of_the_device_or_of_the_host(hardware, refused):
    """4 GB of weights and 4,096 tokens of 1 MB need 8.1 GB."""
    found = feasible.check(ENGINE, {}, Facts(model=MODEL, hardware=hardware))
    assert (found is not None) == refused
    if found:
        assert found.rule == "memory"
        assert found.reason.startswith("about 8.10 GB needed (weights 4.00 GB, KV cache 4.10 GB), ")
        assert found.reason.endswith("has 8.00 GB")


def test_a_space_with_one_possible_point_is_taken():
    feasible.require_feasible(toy_engine.space({"batch": {"choice": [8192, 9000, 64]}}), Facts())


@pytest.mark.parametrize("dimensions", [{"batch": {"int": [5000, 5100]}}, {"batch": {"int": [5000, 60000]}},
                                        {"batch": {"int": [5000, 60000]}, "share": {"float": [0.1, 1]}}])  # fmt: skip
def test_a_space_in_which_nothing_can_work_is_refused_before_a_start(dimensions):
    with pytest.raises(
        InvalidParameters, match=r"no point of the space can work: .*`batch-in-context`: batch "
    ) as refused:
        feasible.require_feasible(toy_engine.space(dimensions), Facts())
    assert refused.value.hint == "lower batch"


def test_memory_alone_can_make_a_space_impossible():
    facts = Facts(model=MODEL, hardware=HardwareFacts(memory_bytes=10**9))
    with pytest.raises(InvalidParameters, match="all 2 points break a rule, 2 of them `memory`: about"):
        feasible.require_feasible(toy_engine.space({"kv": {"choice": ["f16", "q4"]}}), facts)
