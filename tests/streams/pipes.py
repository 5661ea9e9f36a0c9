"""A channel to a program of this machine: the contract's other implementation, and what defects are planted in."""

import subprocess
import threading

from lading.errors import ChannelClosed


class PipeChannel:
    """A program of this machine, by pipes."""

    def __init__(self, argv):
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._closed = threading.Event()

    def send(self, data):
        view = memoryview(data)
        try:
            while view:
                view = view[self.process.stdin.write(view) :]
        except (OSError, ValueError) as error:
            raise ChannelClosed(f"it has ended: {error}") from error

    def receive(self):
        data = self.process.stdout.read(1 << 20)
        if not data and not self._closed.is_set() and self.process.wait() != 0:
            raise ChannelClosed(self.process.stderr.read().decode())
        return data

    def close(self):
        self._closed.set()
        self.process.kill()
        self.process.wait()

    def end(self):
        """Also what a defect left."""
        PipeChannel.close(self)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
