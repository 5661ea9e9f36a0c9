"""Every store keeps the contract: the one on disk, and the one for tests."""

import pytest

from lading.store.sql import SqlStore
from lading.testing.fakes import MemoryStore
from lading.testing.stores import StoreContract


class TestSql(StoreContract):
    @pytest.fixture
    def holder(self, tmp_path):
        return lambda: SqlStore.at(tmp_path / "home")


class TestMemory(StoreContract):
    @pytest.fixture
    def holder(self):
        store = MemoryStore()
        return lambda: store
