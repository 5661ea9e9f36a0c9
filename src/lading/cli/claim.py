"""`lading claim`: make, look at, keep, recover and repair claims; storage classes."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from lading.cli.choosing import Choosing
from lading.cli.choosing import chosen as choices_of
from lading.cli.output import Common, Output
from lading.cli.where import Where, chosen
from lading.errors import ClusterDenied, InvalidInput, InvalidReference, VolumeNotWritable
from lading.spec import ref as refs
from lading.spec.placement import Choice
from lading.spec.ref import ClaimRef

if TYPE_CHECKING:  # all that speaks to a cluster: `lading claim --help` does without
    from lading.cluster.client import Cluster
    from lading.events import PermissionsRepaired
    from lading.placement.keeping import Change

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")

app = cyclopts.App(name="claim", help="Make, look at, keep and recover claims; list storage classes.")

Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative=())]
Flag = Annotated[bool, Parameter(negative=())]


@app.command
async def create(
    name: str,
    *,
    size: str | None = None,
    class_: Annotated[str | None, Parameter(name="--class")] = None,
    access_mode: tuple[str, ...] = (),
    for_: Annotated[str | None, Parameter(name="--for")] = None,
    copies: Annotated[int, Parameter(validator=Number(gte=1))] = 2,
    dry_run: Flag = False,
    output: Annotated[Literal["yaml"] | None, Parameter(name=["--output", "-o"])] = None,
    choosing: Choosing | None = None,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Make a claim, or make one bigger.

    A claim that is there already is left as it is; one that is asked to be bigger is grown, where its class allows it.

    Args:
        name: Name of the claim.
        size: Such as 100Gi.
        class_: Its storage class; the cluster's default by default.
        access_mode: RWO (one node), RWX (many nodes), ROX or RWOP (one pod); RWO by default; may be repeated.
        for_: Work the size out from this source, which is listed from here.
        copies: How many versions of the source are to fit: two, so that one is pulled while the other is served.
        dry_run: Try it on the API server, quota and all, and print what would be done.
        output: yaml: print the claim instead of making it.
    """
    from lading.cli import claim_view as view
    from lading.placement import classes, creation
    from lading.spec import units
    from lading.wiring import claim_work

    out = Output(common)
    ref, choice = _named(name, chosen(where))
    if size and for_:
        raise InvalidInput("--size and --for both say how big it is to be", hint="give one of them")
    sized = None
    if for_:
        sized = await claim_work.sizing(for_, copies, choices_of(choosing, out), choice)
    try:
        size_bytes = sized.size_bytes if sized else units.parse_bytes(size) if size else None
    except ValueError as error:
        raise InvalidInput(f"--size {size}: {error}") from error
    modes = creation.access_modes(access_mode)
    if output == "yaml":
        plain = creation.Wanted(
            name=ref.claim,
            namespace=choice.namespace or "",
            size_bytes=size_bytes,
            class_name=class_,
            access_modes=modes,
        )
        made = creation.plan(plain, classes=classes.UNASKED, there=None)
        print(view.yaml([made.document], head=[sized.said] if sized else []), end="")
        return
    async with _cluster(choice) as cluster:
        wanted = creation.Wanted(
            name=ref.claim,
            namespace=cluster.namespace,
            size_bytes=size_bytes,
            class_name=class_,
            access_modes=modes,
        )
        known = await classes.classes(cluster)
        made = creation.plan(wanted, classes=known, there=await creation.existing(cluster, wanted))
        document = await creation.carry_out(cluster, made, dry_run=dry_run)
    answer = view.created(made, document, known, sizing=sized.said if sized else None, dry_run=dry_run)
    for warning in answer.warnings:
        out.say(f"warning: {warning}")
    out.result(answer, view.created_text(answer))
    out.next(f"lading pull SOURCE pvc://{ref.claim}")


