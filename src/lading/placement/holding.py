"""Whether a writer gets at a claim beside those that hold it now, and where. Decides from values.

ReadWriteMany: anywhere. ReadWriteOnce: beside the pod that mounts it, on its node. ReadWriteOncePod: not while there is
one. ReadOnlyMany alone: never.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lading.cluster.kinds import Object
from lading.placement.mounts import Mount
from lading.placement.problems import Problem

DuringUpdate = Literal["scale", "recreate", "same-node"]
FLAGS = "--during-update scale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """How a writer gets at a claim.

    Attributes:
        node: The one node it may run on; None: any.
        beside: The pod on that node, whose placement is copied.
        free: It may mount the claim now; else only after what holds it was stopped.
        mounts: Those that hold it.
    """

    node: str | None = None
    beside: str | None = None
    free: bool = True
    problem: Problem | None = None
    mounts: tuple[Mount, ...] = ()


def modes(claim: Object) -> tuple[str, ...]:
    """The access modes of a claim: of its volume where it has one, else as asked for."""
    return tuple(claim.get("status", {}).get("accessModes") or claim["spec"].get("accessModes") or ())


def holding(
    claim: Object, mounts: Sequence[Mount], *, node: str | None = None, during_update: str | None = None
) -> Holding:
    """How a writer gets at *claim*, which *mounts* hold; *node* is where it was asked to run."""
    name, allowed = claim["metadata"]["name"], modes(claim)
    held = tuple(mount for mount in mounts if mount.node is not None)
    if allowed and set(allowed) <= {"ReadOnlyMany"}:
        return Holding(problem=_read_only(name), mounts=held)
    if "ReadWriteMany" in allowed or not held:
        return Holding(node=node, mounts=held)
    there = held[0]
    alone = "ReadWriteOncePod" in allowed
    if not alone and node in (None, there.node):
        return Holding(node=there.node, beside=there.pod, mounts=held)
    if during_update == "scale":
        return Holding(node=node, free=False, mounts=held)
    problem = _alone(name, there, during_update) if alone else _elsewhere(name, there, str(node))
    return Holding(free=False, problem=problem, mounts=held)


def who(mount: Mount) -> str:
    """What holds a claim, as a person knows it."""
    return f"{mount.workload} (pod {mount.pod})" if mount.workload else f"pod {mount.pod}"


def _read_only(name: str) -> Problem:
    return Problem(
        code="claim-read-only",
        message=f"claim {name} is ReadOnlyMany: nothing can be written to it",
        hint="pull to a claim with ReadWriteOnce or ReadWriteMany",
    )


def _alone(name: str, mount: Mount, during_update: str | None) -> Problem:
    why = f"; --during-update {during_update} runs beside it, which this mode forbids" if during_update else ""
    return Problem(
        code="claim-held",
        message=f"claim {name} is ReadWriteOncePod, and {who(mount)} holds it{why}",
        hint=_stop(mount),
    )


def _elsewhere(name: str, mount: Mount, node: str) -> Problem:
    return Problem(
        code="claim-held",
        message=f"claim {name} is ReadWriteOnce, and {who(mount)} holds it on node {mount.node}, not on {node}",
        hint=f"run beside it: --during-update same-node; or {_stop(mount)}",
    )


def _stop(mount: Mount) -> str:
    if mount.workload is None:
        return f"no workload keeps it: delete pod {mount.pod} yourself, then run the same command again"
    return f"stop it for the time of the pull and start it again: {FLAGS}"
