"""The way to a server's Service: inside the cluster as its clients go, from outside a port-forward that carries a probe.

A measurement never goes through a port-forward (DESIGN 13.10): an `Endpoint` says that it is reached from the cluster.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from lading.cluster import forward, kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.errors import ServingError


def url(service: Object, *, namespace: str) -> str:
    """The base URL of *service* inside its cluster: its cluster IP; its name where it has none (a headless one).

    The address, not the name: it needs no DNS, and asking it proves nothing else.

    Raises:
        ServingError: It has no port.
    """
    spec = service.get("spec") or {}
    ports = [one for one in spec.get("ports") or () if one.get("protocol", "TCP") == "TCP"]
    name = service["metadata"]["name"]
    if not ports:
        raise ServingError(f"Service {name} in {namespace} has no port")
    address = str(spec.get("clusterIP") or "None")
    if address == "None":
        target = ports[0].get("targetPort")  # a headless Service leads to the pods' own port
        return f"http://{name}.{namespace}.svc.cluster.local:{target if isinstance(target, int) else ports[0]['port']}"
    host = f"[{address}]" if ":" in address else address
    port = int(ports[0]["port"])
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"


def inside(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process runs in a pod, and so reaches Services of its cluster itself."""
    return "KUBERNETES_SERVICE_HOST" in environment


@asynccontextmanager
async def reached(cluster: Cluster, service: Object, *, pods: str, port: int, namespace: str) -> AsyncIterator[str]:
    """A base URL that this process can ask, until the block is left: `url` in a pod of that cluster, else a forwarded port.

    Args:
        cluster: In which it is.
        service: The Service that clients ask.
        pods: Label selector of the pods behind it.
        port: Of those pods.
        namespace: Of all of them.

    Raises:
        ObjectMissing: No pod runs to forward to.
        ClusterDenied: Ports may not be forwarded.
    """
    if inside() and cluster.connection.context is None:  # with a kubeconfig, a pod may speak to another cluster
        yield url(service, namespace=namespace)
        return
    async with forward.forward(cluster, port=port, selector=pods, namespace=namespace) as forwarded:
        yield f"http://127.0.0.1:{forwarded.port}"


async def behind(cluster: Cluster, name: str, namespace: str) -> frozenset[str]:
    """The pods that the Service *name* sends requests to now."""
    found: set[str] = set()
    for one in await cluster.list(
        kinds.ENDPOINT_SLICE, namespace=namespace, labels=f"kubernetes.io/service-name={name}"
    ):
        for endpoint in one.get("endpoints") or ():
            ready = (endpoint.get("conditions") or {}).get("ready")
            pod = (endpoint.get("targetRef") or {}).get("name")
            if ready and pod:
                found.add(str(pod))
    return frozenset(found)
