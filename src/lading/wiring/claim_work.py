"""What `lading claim` needs beside the API: the size of a source, a look into the volume, a worker in a helper pod."""

import asyncio
from dataclasses import replace

from lading.answers.claims import ClaimInspected
from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.diagnosis import claims as diagnosis
from lading.diagnosis.finding import Finding
from lading.errors import (
    ClusterDenied,
    ClusterError,
    InvalidInput,
    PlacementError,
    PodFailed,
    StillRunning,
    VolumeError,
)
from lading.events import Emit, PermissionsRepaired
from lading.flows import pull as pulling
from lading.manifests import jobs as manifests
from lading.placement import claims, creation, evidence, hearing, helper, inspection
from lading.placement.claims import ClaimFacts
from lading.placement.creation import Sizing
from lading.placement.inspection import Contents
from lading.ports.volume import Volume
from lading.spec import ref as refs
from lading.spec.command import RepairPermissionsCommand
from lading.spec.placement import Choice
from lading.spec.pull import Choices
from lading.spec.ref import ClaimRef
from lading.wiring import claims as reaching
from lading.wiring import clusters, volumes


async def sizing(source: str, copies: int, choices: Choices, choice: Choice) -> Sizing:
    """Room for *copies* of *source*, which is listed from here.

    Raises:
        InvalidInput: It does not say the size of all its files.
        SourceError, FormatRefused: As `lading.flows.pull.decide`.
    """
    ref = refs.parse(source)
    async with volumes.sourced(ref, choices, choice) as adapter:
        order = await pulling.decide(adapter, None, ref, choices=choices)
    sizes = [entry.size_bytes for entry in order.listing.entries]
    unsaid = sum(size is None for size in sizes)
    if unsaid:
        raise InvalidInput(f"{ref} does not say the size of {unsaid} of its {len(sizes)} files", hint="give --size")
    total = sum(size for size in sizes if size is not None)
    return creation.sizing(total, copies, source=f"{order.listing.ref}, {len(sizes)} files")


async def inspect(cluster: Cluster, claim: ClaimRef, choice: Choice, *, look: bool, emit: Emit) -> ClaimInspected:
    """Everything there is to know of *claim*; its files are looked at by a helper pod where *look*.

    Raises:
        ClaimUnusable: There is no such claim.
        ClusterDenied: Claims or pods may not be read.
    """
    facts = await claims.facts(cluster, claim.claim)
    found = await _findings(cluster, facts)
    if not look:
        return inspection.inspected(facts, findings=found)
    if (
        facts.phase != "Bound"
    ):  # a pod would bind a claim that waits for its first one, there where the pod happens to be
        return inspection.inspected(facts, findings=found, unknown=["what is on it: it is not bound"])
    try:
        contents = await _contents(claim, choice, emit)
    except (PlacementError, ClusterError, StillRunning, VolumeError) as error:
        return inspection.inspected(facts, findings=found, unknown=[f"what is on it: {error.message}"])
    return inspection.inspected(facts, contents, findings=found)


async def repair(cluster: Cluster, claim: str, choice: Choice, order: RepairPermissionsCommand, emit: Emit) -> PermissionsRepaired:  # fmt: skip
    """Do *order* on *claim* in a helper pod; safe to repeat, so a stream that breaks may be run again.

    Raises:
        LadingError: As the worker raised it, or the pod could not be started.
    """
    heard = hearing.Heard()
    async with helper.helper(cluster, claim, write=True, placement=clusters.placement(choice), emit=emit) as pod:
        said = await pod.run(["lading", "run", manifests.document(order)])
    for line in said.stdout.decode(errors="replace").splitlines():
        heard.take(line, claim)
    if heard.failed is not None:
        raise hearing.error(heard.failed, log=tuple(heard.tail))
    if not isinstance(heard.result, PermissionsRepaired):
        last = said.stderr.decode(errors="replace").strip().splitlines()[-1:] or list(heard.tail)[-1:] or ["nothing"]
        raise PodFailed(f"the helper pod ended without a result; it said: {hearing.printable(last[0])}")
    return heard.result


async def _contents(claim: ClaimRef, choice: Choice, emit: Emit) -> Contents:
    whole = replace(claim, model=None, version=None)
    async with reaching.reached(whole, choice, write=False, emit=emit) as found:
        return await asyncio.to_thread(_read, found.volume)


def _read(volume: Volume) -> Contents:
    manifests_ = tuple(volume.manifests())
    models = dict.fromkeys(manifest.model for manifest in manifests_)
    return Contents(
        usage=volume.usage(), manifests=manifests_, current={model: volume.current(model) for model in models}
    )


async def _findings(cluster: Cluster, facts: ClaimFacts) -> tuple[Finding, ...]:
    """What keeps the claim from being used, as far as it may be known."""
    if facts.phase == "Bound" and not facts.leaving:
        return ()
    try:
        events = await cluster.list(kinds.EVENT)
    except ClusterDenied:
        events = ()
    listed = await evidence.gathered("storage classes", cluster.list(kinds.STORAGE_CLASS))
    return diagnosis.findings(
        facts.document,
        events,
        storage_class=next((one for one in listed.value or () if one["metadata"]["name"] == facts.class_name), None),
        classes=[one["metadata"]["name"] for one in listed.value] if listed.value is not None else None,
        users=[mount.pod for mount in facts.mounts],
    )
