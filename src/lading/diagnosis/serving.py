"""Why a service does not serve: one finding from all that can be seen of it.

An InferenceService says of a pod that never starts only that it is not available, and of one that serves an empty folder
that it is ready. So its own word comes last here: first what a controller refused, then the newest pod, then the rollout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lading.diagnosis.finding import Finding, Object


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
        storage_class: Of the claim.
        events: Of the namespace; those of other objects, and stale ones, are left out here.
        logs: Last lines of each pod by its name, oldest first; of the run before, where it restarted.
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
    storage_class: Object | None = None
    events: Sequence[Object] = ()
    logs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seen: Sequence[str] | None = None
    model_path: str = ""
    waited_s: float = 0.0


def diagnose(evidence: Evidence) -> Finding | None:
    """What keeps the service from its work; None while nothing says so. Raises nothing, whatever the objects hold.

    ``Finding.fatal`` ends a wait at once: waiting longer cannot help. ``Finding.evidence`` is the line that shows it, and
    ``Finding.cause`` one of `lading.diagnosis.serving_classes.CLASSES`.
    """
    from lading.diagnosis import pods

    return next(filter(None, (pods.watching(pod, evidence.events) for pod in evidence.pods)), None)