@app.command
async def classes(*, where: Where | None = None, common: Common | None = None) -> None:
    """List the storage classes: default, provisioner, what becomes of volumes, when they are bound."""
    from lading.answers.claims import ClassListed
    from lading.cli import claim_view as view
    from lading.placement import classes as storage

    out = Output(common)
    async with _cluster(chosen(where)) as cluster:
        found = await storage.classes(cluster)
    if found.value is None:
        raise ClusterDenied(str(found.unknown), hint="ask an administrator which there are: kubectl get storageclass")
    listed = [ClassListed(**{key: getattr(one, key) for key in ClassListed.model_fields}) for one in found.value]
    for one in listed if out.json else ():
        out.result(one)
    if not listed:
        out.say("the cluster has no storage class: claims are bound to volumes that are made by hand")
    elif not out.json:
        out.table(view.CLASS_COLUMNS, map(view.class_row, listed))


@app.command
async def inspect(
    claim: str, *, no_pod: Flag = False, where: Where | None = None, common: Common | None = None
) -> None:
    """Show a claim: its volume, who mounts it, what points into it, what is on it.

    Args:
        claim: Such as pvc://models.
        no_pod: Only what the API tells: no helper pod looks at the files.
    """
    from lading.cli import claim_view as view
    from lading.wiring import claim_work

    out = Output(common)
    ref, choice = _named(claim, chosen(where))
    async with _cluster(choice) as cluster:
        answer = await claim_work.inspect(cluster, ref, choice, look=not no_pod, emit=out.event)
    out.result(answer, view.inspected_text(answer))
    if answer.models == () and not answer.unmanaged:
        out.next(f"lading pull SOURCE pvc://{ref.claim}")


