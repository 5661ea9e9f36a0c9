"""A volume through a channel to its agent passes the contract of a volume: in this process, and by the real command."""

import pytest

from lading.testing.agents import ProcessChannel, in_process
from lading.testing.volume import VolumeContract
from lading.volume.remote import RemoteVolume


class RemotePlace:
    """Volumes over *connect*, all closed at the end."""

    def __init__(self, root, connect):
        self.root = root
        self.connect = connect
        self.opened = []

    def open(self):
        self.root.mkdir(exist_ok=True)
        volume = RemoteVolume(lambda: self.connect(self.root), shown=str(self.root))
        self.opened.append(volume)
        return volume

    def close(self):
        for volume in self.opened:
            volume.close()


class TestInProcess(VolumeContract):
    @pytest.fixture
    def place(self, tmp_path):
        place = RemotePlace(tmp_path / "volume", in_process)
        yield place
        place.close()


class TestByTheCommand(VolumeContract):
    @pytest.fixture
    def place(self, tmp_path):
        place = RemotePlace(tmp_path / "volume", ProcessChannel)
        yield place
        place.close()
