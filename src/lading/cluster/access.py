"""Rights: asked for before anything is done, and said as the RBAC rule to add where one is missing. Pure.

The questions themselves are sent by `lading.cluster.client.Cluster.missing`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from lading.cluster.kinds import SECRET, Kind, Object
from lading.errors import ClusterDenied

#: RBAC cannot limit these to names.
_WITHOUT_NAMES = frozenset({"create", "list", "watch", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Right:
    """To do *verb* with objects of *kind*.

    Attributes:
        verb: As RBAC has it: get, list, watch, create, update, patch, delete, deletecollection.
        name: Of one object; None: of any.
        sub: Subresource: ``log``, ``exec``, ``portforward``.
        namespace: Where; None: the connection's own namespace, or the cluster for kinds without one.
    """

    verb: str
    kind: Kind
    name: str | None = None
    sub: str | None = None
    namespace: str | None = None

    @property
    def resource(self) -> str:
        """The rule's resource: ``pods/exec``, ``jobs``."""
        return f"{self.kind.plural}/{self.sub}" if self.sub else self.kind.plural

    @property
    def place(self) -> str:
        """``in namespace demo``, or ``in the cluster``."""
        return f"in namespace {self.namespace}" if self.kind.namespaced and self.namespace else "in the cluster"

    def __str__(self) -> str:
        """``get pods/log of worker in namespace demo``."""
        sub = f"/{self.sub}" if self.sub else ""
        object_ = f"{self.kind.resource}{sub}" + (f" {self.name}" if self.name else "")
        return f"{self.verb} {object_} {self.place}"


def review(right: Right) -> Object:
    """The question whether we have *right*, to be created."""
    attributes = {
        "verb": right.verb,
        "group": right.kind.group,
        "version": right.kind.version,
        "resource": right.kind.plural,
        "subresource": right.sub,
        "name": right.name,
        "namespace": right.namespace if right.kind.namespaced else None,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value is not None}},
    }


def denied(missing: Iterable[Right], *, what: str = "this") -> ClusterDenied:
    """The error that says which rights *what* lacks, with the rules that give them as its hint."""
    rights = tuple(dict.fromkeys(missing))
    noun = "a right that is missing" if len(rights) == 1 else f"{len(rights)} rights that are missing"
    places = [f"{_listed(group)} {place}" for (_, place), group in _by_place(rights).items()]
    return ClusterDenied(f"{what} needs {noun}: {'; '.join(places)}", hint=advice(rights), status=403)


def advice(rights: Iterable[Right]) -> str:
    """Where to add which rules: one list for each namespace, and one for the cluster."""
    parts = []
    for (namespaced, place), group in _by_place(rights).items():
        role = f"a Role {place}" if namespaced else "a ClusterRole"
        parts.append(f"an administrator adds to the rules of {role}:\n{rules(group)}")
    return "\n".join(parts)


def rules(rights: Iterable[Right]) -> str:
    """The RBAC rules that give *rights*, as YAML; resources with the same verbs share a rule.

    Of Secrets they give those named alone. Other names are mostly generated: the next would be refused again.
    """
    verbs: dict[tuple[str, str, str | None], set[str]] = {}
    for right in rights:
        name = right.name if right.kind is SECRET and right.verb not in _WITHOUT_NAMES else None
        verbs.setdefault((right.kind.group, right.resource, name), set()).add(right.verb)
    shared: dict[tuple[str, str | None, tuple[str, ...]], list[str]] = {}
    for (group, resource, name), of_it in verbs.items():
        shared.setdefault((group, name, tuple(sorted(of_it))), []).append(resource)
    return "\n".join(_rule(group, resources, name, of_it) for (group, name, of_it), resources in shared.items())


def _by_place(rights: Iterable[Right]) -> dict[tuple[bool, str], list[Right]]:
    groups: dict[tuple[bool, str], list[Right]] = {}
    for right in rights:
        groups.setdefault((right.kind.namespaced, right.place), []).append(right)
    return groups


def _listed(rights: Iterable[Right]) -> str:
    """``create/get pods, list nodes``."""
    verbs: dict[str, set[str]] = {}
    for right in rights:
        verbs.setdefault(right.resource, set()).add(right.verb)
    return ", ".join(f"{'/'.join(sorted(of_it))} {resource}" for resource, of_it in verbs.items())


def _rule(group: str, resources: list[str], name: str | None, verbs: tuple[str, ...]) -> str:
    named = {"resourceNames": [name]} if name else {}
    rule = {"apiGroups": [group], "resources": sorted(resources), **named, "verbs": list(verbs)}
    return "- {" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in rule.items()) + "}"
