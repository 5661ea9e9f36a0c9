"""Everything that would keep a service from serving, found before anything is applied: all at once, each with its remedy.

KServe looks at none of it: it takes a claim that is not there and a folder that is not there, and says ``Ready``.
"""

from lading.cluster.client import Cluster
from lading.events import PreflightProblem
from lading.ports.backend import Deployment, ServeRequest
from lading.spec.study import BackendChoice


async def preflight(
    cluster: Cluster, deployment: Deployment, request: ServeRequest, choice: BackendChoice
) -> tuple[PreflightProblem, ...]:
    """What is in the way of *deployment*; changes nothing.

    Args:
        cluster: In the namespace that the service is to be in.
        deployment: As `Backend.plan` gave it; its objects are what would be applied.
        request: What it was planned from.
        choice: What the backend was given.

    Raises:
        ClusterUnreachable: There is no cluster to ask.
    """
    from lading.placement import claim_checks

    if request.claim is None:
        return ()
    found = await claim_checks.check(cluster, request.claim.claim)
    return tuple(PreflightProblem(code=one.code, message=one.message, hint=one.hint) for one in found.problems)
