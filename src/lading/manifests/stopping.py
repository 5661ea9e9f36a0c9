"""How a server that holds a claim is stopped for a while and brought back: the patches, and the record of what was."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lading.manifests import ours

#: KServe's own switch: it deletes what it made of the service, and keeps the service.
STOP = "serving.kserve.io/stop"
#: On the claim: what was stopped for its sake, as JSON, written before it is.
RECORD = "lading.dev/update"
How = Literal["scale", "annotation"]
#: What can be stopped, by API group and kind.
_HOW: Mapping[tuple[str, str], How] = {
    ("apps", "Deployment"): "scale",
    ("apps", "StatefulSet"): "scale",
    ("serving.kserve.io", "InferenceService"): "annotation",
    ("serving.kserve.io", "LLMInferenceService"): "annotation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One server to be stopped and brought back.

    Attributes:
        replicas: To be restored; None where an annotation stops it.
        pods: Those of its pods that hold the claim.
    """

    api_version: str
    kind: str
    name: str
    replicas: int | None = None
    pods: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def said(self) -> str:
        """What is done to it, for people."""
        if self.replicas is None:
            return f"stop {self} (annotation {STOP}), and start it again afterwards"
        return f"scale {self} from {self.replicas} to 0, and back afterwards"

    @property
    def by_hand(self) -> str:
        """The command that brings it back."""
        if self.replicas is None:
            plural = f"{self.kind.lower()}s.{self.api_version.partition('/')[0]}"
            return f"kubectl annotate {plural} {self.name} {STOP}-"
        return f"kubectl scale {self.kind.lower()} {self.name} --replicas={self.replicas}"


def how(api_version: str, kind: str) -> How | None:
    """How a workload of this kind is stopped; None: not by us."""
    return _HOW.get((api_version.rpartition("/")[0], kind))


def annotation(*, stopped: bool) -> dict[str, Any]:
    """The patch that stops a service of KServe, or lets it go again."""
    return {"metadata": {"annotations": {STOP: "true" if stopped else None}}}


def scale(replicas: int) -> dict[str, Any]:
    """The patch of a ``scale`` subresource."""
    return {"spec": {"replicas": replicas}}


def record(stops: Sequence[Stop], *, by: str, at: str, needs: str | None = None) -> dict[str, Any]:
    """The patch of a claim that says what is stopped for its sake; none at all: nothing any more.

    *needs*: the model that has to be there before they are started: its old version may be gone.
    """
    text = None
    if stops:
        document = {"by": by, "at": at, "needs": needs, "stopped": [_entry(one) for one in stops]}
        text = json.dumps(document, separators=(",", ":"))
    return {"metadata": {"annotations": {RECORD: text}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a claim says of an update that has not ended."""

    stops: tuple[Stop, ...] = ()
    by: str = ""
    at: str = ""
    needs: str | None = None


def recorded(claim: Mapping[str, Any]) -> Recorded:
    """What *claim* says; what is not in our form says nothing."""
    text = (claim.get("metadata", {}).get("annotations") or {}).get(RECORD)
    try:
        document = json.loads(text or "{}")
        stops = tuple(_stop(one) for one in document.get("stopped") or ())
    except (ValueError, KeyError, TypeError, AttributeError):
        return Recorded()
    needs = document.get("needs")
    return Recorded(
        stops=stops,
        by=str(document.get("by", "")),
        at=str(document.get("at", "")),
        needs=needs if isinstance(needs, str) else None,
    )


def merged(*groups: Iterable[Stop]) -> tuple[Stop, ...]:
    """Each server once; what was said first of it holds: a server that is stopped now had its replicas before."""
    kept: dict[tuple[str, str, str], Stop] = {}
    for stop in (one for group in groups for one in group):
        kept.setdefault((stop.api_version, stop.kind, stop.name), stop)
    return tuple(kept.values())


def _entry(stop: Stop) -> dict[str, Any]:
    return {"apiVersion": stop.api_version, "kind": stop.kind, "name": stop.name, "replicas": stop.replicas}


def _stop(entry: Mapping[str, Any]) -> Stop:
    """One entry of a record, checked: an annotation is anybody's word, and we patch what it names."""
    replicas = entry["replicas"]
    made = Stop(
        api_version=str(entry["apiVersion"]), kind=str(entry["kind"]), name=str(entry["name"]), replicas=replicas
    )
    kind_of = how(made.api_version, made.kind)
    whole = isinstance(replicas, int) and not isinstance(replicas, bool) and 0 < replicas <= _MOST
    if kind_of is None or (kind_of == "scale") is not whole or "/" in made.name:
        raise ValueError(f"no server that {ours.MANAGER} stops")
    return made


_MOST = 10_000
