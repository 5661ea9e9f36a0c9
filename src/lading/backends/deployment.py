"""Servers as plain Deployments with a Service, for clusters without KServe."""

from lading.backends.on_cluster import OnCluster
from lading.backends.on_cluster_form import Form
from lading.cluster import kinds
from lading.manifests import serving
from lading.manifests.target import container_program
from lading.ports.backend import Deployment, ServeRequest

FORM = Form(kind="deployment", kinds=(kinds.DEPLOYMENT, kinds.SERVICE), container=serving.CONTAINER)


class DeploymentBackend(OnCluster):
    """Runs servers of any engine whose image is known, on claims of one namespace."""

    form = FORM

    def plan(self, request: ServeRequest) -> Deployment:
        """As `lading.ports.backend.Backend.plan`; the Service comes first, so that it is there when the pod is."""
        server = self.server(request)
        return self.planned(
            request,
            argv=(*server.entry, *server.args),
            image=server.image,
            env=server.env,
            objects=(serving.service(server), serving.deployment(server)),
            program=container_program(request.engine),
        )
