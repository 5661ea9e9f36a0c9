"""Where a pod would find room: each node's allocatable minus what the pods on it request, GPUs by their resource names.

`fit` is a pure function over listed nodes and pods, for any resource: ``nvidia.com/gpu``, ``amd.com/gpu``, a MIG name,
memory. It counts as the scheduler does and says of every node why not; the scheduler itself has the last word.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from lading.cluster.client import Cluster
from lading.cluster.kinds import NODE, POD, Object
from lading.engines.gpus import is_resource
from lading.placement import choosing_nodes, evidence, pod_requests, quantity
from lading.placement.evidence import Evidence
from lading.placement.pod_requests import Amounts

#: Pods that still count: a pod that is being deleted holds what it has until it is gone.
_ALIVE = "status.phase!=Succeeded,status.phase!=Failed"
_ENDED = frozenset({"Succeeded", "Failed"})
_UNKNOWN = "what is taken is not known: pods of all namespaces may not be listed with these rights"
#: How many of those who hold a resource are named.
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRoom:
    """One node, and what is left of it.

    Attributes:
        allocatable: What pods may request of it in all.
        requested: What the pods on it request; None where they may not be listed.
        holders: ``namespace/name`` of pods, to what each requests.
        node: The object, for labels and taints.
    """

    name: str
    allocatable: Amounts
    requested: Amounts | None
    holders: Mapping[str, Amounts] = field(default_factory=dict)
    node: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def free(self, resource: str) -> Decimal:
        """What is left of *resource*; all of it where requests are not known, never less than nothing."""
        taken = (self.requested or {}).get(resource, Decimal(0))
        return max(Decimal(0), self.allocatable.get(resource, Decimal(0)) - taken)

    @property
    def gpus(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Free and allocatable GPUs, by resource name."""
        return {
            name: (self.free(name), self.allocatable[name]) for name in sorted(self.allocatable) if is_resource(name)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a node does not take a pod.

    Attributes:
        kind: ``unmatched``: by labels, affinity or taints; ``small``: it never has so much; ``taken``: others have it now.
        reason: A clause about the node, without its name.
    """

    node: str
    kind: Literal["unmatched", "small", "taken"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Where a pod would fit.

    Attributes:
        nodes: Names of nodes with room, the one with the least left over first.
        refusals: One for each other node.
        offered: GPU resources that the cluster has at all, where the pod asks for one that none has.
        unknown: What the answer is without, as a sentence; None where all was read.
    """

    nodes: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    offered: tuple[str, ...] = ()
    unknown: str | None = None

    @property
    def busy(self) -> bool:
        """Whether it would fit once others end."""
        return not self.nodes and any(refusal.kind == "taken" for refusal in self.refusals)


def by_node(nodes: Iterable[Object], pods: Iterable[Object] | None) -> tuple[NodeRoom, ...]:
    """Room of each of *nodes*, by name; *pods* of all namespaces, None where they may not be listed."""
    held = _held(pods or ())
    found = []
    for node in nodes:
        name = str(node["metadata"]["name"])
        holders = held.get(name, {})
        found.append(
            NodeRoom(
                name=name,
                allocatable=_amounts((node.get("status") or {}).get("allocatable") or {}),
                requested=None if pods is None else pod_requests.total(holders.values()),
                holders=holders,
                node=node,
            )
        )
    return tuple(sorted(found, key=lambda room: room.name))


def without(rooms: Iterable[NodeRoom], gone: Collection[str]) -> tuple[NodeRoom, ...]:
    """*rooms* as they will be once the pods *gone* (``namespace/name``) have ended: those that a new one replaces."""
    left = []
    for room in rooms:
        holders = {name: held for name, held in room.holders.items() if name not in gone}
        requested = None if room.requested is None else pod_requests.total(holders.values())
        left.append(dataclasses.replace(room, holders=holders, requested=requested))
    return tuple(left)


def fit(spec: Mapping[str, Any], rooms: Sequence[NodeRoom]) -> Fit:
    """Where a pod of *spec* would fit, and of each other node why not.

    Args:
        spec: Of the pod: containers with resources, node selector, affinity, tolerations.
        rooms: As `by_node` gives them.

    Raises:
        ValueError: A quantity in *spec* is none.
    """
    wanted = pod_requests.of(spec)
    judged = [(room, _refusal(spec, wanted, room)) for room in rooms]
    takers = sorted(
        (room for room, refused in judged if refused is None),
        key=lambda room: (*(room.free(name) for name in sorted(wanted, key=_gpus_first)), room.name),
    )
    asked = [name for name in wanted if is_resource(name)]
    lacking = any(all(name not in room.allocatable for room in rooms) for name in asked)
    return Fit(
        nodes=tuple(room.name for room in takers),
        refusals=tuple(refused for _, refused in judged if refused is not None),
        offered=tuple(sorted({name for room in rooms for name in room.gpus})) if lacking else (),
        unknown=next((_UNKNOWN for room in rooms if room.requested is None), None),
    )


def told(found: Fit, spec: Mapping[str, Any]) -> str:
    """Why there is no room for a pod of *spec*, as one sentence; each reason once, with the nodes it is true of."""
    asked = {name: amount for name, amount in pod_requests.of(spec).items() if name != "pods"}
    what = " and ".join(f"{quantity.shown(name, asked[name])} {name}" for name in sorted(asked, key=_gpus_first))
    reasons: dict[str, list[str]] = {}
    for refusal in found.refusals:
        reasons.setdefault(refusal.reason, []).append(refusal.node)
    told = "; ".join(f"{_named(names)}: {reason}" for reason, names in reasons.items()) or "the cluster has no node"
    return f"no node takes a pod{f' with {what}' if what else ''}: {told}"


def remedy(found: Fit) -> str:
    """What to do about it."""
    if found.offered:
        return f"the cluster offers {', '.join(found.offered)}"
    kinds = {refusal.kind for refusal in found.refusals}
    said = []
    if "taken" in kinds:
        said.append("wait until something else ends")
    if kinds & {"taken", "small"}:
        said.append("ask for less (a smaller parallel size, gpus: N)")
    if "unmatched" in kinds:
        said.append("correct node_selector or tolerations")
    return ", or ".join(said) or "add a node"


async def look(cluster: Cluster) -> Evidence[tuple[NodeRoom, ...]]:
    """Nodes and what is left of them; unknown without the right to list nodes.

    Without the right to list all pods, `NodeRoom.requested` is None, and `fit` says so.
    """
    nodes = await evidence.gathered("nodes", cluster.list(NODE))
    if nodes.value is None:
        return Evidence(unknown=nodes.unknown)
    everywhere = dataclasses.replace(POD, namespaced=False)
    pods = await evidence.gathered("pods", cluster.list(everywhere, fields=_ALIVE))
    return Evidence(by_node(nodes.value, pods.value))


def _refusal(spec: Mapping[str, Any], wanted: Amounts, room: NodeRoom) -> Refusal | None:
    unmatched = choosing_nodes.refusal(spec, room.node)
    if unmatched is not None:
        return Refusal(node=room.name, kind="unmatched", reason=unmatched)
    short = [name for name in sorted(wanted, key=_gpus_first) if wanted[name] > room.free(name)]
    if not short:
        return None
    small = next((name for name in short if wanted[name] > room.allocatable.get(name, 0)), None)
    if small is not None:
        return Refusal(node=room.name, kind="small", reason=_has(room, small))
    return Refusal(node=room.name, kind="taken", reason=_taken(room, short[0]))


def _has(room: NodeRoom, resource: str) -> str:
    have = room.allocatable.get(resource, Decimal(0))
    return f"it has {quantity.shown(resource, have)} {resource}" if have else f"it has no {resource}"


def _taken(room: NodeRoom, resource: str) -> str:
    holders = sorted(
        ((held[resource], pod) for pod, held in room.holders.items() if held.get(resource)),
        key=lambda one: (-one[0], one[1]),
    )
    by = ", ".join(f"{pod} {quantity.shown(resource, amount)}" for amount, pod in holders[:_NAMED])
    more = f" and {len(holders) - _NAMED} more pods" if len(holders) > _NAMED else ""
    free = quantity.shown(resource, room.free(resource))
    have = quantity.shown(resource, room.allocatable[resource])
    return f"{free} of {have} {resource} are free (taken by {by}{more})"


def _held(pods: Iterable[Object]) -> dict[str, dict[str, Amounts]]:
    """What each pod of a node requests, by node and by ``namespace/name``."""
    held: dict[str, dict[str, Amounts]] = {}
    for pod in pods:
        node = (pod.get("spec") or {}).get("nodeName")
        if node and (pod.get("status") or {}).get("phase") not in _ENDED:
            name = f"{pod['metadata'].get('namespace')}/{pod['metadata']['name']}"
            held.setdefault(str(node), {})[name] = pod_requests.of(pod["spec"])
    return held


def _amounts(listed: Mapping[str, Any]) -> dict[str, Decimal]:
    return {name: quantity.number(amount) for name, amount in listed.items()}


def _gpus_first(resource: str) -> tuple[bool, str]:
    return not is_resource(resource), resource


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
