"""Every search keeps the contract."""

import pytest

from lading.testing.search import LearningSearchContract, SearchContract
from lading.tuning.grid import GridSearch
from lading.tuning.random import RandomSearch
from lading.tuning.tpe import TpeSearch


class TestGrid(SearchContract):
    endless = False

    @pytest.fixture
    def make(self):
        return lambda space: GridSearch(space, budget=40)


class TestRandom(SearchContract):
    @pytest.fixture
    def make(self):
        return RandomSearch


class TestTpe(LearningSearchContract):
    @pytest.fixture
    def make(self):
        return lambda space: TpeSearch(space, budget=40)
