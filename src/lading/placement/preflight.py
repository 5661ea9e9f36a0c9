"""Everything that would keep a Job from its work, found before there is one: all at once, each with its remedy."""

from dataclasses import dataclass

from lading.cluster.client import Cluster
from lading.errors import PreflightFailed
from lading.events import SourceListed
from lading.spec.command import PullCommand
from lading.spec.credentials import CredentialChoice, Credentials
from lading.spec.placement import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing in the way.

    Attributes:
        code: Stable name of its kind: ``claim-missing``, ``no-space`` …
    """

    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What was found.

    Attributes:
        placement: As asked, completed by what was found: fsGroup, and the node that a held claim asks for.
        listed: What the source has, seen from where the Job will run; None where it could not be looked at.
        notes: What could not be found out, and what is worth knowing.
    """

    problems: tuple[Problem, ...]
    placement: Placement
    credentials: Credentials
    listed: SourceListed | None = None
    notes: tuple[str, ...] = ()

    def require(self) -> None:
        """Nothing, if nothing is in the way.

        Raises:
            PreflightFailed: With all problems.
        """
        if self.problems:
            raise PreflightFailed("the pull cannot be started", problems=[one.message for one in self.problems])


async def preflight(
    cluster: Cluster,
    command: PullCommand,
    claim: str,
    *,
    placement: Placement,
    credentials: CredentialChoice,
    look: bool = True,
    during_update: str | None = None,
    replace_old: bool = False,
    wait_s: float = 120,
) -> Preflight:
    """Look for all that would keep *command* from running on *claim* (in the cluster's namespace).

    Args:
        look: Also list the source and the volume from a pod with the claim mounted, read-only.
        during_update: ``scale``, ``recreate`` or ``same-node``: how a claim that is held elsewhere will be freed.
        wait_s: How long the pod may take to start.
    """
    raise PreflightFailed("not there yet")
