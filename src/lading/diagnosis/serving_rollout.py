"""Why a rollout has no pod, or goes no further: what controllers say in conditions, which do not grow stale as events do."""

import dataclasses

from lading.diagnosis import admission, finding, serving_evidence
from lading.diagnosis.finding import Finding
from lading.diagnosis.serving_evidence import Evidence

#: A controller that runs answers within moments; this is for one that is busy.
RECONCILED_WITHIN_S = 60.0
_SCARCE = frozenset({"claim-held", "no-room-on-nodes", "node-full"})
_KSERVE = "inferenceservices.serving.kserve.io"


def not_created(evidence: Evidence) -> Finding | None:
    """Why the newest rollout has no pod: the refusal of the API server."""
    newest = serving_evidence.newest_replica_set(evidence)
    if any(not serving_evidence.over(pod) for pod in serving_evidence.newest_pods(evidence)):
        return None
    said = (
        finding.text(finding.holds(newest, "ReplicaFailure"), "message")
        or finding.text(finding.holds(evidence.deployment, "ReplicaFailure"), "message")
        or _by_service(evidence)
    )
    found = refused(said) if said else None
    if found is None or found.cause != "quota-exceeded":
        return found
    return dataclasses.replace(found, fatal=not any(map(serving_evidence.leaving, evidence.pods)))


def refused(message: str) -> Finding:
    """What the API server's refusal of a server's pod means."""
    found = admission.refused(message, subject="the server's pod")
    if found.cause == "unknown" and " is invalid: " in message:
        sentence = f"the API server refuses the server's pod: {message.partition(' is invalid: ')[2]}"
        return dataclasses.replace(found, cause="object-invalid", sentence=sentence)
    return found


def _by_service(evidence: Evidence) -> str:
    condition = finding.condition(evidence.service, "PredictorReady")
    return finding.text(condition, "message") if finding.text(condition, "reason") == "FailedCreate" else ""


def beside_the_old(evidence: Evidence, found: Finding) -> Finding:
    """*found* of the newest pod, where pods of the version before are still there: they serve, or they hold what it needs."""
    older = serving_evidence.older_pods(evidence)
    if not older:
        return found
    names = ", ".join(finding.name(pod) for pod in older)
    if found.cause not in _SCARCE:
        serving = any(map(serving_evidence.ready, older))
        sentence = f"{found.sentence}; the version before still serves ({names})" if serving else found.sentence
        return dataclasses.replace(found, sentence=sentence)
    if all(map(serving_evidence.leaving, older)):
        sentence = f"the new pod waits until the old one has ended ({names})"
        return dataclasses.replace(found, cause="pod-terminating", sentence=sentence, remedy="")
    sentence = f"the new pod waits for what the old one holds ({names}), and a rolling update ends the old one only after it: {found.sentence}"
    return dataclasses.replace(found, cause="rollout-stuck", sentence=sentence, remedy=_recreate(evidence))


def _recreate(evidence: Evidence) -> str:
    where = f"-n {evidence.namespace} " if evidence.namespace else ""
    if evidence.service is not None:
        change = '{"spec":{"predictor":{"deploymentStrategy":{"type":"Recreate"}}}}'
        return f"`kubectl {where}patch {_KSERVE} {finding.name(evidence.service)} --type merge -p '{change}'`"
    change = '{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}'
    name = finding.name(evidence.deployment) if evidence.deployment is not None else evidence.name
    return f"`kubectl {where}patch deployment {name} --type merge -p '{change}'`"


def late(evidence: Evidence) -> Finding | None:
    """The Deployment's own deadline passed, and nothing says why."""
    condition = finding.condition(evidence.deployment, "Progressing")
    if finding.text(condition, "reason") != "ProgressDeadlineExceeded":
        return None
    sentence = (
        f"the Deployment {finding.name(evidence.deployment)} makes no progress: {finding.text(condition, 'message')}"
    )
    return Finding(cause="rollout-late", sentence=sentence, remedy="", evidence=(finding.text(condition, "message"),))


def not_reconciled(evidence: Evidence) -> Finding | None:
    """Objects at which no controller has looked, long after they were applied."""
    if evidence.waited_s < RECONCILED_WITHIN_S:
        return None
    kserve = "is KServe's controller running? `kubectl get pods -A -l control-plane=kserve-controller-manager`"
    kubernetes = "the cluster's own controllers do not run, or are far behind: tell an administrator"
    for thing, kind, remedy in (
        (evidence.service, "InferenceService", kserve),
        (evidence.deployment, "Deployment", kubernetes),
    ):
        if thing is not None and not _looked_at(thing):
            sentence = f"no controller has looked at the {kind} {finding.name(thing)} within {evidence.waited_s:.0f} s"
            seen = finding.number(thing, "status", "observedGeneration")
            return Finding(cause="not-reconciled", sentence=sentence, remedy=remedy, evidence=(f"status.observedGeneration: {'none' if seen is None else seen}",))  # fmt: skip
    return None


def _looked_at(thing: finding.Object) -> bool:
    """Whether its status is of this generation; an object without either is taken as it is."""
    status = finding.at(thing, "status")
    seen, now = finding.number(status, "observedGeneration"), finding.number(thing, "metadata", "generation")
    if seen is None:
        return bool(finding.objects(status, "conditions"))
    return now is None or seen >= now
