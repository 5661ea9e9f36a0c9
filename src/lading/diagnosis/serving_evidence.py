"""What was seen of a service, and which of its pods count: those of the newest rollout, not those it replaces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lading.diagnosis import finding
from lading.diagnosis.finding import Finding, Object
from lading.engines.base import Engine

_REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen of one service, at one moment; whatever could not be read is left out.

    Attributes:
        name: Of the service, as its user knows it.
        namespace: Where all of it is.
        pods: Of the service, old ones too; a bare pod alone will do.
        replica_sets: Of its Deployment.
        deployment: The Deployment, also the one that KServe made (``NAME-predictor``).
        service: The InferenceService; None: there is none, or not yet.
        runtimes: ServingRuntimes of the namespace and ClusterServingRuntimes; None: not asked.
        claim: The PersistentVolumeClaim that holds the weights.
        volume: Its PersistentVolume, where it may be read.
        storage_class: Of the claim.
        events: Of the namespace; those of other objects, and stale ones, are left out here.
        logs: Last lines of each pod by its name, oldest first; of the run before, where it restarted.
        engine: What runs in the pods; it knows the words of its own log.
        seen: Names at the model's path as the running server sees them; None: not looked at.
        model_path: The folder on the claim that was asked for.
        waited_s: Since it was applied, in seconds.
    """

    name: str
    namespace: str = ""
    pods: Sequence[Object] = ()
    replica_sets: Sequence[Object] = ()
    deployment: Object | None = None
    service: Object | None = None
    runtimes: Sequence[Object] | None = None
    claim: Object | None = None
    volume: Object | None = None
    storage_class: Object | None = None
    events: Sequence[Object] = ()
    logs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    engine: Engine | None = None
    seen: Sequence[str] | None = None
    model_path: str = ""
    waited_s: float = 0.0


def newest_replica_set(evidence: Evidence) -> Object | None:
    """The ReplicaSet of the newest rollout."""
    return max(finding.objects({"all": list(evidence.replica_sets)}, "all"), key=_revision, default=None)


def newest_pods(evidence: Evidence) -> tuple[Object, ...]:
    """Pods of the newest rollout, the one to look at first: not leaving, not ended, newest."""
    newest = newest_replica_set(evidence)
    pods = [pod for pod in _pods(evidence) if newest is None or _owner(pod) in {"", _uid(newest)}]
    return tuple(sorted(pods, key=_importance, reverse=True))


def older_pods(evidence: Evidence) -> tuple[Object, ...]:
    """Pods of rollouts before the newest that have not ended."""
    newest = newest_replica_set(evidence)
    if newest is None:
        return ()
    old = {_uid(one) for one in finding.objects({"all": list(evidence.replica_sets)}, "all")} - {_uid(newest), ""}
    return tuple(pod for pod in _pods(evidence) if _owner(pod) in old and not over(pod))


def leaving(pod: Object) -> bool:
    """Whether *pod* was told to end: what it holds will be free."""
    return bool(finding.text(pod, "metadata", "deletionTimestamp"))


def over(pod: Object) -> bool:
    """Whether *pod* has ended."""
    return finding.text(pod, "status", "phase") in {"Failed", "Succeeded"}


def ready(pod: Object) -> bool:
    """Whether kubelet calls *pod* ready; with no word of our own in it that is no proof that it serves."""
    return finding.holds(pod, "Ready") is not None


def values(evidence: Evidence, found: Finding) -> Mapping[str, str]:
    """What remedies name."""
    pod = next(iter(newest_pods(evidence)), None)
    claim = finding.name(evidence.claim) if evidence.claim is not None else _claim(pod) or "CLAIM"
    return {
        "name": evidence.name,
        "namespace": evidence.namespace or "NAMESPACE",
        "claim": claim,
        "path": evidence.model_path,
        "pod": finding.name(pod) if pod is not None else "POD",
        "cause": found.cause,
    }


def _pods(evidence: Evidence) -> tuple[Object, ...]:
    return finding.objects({"all": list(evidence.pods)}, "all")


def _claim(pod: Object | None) -> str:
    names = (finding.text(one, "persistentVolumeClaim", "claimName") for one in finding.objects(pod, "spec", "volumes"))
    return next(filter(None, names), "")


def _revision(replica_set: Object) -> tuple[int, float]:
    number = finding.text(replica_set, "metadata", "annotations", _REVISION)
    made = finding.seconds(finding.at(replica_set, "metadata", "creationTimestamp"))
    return (int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0, made)


def _importance(pod: Object) -> tuple[bool, bool, float]:
    made = finding.seconds(finding.at(pod, "metadata", "creationTimestamp"))
    return (not leaving(pod), not over(pod), made)


def _owner(pod: Object) -> str:
    owners = finding.objects(pod, "metadata", "ownerReferences")
    return next((finding.text(one, "uid") for one in owners if one.get("kind") == "ReplicaSet"), "")


def _uid(thing: Object) -> str:
    return finding.text(thing, "metadata", "uid")
