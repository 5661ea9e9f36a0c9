"""The channel into a pod keeps the contract; so does one to a program of this machine, which shows that the contract is fair."""

import subprocess
import threading

import pytest

from lading.cluster import channel, config
from lading.cluster.client import Cluster
from lading.cluster.loop import CLUSTER
from lading.errors import ChannelClosed
from lading.testing.channels import ChannelContract


class PipeChannel:
    """A program of this machine, by pipes."""

    def __init__(self, argv):
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._closed = threading.Event()

    def send(self, data):
        view = memoryview(data)
        try:
            while view:
                view = view[self._process.stdin.write(view) :]
        except (OSError, ValueError) as error:
            raise ChannelClosed(f"it has ended: {error}") from error

    def receive(self):
        data = self._process.stdout.read(1 << 20)
        if not data and not self._closed.is_set() and self._process.wait() != 0:
            raise ChannelClosed(self._process.stderr.read().decode())
        return data

    def close(self):
        self._closed.set()
        self._process.kill()
        self._process.wait()


class TestPipes(ChannelContract):
    @pytest.fixture
    def start(self):
        made = []

        def begin(argv):
            made.append(PipeChannel(argv))
            return made[-1]

        yield begin
        for one in made:
            one.close()
            for stream in (one._process.stdin, one._process.stdout, one._process.stderr):
                stream.close()


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
