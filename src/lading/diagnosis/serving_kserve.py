"""What KServe's own controller says: runtimes, schemes, what it could not make. Of pods it says nothing that can be relied on."""

import re

from lading.diagnosis import finding, serving_runtimes
from lading.diagnosis.finding import Finding, Object
from lading.diagnosis.serving_evidence import Evidence

_STOP = "serving.kserve.io/stop"
_PASSING = ("object has been modified", "not found", "already exists")


def found(evidence: Evidence) -> Finding | None:
    """What keeps the InferenceService from having a Deployment; None while it is well or not there."""
    service = evidence.service
    if service is None or finding.holds(service, "PredictorReady"):
        return None
    return _stopped(service) or _runtime(evidence, service) or _scheme(evidence, service) or _reconcile(service)


def _stopped(service: Object) -> Finding | None:
    if finding.text(service, "metadata", "annotations", _STOP) != "true":
        return None
    sentence = f"the InferenceService {finding.name(service)} is stopped by its annotation {_STOP}"
    return Finding(cause="kserve-stopped", sentence=sentence, remedy="", evidence=(f'{_STOP}: "true"',))


def _runtime(evidence: Evidence, service: Object) -> Finding | None:
    if finding.text(service, "status", "modelStatus", "transitionStatus") != "InvalidSpec":
        return None
    info = finding.at(service, "status", "modelStatus", "lastFailureInfo")
    reason, message = finding.text(info, "reason"), finding.text(info, "message")
    name = finding.text(service, "spec", "predictor", "model", "runtime")
    said = (f"{reason}: {message}",)
    if reason == "RuntimeNotRecognized":
        return serving_runtimes.missing(name, [finding.name(one) for one in evidence.runtimes or ()], said)
    if reason == "RuntimeDisabled":
        return Finding(cause="runtime-disabled", sentence=f"the runtime {name} is disabled", remedy="", evidence=said)
    if reason == "NoSupportingRuntime":
        who = f"the runtime {name} does not take" if name else "no runtime takes"
        return Finding(cause="runtime-unsupported", sentence=f"{who} {_wanted(service)}: {message}", remedy="", evidence=said)  # fmt: skip
    sentence = f"KServe refuses the predictor of {finding.name(service)}: {message or reason}"
    return Finding(cause="reconcile-failed", sentence=sentence, remedy="correct what it names", evidence=said)


def _wanted(service: Object) -> str:
    model = finding.at(service, "spec", "predictor", "model")
    protocol = finding.text(model, "protocolVersion")
    shown = finding.text(model, "modelFormat", "name") or "(no format)"
    return f"the format {shown}" + (f" by the protocol {protocol}" if protocol else "")


def _scheme(evidence: Evidence, service: Object) -> Finding | None:
    """Said in an event alone; what came later makes it stale, and so does a Deployment of this name."""
    event = next(iter(reversed(finding.of(service, evidence.events))), None)
    message = finding.message(event) if event else ""
    if finding.text(event, "reason") != "InternalError" or evidence.deployment is not None:
        return None
    if "StorageURI not supported" in message:
        said = re.search(r"StorageUri \[([^\]]*)\]", message)
        uri = said[1] if said else finding.text(service, "spec", "predictor", "model", "storageUri")
        return Finding(cause="storage-uri-invalid", sentence=f"KServe cannot use the storageUri {uri}", remedy="", evidence=(message,))  # fmt: skip
    if any(words in message for words in _PASSING):
        return None
    return _failed(service, message)


def _reconcile(service: Object) -> Finding | None:
    """A condition that carries the controller's error."""
    for kind in ("PredictorReady", "IngressReady", "Ready"):
        condition = finding.condition(service, kind)
        message = finding.text(condition, "message")
        if finding.text(condition, "reason") == "ReconcileFailed" and not any(words in message for words in _PASSING):
            return _failed(service, message)
    return None


def _failed(service: Object, message: str) -> Finding:
    sentence = f"KServe's controller cannot make what {finding.name(service)} needs: {message}"
    return Finding(cause="reconcile-failed", sentence=sentence, remedy="correct the field that it names", evidence=(message,))  # fmt: skip
