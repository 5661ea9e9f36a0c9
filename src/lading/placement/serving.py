"""Everything that would keep a service from serving, found before anything is applied: all at once, each with its remedy.

KServe looks at none of it: it takes a claim that is not there and a folder that is not there, and says ``Ready``. What
the API tells is read; quota, PodSecurity, webhooks and other managers of our fields speak in a dry run. Nothing is changed.
"""

import asyncio
import re
from collections.abc import Collection, Mapping
from typing import Any

from lading.cluster import kinds
from lading.cluster.client import Cluster
from lading.cluster.kinds import Object
from lading.cluster.retry import Patience, Waits
from lading.diagnosis import serving_classes, serving_lookup, serving_runtimes
from lading.diagnosis.finding import Finding
from lading.errors import ClusterConflict, ClusterDenied, ClusterError, ClusterUnreachable, ObjectMissing
from lading.events import PreflightProblem
from lading.manifests import ours, serving_pod
from lading.placement import admission, claim_checks, problems, serving_claim, serving_nodes
from lading.placement.problems import Problem
from lading.ports.backend import Deployment, ServeRequest
from lading.spec.study import BackendChoice

#: Faults of the API server are borne for moments only in a dry run: a webhook that does not answer looks like one.
_DRY_RUN = Patience(total_s=1.0)
_KSERVE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LONGEST = 63 - len("-predictor")
_UNBOUND_NAME = re.compile(r"[^\x21-\x7e]")


async def preflight(
    cluster: Cluster,
    deployment: Deployment,
    request: ServeRequest,
    choice: BackendChoice,
    *,
    files: Collection[str] | None = None,
) -> tuple[PreflightProblem, ...]:
    """What is in the way of *deployment*; changes nothing.

    Args:
        cluster: In the namespace that the service is to be in.
        deployment: As `Backend.plan` gave it; its objects are what would be applied.
        request: What it was planned from.
        choice: What the backend was given.
        files: Paths of the model's files in its folder, by its manifest; None: not known, and not held to the server's rules.

    Raises:
        ClusterUnreachable: There is no cluster to ask.
    """
    if request.claim is None:
        return ()
    claim, runtime = await asyncio.gather(
        claim_checks.check(cluster, request.claim.claim), _runtime(cluster, deployment.objects, choice)
    )
    pod = serving_pod.pod(deployment.objects, runtime if isinstance(runtime, Mapping) else None)
    gathered = await asyncio.gather(
        serving_claim.problems(cluster, claim.claim, deployment, pod),
        serving_nodes.problems(cluster, claim.claim, pod),
        _names(cluster, deployment),
    )
    lacks_account = any(one.code == "service-account-missing" for one in gathered[1])
    refusals = await _refusals(cluster, deployment, _with_default_account(pod) if lacks_account else pod)
    found = (
        *_place(cluster, request, choice),
        *claim.problems,
        *_of_runtime(runtime, deployment, request),
        *_of_files(deployment, request, pod, files),
        *_of_names(deployment, request),
        *(one for part in gathered for one in part),
        *refusals,
    )
    once = {(one.code, one.message): one for one in found}
    return tuple(PreflightProblem(code=one.code, message=one.message, hint=one.hint) for one in once.values())


