"""What an API server's refusal means where KServe is used: its kinds are missing or older, its webhook does not answer or says no."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lading.errors import ClusterConflict, ClusterError, ObjectMissing, ServingError

GROUP = "serving.kserve.io"
_FIELD = re.compile(r"(\.spec[\w.\[\]=\"]*): field not declared in schema")
_WEBHOOK = re.compile(r'failed calling webhook "([^"]+)"(?:.*: (.+))?', re.DOTALL)
_DENIED = re.compile(r'admission webhook "([^"]*kserve[^"]*)" denied the request: (.*)', re.DOTALL)
_PANIC = "panic: runtime error"


@contextmanager
def understood(name: str, *, context: str | None) -> Iterator[None]:
    """Errors of the block as what they mean for the server called *name*; what says enough by itself is left as it is.

    Raises:
        ServingError: KServe is not there, is older, does not answer, or refuses.
    """
    try:
        yield
    except ClusterConflict:
        raise  # says who owns which field
    except ClusterError as error:
        meant = meaning(error, name, context=context)
        if meant is None:
            raise
        raise meant from error


def meaning(error: ClusterError, name: str, *, context: str | None) -> ServingError | None:
    """What *error* means; None: nothing that is KServe's."""
    said, kubectl = error.message, f"kubectl --context {context}" if context else "kubectl"
    if isinstance(error, ObjectMissing) and GROUP in said:
        return ServingError(
            f"this cluster does not know the kinds that {name} needs ({GROUP}): KServe is not installed, or too old",
            hint=f"`--backend deployment` needs no KServe; `{kubectl} get crd inferenceservices.{GROUP}` says whether it is there",
        )
    if field := _FIELD.search(said):
        return ServingError(
            f"KServe on this cluster is older than {name} needs: its CustomResourceDefinition has no field {field[1]}",
            hint=f"update KServe (0.15 or newer), or use --backend deployment; `{kubectl} explain inferenceservices.{GROUP}{field[1]}` shows what it has",
        )
    if down := _WEBHOOK.search(said):
        return ServingError(
            f"KServe's webhook {down[1]} does not answer, and nothing of KServe's can be made without it"
            + (f": {down[2].strip()[:300]}" if down[2] else ""),
            hint=f"is KServe's controller running? `{kubectl} get pods -A -l control-plane=kserve-controller-manager`",
        )
    if denied := _DENIED.search(said):
        why = "it cannot read the predictor" if _PANIC in denied[2] else denied[2].strip()[:1000]
        return ServingError(f"KServe refuses {name}: {why}", hint="correct what it names; --dry-run shows the objects")
    return None
