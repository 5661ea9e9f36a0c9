"""What really runs, read from a running pod: its command line, and whether it serves the folder that was meant. Pure.

An object's own word is no proof: KServe says ready of an empty folder, and a webhook may have changed the pod.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lading.manifests.target import MOUNT
from lading.ports.backend import OnClaim

INITIALIZER = "storage-initializer"


def argv(pod: Mapping[str, Any], container: str) -> tuple[str, ...] | None:
    """The command line of the container, as the pod has it; None where there is no such container."""
    found = _container(pod, container)
    if found is None:
        return None
    return tuple(written(str(word)) for word in (*(found.get("command") or ()), *(found.get("args") or ())))


def written(word: str) -> str:
    """*word* of a pod as the program gets it: ``$$(`` is how ``$(`` is written."""
    return word.replace("$$(", "$(")


def image(pod: Mapping[str, Any], container: str) -> str | None:
    """The image that the container was made of."""
    found = _container(pod, container)
    return str(found["image"]) if found and found.get("image") else None


def doubts(pod: Mapping[str, Any], container: str, claim: OnClaim, *, mount: str = MOUNT) -> tuple[str, ...]:
    """Why the pod does not serve the folder of *claim* from the claim itself, read-only; empty: it is proved.

    Args:
        pod: As the API gives it.
        container: The server's.
        claim: What was meant.
        mount: Where the server looks for the weights.
    """
    found = _container(pod, container)
    if found is None:
        return (f"it has no container {container}",)
    mounts = [one for one in found.get("volumeMounts") or () if _holds(str(one.get("mountPath", "")), mount)]
    if not mounts:
        return (f"nothing is mounted at {mount}",)
    return (*_initialized(pod), *(doubt for one in mounts for doubt in _of_mount(pod, one, claim, mount)))


def _of_mount(pod: Mapping[str, Any], one: Mapping[str, Any], claim: OnClaim, mount: str) -> Iterator[str]:
    where = str(one.get("mountPath", "")).rstrip("/")
    volumes: Sequence[Mapping[str, Any]] = (pod.get("spec") or {}).get("volumes") or ()
    volume: Mapping[str, Any] = next((found for found in volumes if found.get("name") == one.get("name")), {})
    source = volume.get("persistentVolumeClaim")
    if source is None:
        kind = next((key for key in volume if key != "name"), "nothing")
        yield f"{where} is from {kind}, not from claim {claim.claim}"
        return
    if source.get("claimName") != claim.claim:
        yield f"{where} is claim {source.get('claimName')}, not {claim.claim}"
    if where != mount:
        yield f"{where} lies over the weights"
    folder = str(one.get("subPath") or one.get("subPathExpr") or "").strip("/")
    if folder != claim.path.strip("/"):
        yield f"{where} is {folder or 'the root'} of the claim, not {claim.path.strip('/') or 'its root'}"
    if not (one.get("readOnly") or source.get("readOnly")):
        yield f"{where} can be written"


def _initialized(pod: Mapping[str, Any]) -> Sequence[str]:
    names = [one.get("name") for one in (pod.get("spec") or {}).get("initContainers") or ()]
    return [f"{INITIALIZER} copies the weights first"] if INITIALIZER in names else []


def _holds(path: str, mount: str) -> bool:
    """Whether what is mounted at *path* is the weights' place, lies inside it, or holds it."""
    place = path.rstrip("/")
    return place == mount or place.startswith(f"{mount}/") or mount.startswith(f"{place}/")


def _container(pod: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    listed: Sequence[Mapping[str, Any]] = (pod.get("spec") or {}).get("containers") or ()
    return next((one for one in listed if one.get("name") == name), None)
