"""Every trouble made on a real cluster, all at once, and found for what it is."""

import pytest
from tests.diagnosis.record import restricted
from tests.diagnosis.scenes import SCENES
from tests.diagnosis.stage import Stage, found, registry
from tests.testbed import namespaces
from tests.testbed.api import wait

pytestmark = pytest.mark.real("cluster")


@pytest.fixture(scope="module")
def stage(cluster, tmp_path_factory):
    """A namespace in which all scenes play."""
    namespace = namespaces.create(cluster.api, tmp_path_factory.mktemp("scenes"))
    with registry() as address:
        made = Stage(cluster.api, namespace.name, address)
        restricted(cluster.api, namespace.name)
        try:
            made.prepare()
            for name, scene in SCENES.items():
                made.play(name, scene)
            for name, scene in SCENES.items():
                made.finish(name, scene)
            yield made
        finally:
            made.clear(SCENES)
            namespace.remove()


@pytest.mark.parametrize("name", SCENES)
def test_the_cause_is_found_on_a_real_cluster(stage, name):
    scene, last = SCENES[name], []

    def as_expected():
        evidence = stage.evidence(name, scene)
        finding = found(scene, evidence) if evidence else None
        last[:] = [finding]
        return finding and (finding.cause, finding.fatal) == (scene.cause, scene.fatal)

    try:
        wait(f"{scene.cause} is found", as_expected, within_s=90)
    except TimeoutError as error:
        pytest.fail(f"{error}; found {last[0]}", pytrace=False)
    told = f"{last[0].sentence} {last[0].remedy}"
    assert [word for word in scene.words if word not in told] == []
