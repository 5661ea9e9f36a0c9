"""Where the weights of a study are: from its reference and what the run recorded of the model it resolved."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from lading.manifests import names
from lading.manifests.target import ModelPlace
from lading.spec.ref import ClaimRef, Reference


def model_place(ref: Reference, recorded: Mapping[str, Any], *, claim: str | None = None) -> ModelPlace:
    """The place of the weights here and on a claim.

    Args:
        ref: The study's own reference.
        recorded: What the run noted: ``path`` of the model, ``served_path`` as the server was given it, ``path_on_volume``.
        claim: The claim that will hold them; None: the reference's own, if it is one.
    """
    path = PurePosixPath(str(recorded.get("path") or getattr(ref, "path", "") or "/models"))
    served = PurePosixPath(str(recorded.get("served_path") or path))
    if served != path and served.is_relative_to(path):
        folder, file = path, served.relative_to(path).as_posix()
    elif served.suffix == ".gguf":
        folder, file = served.parent, served.name
    else:
        folder, file = served, None
    found = claim or (ref.claim if isinstance(ref, ClaimRef) else None)
    return ModelPlace(host_path=str(folder), file=file, claim=found, claim_path=_claim_path(ref, recorded, folder))


def _claim_path(ref: Reference, recorded: Mapping[str, Any], folder: PurePosixPath) -> str:
    """The folder on the claim: as on the volume it was measured from, else a name made from the folder's."""
    on_volume = recorded.get("path_on_volume")
    if on_volume:
        return str(on_volume).strip("/")
    if isinstance(ref, ClaimRef) and ref.model:
        return f"{ref.model}/{ref.version or recorded.get('version') or 'current'}"
    return names.dns(folder.name, longest=63)
