"""Which nodes a pod may run on by its own words: labels, affinity and taints, as the scheduler reads them. Pure."""

from collections.abc import Mapping
from typing import Any

_KEEPING = frozenset({"NoSchedule", "NoExecute"})


def refusal(spec: Mapping[str, Any], node: Mapping[str, Any]) -> str | None:
    """Why a pod of *spec* may not run on *node*, whatever is free there; None where it may."""
    wanted = spec.get("nodeName")
    if wanted and wanted != _name(node):
        return f"the pod is for the node {wanted}"
    return _by_labels(spec, node) or _by_taints(spec, node)


def _by_labels(spec: Mapping[str, Any], node: Mapping[str, Any]) -> str | None:
    labels = (node.get("metadata") or {}).get("labels") or {}
    missing = [f"{key}={value}" for key, value in (spec.get("nodeSelector") or {}).items() if labels.get(key) != value]
    if missing:
        return f"it lacks the label {', '.join(missing)}"
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if affinity is None or selected(affinity, node):
        return None
    return "it does not match the node affinity"


def selected(selector: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    """Whether *node* matches one term of a node *selector* (of a pod's affinity, or of a volume's)."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    return any(
        (term.get("matchExpressions") or term.get("matchFields"))  # an empty term matches nothing
        and all(_matches(one, labels) for one in term.get("matchExpressions") or ())
        and all(_matches(one, {"metadata.name": _name(node)}) for one in term.get("matchFields") or ())
        for term in selector.get("nodeSelectorTerms") or ()
    )


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression.get("key"), expression.get("operator"), expression.get("values") or ()
    has = labels.get(str(key))
    match operator:
        case "In":
            return has in values
        case "NotIn":
            return has not in values
        case "Exists":
            return has is not None
        case "DoesNotExist":
            return has is None
    return _compared(str(operator), has, values)


def _compared(operator: str, has: str | None, values: Any) -> bool:
    try:
        mine, bound = int(has or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return mine > bound if operator == "Gt" else operator == "Lt" and mine < bound


def _by_taints(spec: Mapping[str, Any], node: Mapping[str, Any]) -> str | None:
    of_node = node.get("spec") or {}
    taints = [taint for taint in of_node.get("taints") or () if taint.get("effect") in _KEEPING]
    if of_node.get("unschedulable"):
        taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    tolerations = spec.get("tolerations") or ()
    for taint in taints:
        if not any(_tolerates(toleration, taint) for toleration in tolerations):
            return _said(taint)
    return None


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in {None, "", taint.get("effect")}:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in {None, "", taint.get("key")}
    same_key = toleration.get("key") == taint.get("key")
    return same_key and (toleration.get("value") or "") == (taint.get("value") or "")


def _said(taint: Mapping[str, Any]) -> str:
    key = str(taint.get("key"))
    if key == "node.kubernetes.io/unschedulable":
        return "it is cordoned"
    if key in {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}:
        return "it is not ready"
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"it has the taint {key}{value}:{taint.get('effect')}"


def _name(node: Mapping[str, Any]) -> str:
    return str((node.get("metadata") or {}).get("name") or "")
