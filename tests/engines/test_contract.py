"""Both engines keep the contract of an engine."""

import pytest

from lading.engines import llamacpp, vllm
from lading.testing.engines import EngineContract


class TestLlamaCpp(EngineContract):
    @pytest.fixture
    def engine(self):
        return llamacpp.ENGINE

    @pytest.fixture
    def breach(self):
        return {"cache_type_v": "q8_0", "flash_attn": "off"}


class TestVllm(EngineContract):
    @pytest.fixture
    def engine(self):
        return vllm.ENGINE

    @pytest.fixture
    def breach(self):
        return {"max_num_seqs": 512, "max_num_batched_tokens": 256}
