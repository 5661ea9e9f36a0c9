"""The contract of a volume, through exec into a real pod that mounts a claim, as the namespace's user."""

import itertools
import os
from contextlib import asynccontextmanager

import pytest
from tests.testbed import namespaces

from lading.cluster import config
from lading.cluster.client import Cluster
from lading.cluster.loop import CLUSTER
from lading.manifests import ours
from lading.placement.helper import helper
from lading.spec.placement import Placement
from lading.testing.volume import VolumeContract
from lading.volume.remote import RemoteVolume
from lading.weights import layout

pytestmark = pytest.mark.real("cluster")


class OnThisNode(RemoteVolume):
    """A volume in a pod whose files the tests see, too: in *folder* of this host."""

    def __init__(self, connect, folder):
        super().__init__(connect, shown="pvc://contract")
        self._folder = folder

    @property
    def root(self):
        return self._folder

    def publish(self, staging, manifest, *, use=True):
        super().publish(staging, manifest, use=use)
        return self.directory(manifest)


class Places:
    """An empty folder on the claim for each test."""

    def __init__(self, folder, pod):
        self.folder = folder
        self.pod = pod
        self._numbers = itertools.count()

    def place(self):
        return Place(self.folder, f"volume-{next(self._numbers)}", self.pod)


class Place:
    def __init__(self, folder, name, pod):
        self.root = folder / name
        self.root.mkdir()
        self._argv = ["lading", "agent", f"{ours.MOUNT}/{name}"]
        self._pod = pod
        self._opened = []

    def open(self):
        volume = OnThisNode(lambda: self._pod.channel(self._argv), self.root)
        self._opened.append(volume)
        return volume

    def close(self):
        for volume in self._opened:
            volume.close()


@pytest.fixture(scope="module")
def places(cluster, tmp_path_factory):
    """One pod on one claim for all tests; whatever they make there, it may change."""
    made = namespaces.create(cluster.api, tmp_path_factory.mktemp("contract"))
    before = os.umask(0)
    claim = made.claim("contract", permissions=0o2777)

    @asynccontextmanager
    async def opened():
        placement = Placement(image=cluster.image)
        async with (
            Cluster(config.connection(kubeconfig=made.kubeconfig)) as user,
            helper(user, "contract", write=True, placement=placement) as pod,
        ):
            yield pod

    block = opened()
    pod = CLUSTER.run(block.__aenter__())
    yield Places(claim.path, pod)
    CLUSTER.run(block.__aexit__(None, None, None))
    os.umask(before)
    made.remove()


class TestInAPod(VolumeContract):
    @pytest.fixture
    def place(self, places):
        place = places.place()
        yield place
        place.close()
        assert not list((place.root / layout.LOCKS).glob("[a-z]*")), "a lock is left"
