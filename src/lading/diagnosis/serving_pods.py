"""Why the pod of a server does not serve: no node, no mount, no image, an end with last words, a probe that fails."""

import dataclasses
from collections.abc import Mapping, Sequence

from lading.diagnosis import claims, endings, finding, pods, serving_evidence, texts
from lading.diagnosis.finding import Finding, Object
from lading.diagnosis.serving_evidence import Evidence
from lading.diagnosis.texts import Sign
from lading.spec.lines import one_line

#: For so long a claim that is on its way looks like one that will never be bound.
SETTLE_S = 20.0
#: A mount that failed so often fails for good; kubelet tries again at growing distances.
_MOUNTS = 3
_ENGINE_SAYS_ONLY_HOW = frozenset({"unknown", "killed", "aborted", "crash", "ended-by-signal"})
_UNTIL_STARTED = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox"})
_WORDS = (
    Sign(r"More than one model file", "model-ambiguous", "the folder has more than one model file, and this server takes exactly one", ""),
    Sign(r"NotADirectoryError|Not a directory: '?/mnt/models|/mnt/models.*[Nn]ot a directory", "model-not-a-folder", "what is mounted at /mnt/models is a file, not a folder", ""),
    Sign(r"ModelMissingError|No model file|Model not found|(?:No such file or directory|does not exist)[^\n]{0,80}/mnt/models|/mnt/models[^\n]{0,200}(?:No such file or directory|does not exist)", "model-not-found", "the server finds no model: {subject}", ""),
    Sign(r"UnpicklingError|pickle data was truncated|EOFError|HeaderTooLarge|MetadataIncompleteBuffer|invalid load key", "model-corrupt", "the server cannot read the model: {subject}", ""),
    Sign(r"unrecognized (?:arguments?|options?)|unknown (?:argument|option|flag)|invalid (?:argument|option)|flag provided but not defined|unexpected argument|no such option|the following arguments are required|error: argument |invalid choice: |ambiguous option", "bad-argument", "the server refuses its command line: {subject}", ""),
    Sign(r"out of memory|OutOfMemoryError|std::bad_alloc|failed to allocate|MemoryError", "out-of-memory", "the engine found too little memory: {subject}", "have it take less (--set), or give it more (--resources, --gpus)"),
)  # fmt: skip


def of(evidence: Evidence, pod: Object) -> Finding | None:
    """What keeps *pod* from serving; None where it is ready, or on its way."""
    if finding.text(pod, "status", "phase") == "Failed" and _terminated(pod) is None:
        return pods.ended(pod, evidence.events, _log(evidence, pod))
    return _ended(evidence, pod) or _held(evidence, pod) or _unready(evidence, pod)


# ------------------------------------------------------------------------------------------------------------- ended


def _ended(evidence: Evidence, pod: Object) -> Finding | None:
    """Why its server ended, where it does not run now, or runs again and is not ready yet."""
    status = _terminated(pod)
    if status is None or serving_evidence.ready(pod):
        return None
    state = finding.at(status, "state", "terminated") or finding.at(status, "lastState", "terminated")
    taken = pods.ended(pod, evidence.events) if finding.text(pod, "status", "reason") else None
    found = taken or _killed_by_probe(evidence, pod, state) or _by_end(evidence, pod, state)
    return _again(found, status)


def _terminated(pod: Object) -> Object | None:
    """The status of the container that ended, now or before its restart; an init container that did its work is none."""
    begins = finding.objects(pod, "status", "initContainerStatuses")
    return next((one for one in finding.statuses(pod) if _has_ended(one, at_first=one in begins)), None)


def _has_ended(status: Object, *, at_first: bool) -> bool:
    now = finding.at(status, "state", "terminated")
    if isinstance(now, Mapping):
        return not at_first or finding.number(now, "exitCode") != 0
    before = isinstance(finding.at(status, "lastState", "terminated"), Mapping)
    waits = finding.text(status, "state", "waiting", "reason")
    return before and waits in {"", "CrashLoopBackOff"} and finding.at(status, "ready") is not True


