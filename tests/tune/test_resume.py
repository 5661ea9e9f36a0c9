"""Whenever a run is cut off, and however often, running it again comes to the same trials and the same answer."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.tune.conftest import Bench, study_of

from lading.errors import PortInUse, ServerDied
from lading.testing.fakes import Life
from lading.tuning import agenda
from lading.tuning.trial import Proposed

SEARCH = {"trials": 10, "confirm": 3}


class Cut(BaseException):
    """The process is gone: nothing catches this."""


class Cutting(list):
    """Hears events; after *left* of them the process is gone."""

    def __init__(self, left):
        super().__init__()
        self.left = left

    def append(self, event):
        super().append(event)
        self.left -= 1
        if self.left == 0:
            raise Cut


def script(params, before):
    """w1 dies of its configuration, w2 has a port taken once, w8 is best; lives of one configuration differ a little."""
    rates = {None: 100, 2: 140, 8: 200}
    match params.get("width"), before:
        case 1, _:
            return Life(ready_error=ServerDied("exited", log=("out of memory",)))
        case 2, 0:
            return Life(apply_error=PortInUse("taken"))
        case width, _:
            return Life(rate_otherwise=rates[width])


def told(bench):
    return [(trial.number, trial.role, trial.params, trial.replicate, trial.outcome) for trial in bench.history]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same study, never cut off."""
    bench = Bench(directory=tmp_path_factory.mktemp("whole"), study=study_of(search=SEARCH), script=script)
    return bench.run(), told(bench), len(bench.told)


@given(data=st.data())
def test_cut_off_anywhere_and_run_again_it_is_the_same_study(data, whole, tmp_path_factory):
    answer, expected, events = whole
    bench = Bench(directory=tmp_path_factory.mktemp("cut"), study=study_of(search=SEARCH), script=script)
    for left in data.draw(st.lists(st.integers(1, events), max_size=6), label="events before each cut"):
        bench.told = Cutting(left)
        try:
            bench.run()
        except Cut:
            bench.backend.running.clear()  # a killed process' servers die with it
            assume(all(trial.cut_off < agenda.CUT_OFFS for trial in bench.history))  # such a trial is given up
    bench.told = []
    again = bench.run()
    assert [row[:4] for row in told(bench)] == [row[:4] for row in expected]
    assert [type(row[4]) for row in told(bench)] == [type(row[4]) for row in expected]
    assert again.verdict == answer.verdict
    proposed = [fact.number for fact in bench.store.facts("fast.1") if isinstance(fact, Proposed)]
    assert proposed == list(range(len(expected)))
    assert not bench.backend.running


def test_a_retry_that_was_cut_off_is_still_owed(tmp_path, whole):
    """Killed between a failure of the infrastructure and its repetition."""
    bench = Bench(directory=tmp_path, study=study_of(search=SEARCH), script=script)

    class AfterFailure(list):
        def append(self, event):
            super().append(event)
            if event.event == "trial_ended" and event.reason == "taken":
                raise Cut

    bench.told = AfterFailure()
    with pytest.raises(Cut):
        bench.run()
    assert bench.history[2].attempts == 1
    bench.told = []
    bench.run()
    assert bench.history[2].attempts == 2
    assert [failure.name for failure in bench.history[2].failures] == ["port-in-use"]
