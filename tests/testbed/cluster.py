"""A one-node Kubernetes for tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testbed import image, kube, node
from tests.testbed.api import Api
from tests.testbed.places import CLUSTER

KUBECONFIG = CLUSTER / "admin.kubeconfig"


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        kubeconfig: The administrator's.
        image: Of this checkout's Lading, present on the node.
        node: Name of the one node.
    """

    kubeconfig: Path
    api: Api
    image: str = image.NAME
    node: str = "node-1"

    def kubectl(self, *argv: str, **options: Any) -> str:
        """What kubectl prints, as administrator."""
        return kube.kubectl(self.kubeconfig, *argv, **options)


def missing() -> str | None:
    """Why there can be no cluster here; None when there can."""
    return None if node.running() else "not up"


def shared() -> Cluster:
    """The cluster that runs, with this checkout's image."""
    image.ensure()
    return Cluster(kubeconfig=KUBECONFIG, api=Api(KUBECONFIG))
