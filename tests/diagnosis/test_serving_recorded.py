"""What a real cluster said of services in trouble, and what is found in it: the same words as on that cluster."""

import json

import pytest
from tests.diagnosis.serving_scenes import KSERVE_SCENES, SCENES
from tests.diagnosis.serving_stage import DATA, plain, shown
from tests.testbed import golden

from lading.diagnosis.serving import Evidence, diagnose
from lading.diagnosis.serving_classes import CLASSES

ALL = {**SCENES, **KSERVE_SCENES}


def recorded(name, **more):
    return Evidence(**{"name": name, "namespace": "demo", "waited_s": 30.0, **json.loads((DATA / f"{name}.json").read_text()), **more})  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_the_class_is_found_in_the_words_that_are_kept(name):
    found = diagnose(recorded(name))
    assert (found.cause, found.fatal) == (ALL[name].cause, ALL[name].fatal)
    golden.check("diagnosis", name, plain(shown(found)))


def test_every_record_and_message_has_its_scene():
    assert {path.stem for path in DATA.glob("*.json")} == set(ALL)
    assert {path.stem for path in (golden.FOLDER / "diagnosis").glob("*.txt")} == set(ALL)


def test_every_class_that_a_scene_expects_is_in_the_catalogue():
    assert {scene.cause for scene in ALL.values()} <= set(CLASSES)
