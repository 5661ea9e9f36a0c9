"""Whether a claim can be used, and why not: from the claim, its events, and its class where that may be read."""

from collections.abc import Sequence

from lading.diagnosis import finding, texts
from lading.diagnosis.finding import Finding, Object
from lading.diagnosis.texts import Sign
from lading.spec.nearest import nearest

_CLASS_LIST = "`lading claim classes` lists those that there are"
_SIGNS = (
    Sign(r"storageclass\S* \"([\w.-]+)\" not found", "class-missing", "{subject} asks for the class {0}, which there is not", _CLASS_LIST),
    Sign(r"no volume plugin matched name: kubernetes.io/no-provisioner", "no-volume", "no volume fits {subject}, and its class makes none", "an administrator makes the volumes of such a class by hand; or name another class"),
    Sign(r"already bound to a different claim", "volume-taken", "the volume that {subject} asks for belongs to another claim", "leave out volumeName, or free the volume: `kubectl get pv` shows whose it is"),
    Sign(r"Cannot bind to requested volume \"([\w.-]+)\": incompatible accessMode", "volume-mismatch", "the volume {0} does not have the access mode that {subject} asks for", "make the claim with an access mode that the volume has: `kubectl get pv {0}`"),
    Sign(r"Cannot bind to requested volume \"([\w.-]+)\": (.+)", "volume-mismatch", "the volume {0} does not fit {subject}: {1}", "make the claim as the volume is: `kubectl get pv {0}`"),
    Sign(r"(?:unsupported|not supported|incompatible).*access ?mode|access ?mode.*(?:not supported|unsupported|incompatible)", "access-mode-unsupported", "the class of {subject} has no volumes with the access mode it asks for", "ask for ReadWriteOnce, or name a class that can: `lading claim classes`"),
    Sign(r"exceeded quota|ResourceExhausted|insufficient|no space|not enough", "storage-exhausted", "the storage behind the class of {subject} has no room for it", "ask for less, or have the storage grown", fatal=False),
)  # fmt: skip
_TROUBLES = ("VolumeMismatch", "ProvisioningFailed", "FailedBinding")


