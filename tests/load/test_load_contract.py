"""The OpenAI load client keeps the contract of a load generator."""

import pytest

from lading.load.openai import OpenAILoad
from lading.testing.load import LoadContract


class TestOpenAILoad(LoadContract):
    @pytest.fixture
    def load(self):
        return OpenAILoad()
