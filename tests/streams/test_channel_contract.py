"""The channel into a pod keeps the contract; so does one to a program of this machine, which shows that the contract is fair."""

import pytest
from tests.streams.pipes import PipeChannel

from lading.cluster import channel, config
from lading.cluster.client import Cluster
from lading.cluster.loop import CLUSTER
from lading.testing.channels import ChannelContract


class TestPipes(ChannelContract):
    @pytest.fixture
    def start(self):
        made = []

        def begin(argv):
            made.append(PipeChannel(argv))
            return made[-1]

        yield begin
        for one in made:
            one.end()


@pytest.mark.real("cluster")
class TestPod(ChannelContract):
    @pytest.fixture
    def start(self, place, pod):
        cluster = Cluster(config.connection(kubeconfig=place.kubeconfig))
        CLUSTER.run(cluster.__aenter__())
        made = []

        def begin(argv):
            made.append(channel.connect(cluster, CLUSTER.loop(), pod, argv))
            return made[-1]

        yield begin
        for one in made:
            one.close()
        CLUSTER.run(cluster.__aexit__(None, None, None))