def findings(
    claim: Object,
    events: Sequence[Object] = (),
    *,
    storage_class: Object | None = None,
    classes: Sequence[str] | None = None,
    users: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """Everything there is to say of *claim*, what stops it first; empty where it is bound and well.

    Args:
        claim: The PersistentVolumeClaim as the API gives it.
        events: Of the namespace or of the claim; others' are left out.
        storage_class: Its StorageClass, where it may be read.
        classes: Names of all classes, None where they may not be listed.
        users: Names of the pods that mount it.
    """
    phase = finding.text(claim, "status", "phase")
    unbound = None
    if phase == "Lost":
        unbound = _lost(claim)
    elif phase != "Bound":
        unbound = _pending(claim, finding.of(claim, events), storage_class, classes)
    found = (_terminating(claim, users), unbound, _resizing(claim) if phase == "Bound" else None)
    return tuple(one for one in found if one is not None)


def _terminating(claim: Object, users: Sequence[str]) -> Finding | None:
    if not finding.text(claim, "metadata", "deletionTimestamp"):
        return None
    held = f", and goes once {', '.join(users)} ended" if users else ""
    sentence = f"{_subject(claim)} is being deleted{held}"
    remedy = "what is on it goes with it if its volume's reclaim policy is Delete: `lading claim inspect` tells; use another claim"
    return Finding(cause="claim-terminating", sentence=sentence, remedy=remedy, fatal=True)


def _lost(claim: Object) -> Finding:
    volume = finding.text(claim, "spec", "volumeName")
    sentence = f"{_subject(claim)} has lost its volume{f' {volume}' if volume else ''}: it is gone from the cluster"
    return Finding(cause="volume-lost", sentence=sentence, remedy="make a new claim; `lading claim recover PV` binds a volume that was kept", fatal=True)  # fmt: skip


def _pending(
    claim: Object, events: Sequence[Object], storage_class: Object | None, classes: Sequence[str] | None
) -> Finding:
    name = finding.text(claim, "spec", "storageClassName")
    if classes is not None and name and name not in classes:
        near = nearest(name, list(classes))
        remedy = f"did you mean {near}? {_CLASS_LIST}" if near else _CLASS_LIST
        return Finding(cause="class-missing", sentence=f"{_subject(claim)} asks for the class {name}, which there is not", remedy=remedy, fatal=True)  # fmt: skip
    for event in (one for reason in _TROUBLES for one in finding.newest(events, reason)):
        found = texts.first(_SIGNS, finding.message(event), _subject(claim))
        if found is not None:
            return found
    return _waiting(claim, events, storage_class) or _without(claim, name) or _unknown(claim, events)


def _waiting(claim: Object, events: Sequence[Object], storage_class: Object | None) -> Finding | None:
    """What is on its way, and normal."""
    later = next(finding.newest(events, "WaitForFirstConsumer", "WaitForPodScheduled"), None)
    making = next(finding.newest(events, "ExternalProvisioning", "Provisioning"), None)
    failed = next(finding.newest(events, "ProvisioningFailed"), None)
    if making is None and failed is None:
        mode = finding.text(storage_class, "volumeBindingMode")
        if later is None and mode != "WaitForFirstConsumer":
            return None
        sentence = f"{_subject(claim)} gets its volume when the first pod mounts it, as its class says"
        evidence = (finding.said(later),) if later else (f"volumeBindingMode: {mode}",)
        return Finding(cause="waits-for-consumer", sentence=sentence, remedy="nothing is wrong: pull onto it", evidence=evidence)  # fmt: skip
    if failed is not None:
        sentence = f"no volume could be made for {_subject(claim)}: {finding.message(failed)}"
        return Finding(cause="provisioning-failed", sentence=sentence, remedy="it is tried again; an administrator sees more in the provisioner's log", evidence=(finding.said(failed),))  # fmt: skip
    by = finding.text(claim, "metadata", "annotations", "volume.kubernetes.io/storage-provisioner")
    sentence = f"{_subject(claim)} waits for a volume from its provisioner{f' {by}' if by else ''}"
    return Finding(cause="provisioning", sentence=sentence, remedy="if this takes minutes, the provisioner does not run: tell an administrator", evidence=(finding.said(making),) if making else ())  # fmt: skip


def _without(claim: Object, name: str) -> Finding | None:
    """What a claim lacks by its own words, also when its events are forgotten."""
    volume = finding.text(claim, "spec", "volumeName")
    if volume:
        sentence = f"{_subject(claim)} waits for the volume {volume}, which is not there or not free"
        return Finding(cause="volume-missing", sentence=sentence, remedy=f"`kubectl get pv {volume}` tells; `lading claim recover {volume}` binds one that was released")  # fmt: skip
    if name:
        return None
    if finding.at(claim, "spec", "storageClassName") is None:
        sentence = f"{_subject(claim)} names no class, and the cluster has no default one"
        return Finding(cause="no-default-class", sentence=sentence, remedy=f"make another one, `lading claim create NAME --class CLASS --size SIZE`; {_CLASS_LIST}", fatal=True)  # fmt: skip
    sentence = f"no volume fits {_subject(claim)}, and it asks for no class that could make one"
    return Finding(cause="no-volume", sentence=sentence, remedy=f"make another one, `lading claim create NAME --class CLASS --size SIZE`; {_CLASS_LIST}", fatal=True)  # fmt: skip


def _unknown(claim: Object, events: Sequence[Object]) -> Finding:
    said = tuple(map(finding.said, events[-3:]))
    phase = finding.text(claim, "status", "phase") or "of unknown phase"
    return Finding(cause="unknown", sentence=f"{_subject(claim)} is {phase}, and nothing says why", remedy="", evidence=said)  # fmt: skip


def _resizing(claim: Object) -> Finding | None:
    by_pod = finding.holds(claim, "FileSystemResizePending")
    under_way = by_pod or finding.holds(claim, "Resizing")
    if under_way is None:
        return None
    asked = finding.text(claim, "spec", "resources", "requests", "storage")
    sentence = f"{_subject(claim)} is being resized to {asked or 'another size'}"
    remedy = "it is finished when a pod mounts it (again)" if by_pod else "wait"
    return Finding(cause="resizing", sentence=sentence, remedy=remedy, evidence=(finding.text(under_way, "message"),))


def _subject(claim: Object) -> str:
    return f"the claim {finding.name(claim)}"
