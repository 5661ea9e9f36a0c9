"""Each artefact of each engine as it was approved; the same target gives the same text."""

import pytest
from tests.manifests.conftest import TARGETS
from tests.testbed import golden

from lading.manifests import artefacts


@pytest.mark.parametrize("artefact", artefacts.ARTEFACTS)
@pytest.mark.parametrize("engine", TARGETS)
def test_the_text_is_the_approved_one(engine, artefact):
    text = artefacts.render_all(TARGETS[engine]())[artefact]
    assert artefacts.render_all(TARGETS[engine]())[artefact] == text
    golden.check(f"manifests/{engine}", artefact, text)
