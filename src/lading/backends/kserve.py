"""Servers as InferenceServices of KServe, on a runtime of their own or of the cluster's.

What KServe says of itself is never taken for readiness: see `lading.backends.kserve_scene` and
`lading.backends.on_cluster`. What it lacks (its kinds, a field, its webhook, Knative) is told with its remedy before
anything is made.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from lading.backends import on_cluster_route
from lading.backends.kserve_refusals import understood
from lading.backends.kserve_scene import KServeScene
from lading.backends.on_cluster import OnCluster
from lading.backends.on_cluster_form import Form
from lading.backends.on_cluster_scene import Scene
from lading.cluster import kinds
from lading.cluster.access import Right
from lading.cluster.client import Cluster
from lading.cluster.kinds import Kind, Object
from lading.cluster.session import Request
from lading.errors import InvalidInput, ObjectMissing, ServingError
from lading.manifests import kserve, kserve_service, names
from lading.manifests.serving import Server
from lading.manifests.target import container_program
from lading.ports.backend import Deployment, OnClaim, ServeRequest

_KNATIVE = Kind("serving.knative.dev", "v1", "Service", "services")
SERVICE_LABEL = "serving.kserve.io/inferenceservice"


def _predictor(name: str) -> str:
    """What KServe calls what it makes of a service."""
    return f"{name}-predictor"


def _pods(name: str) -> str:
    return f"{SERVICE_LABEL}={name}"


FORM = Form(
    kind="kserve",
    kinds=(kinds.INFERENCE_SERVICE, kinds.SERVING_RUNTIME),
    container=kserve.CONTAINER,
    pods=_pods,
    deployment=_predictor,
    service=_predictor,
)


class KServeBackend(OnCluster):
    """Runs servers of any engine as InferenceServices, on claims of one namespace.

    Of the choice, `runtime` and `mode` are read beside what `OnCluster` reads.
    """

    form = FORM

    # ------------------------------------------------------------------------------------------------------ plan

    def plan(self, request: ServeRequest) -> Deployment:
        """As `lading.ports.backend.Backend.plan`; the runtime comes first, so that it is there when its service is."""
        server = self.server(request)
        runtime = self._choice.runtime
        if runtime is not None:
            return self._on_runtime(request, server, runtime)
        service = kserve.of_server(
            server, model_format=request.format, engine=request.engine.name, mode=self._choice.mode,
            display_name=request.name,
        )  # fmt: skip
        return self.planned(
            request,
            argv=(*server.entry, *server.args),
            image=server.image,
            env=server.env,
            objects=kserve_service.objects(service),
            program=container_program(request.engine),
        )

    def _on_runtime(self, request: ServeRequest, server: Server, runtime: str) -> Deployment:
        """On the cluster's *runtime*, which has the program and its first arguments.

        Raises:
            InvalidInput: What the runtime decides was chosen, too.
        """
        if self._choice.image is not None:
            raise InvalidInput(
                f"the image of {request.name} is that of the runtime {runtime}, and {self._choice.image} was asked for",
                hint="leave out one of both: without `runtime:` one is made, with the image",
            )
        service = kserve.of_server_on(
            runtime, server, engine=request.engine.name, model_format=request.format, mode=self._choice.mode,
            added=kserve.added(self._bare(request), server.args), display_name=request.name,
        )  # fmt: skip
        return self.planned(request, argv=(), image=None, env=server.env, objects=kserve_service.objects(service))

    def _bare(self, request: ServeRequest) -> Sequence[str]:
        """The command line without any parameter."""
        return self.server(replace(request, params={})).args

    # ------------------------------------------------------------------------------------------------------ life

    async def _apply(self, deployment: Deployment) -> None:
        async with self._cluster(deployment.name) as cluster:
            await require_provable(cluster, self._choice.mode)
        with understood(deployment.name, context=self._choice.context):
            await super()._apply(deployment)

    def _scene(self, cluster: Cluster, name: str, place: OnClaim) -> Scene:
        return KServeScene(
            cluster=cluster, form=self.form, name=names.dns(name), shown=name, namespace=place.namespace, claim=place,
            tell=self.tell,
        )  # fmt: skip

    @asynccontextmanager
    async def _route(self, cluster: Cluster, name: str, service: Object) -> AsyncIterator[str]:
        """As `OnCluster._route`, to the port that the runtime's container has."""
        async with on_cluster_route.reached(
            cluster,
            service,
            pods=self.form.pods(names.dns(name)),
            port=container_port(service, self.form.port),
            namespace=cluster.namespace,
        ) as url:
            yield url


async def require_provable(cluster: Cluster, mode: str) -> None:
    """Nothing, where it can be proved of a server in *mode* that it is ready: of one behind Knative's revisions it cannot, here.

    Raises:
        ServingError: Not in that mode; says whether the cluster has Knative at all.
    """
    if mode != "Knative":
        return
    if not await has_knative(cluster):
        raise ServingError(
            "mode Knative was asked for, and this cluster has no Knative Serving: KServe would take the service and never run it",
            hint="use mode Standard, or install Knative Serving",
        )
    raise ServingError(
        "a server in mode Knative is written, but not started from here: nobody proves which of its revisions answers",
        hint="apply what --dry-run --output yaml prints, or use mode Standard",
    )


async def has_knative(cluster: Cluster) -> bool:
    """Whether the cluster has Knative Serving; what kinds it has is told to everybody."""
    path = f"/apis/{_KNATIVE.api_version}"
    try:
        await cluster.session.send(Request(right=Right("get", _KNATIVE), method="GET", path=path, query={}))
    except ObjectMissing:
        return False
    return True


def container_port(service: Mapping[str, Any], otherwise: int) -> int:
    """The port of the pods that *service* sends requests to."""
    ports = (service.get("spec") or {}).get("ports") or ()
    found = [one["targetPort"] for one in ports if isinstance(one.get("targetPort"), int)]
    return found[0] if found else otherwise
