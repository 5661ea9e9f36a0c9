"""Why a Job has no pod, or gave up: from the Job, its pods, and the events of both."""

from collections.abc import Sequence

from lading.diagnosis.finding import Finding, Object


def watching(job: Object, pods: Sequence[Object], events: Sequence[Object]) -> Finding | None:
    """What keeps *job* from its work right now, its pods' troubles included; None while there is nothing to say.

    Args:
        job: The Job as the API gives it.
        pods: Its pods.
        events: Of the namespace, or of the Job and its pods; others' are left out.
    """
    del job, pods, events
    return None


def ended(
    job: Object, pods: Sequence[Object] = (), events: Sequence[Object] = (), log: Sequence[str] = ()
) -> Finding | None:
    """Why *job* failed; None where it did not. *log*: the last lines of its last pod."""
    del job, pods, events, log
    return None
