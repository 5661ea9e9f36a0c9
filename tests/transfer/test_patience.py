"""How long is waited before another try: longer each time, and what a busy source names."""

import pytest

from lading.errors import SourceBusy, SourceTransient
from lading.transfer.patience import LONGEST_NAMED_WAIT_S, Patience

PATIENCE = Patience(first_wait_s=0.2, longest_wait_s=5.0)


@pytest.mark.parametrize(
    ("error", "failures", "wait_s"),
    [
        (SourceTransient("reset"), 1, 0.2),
        (SourceTransient("reset"), 3, 0.8),
        (SourceTransient("reset"), 99, 5.0),
        (SourceBusy("429"), 1, 0.2),
        (SourceBusy("429", retry_after_s=30), 1, 30),
        (SourceBusy("429", retry_after_s=0.1), 2, 0.4),
        (SourceBusy("429", retry_after_s=86_400), 1, LONGEST_NAMED_WAIT_S),
    ],
)
def test_what_a_busy_source_names_is_waited(error, failures, wait_s):
    assert PATIENCE.wait_after_s(error, failures, 0.0) == pytest.approx(wait_s)