def _killed_by_probe(evidence: Evidence, pod: Object, state: Object) -> Finding | None:
    """The kubelet's own word that a probe ended it: the exit code alone looks like want of memory."""
    begun = finding.seconds(finding.at(state, "startedAt"))
    for event in finding.newest(finding.of(pod, evidence.events), "Killing"):
        said = finding.message(event)
        if "probe" in said and finding.when(event) >= begun:
            kind = "startup" if "startup probe" in said else "liveness"
            why = next(finding.newest(finding.of(pod, evidence.events), "Unhealthy"), None)
            told = f": {finding.message(why)}" if why else ""
            return Finding(cause="liveness-failing", sentence=f"the server was ended because its {kind} probe failed{told}", remedy="", evidence=(finding.said(event),))  # fmt: skip
    return None


def _by_end(evidence: Evidence, pod: Object, state: Object) -> Finding:
    log = _log(evidence, pod)
    plain = endings.of_container(pod, state, log)
    if plain.cause not in {"failed", "killed"}:  # the node, the image or our own error said it
        return plain
    words = [*_lines(finding.at(state, "message")), *log]
    return _by_engine(evidence, words) or _by_words(words) or _silent(plain, state)


def _by_engine(evidence: Evidence, words: Sequence[str]) -> Finding | None:
    if evidence.engine is None:
        return None
    said = evidence.engine.classify(words, None)
    if said.name in _ENGINE_SAYS_ONLY_HOW:
        return None
    reason = one_line(said.reason).strip()[:500]
    return Finding(cause=said.name, sentence=f"the server ended: {reason}", remedy=said.hint, evidence=(reason,))


def _by_words(words: Sequence[str]) -> Finding | None:
    said = (texts.first(_WORDS, line, line) for line in map(_short, words))
    return next(filter(None, said), None)


def _silent(plain: Finding, state: Object) -> Finding:
    if finding.number(state, "exitCode") == 0:
        return dataclasses.replace(plain, cause="ended", sentence="the server ended by itself, with exit code 0")
    return plain


def _again(found: Finding, status: Object) -> Finding:
    """An end that nothing explains is a crash loop once it came again."""
    restarts = finding.number(status, "restartCount") or 0
    looping = finding.text(status, "state", "waiting", "reason") == "CrashLoopBackOff"
    if found.cause not in {"failed", "killed"} or restarts < 1 or not (looping or restarts > 1):
        return found
    again = found.sentence.replace("the container", "the server", 1)
    return dataclasses.replace(found, cause="crash-loop", sentence=f"{again}; started again, it ends again")


# -------------------------------------------------------------------------------------------------------- not begun


def _held(evidence: Evidence, pod: Object) -> Finding | None:
    """What the scheduler and kubelet wait for; events of mounts count only until the pod's sandbox is there."""
    events = finding.of(pod, evidence.events)
    if finding.holds(pod, "PodReadyToStartContainers") is not None:
        events = tuple(one for one in events if finding.text(one, "reason") not in _UNTIL_STARTED)
    found = pods.watching(pod, events)
    if found is None:
        return None
    if found.cause in {"claim-unbound", "no-volume-for-node"}:
        return _of_claim(evidence, found)
    if found.cause == "mount-failed":
        return _mount(found, events)
    if found.cause == "unknown" and "subPath" in " ".join(found.evidence):
        return _sub_path(found)
    if found.cause == "runs-as-root":
        return dataclasses.replace(found, sentence="the image runs as root, and the pod may not")
    return _scheduling(evidence, pod, found)


def _of_claim(evidence: Evidence, found: Finding) -> Finding | None:
    """The claim's own reason; a claim that is bound by now makes the scheduler's word stale."""
    if evidence.claim is None:
        return found
    if found.cause == "claim-unbound" and finding.text(evidence.claim, "status", "phase") == "Bound":
        return None
    own = claims.findings(evidence.claim, evidence.events, storage_class=evidence.storage_class)
    return next((one for one in own if one.cause not in {"unknown", "waits-for-consumer"}), found)


def _mount(found: Finding, events: Sequence[Object]) -> Finding:
    """The kubelet tries again; what names a thing that is not there, or came again and again, will not pass."""
    said = " ".join(found.evidence)
    if "subPath" in said:
        return _sub_path(found)
    times = sum(finding.number(event, "count") or 1 for event in finding.newest(events, "FailedMount"))
    plain = any(words in said for words in ("is not a directory", "does not exist", "no such file"))
    return dataclasses.replace(found, fatal=plain or times >= _MOUNTS)


