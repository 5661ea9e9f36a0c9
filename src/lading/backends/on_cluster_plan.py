"""What a server on a cluster will be, and what marks its objects as its own. Pure: the same request, the same plan."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lading.backends import record
from lading.cluster.kinds import Object
from lading.engines import gpus
from lading.engines.base import Launch
from lading.errors import InvalidInput, ServingError
from lading.manifests import names, ours, serving
from lading.manifests.target import ENTRY, MEASURING_ONLY, MOUNT, PORT, container_program
from lading.ports.backend import Deployment, OnClaim, ServeRequest
from lading.spec import secret
from lading.spec.study import BackendChoice

ANYWHERE = "0.0.0.0"  # noqa: S104 - inside a container


def on_claim(choice: BackendChoice, request: ServeRequest) -> OnClaim:
    """Where the model of *request* lies.

    Raises:
        InvalidInput: Not on a claim, or on one of another namespace than the server's.
    """
    record.check_name(request.name)
    if request.claim is None:
        raise InvalidInput(
            f"{request.model} lies on this machine, and a cluster serves from a claim",
            hint=f"`lading pull {request.model} pvc://CLAIM` first, or serve it here: --backend process",
        )
    claim, wanted = request.claim, choice.namespace
    if wanted is not None and wanted != claim.namespace:
        raise InvalidInput(
            f"claim {claim.claim} is in namespace {claim.namespace}, and a pod of {wanted} cannot mount it",
            hint=f"--namespace {claim.namespace}, or pull the model onto a claim of {wanted}",
        )
    return claim


def server(choice: BackendChoice, request: ServeRequest) -> serving.Server:
    """The server of an engine that *request* asks for, in a container.

    Raises:
        InvalidInput: As `on_claim`; a secret stands in the environment.
        InvalidParameters: The engine refuses its parameters.
    """
    claim, engine = on_claim(choice, request), request.engine
    program = container_program(engine)
    launch = Launch(
        model=f"{MOUNT}/{claim.file}" if claim.file else MOUNT,
        served_name=request.served_name,
        host=ANYWHERE,
        port=PORT,
        params=request.params,
        program=program,
    )
    command = engine.command(launch)
    measured = request.lease is not None
    own = {name: value for name, value in command.env.items() if measured or name not in MEASURING_ONLY}
    return serving.Server(
        name=names.dns(request.name),
        namespace=claim.namespace,
        image=choice.image or engine.image,
        entry=ENTRY.get(program, ()),
        args=command.argv,
        claim=claim.claim,
        path=claim.path,
        env={**own, **environment(choice, request)},
        passed_env=tuple(sorted(name for name, value in choice.env.items() if value is None)),
        gpus=gpus.wanted(engine, request.params, choice.gpus),
        resources=choice.resources,
        node_selector=choice.node_selector,
        tolerations=choice.tolerations,
        service_account=choice.service_account,
    )


def environment(choice: BackendChoice, request: ServeRequest) -> dict[str, str]:
    """The variables of the server that are written down.

    Raises:
        InvalidInput: One looks secret: a pod's spec is read by many.
    """
    given = {**{name: value for name, value in choice.env.items() if value is not None}, **request.env}
    secrets = secret.literal(given)
    if secrets:
        raise InvalidInput(
            f"{', '.join(secrets)} looks secret, and a pod's spec is read by many",
            hint=f"write `{secrets[0]}:` without a value, and keep it in a Secret: "
            f"kubectl create secret generic {serving.SECRET} --from-literal={secrets[0]}=…",
        )
    return given


def marked(
    objects: Sequence[Mapping[str, Any]], request: ServeRequest, claim: OnClaim, *, backend: str
) -> tuple[dict[str, Any], ...]:
    """*objects* with what says whose they are and what they serve."""
    digest = hashlib.sha256(json.dumps(objects, sort_keys=True, default=dict).encode()).hexdigest()
    labels = {ours.MANAGED_BY: ours.MANAGER, ours.SERVER: names.dns(request.name), ours.BACKEND: backend}
    notes = {
        ours.NAME: request.name,
        ours.DIGEST: digest,
        ours.SERVED_NAME: request.served_name,
        ours.ENGINE: request.engine.name,
        ours.SERVED_FROM: f"{claim.claim}/{claim.path.strip('/')}".rstrip("/"),
    }
    made = []
    for one in objects:
        metadata = one["metadata"]
        own = {"labels": {**(metadata.get("labels") or {}), **labels}}
        own["annotations"] = {**(metadata.get("annotations") or {}), **notes}
        made.append(with_lease({**one, "metadata": {**metadata, **own}}, request.lease))
    return tuple(made)


def with_lease(document: Mapping[str, Any], lease: str | None) -> dict[str, Any]:
    """*document* as one of the run *lease*; None: of a user."""
    metadata = document["metadata"]
    labels = {key: value for key, value in metadata["labels"].items() if key != ours.LEASE}
    if lease is not None:
        labels[ours.LEASE] = lease
    return {**document, "metadata": {**metadata, "labels": labels}}


def selector(backend: str, name: str | None = None) -> str:
    """The labels of what this backend made; of one server by the *name* of its objects."""
    every = f"{ours.MANAGED_BY}={ours.MANAGER},{ours.BACKEND}={backend}"
    return f"{every},{ours.SERVER}={name}" if name else every


def refuse_other(found: Object, document: Mapping[str, Any], deployment: Deployment) -> None:
    """Nothing, when *found* is what *document* would make.

    Raises:
        ServingError: It is somebody else's, or runs something else.
    """
    what, where = f"{found.get('kind', document['kind'])} {found['metadata']['name']}", found["metadata"]["namespace"]
    if not is_ours(found, deployment.backend) or name_of(found) != deployment.name:
        owners = sorted({str(one.get("manager")) for one in found["metadata"].get("managedFields") or ()})
        raise ServingError(
            f"there is a {what} in namespace {where} that is not of {deployment.name}"
            + (f" (kept by {', '.join(owners)})" if owners else ""),
            hint="choose another --name",
        )
    if note(found, ours.DIGEST) != note(document, ours.DIGEST):
        raise ServingError(
            f"{deployment.name} already runs in namespace {where} with another command, image or resources",
            hint=f"`lading stop {deployment.name}` first, or choose another --name",
        )


def is_ours(one: Mapping[str, Any], backend: str) -> bool:
    """Whether that *backend* of ours made it."""
    labels = one["metadata"].get("labels") or {}
    return labels.get(ours.MANAGED_BY) == ours.MANAGER and labels.get(ours.BACKEND) == backend


def lease_of(one: Mapping[str, Any]) -> str | None:
    """The run that owns it; None: it is a user's."""
    found = (one["metadata"].get("labels") or {}).get(ours.LEASE)
    return str(found) if found else None


def name_of(one: Mapping[str, Any]) -> str:
    """The server that it is of, as its user calls it."""
    return note(one, ours.NAME) or str((one["metadata"].get("labels") or {}).get(ours.SERVER, ""))


def note(one: Mapping[str, Any], key: str) -> str:
    """Its annotation *key*; empty where it has none."""
    return str((one["metadata"].get("annotations") or {}).get(key) or "")


def place_of(deployment: Deployment) -> OnClaim:
    """Where the model lies, as the plan wrote it on its objects."""
    first = deployment.objects[0]
    claim, _, path = note(first, ours.SERVED_FROM).partition("/")
    return OnClaim(namespace=first["metadata"]["namespace"], claim=claim, path=path)
