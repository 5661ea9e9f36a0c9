"""``python -m tests.diagnosis.record [SCENE …]``: play all scenes on the running cluster and keep what it says of them."""

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.diagnosis.scenes import SCENES
from tests.diagnosis.stage import Stage, registry, trimmed
from tests.testbed import namespaces
from tests.testbed.api import Api
from tests.testbed.cluster import KUBECONFIG

DATA = Path(__file__).parent / "data"
LONG_ENOUGH_S = 45


def main(names):
    scenes = {name: SCENES[name] for name in names or SCENES}
    api = Api(KUBECONFIG)
    with tempfile.TemporaryDirectory() as folder, registry() as address:
        namespace = namespaces.create(api, Path(folder))
        stage = Stage(api, namespace.name, address)
        restricted(api, namespace.name)
        try:
            stage.prepare()
            for name, scene in scenes.items():
                stage.play(name, scene)
            for name, scene in scenes.items():
                stage.finish(name, scene)
            time.sleep(LONG_ENOUGH_S)
            for name, scene in scenes.items():
                text = json.dumps(trimmed(stage.evidence(name, scene)), indent=1)
                (DATA / f"{name}.json").write_text(text.replace(namespace.name, "demo") + "\n")
        finally:
            stage.clear(scenes)
            namespace.remove()


def restricted(api, namespace):
    """Privileged pods are refused there, as on most clusters."""
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})


if __name__ == "__main__":
    main(sys.argv[1:])
