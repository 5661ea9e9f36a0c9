"""Reports of realistic studies, folded once per session."""

import pytest

from lading.report import document
from lading.report.document import RunHead
from lading.testing import histories
from lading.tuning import result, trial


def make(facts, study=None, *, text=None, environment=None, refold=None):
    """A report of *facts*."""
    study = study or histories.study(text or histories.DOCUMENT)
    history = trial.fold(facts)
    return document.build(
        run=RunHead(id="tiny-chat.1", name="tiny-chat", run=1, created_at=histories.BEGAN.isoformat(),
                    environment=dict(environment or histories.ENVIRONMENT)),
        study=study, document=text or histories.DOCUMENT, history=history, result=result.result(study, history), lading="0.1.0",
        written_at="2026-11-20T11:02:00+00:00", refold=refold,
    )  # fmt: skip


@pytest.fixture(scope="session")
def gain_facts():
    return histories.history()


@pytest.fixture(scope="session")
def report(gain_facts):
    """A study that found something."""
    return make(gain_facts)


@pytest.fixture(scope="session")
def no_gain():
    """A study that found nothing better than the defaults."""
    return make(histories.history(gain=False))
