"""What `lading claim` says to people: answers first, then what they rest on. Values in, text out."""

from collections.abc import Iterable, Sequence
from typing import Any

from lading.answers.claims import ClaimCreated, ClaimInspected, ClaimKept, ClassListed, MountSeen, UserSeen
from lading.cluster import access
from lading.cluster.access import Right
from lading.cluster.kinds import Object
from lading.errors import ClusterDenied
from lading.events import PermissionsRepaired
from lading.manifests import ours
from lading.manifests import yaml as writer
from lading.placement import classes as storage
from lading.placement.classes import StorageClass
from lading.placement.creation import Creation
from lading.placement.evidence import Evidence
from lading.placement.keeping import Change
from lading.spec import units

CLASS_COLUMNS = ("class", "default", "reclaim", "binding", "grows", "many nodes", "provisioner")
_UNKNOWN = "unknown"


def yaml(documents: Sequence[Object], *, head: Iterable[str] = ()) -> str:
    """The *documents* as YAML; a namespace that is not known is left to whoever applies them."""
    return writer.render([_without_namespace(document) for document in documents], head=head)


def class_row(one: ClassListed) -> tuple[str, ...]:
    """A line of `lading claim classes`."""
    shared = {True: "yes", False: "no", None: _UNKNOWN}[one.shared]
    return (
        one.name,
        "*" if one.default else "",
        one.reclaim_policy,
        one.binding_mode,
        "yes" if one.expandable else "no",
        shared,
        one.provisioner,
    )


# ---------------------------------------------------------------------------------------------------------- create


def created(
    made: Creation, document: Object, known: Evidence[tuple[StorageClass, ...]], *, sizing: str | None, dry_run: bool
) -> ClaimCreated:
    """The answer of `lading claim create`: *document* is the claim as the API server has it."""
    spec, status = document["spec"], document.get("status") or {}
    planned = made.document["spec"]
    class_name = spec.get("storageClassName")
    phase = None if dry_run and made.outcome == "create" else status.get("phase", "Pending")
    return ClaimCreated(
        name=document["metadata"]["name"],
        namespace=document["metadata"]["namespace"],
        outcome=made.outcome,
        dry_run=dry_run,
        phase=phase,
        size=str((planned.get("resources") or {}).get("requests", {}).get("storage")),
        class_name=class_name,
        access_modes=tuple(spec.get("accessModes") or ()),
        sizing=sizing,
        waits=_waits(class_name, known) if phase != "Bound" else None,
        warnings=(*made.warnings, *([known.unknown] if known.unknown else [])),
        document=made.document,
    )


def created_text(answer: ClaimCreated) -> str:
    """The answer first, then how the size came about and what is awaited."""
    what = f"claim {answer.name} in namespace {answer.namespace}"
    size = f"{answer.size}, {', '.join(answer.access_modes)}" if answer.access_modes else answer.size
    kind = f", class {answer.class_name}" if answer.class_name else ""
    would = "would be " if answer.dry_run else "is "
    first = {
        "create": f"{what} {would}made: {size}{kind}",
        "grow": f"{what} {would}asked to grow to {answer.size}",
        "unchanged": f"{what} is there already: {size}{kind}",
    }[answer.outcome]
    lines = [f"{first}{f'; {answer.phase}' if answer.phase else ''}"]
    if answer.sizing:
        lines.append(f"  size       {answer.sizing}")
    if answer.waits and not answer.dry_run:
        lines.append(f"  waits for  {answer.waits}")
    return "\n".join(lines)


def _waits(class_name: str | None, known: Evidence[tuple[StorageClass, ...]]) -> str | None:
    """What a claim that is not bound waits for."""
    chosen = next((one for one in known.value or () if one.name == class_name), None)
    if class_name == "":
        return "a volume without a class that fits it, made by hand"
    if chosen is None:
        return None
    if chosen.binding_mode == storage.WAITS:
        return f"its first pod: class {chosen.name} binds where that runs ({storage.WAITS}); `lading pull` brings one"
    if chosen.provisioner == storage.NO_PROVISIONER:
        return f"a volume of class {chosen.name}, made by hand"
    return f"{chosen.provisioner} to make its volume"


# ---------------------------------------------------------------------------------------------------------- keeping


def kept(change: Change, *, done: bool, dry_run: bool) -> ClaimKept:
    """The answer of `lading claim retain` and `recover`."""
    return ClaimKept(
        said=change.said,
        done=done,
        dry_run=dry_run,
        documents=change.documents,
        commands=tuple(patch.command for patch in change.patches),
        notes=change.notes,
    )


def kept_text(answer: ClaimKept, change: Change) -> str:
    """What it came to; a dry run shows what would be applied."""
    if not answer.dry_run or change.done:
        return answer.said
    return f"it would be so: {answer.said}\n{change_yaml(change)}".rstrip()


def change_yaml(change: Change) -> str:
    """*change* for whoever applies it: the documents, with the commands after them as comments; or the commands alone."""
    commands = [patch.command for patch in change.patches]
    if not change.documents:
        return "".join(f"{command}\n" for command in commands)
    then = writer.comment(["then:", *commands]) if commands else ""
    return yaml(change.documents, head=[f"so that {change.said}"]) + then


def for_administrator(missing: Sequence[Right]) -> ClusterDenied:
    """That what was printed is for somebody with more rights."""
    needed = ", ".join(f"{right.verb} {right.kind.resource}" for right in missing)
    return ClusterDenied(
        f"your rights do not allow it ({needed}): nothing was done",
        hint=f"what is printed above is for an administrator to apply; or\n{access.advice(missing)}",
        status=403,
    )


# ---------------------------------------------------------------------------------------------------- permissions