def _sub_path(found: Finding) -> Finding:
    sentence = "the model's folder is not on the claim, or is a link that leads nowhere or out of the volume"
    return dataclasses.replace(found, cause="model-path-unusable", sentence=sentence)


_ROOM = frozenset({"no-room-on-nodes", "node-full", "node-cordoned", "node-tainted", "no-node-matches", "no-node-fits", "unschedulable"})  # fmt: skip


def _scheduling(evidence: Evidence, pod: Object, found: Finding) -> Finding:
    """With what was asked for and where the volume can be; hopeless unless something is about to make room."""
    if found.cause not in _ROOM and found.cause != "claim-held":
        return found
    said = " ".join(found.evidence)
    pressed = ("disk-pressure", "memory-pressure", "pid-pressure")
    if any(f"node.kubernetes.io/{one}" in said for one in pressed) and "Insufficient" not in said:
        return dataclasses.replace(found, cause="node-pressure")
    coming = any(map(serving_evidence.leaving, evidence.pods)) or _scaling(pod, evidence.events)
    told = (
        found.sentence if found.cause == "claim-held" else f"{found.sentence}{_asked(pod, said)}{_mountable(evidence)}"
    )
    return dataclasses.replace(found, sentence=told, fatal=not coming)


def _scaling(pod: Object, events: Sequence[Object]) -> bool:
    """Whether an autoscaler said that it adds a node for *pod*."""
    return next(finding.newest(finding.of(pod, events), "TriggeredScaleUp", "Nominated"), None) is not None


def _asked(pod: Object, said: str) -> str:
    """What the pod asks for of what is scarce: `` (it asks for nvidia.com/gpu 2)``."""
    asked: dict[str, list[str]] = {}
    for container in finding.objects(pod, "spec", "containers"):
        requests = finding.at(container, "resources", "requests")
        for resource in requests if isinstance(requests, Mapping) else ():
            if isinstance(resource, str) and f"Insufficient {resource}" in said:
                asked.setdefault(one_line(resource), []).append(
                    finding.text(container, "resources", "requests", resource)
                )
    shown = ", ".join(f"{resource} {' + '.join(amounts)}" for resource, amounts in sorted(asked.items()))
    return f"; it asks for {shown}" if shown else ""


def _mountable(evidence: Evidence) -> str:
    """Where the weights can be mounted, where the volume says so."""
    terms = finding.objects(evidence.volume, "spec", "nodeAffinity", "required", "nodeSelectorTerms")
    found = [
        f"{finding.text(one, 'key').rpartition('/')[2]} {', '.join(str(value)[:253] for value in one.get('values') or ())}"
        for term in terms
        for one in finding.objects(term, "matchExpressions")
        if one.get("operator") == "In" and isinstance(one.get("values"), list)
    ]
    return f"; its volume can be mounted on {one_line(' or '.join(found))} only" if found else ""


# ------------------------------------------------------------------------------------------------------- not ready


def _unready(evidence: Evidence, pod: Object) -> Finding | None:
    """The probe that fails now; an event from before the container's start is history."""
    if serving_evidence.ready(pod):
        return None
    running = [finding.seconds(finding.at(one, "state", "running", "startedAt")) for one in finding.statuses(pod)]
    event = next(finding.newest(finding.of(pod, evidence.events), "Unhealthy"), None)
    if event is None or not any(running) or finding.when(event) < max(running):
        return None
    sentence = f"the server runs and is not ready: {finding.message(event)}"
    return Finding(cause="probe-failing", sentence=sentence, remedy="", evidence=(finding.said(event),))


def _log(evidence: Evidence, pod: Object) -> tuple[str, ...]:
    lines = evidence.logs.get(finding.name(pod), ())
    return tuple(filter(None, map(_short, lines)))


def _lines(message: object) -> tuple[str, ...]:
    return tuple(message.splitlines()) if isinstance(message, str) else ()


def _short(line: str) -> str:
    return one_line(str(line)).strip()[:500]
