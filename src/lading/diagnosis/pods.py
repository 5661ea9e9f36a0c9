"""Why a pod does not run, or ended: from the pod and its events."""

from collections.abc import Sequence

from lading.diagnosis.finding import Finding, Object


def watching(pod: Object, events: Sequence[Object]) -> Finding | None:
    """What keeps *pod* from its work right now; None while there is nothing to say (it starts, runs or succeeded).

    A finding that is not ``fatal`` may pass: wait, and say it. The wording of scheduler and kubelet is read loosely.

    Args:
        pod: The Pod as the API gives it; any part may be missing.
        events: Of the namespace or of the pod; others' are left out.
    """
    del pod, events
    return None


def ended(pod: Object, events: Sequence[Object] = (), log: Sequence[str] = ()) -> Finding | None:
    """Why *pod* failed; None where it did not.

    Args:
        pod: The Pod as the API gives it.
        events: As of `watching`.
        log: Its last lines, oldest first; our own error is found in them when its termination message has none.
    """
    del pod, events, log
    return None