def permissions_text(found: PermissionsRepaired, claim: str) -> str:
    """What is wrong on *claim* or was mended, and what is left for an administrator."""
    total = f"{units.show_count(found.files, 'file')} and {_directories(found.directories)}"
    wrong = {
        "not readable by all": found.unreadable,
        "not writable by the group": found.not_writable,
        "of another group": found.wrong_group,
    }
    listed = ", ".join(f"{count:,} {what}" for what, count in wrong.items() if count)
    verb = "would be changed" if found.dry_run else "changed"
    if not found.changed and not found.refused_count:
        return f"permissions on pvc://{claim} are right: {total}"
    lines = [f"{found.changed:,} of {total} on pvc://{claim} {verb}: {listed}"]
    if found.closed:
        lines.append(f"not looked into: {_directories(found.closed)}")
    if found.refused_count:
        lines += _left(found, claim)
    return "\n".join(lines)


def _left(found: PermissionsRepaired, claim: str) -> list[str]:
    more = found.refused_count - len(found.refused)
    names = [f"  {path}" for path in found.refused] + ([f"  and {more:,} more"] if more else [])
    group = f"chgrp -R {found.group} {ours.MOUNT} && " if found.group is not None else ""
    bits = "a+rX,g+w" if found.group is not None else "a+rX"
    setgid = f" && find {ours.MOUNT} -type d -exec chmod g+s {{}} +" if found.group is not None else ""
    return [
        f"{found.refused_count:,} belong to other users, and stay as they are:",
        *names,
        f"an administrator mends them in a pod that runs as root with claim {claim} at {ours.MOUNT}:",
        f"  {group}chmod -R {bits} {ours.MOUNT}{setgid}",
    ]


def _directories(count: int) -> str:
    return "1 directory" if count == 1 else f"{count:,} directories"


# -------------------------------------------------------------------------------------------------------- inspect


def inspected_text(answer: ClaimInspected) -> str:
    """The whole claim: one line that answers, then evidence, then what is wrong and what is unknown."""
    lines = [_first(answer), *_facts(answer)]
    lines += _section("mounted by", [_mount(mount) for mount in answer.mounts])
    lines += _section("pointed into by", [_user(user) for user in answer.users])
    lines += _section("on it", _models(answer))
    lines += [f"warning: {sentence}" for sentence in answer.warnings]
    lines += [f"unknown: {sentence}" for sentence in answer.unknown]
    return "\n".join(lines)


def _first(answer: ClaimInspected) -> str:
    head = f"{answer.name} is {answer.phase}"
    size = answer.capacity_bytes or answer.requested_bytes
    if answer.used_bytes is not None and answer.free_bytes is not None:
        of = f" of {units.show_bytes(size)}" if size else ""
        head += f": {units.show_bytes(answer.used_bytes)}{of} used, {units.show_bytes(answer.free_bytes)} free"
    elif size:
        head += f": {units.show_bytes(size)}{'' if answer.capacity_bytes else ' asked for'}"
    if answer.models is not None:
        count = len({version.model for version in answer.models})
        head += f", {units.show_count(count, 'model')}"
    nodes = sorted({mount.node for mount in answer.mounts if mount.node})
    held = [mount for mount in answer.mounts if mount.node]
    if held:
        head += f", mounted by {units.show_count(len(held), 'pod')} on {', '.join(nodes)}"
    return head


def _facts(answer: ClaimInspected) -> list[str]:
    kind = [answer.provisioner, answer.binding_mode]
    if answer.expandable is not None:
        kind.append("can grow" if answer.expandable else "cannot grow")
    about = ", ".join(word for word in kind if word)
    ends = {"Delete": "deleted with the claim", "Retain": "kept when the claim goes"}
    policy = ends.get(answer.reclaim_policy or "", answer.reclaim_policy)
    volume = ", ".join(word for word in (answer.driver, policy) if word)
    rows = {
        "namespace": answer.namespace,
        "access": ", ".join(answer.access_modes),
        "class": f"{answer.class_name}{f' ({about})' if about else ''}" if answer.class_name else "none",
        "volume": f"{answer.volume}{f' ({volume})' if volume else ''}" if answer.volume else None,
        "resize": answer.resize,
    }
    return [f"  {key:<10} {value}" for key, value in rows.items() if value]


def _section(title: str, rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return [f"{title}:", *(f"  {line}" for line in lines)]


def _mount(mount: MountSeen) -> tuple[str, ...]:
    paths = ", ".join(path or "all" for path in mount.sub_paths) or "nothing"
    doing = "reads" if mount.read_only else "reads and writes"
    state = "ending" if mount.leaving else mount.phase
    return mount.pod, mount.node or "no node yet", state, f"{doing} {paths}", mount.workload or ""


def _user(user: UserSeen) -> tuple[str, ...]:
    return f"{user.kind} {user.name}", user.path or "all", _there(user)


def _there(user: UserSeen) -> str:
    """What is at the path."""
    if user.problem:
        return f"✗ {user.problem}"
    if user.model:
        return f"{user.model}@{user.version}"
    return "a model without a manifest" if user.unmanaged else ""


def _models(answer: ClaimInspected) -> list[tuple[str, str, str]]:
    rows = [
        (
            f"{version.model}@{version.version}",
            units.show_bytes(version.size_bytes),
            "current" if version.current else "",
        )
        for version in answer.models or ()
    ]
    loose = [
        (folder.path, units.show_bytes(folder.size_bytes), f"{folder.format}, no manifest")
        for folder in answer.unmanaged or ()
    ]
    return rows + loose


def _without_namespace(document: Object) -> dict[str, Any]:
    head = {key: value for key, value in document["metadata"].items() if key != "namespace" or value}
    return {**document, "metadata": head}
