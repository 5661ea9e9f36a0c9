"""What a look at a server on a cluster comes to: it is proved, it has ended, or time is up; in words, with its evidence."""

from lading.backends import on_cluster_proof
from lading.backends import on_cluster_scene as scenes
from lading.backends.on_cluster_scene import Scene
from lading.cluster.kinds import Object
from lading.diagnosis.finding import Finding
from lading.errors import NotReady, ServerDied, ServingError
from lading.ports.backend import OnClaim


def prove(pod: Object, container: str, place: OnClaim) -> None:
    """That *pod* serves what was meant.

    Raises:
        ServingError: It does not.
    """
    doubts = on_cluster_proof.doubts(pod, container, place)
    if doubts:
        raise ServingError(
            f"pod {pod['metadata']['name']} does not serve {place.path or 'the root'} of claim {place.claim}: "
            + "; ".join(doubts),
            hint="something on this cluster changes pods (a webhook, another controller): `kubectl get pod -o yaml` shows it",
        )


async def ended(scene: Scene, finding: Finding) -> ServingError:
    """The error that *finding* is: a server that died has its log, what never began its evidence."""
    pod, container = scene.newest(), scene.form.container
    message = f"{scene.shown} does not come to serve ({finding.cause}): {finding.sentence}"
    hint, log = finding.remedy or None, await scene.log() or finding.evidence
    if pod is not None and scenes.ended_runs(pod, container) > 0:
        return ServerDied(message, returncode=scenes.last_exit(pod, container), hint=hint, log=log)
    return ServingError(message, hint=hint, log=log)


async def late(scene: Scene, within_s: float) -> NotReady:
    """The error that time is up, with the last reason that was seen."""
    finding = scene.finding
    waiting = "it has no pod yet" if scene.newest() is None else "its pod is not ready yet"
    return NotReady(
        f"{scene.shown} did not answer within {within_s:.3g} s: {finding.sentence if finding else waiting}",
        hint=(finding.remedy if finding else "") or "give it longer with --deadline, or look at its log",
        log=await scene.log() or (finding.evidence if finding else ()),
    )
