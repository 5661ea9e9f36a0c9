"""Jobs that run a command document of ours beside a volume: their names, their limits, when they give up."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lading.manifests import names, ours, pods
from lading.manifests.pods import ReadClaim, Work
from lading.spec.command import Command
from lading.spec.credentials import Credentials
from lading.spec.placement import Placement

TTL_S = 24 * 3600
#: Exit codes that another attempt would not change. What it may change, `lading run` ends with 75, or was killed.
FATAL_EXIT_CODES = (1, 2, 3, 4)
AMBIENT = Credentials()
"""What a pod finds by itself: the identity of its cloud, or nothing."""
PURPOSE_OF = {
    "pull": "pull", "push": "push", "verify": "reader", "list-source": "reader", "repair-permissions": "repair",
}  # fmt: skip
#: A DNS label: a Job's name is also a label of its pods.
LONGEST = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a Job is given up.

    Attributes:
        attempts: Pods that may fail; those that a drain or an eviction took do not count.
        deadline_s: Of all attempts together, waiting for a node included.
        ttl_s: How long a finished Job stays to be looked at.
    """

    attempts: int = 6
    deadline_s: int = 24 * 3600
    ttl_s: int = TTL_S


def job(
    command: Command,
    placement: Placement,
    *,
    claim: str | None,
    namespace: str,
    model: str | None = None,
    credentials: Credentials = AMBIENT,
    source: ReadClaim | None = None,
    attach_read_only: bool = False,
    limits: Limits = Limits(),
    started_by: str | None = None,
) -> dict[str, Any]:
    """The Job that runs *command* with *claim* mounted.

    The same command on the same claim has the same name, whoever writes it, so that a rerun finds it.

    Args:
        command: What it does.
        placement: How its pods run.
        claim: Mounted at its root; None: nothing is.
        namespace: The claim's.
        model: For its name and label; None: none is known.
        credentials: How it gets at its source.
        source: A second claim, which it reads from.
        attach_read_only: *claim* can only be read.
        limits: When it is given up.
        started_by: For whoever finds it later.
    """
    work = Work(
        purpose=PURPOSE_OF[command.command],
        namespace=namespace,
        claim=claim,
        model=model,
        command=document(command),
        read_only=command.command == "verify",
        credentials=credentials,
        source=source,
        attach_read_only=attach_read_only,
        started_by=started_by,
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(command, claim=claim, model=model),
            "namespace": namespace,
            **pods.metadata(work, placement),
        },
        "spec": {**_patience(limits), "template": pods.template(work, placement)},
    }


def with_writer(document: Mapping[str, Any], claim_uid: str) -> dict[str, Any]:
    """The Job *document* as the one writer of its name onto a claim.

    Its pods take over at once what a killed pod of an earlier Job of that name has locked, as a next pod of the same Job
    does. By the claim's uid, as another cluster may mount the same storage under the same names.
    """
    made = copy.deepcopy(dict(document))
    variable = {"name": ours.WRITER_VARIABLE, "value": f"{claim_uid}/{document['metadata']['name']}"}
    made["spec"]["template"]["spec"]["containers"][0]["env"].append(variable)
    return made


def name(command: Command, *, claim: str | None, model: str | None = None) -> str:
    """``lading-pull-granite-7b-1f0c9a3e``: readable, and the same for the same command on the same claim."""
    mark = hashlib.sha256(json.dumps([claim, document(command)]).encode()).hexdigest()[:8]
    head = f"lading-{command.command}"
    if model is None:
        return f"{head}-{mark}"
    return f"{head}-{names.dns(model, longest=LONGEST - len(head) - len(mark) - 2)}-{mark}"


def document(command: Command) -> str:
    """*command* as one line of JSON, always the same for the same command.

    What is left at its default is left out: an image that does not know an option yet runs every command without it, and
    an option that is added changes no name. So the defaults of a command never change within its major version.
    """
    said = command.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    whole = {**said, "apiVersion": command.apiVersion, "command": command.command}
    return json.dumps(whole, sort_keys=True, separators=(",", ":"))


def _patience(limits: Limits) -> dict[str, Any]:
    codes = {"containerName": pods.CONTAINER, "operator": "In", "values": list(FATAL_EXIT_CODES)}
    return {
        "backoffLimit": limits.attempts,
        "activeDeadlineSeconds": limits.deadline_s,
        "ttlSecondsAfterFinished": limits.ttl_s,
        # never two pods at once on one staging: a next one starts when its predecessor has ended, not when it is asked to
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": codes},
            ]
        },
    }


assert set(PURPOSE_OF.values()) <= set(ours.PURPOSES)
