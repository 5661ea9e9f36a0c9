"""Room for the writer of a claim that a server holds: stop it, write, bring it back; whatever happens in between.

Each step is written on the object it changes (annotation `lading.dev/update`, with what was before) before it is done,
so that a client that was killed can be healed by the same command.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.events import Emit, ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One server to be stopped and brought back.

    Attributes:
        kind: ``Deployment``, ``StatefulSet``, ``InferenceService``.
        before: What is restored: replicas, or the stop annotation.
    """

    kind: str
    name: str
    before: str | None
    pods: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePlan:
    """What will be done around the write, in order.

    Attributes:
        node: Run the writer here (same-node); None: anywhere.
        said: One sentence each, for people.
    """

    steps: tuple[Step, ...] = ()
    node: str | None = None
    said: tuple[str, ...] = ()


async def plan(cluster: Cluster, claim: Object, during_update: str | None) -> UpdatePlan:
    """What *during_update* means for those that hold *claim* now; nothing is changed."""
    del cluster, claim, during_update
    return UpdatePlan()


@asynccontextmanager
async def freed(cluster: Cluster, todo: UpdatePlan, *, emit: Emit = ignore, wait_s: float = 300) -> AsyncIterator[None]:
    """The claim is free inside; what held it is brought back on leaving, however that comes about."""
    del cluster, todo, emit, wait_s
    yield
