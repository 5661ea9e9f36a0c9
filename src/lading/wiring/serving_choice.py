"""What is served, and where: a reference with what is known of it, and the backend that can read it, with the reason.

A claim is looked into through a helper pod; what it holds stays there. Imports `cluster` where a reference is a claim.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lading import wiring
from lading.errors import ClusterDenied, InvalidInput, InvalidReference, ObjectMissing
from lading.events import Emit, ignore
from lading.ports.backend import OnClaim
from lading.spec.placement import Choice
from lading.spec.ref import ClaimRef, Reference, SourceRef
from lading.volume import servable
from lading.volume.servable import Servable

if TYPE_CHECKING:
    from lading.cluster.client import Cluster

#: Backends whose pods read a claim.
CLUSTER = ("kserve", "deployment")
#: Backends that read this machine's disk.
HERE = ("process", "docker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What is served, and where.

    Attributes:
        claim: Where it lies, for a backend whose pods read claims; None: on this machine.
        why: What was chosen, and the reason: one sentence each.
    """

    model: Servable
    kind: str
    claim: OnClaim | None = None
    why: tuple[str, ...] = ()


async def chosen(ref: Reference, kind: str | None, place: Choice, *, emit: Emit = ignore) -> Chosen:
    """What *ref* names, and the backend for it: *kind* where one was given.

    Raises:
        InvalidInput: There is no such backend here, or it cannot read *ref*.
        InvalidReference, NotPublished, FormatRefused, SourceMissing: There is no such model.
        ClusterError, PlacementError: The claim cannot be looked into.
    """
    if kind is not None:
        _require_offered(kind)
    if isinstance(ref, SourceRef):
        raise InvalidReference(
            f"{ref.shown} is a source: a server reads a folder, a file, or a model on a volume or a claim",
            hint=f"bring it onto one first: lading serve {ref.shown} --pull {'pvc://CLAIM' if kind in CLUSTER else './volume'}",
        )
    if isinstance(ref, ClaimRef):
        return await _of_claim(ref, kind, place, emit)
    model = await asyncio.to_thread(servable.servable, ref)
    if kind in CLUSTER:
        raise InvalidReference(
            f"{ref} is on this machine, and a pod of backend {kind} reads a claim",
            hint=f"bring it onto one first: lading serve {ref} --backend {kind} --pull pvc://CLAIM/{model.name}",
        )
    return Chosen(model=model, kind=kind or "process", why=() if kind else (_PROCESS,))


def offered() -> tuple[str, ...]:
    """The backends that can start a server, as they are installed."""
    return tuple(name for name in wiring.names("backends") if name != "endpoint")


_PROCESS = "backend process: the model is on this machine"


def _require_offered(kind: str) -> None:
    if kind == "endpoint" or kind not in wiring.names("backends"):
        raise InvalidInput(
            f"{kind!r} cannot start a server here", hint=f"use --backend {' or --backend '.join(offered())}"
        )


async def _of_claim(ref: ClaimRef, kind: str | None, place: Choice, emit: Emit) -> Chosen:
    from lading.wiring import claims, clusters

    found = claims.here(ref, place)
    if kind in HERE:
        if found is None:
            raise InvalidReference(
                f"{ref} is a claim that is not mounted here, and backend {kind} reads this machine",
                hint=f"leave --backend {kind} out to have it served on the cluster",
            )
        return Chosen(model=await asyncio.to_thread(servable.on_volume, found), kind=kind)
    placed = replace(place, namespace=ref.namespace or place.namespace)
    kind, why = (kind, ()) if kind else await _on_cluster(placed)
    async with claims.reached(ref, place, write=False, emit=emit) as there:
        model = await asyncio.to_thread(servable.on_volume, there)
    within = "" if model.within in {None, "."} else str(model.within)
    claim = OnClaim(namespace=clusters.namespace(placed), claim=ref.claim, path=within)
    return Chosen(model=model, kind=kind, claim=claim, why=why)


async def _on_cluster(place: Choice) -> tuple[str, tuple[str, ...]]:
    """The backend for a claim by what the cluster offers, with the reason."""
    there = [kind for kind in CLUSTER if kind in offered()]
    if not there:
        raise InvalidInput(
            "no backend here serves from a claim", hint="pull it to this machine: lading pull REF ./volume"
        )
    if "kserve" not in there:
        return "deployment", ("backend deployment: a claim is read by a pod",)
    from lading.wiring import clusters

    async with clusters.cluster(place) as cluster:
        return await _by_kserve(cluster)


async def _by_kserve(cluster: "Cluster") -> tuple[str, tuple[str, ...]]:
    from lading.cluster.kinds import INFERENCE_SERVICE

    try:
        await cluster.snapshot(INFERENCE_SERVICE)
    except ObjectMissing:
        return "deployment", ("backend deployment: the cluster does not know KServe's InferenceService",)
    except ClusterDenied:
        return "deployment", ("backend deployment: InferenceServices may not be listed here",)
    return "kserve", ("backend kserve: the cluster has KServe's InferenceService",)
