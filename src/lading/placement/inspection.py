"""A claim as a person asks about it: what the API tells, what lies on it, and what of the two does not fit together. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lading.answers.claims import ClaimInspected, MountSeen, UserSeen
from lading.diagnosis.finding import Finding
from lading.placement import claims
from lading.placement.claims import ClaimFacts
from lading.placement.mounts import Mount
from lading.placement.users import User
from lading.weights import target as targets
from lading.weights.inventory import Usage
from lading.weights.manifest import Manifest
from lading.weights.target import Target

_KSERVE, _OME = "serving.kserve.io", "ome.io"
_ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What lies on the volume.

    Attributes:
        current: The current version of each model.
    """

    usage: Usage
    manifests: Sequence[Manifest] = ()
    current: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def used_bytes(self) -> int:
        """All files together."""
        loose = sum(folder.size_bytes for folder in self.usage.unmanaged)
        return self.usage.published_bytes + self.usage.staging_bytes + loose + self.usage.other_bytes

    def at(self, path: str) -> Target:
        """What is at *path*."""
        return targets.target(path, self.manifests, self.current, self.usage.unmanaged)


def inspected(
    facts: ClaimFacts,
    contents: Contents | None = None,
    *,
    findings: Sequence[Finding] = (),
    unknown: Sequence[str] = (),
) -> ClaimInspected:
    """The answer to `lading claim inspect`: *contents* None where the claim was not looked into, *unknown* says why."""
    kind, volume = facts.storage_class.value, facts.volume.value
    seen = tuple(user_seen(user, contents) for user in facts.users.found)
    warnings = (
        *(_told(one) for one in findings),
        *_warnings(facts),
        *map(_warning, (one for one in seen if one.problem)),
    )
    return ClaimInspected(
        name=facts.name,
        namespace=facts.namespace,
        phase=facts.phase,
        capacity_bytes=facts.capacity_bytes,
        requested_bytes=facts.requested_bytes,
        used_bytes=contents.used_bytes if contents else None,
        free_bytes=contents.usage.free_bytes if contents else None,
        access_modes=facts.access_modes,
        class_name=facts.class_name or None,
        provisioner=kind.provisioner if kind else None,
        binding_mode=kind.binding_mode if kind else None,
        expandable=kind.expandable if kind else None,
        volume=facts.volume_name,
        driver=volume.driver if volume else None,
        reclaim_policy=facts.reclaim_policy,
        resize=facts.resize,
        mounts=tuple(map(mount_seen, facts.mounts)),
        users=seen,
        models=contents.usage.versions if contents else None,
        unmanaged=contents.usage.unmanaged if contents else None,
        warnings=tuple(dict.fromkeys(warnings)),
        unknown=(*facts.unknown, *unknown),
    )


def mount_seen(mount: Mount) -> MountSeen:
    """One pod, for the answer."""
    return MountSeen(
        pod=mount.pod,
        node=mount.node,
        phase=mount.phase,
        read_only=mount.read_only,
        sub_paths=mount.sub_paths,
        workload=str(mount.workload) if mount.workload else None,
        leaving=mount.leaving,
    )


def user_seen(user: User, contents: Contents | None) -> UserSeen:
    """One reference, for the answer, with what is there where that is known."""
    found = contents.at(user.path) if contents and not _unusable(user) else Target()
    return UserSeen(
        kind=user.kind,
        group=user.group,
        name=user.name,
        namespace=user.namespace,
        path=user.path,
        field=user.field,
        uri=user.uri,
        model=found.model,
        version=found.version,
        unmanaged=found.unmanaged,
        problem=_unusable(user) or (found.problem if user.uri is not None or user.path else None),
    )


def _unusable(user: User) -> str | None:
    """What of a reference no server can use, whatever lies on the claim."""
    if user.uri is None:
        return None
    if ".." in user.path.split("/") or "//" in user.path:
        return "its path has `..` or an empty part: the kubelet refuses to mount it"
    if user.group == _KSERVE and "storageUris[" in user.field and user.path:
        return "KServe drops the path of an entry of storageUris, and mounts the whole claim; use storageUri, or the path below mountPath"
    if user.group == _OME and user.kind == "BaseModel" and not user.path:
        return "OME wants a path after the claim"
    if user.group == _OME and user.kind == "BaseModel" and ":" in user.uri.removeprefix("pvc://"):
        return "OME wants no namespace here: a BaseModel's claim is in its own"
    return None


def _warning(seen: UserSeen) -> str:
    what = f" ({seen.uri})" if seen.uri else f" at {seen.path}" if seen.path else ""
    return f"{seen.kind} {seen.name}{what}: {seen.problem}"


def _told(found: Finding) -> str:
    return f"{found.sentence}; {found.remedy}" if found.remedy else found.sentence


def _warnings(facts: ClaimFacts) -> list[str]:
    """What of the claim itself will go wrong."""
    told = [claims.retain_warning(facts)]
    if facts.volume_mode == "Block":
        told.append("it is a block device, not a file system: no files can lie on it")
    if facts.access_modes and set(facts.access_modes) <= _ONE_NODE:
        told += [_crowded(facts, user) for user in facts.users.found]
    return [sentence for sentence in told if sentence]


def _crowded(facts: ClaimFacts, user: User) -> str | None:
    """That a workload wants more pods than a claim of one node, or of one pod, serves."""
    if user.replicas is None or user.replicas < 2:
        return None
    mode = facts.access_modes[0]
    where = "one pod at a time" if mode == "ReadWriteOncePod" else "pods of one node"
    return f"{user} wants up to {user.replicas} pods, and the claim ({mode}) serves {where}: the others wait"