@app.command
async def retain(
    target: str | None = None,
    *,
    volume: str | None = None,
    dry_run: Flag = False,
    output: Annotated[Literal["yaml"] | None, Parameter(name=["--output", "-o"])] = None,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Keep volumes when their claims go: a class that does, or one volume.

    Both belong to the cluster. Where your rights do not suffice, what an administrator has to apply is printed to
    stdout, and the exit code is 1, for nothing was done.

    Args:
        target: A storage class: makes CLASS-retain, the same with reclaim policy Retain. Or pvc://claim: keeps its volume.
        volume: Keep this PersistentVolume.
        dry_run: Print what would be done.
        output: yaml: print what is to be applied instead of doing it.
    """
    from lading.placement import keeping

    out = Output(common)
    if (target is None) == (volume is None):
        raise InvalidInput("one thing is to be kept", hint="name a storage class, pvc://claim, or --volume NAME")
    if target is not None and target.startswith("pvc://"):
        ref, choice = _named(target, chosen(where))
        async with _cluster(choice) as cluster:
            change = await keeping.kept_volume_of(cluster, ref.claim)
            await _carry_out(out, cluster, change, dry_run=dry_run, only_print=output == "yaml")
        return
    async with _cluster(chosen(where)) as cluster:
        change = await (keeping.kept_volume(cluster, volume) if volume else keeping.kept_class(cluster, str(target)))
        await _carry_out(out, cluster, change, dry_run=dry_run, only_print=output == "yaml")
    if target is not None and not change.done:
        out.next(f"lading claim create NAME --size SIZE --class {target}-retain")


@app.command
async def recover(
    volume: str,
    *,
    claim: str | None = None,
    yes: Yes = False,
    dry_run: Flag = False,
    output: Annotated[Literal["yaml"] | None, Parameter(name=["--output", "-o"])] = None,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Bind a volume that outlived its claim to a new claim, with all that is on it.

    The claim has the name and namespace of the one that is gone, unless said otherwise. What your rights do not allow is
    printed for an administrator, as with `retain`.

    Args:
        volume: The PersistentVolume, Released.
        claim: Name of the new claim.
        yes: Do not ask.
        dry_run: Print what would be done.
        output: yaml: print what is to be applied instead of doing it.
    """
    from lading.placement import keeping

    out = Output(common)
    choice = chosen(where)
    async with _cluster(choice) as cluster:
        change = await keeping.recovery(cluster, volume, claim=claim, namespace=choice.namespace)
        for note in change.notes:
            out.say(note)
        if not (change.done or dry_run or output):
            out.confirm(f"Is volume {volume} to be bound again: {change.said}?", yes=yes)
        await _carry_out(out, cluster, change, dry_run=dry_run, only_print=output == "yaml", wait=True)


@app.command(name="repair-permissions")
async def repair_permissions(
    claim: str,
    *,
    group: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    yes: Yes = False,
    dry_run: Flag = False,
    where: Where | None = None,
    common: Common | None = None,
) -> None:
    """Make all files on a claim readable by all, and writable by its group.

    A helper pod looks first and says what would change; then it asks. Bits are added, never taken away. What a pod
    without root may not change is listed, with the commands for an administrator.

    Args:
        claim: Such as pvc://models.
        group: The group that is to own all; that of the volume's root by default, where it may write there.
        yes: Do not ask.
        dry_run: Only look.
    """
    from lading.cli import claim_view as view
    from lading.spec.command import RepairPermissionsCommand
    from lading.wiring import claim_work

    out = Output(common)
    ref, choice = _named(claim, chosen(where))

    async def work(*, look: bool) -> "PermissionsRepaired":
        order = RepairPermissionsCommand(group=group, dry_run=look)
        return await claim_work.repair(cluster, ref.claim, choice, order, out.event)

    async with _cluster(choice) as cluster:
        found = await work(look=True)
        if found.changed and not dry_run:
            out.say(view.permissions_text(found, ref.claim))
            out.confirm(f"Change {found.changed} files and directories on {ref}?", yes=yes)
            found = await work(look=False)
    out.result(found, view.permissions_text(found, ref.claim))
    if found.refused_count and not dry_run:
        raise VolumeNotWritable(
            f"{found.refused_count:,} on {ref} belong to other users", hint="an administrator mends them as said above"
        )


async def _carry_out(
    out: Output, cluster: "Cluster", change: "Change", *, dry_run: bool, only_print: bool, wait: bool = False
) -> None:
    """Do *change*, or print what does it: because that was asked for, or because the rights are missing."""
    from lading.cli import claim_view as view
    from lading.placement import keeping

    if only_print:
        print(view.change_yaml(change), end="")
        return
    missing = () if change.done else await cluster.missing(change.rights())
    if missing:
        if out.json:
            out.result(view.kept(change, done=False, dry_run=dry_run))
        else:
            print(view.change_yaml(change), end="")
        raise view.for_administrator(missing)
    if not change.done:
        await keeping.carry_out(cluster, change, dry_run=dry_run)
        if wait and not dry_run:
            await keeping.await_bound(cluster, change)
    answer = view.kept(change, done=change.done or not dry_run, dry_run=dry_run)
    out.result(answer, view.kept_text(answer, change))


def _cluster(choice: Choice) -> "Cluster":
    from lading.wiring import clusters

    return clusters.cluster(choice)


def _named(text: str, choice: Choice) -> tuple[ClaimRef, Choice]:
    """The claim that *text* names (``models``, ``pvc://models``, ``pvc://team:models``), and the choice in its namespace.

    Raises:
        InvalidReference: It names none, or something on one.
        InvalidInput: Both name a namespace, and not the same.
    """
    ref = refs.parse(text) if text.startswith("pvc://") else ClaimRef(claim=text)
    if not isinstance(ref, ClaimRef) or not _NAME.fullmatch(ref.claim):
        raise InvalidReference(f"{text!r} names no claim", hint="lower-case letters, digits, '-': such as pvc://models")
    if ref.model:
        raise InvalidReference(f"{text} names a model on a claim, not the claim", hint=f"pvc://{ref.claim}")
    if ref.namespace and choice.namespace and ref.namespace != choice.namespace:
        raise InvalidInput(f"--namespace {choice.namespace} and {text} differ", hint="give the namespace once")
    return ref, replace(choice, namespace=ref.namespace or choice.namespace)
