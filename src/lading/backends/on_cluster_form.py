"""How the objects of one kind of server on a cluster are found: the values in which `deployment` and `kserve` differ."""

from collections.abc import Callable
from dataclasses import dataclass

from lading.cluster.kinds import Kind
from lading.manifests import ours
from lading.manifests.target import PORT


def pods_by_label(name: str) -> str:
    """Pods whose template carries our own label."""
    return f"{ours.SERVER}={name}"


def own_name(name: str) -> str:
    """Called as the server is."""
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One kind of server on a cluster. *name* is always the objects' own: `names.dns` of the server's.

    Attributes:
        kind: The backend's.
        kinds: Of what a plan makes, in the order in which they are deleted: first what starts pods.
        container: The name of the server's container in its pods.
        port: Where it listens in its pod.
        pods: *name* → the label selector of its pods, and of their ReplicaSets.
        deployment: *name* → what the Deployment is called that has the pods.
        service: *name* → what the Service is called that clients ask.
    """

    kind: str
    kinds: tuple[Kind, ...]
    container: str
    port: int = PORT
    pods: Callable[[str], str] = pods_by_label
    deployment: Callable[[str], str] = own_name
    service: Callable[[str], str] = own_name
