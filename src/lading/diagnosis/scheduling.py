"""Why no node takes a pod: what the scheduler says of its claim first, then of nodes."""

import re

from lading.diagnosis import texts
from lading.diagnosis.finding import Finding
from lading.diagnosis.texts import Sign

_CLAIM = (
    Sign(r"persistentvolumeclaim \"([\w.-]+)\" not found", "claim-missing", "there is no claim {0} in the namespace", "`lading claim create {0} --size …` makes it; `kubectl get pvc` lists what there is"),
    Sign(r"persistentvolumeclaim \"([\w.-]+)\" is being deleted", "claim-terminating", "the claim {0} is being deleted", "wait until it is gone and make a new one, or name another"),
    Sign(r"ReadWriteOncePod", "claim-held", "another pod uses the claim, which only one pod may (ReadWriteOncePod)", "stop that pod, or let a pull do so: `lading pull … --during-update scale`", fatal=False),
    Sign(r"unbound immediate PersistentVolumeClaims", "claim-unbound", "the claim has no volume yet", "`lading claim inspect pvc://CLAIM` says why", fatal=False),
    Sign(r"didn't find available persistent volumes to bind", "no-volume-for-node", "no volume that the claim may have can be used on a node that fits", "`lading claim inspect pvc://CLAIM` says what the class needs", fatal=False),
    Sign(r"match PersistentVolume's node affinity|volume node affinity conflict", "volume-elsewhere", "the claim's volume is on a node or in a zone that cannot run the pod", "leave out --node-selector, or see `kubectl get pv -o wide` for where the volume is", fatal=False),
)  # fmt: skip
_NODES = (
    Sign(r"(\d+ Insufficient [\w./-]+)", "no-room-on-nodes", "", "wait until something else ends, or ask for less", fatal=False),
    Sign(r"(\d+ Too many pods|\d+ node\(s\) exceed max volume count)", "node-full", "", "wait until something else ends, or add a node", fatal=False),
    Sign(r"(\d+ node\(s\) were unschedulable)", "node-cordoned", "", "have the node uncordoned: `kubectl uncordon NODE`", fatal=False),
    Sign(r"(\d+ node\(s\) had (?:untolerated )?taint)", "node-tainted", "", "--toleration KEY[=VALUE][:EFFECT] lets it run on tainted nodes (`kubectl describe node` names the taints)", fatal=False),
    Sign(r"(\d+ node\(s\) didn't match Pod's node affinity(?:/selector)?|\d+ node\(s\) didn't match node selector)", "no-node-matches", "", "correct --node-selector: `kubectl get nodes --show-labels`", fatal=False),
)  # fmt: skip


def unschedulable(message: str, *, asked: str = "") -> Finding:
    """What the scheduler's *message* means; its own words under ``unschedulable`` where nothing in it is known.

    Args:
        message: Of the pod's condition, or of the event.
        asked: The labels that the pod's node must have.
    """
    claim = texts.first(_CLAIM, message, "")
    if claim is not None:
        return claim
    found = [one for one in (sign.finding(message, "") for sign in _NODES) if one is not None]
    labels = f" (it asks for a node with {asked})" if asked else ""
    sentence = f"no node takes the pod{labels}: {_reasons(message)}"
    if not found:
        return Finding(cause="unschedulable", sentence=sentence, remedy="", evidence=(message,))
    busy = found[0].cause == "no-room-on-nodes"  # the others are the nodes that are not meant for it
    return Finding(
        cause=found[0].cause if busy or len(found) == 1 else "no-node-fits",
        sentence=sentence,
        remedy="; or ".join(one.remedy for one in found),
        evidence=(message,),
    )


def _reasons(message: str) -> str:
    """The counted reasons alone, without the preemption's."""
    counted = re.sub(r"^\d+/\d+ nodes are available: ", "", message)
    counted = re.split(r"[.,]? ?(?:no new claims to deallocate|preemption:)", counted)[0].strip(" .,")
    return counted or message or "no reason was given"
