"""The local volume passes the contract of a volume."""

import pytest

from lading.testing.volume import LocalPlace, VolumeContract


class TestLocalVolume(VolumeContract):
    @pytest.fixture
    def place(self, tmp_path):
        return LocalPlace(tmp_path)
