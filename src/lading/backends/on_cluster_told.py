"""A server on a cluster as later commands are told of it: by its objects' words, and by what its running pod shows. Pure."""

from collections.abc import Sequence
from typing import Any, Literal

from lading.backends import on_cluster_proof
from lading.backends import on_cluster_scene as scenes
from lading.backends.on_cluster_form import Form
from lading.manifests import ours
from lading.manifests.target import MOUNT
from lading.ports.backend import Running

State = dict[str, Any]
_CLUSTER: Literal["cluster"] = "cluster"
_BAD = frozenset({"Failed", "Unknown"})
_BEGINNING = frozenset({"ContainerCreating", "PodInitializing"})


def running(
    form: Form, objects: Sequence[State], pods: Sequence[State], *, namespace: str, url: str | None, of_a_run: bool
) -> Running:
    """One server, of whose *objects* there is at least one.

    Args:
        form: How servers of its kind are found.
        objects: Its own, in the order of `Form.kinds`.
        pods: Its own, those that are leaving too.
        namespace: Of all of them.
        url: Where its clients ask it; None: nowhere yet.
        of_a_run: A live run holds its lease.
    """
    pod = newest(pods)
    return Running(
        name=said(objects, ours.NAME) or str(objects[0]["metadata"]["name"]),
        backend=form.kind,
        engine=said(objects, ours.ENGINE),
        served_name=said(objects, ours.SERVED_NAME),
        model=(served_from(pod, namespace, form.container) if pod else None)
        or f"pvc://{namespace}:{said(objects, ours.SERVED_FROM)}",
        state=state(pod, form.container),
        url=url,
        reach=_CLUSTER,
        image=on_cluster_proof.image(pod, form.container) if pod else None,
        place=namespace,
        of_a_run=of_a_run,
    )


def newest(pods: Sequence[State]) -> State | None:
    """The pod that was made last and is not leaving; None: there is none."""
    staying = [pod for pod in pods if not scenes.leaving(pod)] or [pod for pod in pods if not _deleted(pod)]
    return max(staying, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""), default=None)


def served_from(pod: State, namespace: str, container: str) -> str | None:
    """What of which claim *pod* has mounted where the server looks for weights; None: no claim."""
    spec = pod.get("spec") or {}
    server: State = next((one for one in spec.get("containers") or () if one.get("name") == container), {})
    mount = next((one for one in server.get("volumeMounts") or () if one.get("mountPath") == MOUNT), None)
    if mount is None:
        return None
    volume: State = next((one for one in spec.get("volumes") or () if one.get("name") == mount.get("name")), {})
    claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    if not claim:
        return None
    folder = str(mount.get("subPath") or "").strip("/")
    return f"pvc://{namespace}:{claim}" + (f"/{folder}" if folder else "")


def state(pod: State | None, container: str) -> str:
    """One word for how a server is, by its newest *pod*: ``runs``, ``starting``, or Kubernetes' reason why it is neither."""
    if pod is None:
        return "no pod"
    if scenes.is_ready(pod):
        return "runs"
    status = pod.get("status") or {}
    if status.get("phase") in _BAD:
        return str(status.get("reason") or status["phase"])
    scheduled: State = next((one for one in status.get("conditions") or () if one.get("type") == "PodScheduled"), {})
    if scheduled.get("status") == "False":
        return str(scheduled.get("reason") or "Unschedulable")
    waiting = (scenes.container_status(pod, container).get("state") or {}).get("waiting") or {}
    reason = str(waiting.get("reason") or "")
    return reason if reason and reason not in _BEGINNING else "starting"


def said(objects: Sequence[State], key: str) -> str:
    """The first that *objects* say under the annotation *key*; empty where none does."""
    notes = ((one["metadata"].get("annotations") or {}).get(key) for one in objects)
    return str(next(filter(None, notes), ""))


def _deleted(pod: State) -> bool:
    return "deletionTimestamp" in pod["metadata"]
