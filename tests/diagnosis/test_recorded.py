"""What a real cluster said of each trouble, and what is found in it. `python -m tests.diagnosis.record` takes it down anew."""

import json
from pathlib import Path

import pytest
from tests.diagnosis.scenes import SCENES
from tests.diagnosis.stage import Evidence, found

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("name", SCENES)
def test_the_cause_is_found_with_what_it_names(name):
    scene = SCENES[name]
    finding = found(scene, Evidence(**json.loads((DATA / f"{name}.json").read_text())))
    assert finding is not None
    told = f"{finding.sentence} {finding.remedy}"
    assert (finding.cause, finding.fatal) == (scene.cause, scene.fatal), told
    assert [word for word in scene.words if word not in told] == []
    assert finding.evidence or finding.cause in {"claim-terminating", "no-default-class", "no-volume", "volume-lost", "volume-missing"}  # fmt: skip


def test_every_record_has_its_scene():
    assert {path.stem for path in DATA.glob("*.json")} == set(SCENES)
