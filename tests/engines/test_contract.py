"""All engines keep the contract of an engine."""

import pytest

from lading.engines import llamacpp, sglang, vllm
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


class TestSGLang(EngineContract):
    @pytest.fixture
    def engine(self):
        return sglang.ENGINE

    @pytest.fixture
    def breach(self):
        return {"dp_size": 2, "attn_dp_size": 2, "tp_size": 4}
