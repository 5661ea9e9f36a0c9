"""Which workloads refer to what is on a claim, for commands that change it: asked of the cluster, matched by path."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lading.errors import LadingError
from lading.spec import ref as refs
from lading.spec.placement import Choice
from lading.spec.ref import ClaimRef, LocalRef
from lading.volume import find
from lading.weights import layout
from lading.weights.manifest import Manifest

if TYPE_CHECKING:
    from lading.placement.mounts import Mount
    from lading.placement.users import User, Users


def users(text: str, choice: Choice) -> "Users | None":
    """What points into the claim that *text* names, or mounts a place on it now; None where it names a folder of this machine.

    A folder whose volume says which claim it is stands for that claim; there, that nobody can be asked is a value, no error.

    Raises:
        ClusterError: As the API server says.
    """
    ref = refs.parse(text, any_folder=True)
    if isinstance(ref, LocalRef):
        return _of_mounted(ref, choice)
    assert isinstance(ref, ClaimRef)
    return _asked(ref, choice)


def _of_mounted(ref: LocalRef, choice: Choice) -> "Users | None":
    within = find.around(ref)
    document = within[0].document if within else None
    if document is None or document.claim is None:
        return None
    claim = ClaimRef(claim=document.claim, namespace=document.namespace)
    try:
        return _asked(claim, choice)
    except LadingError as error:
        from lading.placement.users import Users

        return Users(unknown=(f"this is {claim}, and its cluster could not be asked: {error.message}",))


def _asked(ref: ClaimRef, choice: Choice) -> "Users":
    from lading.cluster.loop import CLUSTER

    return CLUSTER.run(_users(ref, choice))


def into(found: "Users", manifest: Manifest) -> "tuple[User, ...]":
    """Who may have loaded a version: whoever names it, its model, the model's `current`, or something inside it.

    A mount of the whole claim may read anything, and is no sign.
    """
    current = layout.current(manifest.model).as_posix()
    return tuple(user for user in found.found if user.path and _touches(user.path, manifest.path, current))


def by_current(found: "Users", model: str) -> "tuple[User, ...]":
    """Who loads the model's `current` at its next start."""
    current = layout.current(model).as_posix()
    return tuple(user for user in found.found if user.path == current or user.path.startswith(f"{current}/"))


def told(users: "Sequence[User]") -> str:
    """``InferenceService granite, Deployment chat``."""
    return ", ".join(dict.fromkeys(map(str, users)))


def _touches(path: str, version: str, current: str) -> bool:
    inside = path == version or path.startswith(f"{version}/") or version.startswith(f"{path}/")
    return inside or path == current or path.startswith(f"{current}/")


async def _users(ref: ClaimRef, choice: Choice) -> "Users":
    from lading.placement import evidence, mounts
    from lading.placement import users as finding
    from lading.wiring import clusters

    async with clusters.cluster(replace(choice, namespace=ref.namespace or choice.namespace)) as cluster:
        found = await finding.users(cluster, ref.claim)
        pods = await evidence.gathered("pods", mounts.unfinished(cluster, ref.claim))
    unknown = (pods.unknown,) if pods.unknown else ()
    held = tuple(user for mount in pods.value or () for user in _of_pod(mount))
    return replace(found, found=(*found.found, *held), unknown=(*found.unknown, *unknown))


def _of_pod(mount: "Mount") -> "Iterator[User]":
    """What a pod mounts now, in the name of the workload that a person made; pods of ours do not count."""
    from lading.placement.users import User

    if mount.purpose is not None:
        return
    owner = mount.workload
    group = owner.api_version.rpartition("/")[0] if owner else ""
    for path in mount.sub_paths:
        yield User(
            kind=owner.kind if owner else "Pod", group=group, name=owner.name if owner else mount.pod,
            namespace=mount.namespace, path=path, field="spec.containers", writes=not mount.read_only,
        )  # fmt: skip
