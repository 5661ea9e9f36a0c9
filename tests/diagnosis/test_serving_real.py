"""Services in every trouble that a real cluster can be brought into: found for what it is, in the words that are kept."""

import os

import pytest
from tests.diagnosis.record import restricted
from tests.diagnosis.serving_scenes import KSERVE_SCENES as WITH_KSERVE
from tests.diagnosis.serving_scenes import RUNTIMES, SCENES, SHARED
from tests.diagnosis.serving_stage import DATA, Stage, kept, plain, shown
from tests.diagnosis.stage import registry
from tests.testbed import golden, namespaces
from tests.testbed.api import wait

from lading.diagnosis.serving import diagnose

pytestmark = pytest.mark.real("cluster")


def played(cluster, folder, scenes, shared):
    """A stage on which all *scenes* play at once."""
    namespace = namespaces.create(cluster.api, folder)
    with registry() as address:
        stage = Stage(namespace, address, shared)
        restricted(cluster.api, namespace.name)
        try:
            stage.prepare()
            for name, scene in scenes.items():
                stage.play(name, scene)
            yield stage
        finally:
            stage.clear(scenes)
            namespace.remove()


@pytest.fixture(scope="module")
def stage(cluster, tmp_path_factory):
    yield from played(cluster, tmp_path_factory.mktemp("services"), SCENES, SHARED)


@pytest.fixture(scope="module")
def kserve_stage(kserve, tmp_path_factory):
    yield from played(kserve, tmp_path_factory.mktemp("services"), WITH_KSERVE, RUNTIMES)


@pytest.mark.parametrize("name", SCENES)
def test_the_class_is_found_on_a_real_cluster(stage, name):
    check(stage, name, SCENES[name])


@pytest.mark.real("kserve")
@pytest.mark.parametrize("name", WITH_KSERVE)
def test_the_class_is_found_behind_kserves_own_controller(kserve_stage, name):
    check(kserve_stage, name, WITH_KSERVE[name])


def check(stage, name, scene):
    """It is found, of the right class, with the right patience, in the words that are kept."""
    last = []
    stage.go_on(name, scene)

    def as_expected():
        evidence = stage.evidence(name, scene)
        last[:] = [evidence, diagnose(evidence)]
        return last[1] and (last[1].cause, last[1].fatal) == (scene.cause, scene.fatal)

    try:
        wait(f"{scene.cause} is found", as_expected, within_s=90)
    except TimeoutError as error:
        pytest.fail(f"{error}; found {last[1]}", pytrace=False)
    evidence, found = last
    golden.check("diagnosis", name, plain(shown(found), stage.namespace.name, stage.registry))
    if os.environ.get("LADING_GOLDEN") == "write":
        DATA.mkdir(exist_ok=True)
        (DATA / f"{name}.json").write_text(kept(evidence, stage.namespace.name, stage.registry))
