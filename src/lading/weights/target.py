"""What a path on a volume is: a version of a model, a folder nobody vouches for, or nothing. Values only.

Services name a path on a claim long before, and long after, something lies there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lading.weights import layout
from lading.weights.inventory import Unmanaged
from lading.weights.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is at a path.

    Attributes:
        model: The published model; with *version* None, more than one version of it is there.
        follows: By the link `current`: another version at the next restart after a `lading use`.
        unmanaged: A folder with a model and no manifest.
        problem: Why a server that mounts it finds no model.
    """

    model: str | None = None
    version: str | None = None
    follows: bool = False
    unmanaged: bool = False
    problem: str | None = None


def target(
    path: str, manifests: Sequence[Manifest], current: Mapping[str, str | None], unmanaged: Sequence[Unmanaged]
) -> Target:
    """What *path* (relative to the volume's root, ``""`` for the root) is among what was found on it."""
    model, _, last = path.rpartition("/")
    if last == layout.CURRENT and model in current:
        version = current[model]
        gone = None if version else f"{model} has no current version"
        return Target(model=model, version=version, follows=True, problem=gone)
    for manifest in manifests:
        found = _within(path, manifest)
        if found is not None:
            return found
    if any(_under(path, one.path) for one in unmanaged):
        return Target(unmanaged=True)
    if path in current:
        problem = "it is the folder of all versions, not one: a server finds no model at its top"
        return Target(model=path, problem=problem)
    if path == "" or any(manifest.path.startswith(f"{path}/") for manifest in manifests):
        return Target()  # a folder of models: some servers look one level down
    return Target(problem="no model is there")


def _within(path: str, manifest: Manifest) -> Target | None:
    """*path* in the version of *manifest*; None where it is elsewhere."""
    if not _under(path, manifest.path):
        return None
    named = Target(model=manifest.model, version=manifest.version)
    inner = path if manifest.path == "." else path[len(manifest.path) + 1 :]
    if not inner or any(file.path.startswith(f"{inner}/") for file in manifest.files):
        return named
    if any(file.path == inner for file in manifest.files):
        problem = f"it names a file: mounted as one, where a server looks for a directory; name {manifest.path}"
    elif manifest.path == ".":
        return None
    else:
        problem = f"there is no {inner} in {manifest.model}@{manifest.version}"
    return Target(model=manifest.model, version=manifest.version, problem=problem)


def _under(path: str, folder: str) -> bool:
    return folder in {".", path} or path.startswith(f"{folder}/")
