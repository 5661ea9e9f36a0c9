"""The contract of a channel fails on a planted defect, clause by clause."""

import threading
import time
from collections import deque

import pytest
from tests.streams.pipes import PipeChannel

from lading.errors import ChannelClosed
from lading.testing import channels
from lading.testing.channels import ChannelContract


class FlipsAByte(PipeChannel):
    def receive(self):
        data = super().receive()
        return data[:-1] + bytes([data[-1] ^ 1]) if len(data) > 1000 else data


class SendsLater(PipeChannel):
    """Keeps the caller's buffer instead of its bytes."""

    def send(self, data):
        threading.Timer(0.3, lambda: PipeChannel.send(self, data)).start()


class EndsWithTheProgram(PipeChannel):
    """What it still had to say is not read any more."""

    def receive(self):
        self.process.wait()
        return b""


class TakesAnyEnd(PipeChannel):
    def receive(self):
        return self.process.stdout.read(1 << 20)


class SendsIntoTheVoid(PipeChannel):
    def send(self, data):
        try:
            super().send(data)
        except ChannelClosed:
            return


class HoardsWhatIsSent(PipeChannel):
    def send(self, data):
        threading.Thread(target=self._quietly, args=(bytes(data),), daemon=True).start()

    def _quietly(self, data):
        try:
            super().send(data)
        except ChannelClosed:
            return


class DropsWhatIsNotTaken(PipeChannel):
    def __init__(self, argv):
        super().__init__(argv)
        self._kept = deque(maxlen=4)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self):
        while data := super().receive():
            self._kept.append(data)

    def receive(self):
        while not self._kept and self._reading.is_alive():
            time.sleep(0.01)
        return self._kept.popleft() if self._kept else b""

    def end(self):
        self.process.kill()
        self._reading.join()
        super().end()


class NeverLetsGo(PipeChannel):
    def close(self):
        pass


MUTANTS = {
    "test_every_byte_comes_back_in_order_while_more_are_sent": FlipsAByte,
    "test_what_was_sent_may_be_reused_at_once": SendsLater,
    "test_all_that_it_said_comes_before_its_end": EndsWithTheProgram,
    "test_a_program_that_fails_breaks_the_stream_after_its_last_word": TakesAnyEnd,
    "test_sending_to_what_has_ended_is_said": SendsIntoTheVoid,
    "test_a_program_that_does_not_read_holds_the_sender": HoardsWhatIsSent,
    "test_nothing_is_lost_where_the_receiver_is_slow": DropsWhatIsNotTaken,
    "test_close_lets_a_receiver_go_and_may_be_repeated": NeverLetsGo,
}


def test_every_clause_has_a_mutant():
    assert set(MUTANTS) == {name for name in vars(ChannelContract) if name.startswith("test_")}


@pytest.mark.parametrize("clause", MUTANTS)
def test_the_clause_catches_the_defect(clause, monkeypatch):
    monkeypatch.setattr(channels, "_WITHIN_S", 1.0)
    made = []

    def start(argv):
        made.append(MUTANTS[clause](argv))
        return made[-1]

    try:
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            getattr(ChannelContract(), clause)(start)
    finally:
        for one in made:
            one.end()
