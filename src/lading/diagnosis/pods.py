"""Why a pod does not run, or ended: from the pod and its events."""

import dataclasses
from collections.abc import Mapping, Sequence

from lading.diagnosis import endings, finding, images, scheduling, starting
from lading.diagnosis.finding import Finding, Object
from lading.spec.lines import one_line


def watching(pod: Object, events: Sequence[Object]) -> Finding | None:
    """What keeps *pod* from its work right now; None while there is nothing to say (it starts, runs or succeeded).

    A finding that is not ``fatal`` may pass: wait, and say it. The wording of scheduler and kubelet is read loosely.

    Args:
        pod: The Pod as the API gives it; any part may be missing.
        events: Of the namespace or of the pod; others' are left out.
    """
    phase = finding.text(pod, "status", "phase")
    if phase == "Failed":
        return ended(pod, events)
    if phase == "Succeeded":
        return None
    own = finding.of(pod, events)
    found = _container(pod, own) or _unscheduled(pod, own) or _creating(pod, own) or _removed(pod)
    return None if found is None else _with_claim(found, pod)


def ended(pod: Object, events: Sequence[Object] = (), log: Sequence[str] = ()) -> Finding | None:
    """Why *pod* failed; None where it did not. ``fatal`` here: another attempt would end as this one did.

    Args:
        pod: The Pod as the API gives it.
        events: As of `watching`.
        log: Its last lines, oldest first; our own error is found in them when its termination message has none.
    """
    if finding.text(pod, "status", "phase") != "Failed":
        return None
    return _with_claim(endings.of_pod(pod, finding.of(pod, events), log), pod)


def _container(pod: Object, events: Sequence[Object]) -> Finding | None:
    """What its containers wait for, by the reason of their state."""
    for status in finding.statuses(pod):
        reason = finding.text(status, "state", "waiting", "reason")
        message = finding.text(status, "state", "waiting", "message")
        if reason in images.REASONS:
            return images.waiting(pod, _image(pod, status), reason, message, events)
        if reason == "CrashLoopBackOff":
            return endings.of_container(pod, finding.at(status, "lastState", "terminated"))
        if reason and reason not in starting.NORMAL:
            return starting.refused(reason, message)
    return None


def _unscheduled(pod: Object, events: Sequence[Object]) -> Finding | None:
    """What the scheduler says: the condition holds its last word, an event the same a moment earlier."""
    if finding.text(pod, "spec", "nodeName"):
        return None
    condition = finding.condition(pod, "PodScheduled")
    message = finding.text(condition, "message")
    if finding.text(condition, "reason") == "SchedulingGated":
        sentence = f"something holds the pod back before it is scheduled: {message}"
        return Finding(cause="scheduling-gated", sentence=sentence, remedy="a queue (Kueue) or a controller lifts the gate", evidence=(message,))  # fmt: skip
    if not message:
        message = next(map(finding.message, finding.newest(events, "FailedScheduling")), "")
    return scheduling.unschedulable(message, asked=_selector(pod)) if message else None


def _selector(pod: Object) -> str:
    """The labels that its node must have: ``disk=gold, zone=a``."""
    labels = finding.at(pod, "spec", "nodeSelector")
    known = labels if isinstance(labels, Mapping) else {}
    return ", ".join(f"{one_line(key)}={finding.text(known, key)}" for key in known if isinstance(key, str))


def _creating(pod: Object, events: Sequence[Object]) -> Finding | None:
    """What kubelet says while it makes the pod; once a container was started, older events are history."""
    if any(not finding.at(status, "state", "waiting") for status in finding.statuses(pod)):
        return None
    event = next(finding.newest(events, *starting.EVENTS), None)
    return None if event is None else starting.held_up(finding.text(event, "reason"), finding.message(event))


def _removed(pod: Object) -> Finding | None:
    if not finding.text(pod, "metadata", "deletionTimestamp"):
        return None
    sentence = f"the pod {finding.name(pod)} is being removed"
    return Finding(cause="pod-terminating", sentence=sentence, remedy="")


def _with_claim(found: Finding, pod: Object) -> Finding:
    """*found* with the pod's own claim in its remedy, where there is one."""
    mounted = [
        finding.text(one, "persistentVolumeClaim", "claimName") for one in finding.objects(pod, "spec", "volumes")
    ]
    claims = [one for one in mounted if one]
    if len(claims) != 1:
        return found
    return dataclasses.replace(found, remedy=found.remedy.replace("pvc://CLAIM", f"pvc://{claims[0]}"))


def _image(pod: Object, status: Object) -> str:
    """The image as the pod's author wrote it; the status may have it resolved."""
    name = finding.text(status, "name")
    for part in ("containers", "initContainers"):
        for container in finding.objects(pod, "spec", part):
            if finding.text(container, "name") == name:
                return finding.text(container, "image")
    return finding.text(status, "image") or "(no image)"