def _with_default_account(pod: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """*pod* without an account that is not there: the API server says no more than that of it."""
    return None if pod is None else {key: value for key, value in pod.items() if key != "serviceAccountName"}


# ------------------------------------------------------------------------------------------------------------- place


def _place(cluster: Cluster, request: ServeRequest, choice: BackendChoice) -> tuple[Problem, ...]:
    """A pod mounts claims of its own namespace alone."""
    assert request.claim is not None
    where = choice.namespace or cluster.namespace
    if request.claim.namespace == where:
        return ()
    return (
        Problem(
            code="claim-elsewhere",
            message=f"claim {request.claim.claim} is in {request.claim.namespace}, and the service would be in {where}: a pod mounts claims of its own namespace alone",
            hint=f"--namespace {request.claim.namespace}, or bring the model over: lading pull pvc://{request.claim.claim}/… pvc://CLAIM/…",
        ),
    )


# ----------------------------------------------------------------------------------------------------------- runtime


async def _runtime(cluster: Cluster, objects: serving_pod.Objects, choice: BackendChoice) -> Object | Problem | None:
    """The runtime that is there and that is named; None: none is needed, or it may not be read."""
    named = str(serving_pod.model(objects).get("runtime") or choice.runtime or "")
    if not serving_pod.model(objects) or serving_pod.of_kind(objects, "ServingRuntime") is not None or not named:
        return None
    names: list[str] = []
    try:
        for kind in (kinds.SERVING_RUNTIME, kinds.CLUSTER_SERVING_RUNTIME):
            found = await cluster.list(kind)
            names += [one["metadata"]["name"] for one in found]
            for one in found:
                if one["metadata"]["name"] == named:
                    return one
    except ClusterDenied:
        return None
    return problems.found(serving_runtimes.missing(named, names))


def _of_runtime(runtime: Object | Problem | None, deployment: Deployment, request: ServeRequest) -> tuple[Problem, ...]:
    if runtime is None:
        return ()
    if isinstance(runtime, Problem):
        return (runtime,)
    model = serving_pod.model(deployment.objects)
    found = serving_runtimes.problems(
        runtime, model_format=str((model.get("modelFormat") or {}).get("name") or ""),
        protocol=str(model.get("protocolVersion") or ""), served_name=request.served_name, name=_service_name(deployment),
    )  # fmt: skip
    return tuple(map(problems.found, found))


# ----------------------------------------------------------------------------------------------------- files and names


def _of_files(
    deployment: Deployment, request: ServeRequest, pod: Mapping[str, Any] | None, files: Collection[str] | None
) -> tuple[Problem, ...]:
    if files is None or pod is None or request.claim is None:
        return ()
    image = next(iter(serving_pod.images(pod)), "")
    listed = (serving_pod.model(deployment.objects).get("modelFormat") or {}).get("name")
    found = serving_lookup.problems(
        files, image=image, model_format=str(listed or request.format), file=request.claim.file
    )
    return tuple(map(problems.found, found))


def _of_names(deployment: Deployment, request: ServeRequest) -> tuple[Problem, ...]:
    """What KServe's validator, and URLs, take for a name."""
    found = []
    name = _service_name(deployment)
    if serving_pod.of_kind(deployment.objects, "InferenceService") and (
        not _KSERVE_NAME.fullmatch(name) or len(name) > _LONGEST
    ):
        message = f"KServe takes no service called {name!r}: lower case letters, digits and -, a letter first, at most {_LONGEST}"
        found.append(Problem(code="name-invalid", message=message, hint="--name NAME"))
    if not request.served_name or _UNBOUND_NAME.search(request.served_name):
        message = f"{request.served_name!r} cannot be a served name: requests carry it in their URL"
        found.append(Problem(code="served-name", message=message, hint="--served-name NAME, of printable characters without spaces"))  # fmt: skip
    return tuple(found)


def _service_name(deployment: Deployment) -> str:
    """The InferenceService's, or the Deployment's."""
    for kind in ("InferenceService", "LLMInferenceService", "Deployment"):
        found = serving_pod.of_kind(deployment.objects, kind)
        if found is not None:
            return str(found["metadata"]["name"])
    return deployment.name


async def _names(cluster: Cluster, deployment: Deployment) -> tuple[Problem, ...]:
    """Objects of these names that are somebody else's."""
    return tuple(filter(None, await asyncio.gather(*(_taken(cluster, one) for one in deployment.objects))))


async def _taken(cluster: Cluster, document: Mapping[str, Any]) -> Problem | None:
    head = document["metadata"]
    try:
        there = await cluster.find(kinds.of(document), head["name"], namespace=head.get("namespace"))
    except ClusterDenied:
        return None
    if there is None or (there["metadata"].get("labels") or {}).get(ours.MANAGED_BY) == ours.MANAGER:
        return None
    what = f"{document['kind']} {head['name']}"
    return Problem(code="name-taken", message=f"there is {what} in {there['metadata'].get('namespace') or 'the cluster'}, which is not ours", hint="--name NAME gives this one another name")  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- refusals


async def _refusals(cluster: Cluster, deployment: Deployment, pod: Mapping[str, Any] | None) -> tuple[Problem, ...]:
    """What the API server says to each object, and to a pod as its controller will make it."""
    found = await asyncio.gather(
        *(_apply(cluster, one) for one in deployment.objects),
        *(() if pod is None else (_pod(cluster, deployment, pod),)),
    )
    return tuple(_for_serving(one) for one in found if one is not None)


async def _pod(cluster: Cluster, deployment: Deployment, pod: Mapping[str, Any]) -> Problem | None:
    head = {
        "name": f"{deployment.name[:40]}-preflight", "namespace": cluster.namespace,
        "labels": serving_pod.labels(deployment.objects),
    }  # fmt: skip
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": dict(pod)}
    return await admission.dry(cluster, document, waits=Waits(_DRY_RUN))


async def _apply(cluster: Cluster, document: Mapping[str, Any]) -> Problem | None:
    kind = str(document["kind"])
    try:
        await cluster.apply(document, dry_run=True, waits=Waits(_DRY_RUN))
    except ObjectMissing:
        return _unknown_kind(document)
    except ClusterConflict as error:
        hint = f"{error.hint or 'another manager keeps them'}; --name NAME leaves that object alone"
        return Problem(code="field-conflict", message=f"another manages fields of {kind} {document['metadata']['name']}: {error.message}", hint=hint)  # fmt: skip
    except ClusterUnreachable:
        raise
    except ClusterError as error:
        if isinstance(error, ClusterDenied) and error.hint is not None:  # a right, not an admission
            return Problem(code="right", message=error.message, hint=error.hint)
        return admission.told(error, kind)
    return None


def _unknown_kind(document: Mapping[str, Any]) -> Problem:
    """The CRD of *document* is not there, or an older one is."""
    kind = kinds.of(document)
    return Problem(
        code="kind-missing",
        message=f"the cluster does not know {kind.kind} of {kind.api_version}, or has no namespace {document['metadata'].get('namespace')}",
        hint=f"`kubectl get crd {kind.resource}` shows the versions there are; without KServe: --backend deployment",
    )


def _for_serving(problem: Problem) -> Problem:
    """With the remedy of who serves."""
    if problem.code not in serving_classes.CLASSES:
        return problem
    plain = Finding(cause=problem.code, sentence=problem.message, remedy=problem.hint or "")
    return problems.found(serving_classes.told(plain, {}))
