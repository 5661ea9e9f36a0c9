"""Why a Job has no pod, or gave up: from the Job, its pods, and the events of both."""

import dataclasses
from collections.abc import Sequence

from lading.diagnosis import admission, finding, pods
from lading.diagnosis.finding import Finding, Object


def watching(job: Object, own_pods: Sequence[Object], events: Sequence[Object]) -> Finding | None:
    """What keeps *job* from its work right now, its pods' troubles included; None while there is nothing to say.

    Args:
        job: The Job as the API gives it.
        own_pods: Its pods.
        events: Of the namespace, or of the Job and its pods; others' are left out.
    """
    if finding.holds(job, "Complete") or finding.holds(job, "SuccessCriteriaMet"):
        return None
    failed = ended(job, own_pods, events)
    if failed is not None:
        return failed
    suspended = finding.holds(job, "Suspended")
    if suspended is not None:
        sentence = f"the Job {finding.name(job)} is suspended"
        return Finding(cause="suspended", sentence=sentence, remedy="a queue (Kueue) starts it in its turn; `lading jobs` shows it", evidence=(finding.text(suspended, "message"),))  # fmt: skip
    last = _last(own_pods)
    if last is not None and finding.text(last, "status", "phase") not in {"Failed", "Succeeded"}:
        return pods.watching(last, events)
    return _not_created(job, events) or _between(last, events)


def ended(
    job: Object, own_pods: Sequence[Object] = (), events: Sequence[Object] = (), log: Sequence[str] = ()
) -> Finding | None:
    """Why *job* failed; None where it did not. *log*: the last lines of its last pod."""
    condition = finding.holds(job, "Failed") or finding.holds(job, "FailureTarget")
    if condition is None:
        return None
    reason, message = finding.text(condition, "reason"), finding.text(condition, "message")
    if reason == "DeadlineExceeded":
        return _late(job, message)
    failed = [one for one in own_pods if finding.text(one, "status", "phase") == "Failed"]
    why = pods.ended(_last(failed) or {}, events, log)
    if why is not None:
        return dataclasses.replace(why, evidence=(*why.evidence, f"{reason}: {message}"), fatal=True)
    sentence = f"the Job {finding.name(job)} was given up: {message or reason}"
    return Finding(cause="gave-up", sentence=sentence, remedy="its pods are gone, and their log with them; run the command again", evidence=(f"{reason}: {message}",), fatal=True)  # fmt: skip


def _late(job: Object, message: str) -> Finding:
    limit = finding.number(job, "spec", "activeDeadlineSeconds")
    sentence = f"the Job {finding.name(job)} was stopped at its deadline" + (f" of {limit} s" if limit else "")
    return Finding(cause="deadline-exceeded", sentence=sentence, remedy="run the command again: it goes on where it was", evidence=(message,), fatal=True)  # fmt: skip


def _not_created(job: Object, events: Sequence[Object]) -> Finding | None:
    """Why it has no pod. An event that is older than a pod's creation is history."""
    for event in reversed(finding.of(job, events)):
        if finding.text(event, "reason") == "SuccessfulCreate":
            return None
        if finding.text(event, "reason") == "FailedCreate":
            return admission.refused(finding.message(event), subject=f"a pod of the Job {finding.name(job)}")
    return None


def _between(last: Object | None, events: Sequence[Object]) -> Finding | None:
    """What ended the last attempt, while the next one is awaited."""
    why = None if last is None else pods.ended(last, events)
    return None if why is None else dataclasses.replace(why, fatal=False)


def _last(own_pods: Sequence[Object]) -> Object | None:
    return max(
        finding.objects({"pods": list(own_pods)}, "pods"),
        key=lambda pod: finding.text(pod, "metadata", "creationTimestamp"),
        default=None,
    )
