"""What the tests of claims share: storage classes of a test's own, and the command as administrator or as user."""

import json

import pytest


@pytest.fixture
def storage_class(namespace):
    """``storage_class("gp3", provisioner=…)`` makes a class named for this test; all are gone afterwards."""
    made = []

    def make(suffix, **fields):
        name = f"{namespace.name}-{suffix}"
        annotations = fields.pop("annotations", {})
        namespace.apply(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": name, "annotations": annotations},
                "provisioner": "kubernetes.io/no-provisioner",
                **fields,
            }
        )
        made.extend([name, f"{name}-retain"])
        return name

    yield make
    for name in made:
        namespace.api.delete(f"/apis/storage.k8s.io/v1/storageclasses/{name}")


@pytest.fixture
def admin(lading, namespace):
    """The command with all rights."""
    return lambda *argv, **options: lading(*argv, env={"KUBECONFIG": str(namespace.admin)}, **options)


def answer(result):
    """The one JSON document that a command printed last."""
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])
