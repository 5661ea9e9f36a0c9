"""Why an image does not come: missing, not allowed, or its registry cannot be reached, trusted or asked again."""

from collections.abc import Sequence

from lading.diagnosis import finding, texts
from lading.diagnosis.finding import Finding, Object
from lading.diagnosis.texts import Sign

REASONS = ("ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "ErrImageNeverPull", "InvalidImageName")  # fmt: skip
_MIRROR = "name an image that the nodes can pull with --image; `lading images` lists what is needed"
_SECRET = "give --pull-secret NAME, a Secret made by `kubectl create secret docker-registry`"  # noqa: S105

# What says "not found" may say why, too: rate and rights come first. A registry that hides what one may not see says denied.
_SIGNS = (
    Sign(r"toomanyrequests|429 Too Many|rate limit", "registry-busy", "the registry of {subject} allows no more pulls for now", f"wait, or {_SECRET}", fatal=False),
    Sign(r"no space left on device", "node-disk-full", "the node has no room on its disk for the image {subject}", "tell an administrator: the node's image store is full", fatal=False),
    Sign(r"no match for platform|does not match the specified platform", "image-wrong-platform", "the image {subject} is not made for the node's platform", "name one that is with --image, or choose nodes with --node-selector kubernetes.io/arch=…"),
    Sign(r"\b401\b|\b403\b|unauthorized|denied|authentication required|no basic auth|insufficient_scope|authorization failed", "image-denied", "the registry does not give the image {subject} to this cluster: its credentials are missing or refused, or there is no such image", _SECRET),
    Sign(r"x509|certificate|server gave HTTP response to HTTPS client", "registry-not-trusted", "the node does not trust the registry of {subject}", f"have the registry's CA added to the nodes, or {_MIRROR}"),
    Sign(r"no such host|dial tcp|i/o timeout|connection refused|connection reset|unreachable|TLS handshake timeout|\bEOF\b|deadline exceeded|\b50[0-4]\b", "registry-unreachable", "the node does not reach the registry of {subject}", _MIRROR),
    Sign(r"not found|manifest unknown|name unknown|no such image", "image-missing", "there is no image {subject}", _MIRROR),
)  # fmt: skip


def waiting(pod: Object, image: str, reason: str, message: str, events: Sequence[Object]) -> Finding:
    """Why a container of *pod* waits for *image*, by the *reason* and *message* of its state and the pod's *events*."""
    if reason == "InvalidImageName":
        sentence = f"{image} cannot be the name of an image"
        return Finding(cause="image-name-invalid", sentence=sentence, remedy="write it as REGISTRY/NAME:TAG, lower case, in --image", evidence=(message,), fatal=True)  # fmt: skip
    if reason == "ErrImageNeverPull":
        sentence = f"the image {image} is not on the node, and may not be pulled"
        return Finding(cause="image-absent", sentence=sentence, remedy="load it onto the node, or use another pull policy", evidence=(message,), fatal=True)  # fmt: skip
    failed = [event for event in finding.newest(events, "Failed") if "pull" in finding.message(event)]
    said = tuple(dict.fromkeys(filter(None, (message, *map(finding.message, failed[:1])))))
    found = texts.first(_SIGNS, " ".join(said), image)
    if found is None:
        return Finding(cause="image-not-pullable", sentence=f"the image {image} does not come", remedy=_MIRROR, evidence=said)  # fmt: skip
    passing = found.cause == "registry-unreachable" and _attempts(failed) < 2
    return Finding(
        cause=found.cause,
        sentence=found.sentence,
        remedy=_with_secrets(pod, found, events),
        evidence=said,
        fatal=found.fatal and not passing,
    )


def _attempts(failed: Sequence[Object]) -> int:
    """How often the pull failed; an event is counted, or repeated, by the version of the cluster."""
    return sum(finding.number(event, "count") or 1 for event in failed)


def _with_secrets(pod: Object, found: Finding, events: Sequence[Object]) -> str:
    """The remedy where pull secrets were given: they are not there, or they are for another registry."""
    if found.cause != "image-denied":
        return found.remedy
    names = [finding.text(one, "name") for one in finding.objects(pod, "spec", "imagePullSecrets")]
    missing = next(finding.newest(events, "FailedToRetrieveImagePullSecret"), None)
    if missing is not None:
        return f"create the pull secret: {finding.message(missing)}"
    if names:
        return f"the pull secret {', '.join(names)} holds no credentials that this registry accepts; correct it"
    return found.remedy
