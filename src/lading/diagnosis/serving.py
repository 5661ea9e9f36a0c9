"""Why a service does not serve: one finding from all that can be seen of it.

An InferenceService says of a pod that never starts only that it is not available, and of one that serves an empty folder
that it is ready. So its own word counts only where it is about itself: first what its controller refused, then the newest
pod, then the rollout.
"""

import dataclasses

from lading.diagnosis import (
    finding,
    serving_classes,
    serving_evidence,
    serving_kserve,
    serving_pods,
    serving_rollout,
)
from lading.diagnosis.finding import Finding

Evidence = serving_evidence.Evidence
_MAY_SETTLE = frozenset({"class-missing", "claim-missing", "no-volume", "provisioning-failed", "volume-missing"})


def diagnose(evidence: Evidence) -> Finding | None:
    """What keeps the service from its work; None while nothing says so. Raises nothing, whatever the objects hold.

    ``Finding.fatal`` ends a wait at once: waiting longer cannot help. ``Finding.evidence`` is the line that shows it, and
    ``Finding.cause`` one of `lading.diagnosis.serving_classes.CLASSES`.
    """
    found = (
        _empty(evidence)
        or serving_kserve.found(evidence)
        or serving_rollout.not_created(evidence)
        or _of_pod(evidence)
        or serving_rollout.late(evidence)
        or serving_rollout.not_reconciled(evidence)
    )
    if found is None:
        return None
    told = serving_classes.told(found, serving_evidence.values(evidence, found))
    if found.cause in _MAY_SETTLE and evidence.waited_s < serving_pods.SETTLE_S:
        return dataclasses.replace(told, fatal=False)  # a claim that is on its way says the same
    return told


def _of_pod(evidence: Evidence) -> Finding | None:
    for pod in serving_evidence.newest_pods(evidence):
        found = serving_pods.of(evidence, pod)
        if found is not None:
            return serving_rollout.beside_the_old(evidence, found)
    return None


def _empty(evidence: Evidence) -> Finding | None:
    """The running server sees nothing: what was asked for was not there, and kubelet made it."""
    if evidence.seen is None or any(name != "lost+found" for name in evidence.seen):
        return None
    where = f"{evidence.model_path or '/'} of claim {finding.name(evidence.claim)}"
    sentence = f"the server sees an empty folder: there was no {where}, and kubelet made one"
    seen = ", ".join(evidence.seen) or "nothing"
    return Finding(cause="empty-folder", sentence=sentence, remedy="", evidence=(f"at the model's path the server sees: {seen}",))  # fmt: skip
