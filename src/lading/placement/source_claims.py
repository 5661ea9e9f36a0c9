"""A claim that a Job reads from, beside the one it writes to: whether a pod can mount it, and where."""

from dataclasses import dataclass, replace

from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.errors import ClusterDenied
from lading.manifests.pods import ReadClaim
from lading.placement import claim_checks, mounts
from lading.placement.holding import Holding, modes, who
from lading.placement.mounts import Mount
from lading.placement.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClaim:
    """How a reader gets at a claim.

    Attributes:
        claim: As the pod mounts it; None: the source is no claim.
        node: The one node it may run on; None: any.
        beside: The pod that holds the claim there.
    """

    claim: ReadClaim | None = None
    node: str | None = None
    beside: str | None = None
    problems: tuple[Problem, ...] = ()


async def look(cluster: Cluster, name: str | None) -> SourceClaim:
    """How a pod in the cluster's namespace reads from the claim *name*; nothing to say of None."""
    if name is None:
        return SourceClaim()
    found = await claim_checks.check(cluster, name)
    if found.claim is None or found.problems:
        return SourceClaim(claim=ReadClaim(claim=name), problems=found.problems)
    try:
        held = await mounts.mounting(cluster, name)
    except ClusterDenied:
        held = ()
    return judged(found.claim, held)


def judged(claim: Object, held: tuple[Mount, ...]) -> SourceClaim:
    """How a reader gets at *claim*, which the pods *held* mount."""
    name, allowed = claim["metadata"]["name"], set(modes(claim))
    mounted = ReadClaim(claim=name, attach_read_only=allowed == {"ReadOnlyMany"})
    if claim.get("status", {}).get("phase") != "Bound":
        return SourceClaim(claim=mounted, problems=(_unbound(name),))
    if not held or allowed & {"ReadWriteMany", "ReadOnlyMany"}:
        return SourceClaim(claim=mounted)
    there = held[0]
    if "ReadWriteOncePod" in allowed:
        return SourceClaim(claim=mounted, problems=(_alone(name, there),))
    return SourceClaim(claim=mounted, node=there.node, beside=there.pod)


def together(hold: Holding, source: SourceClaim, *, claim: str, asked: str | None) -> Holding:
    """*hold* of the *claim* that is written to, for a pod that mounts the *source*, too; *asked*: the node it is to run on."""
    if source.node is None or hold.problem is not None:
        return hold
    if asked not in (None, source.node):
        return replace(hold, free=False, problem=_elsewhere(source, str(asked)))
    if hold.node not in (None, source.node):
        return replace(hold, free=False, problem=_apart(claim, hold, source))
    return replace(hold, node=source.node, beside=hold.beside or source.beside)


def _unbound(name: str) -> Problem:
    return Problem(
        code="source-unbound",
        message=f"claim {name} is not bound to a volume: nothing is on it",
        hint="is it the source that you meant?",
    )


def _alone(name: str, mount: Mount) -> Problem:
    return Problem(
        code="source-held",
        message=f"claim {name} is ReadWriteOncePod, and {who(mount)} has it: no other pod may read it",
        hint=f"stop {mount.workload or mount.pod} first",
    )


def _elsewhere(source: SourceClaim, asked: str) -> Problem:
    return Problem(
        code="source-held",
        message=f"{_held(source)}, not on {asked}, where the Job is to run",
        hint=f"let it run there, or stop pod {source.beside} first",
    )


def _apart(claim: str, hold: Holding, source: SourceClaim) -> Problem:
    return Problem(
        code="claims-apart",
        message=f"{_held(source)}, and claim {claim} on node {hold.node} by pod {hold.beside}: no pod can mount both",
        hint="stop one of them; or stream it through this machine, by naming the source's cluster: --source-context CONTEXT",
    )


def _held(source: SourceClaim) -> str:
    assert source.claim is not None
    return f"claim {source.claim.claim} is held on node {source.node} by pod {source.beside}"
