"""Why a container or pod ended: our own error first, then what the node did to it, then what its last words suggest."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from lading.diagnosis import finding, starting, texts
from lading.diagnosis.finding import Finding, Object
from lading.diagnosis.texts import Sign
from lading.spec.lines import one_line

#: As `lading run` ends where another attempt would not do better (docs/exit-codes.md).
_FATAL_CODES = (1, 2, 3, 4)
_LONGEST = 2000
_PERMISSIONS = (
    "`lading claim repair-permissions pvc://CLAIM` mends what is there; --fs-group names the group to write with"
)
_WORDS = (
    Sign(r"(?:Permission denied|PermissionError)[^'\"\n]*(?:['\"]([^'\"]+))?", "permission-denied", "the pod may not write or read {0}", _PERMISSIONS),
    Sign(r"Read-only file system[^'\"\n]*(?:['\"]([^'\"]+))?", "read-only", "the volume is mounted read-only ({0})", "name a claim that may be written"),
    Sign(r"No space left on device", "volume-full", "the volume is full", "`lading prune pvc://CLAIM` shows what can go; or have the claim grown"),
    Sign(r"exec format error", "image-wrong-platform", "the image is made for another platform than the node", "name one for the node's platform with --image, or choose nodes with --node-selector kubernetes.io/arch=…"),
)  # fmt: skip
#: What became of a pod as a whole: status.reason, or the reason of DisruptionTarget.
_POD = {
    "Evicted": ("evicted", "the node took the pod away", "the next attempt goes on where this one was; see the reason for what ran out"),
    "Preempting": ("preempted", "a pod of higher priority took its place", "the next attempt goes on where this one was"),
    "PreemptionByScheduler": ("preempted", "a pod of higher priority took its place", "the next attempt goes on where this one was"),
    "EvictionByEvictionAPI": ("drained", "the node is being drained", "the next attempt goes on where this one was, on another node"),
    "DeletionByTaintManager": ("drained", "the node was tainted, and the pod had to go", "the next attempt goes on where this one was, on another node"),
    "DeletionByPodGC": ("node-lost", "the node is gone", "the next attempt goes on where this one was, on another node"),
    "NodeLost": ("node-lost", "the node is gone", "the next attempt goes on where this one was, on another node"),
    "TerminationByKubelet": ("evicted", "the node took the pod away", "the next attempt goes on where this one was"),
    "Terminated": ("node-shutdown", "the node shuts down", "the next attempt goes on where this one was"),
    "NodeShutdown": ("node-shutdown", "the node shuts down", "the next attempt goes on where this one was"),
}  # fmt: skip


def of_pod(pod: Object, events: Sequence[Object], log: Sequence[str]) -> Finding:
    """Why a failed *pod* failed."""
    reason, message = finding.text(pod, "status", "reason"), finding.text(pod, "status", "message")
    if reason == "DeadlineExceeded":
        return _late(pod, message)
    taken = _taken(reason, message, finding.holds(pod, "DisruptionTarget"))
    if taken is not None:
        return taken
    terminated = next(
        (
            state
            for state in map(_terminated, finding.statuses(pod))
            if state and finding.number(state, "exitCode") != 0
        ),
        None,
    )
    if terminated is None and reason:
        sentence = f"the pod failed ({reason}): {message}"
        return Finding(cause="unknown", sentence=sentence, remedy="", evidence=tuple(map(finding.said, events[-3:])))
    return of_container(pod, terminated, log)


def of_container(pod: Object, terminated: Any, log: Sequence[str] = ()) -> Finding:
    """Why a container ended: *terminated* is the state the API gives, *log* its last lines."""
    code, reason = finding.number(terminated, "exitCode"), finding.text(terminated, "reason")
    message = finding.at(terminated, "message")
    words = [*(message.splitlines() if isinstance(message, str) else ()), *map(str, log)]
    if reason in {"StartError", "ContainerCannotRun"}:
        return starting.refused(reason, " ".join(words))
    own = our_error(words)
    if own is not None:
        return own
    if reason == "OOMKilled":
        return _out_of_memory(pod)
    return _by_words(code, reason, tuple(filter(None, map(_line, words)))[-5:])


def our_error(lines: Iterable[str]) -> Finding | None:
    """The last error in *lines* as `lading run` writes it, a JSON document; None where there is none."""
    for line in reversed(list(lines)):
        document = _document(line)
        if finding.text(document, "event") == "failed" and finding.text(document, "code"):
            return Finding(
                cause=finding.text(document, "code"),
                sentence=_line(finding.at(document, "message")) or "no reason was given",
                remedy=_line(finding.at(document, "hint")),
                evidence=(_line(line),),
                fatal=finding.at(document, "retryable") is not True,
            )
    return None


def _document(line: str) -> Any:
    if not line.lstrip().startswith("{"):
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _taken(reason: str, message: str, disrupted: Object | None) -> Finding | None:
    """What took the pod, where it was not its own end."""
    known = _POD.get(reason) or _POD.get(finding.text(disrupted, "reason"))
    if known is None and not reason.startswith("OutOf"):
        return None
    said = tuple(filter(None, (message, finding.text(disrupted, "message"))))
    cause, sentence, remedy = known or ("node-refused", f"the node had no room left for it ({reason})", "try again")
    told = f"{sentence}: {said[0]}" if said else sentence
    return Finding(cause=cause, sentence=told.rstrip(". "), remedy=remedy, evidence=said)


def _late(pod: Object, message: str) -> Finding:
    limit = finding.number(pod, "spec", "activeDeadlineSeconds")
    sentence = f"the pod was stopped after {limit} s, its deadline" if limit else "the pod was stopped at its deadline"
    return Finding(cause="deadline-exceeded", sentence=sentence, remedy="start it again: it goes on where it was", evidence=(message,), fatal=True)  # fmt: skip


def _out_of_memory(pod: Object) -> Finding:
    container = next(iter(finding.objects(pod, "spec", "containers")), None)
    limit = finding.text(container, "resources", "limits", "memory")
    sentence = f"the container took more memory than its limit ({limit})" if limit else "the node had no memory left"
    return Finding(cause="out-of-memory", sentence=sentence, remedy="the next attempt goes on where this one was", evidence=("OOMKilled",))  # fmt: skip


def _by_words(code: int | None, reason: str, words: Sequence[str]) -> Finding:
    found = texts.first(_WORDS, " ".join(words), "")
    if found is not None:
        return Finding(cause=found.cause, sentence=found.sentence.replace(" ()", "").rstrip(), remedy=found.remedy, evidence=tuple(words), fatal=True)  # fmt: skip
    if code in {137, 143}:
        how = "killed (SIGKILL)" if code == 137 else "asked to end (SIGTERM)"
        return Finding(cause="killed", sentence=f"the container was {how}", remedy="the next attempt goes on where this one was", evidence=(*words, f"exit code {code}"))  # fmt: skip
    status = "with an unknown status" if code is None else f"with exit code {code}"
    last = f": {words[-1]}" if words else (f" ({reason})" if reason and reason != "Error" else "")
    return Finding(cause="failed", sentence=f"the container ended {status}{last}", remedy="", evidence=tuple(words), fatal=code in _FATAL_CODES)  # fmt: skip


def _terminated(status: Object) -> Any:
    return finding.at(status, "state", "terminated") or finding.at(status, "lastState", "terminated")


def _line(words: Any) -> str:
    return one_line(words).strip()[:_LONGEST] if isinstance(words, str) else ""
