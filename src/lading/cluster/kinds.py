"""The kinds of objects we speak of, each with its full group: OME has the short names of KServe's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: An object as the API gives and takes it.
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object.

    Attributes:
        group: Empty for the core group.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``apps/v1``, or ``v1`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """``deployments.apps``, as RBAC and people name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None, name: str | None = None, *, sub: str | None = None) -> str:
        """The API path of one object, or of all."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        return "/" + "/".join([*parts, self.plural, *filter(None, (name, sub))])


POD = Kind("", "v1", "Pod", "pods")
CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
VOLUME = Kind("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False)
SECRET = Kind("", "v1", "Secret", "secrets")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
SERVICE = Kind("", "v1", "Service", "services")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
EVENT = Kind("", "v1", "Event", "events")
NODE = Kind("", "v1", "Node", "nodes", namespaced=False)
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGE = Kind("", "v1", "LimitRange", "limitranges")
JOB = Kind("batch", "v1", "Job", "jobs")
CRON_JOB = Kind("batch", "v1", "CronJob", "cronjobs")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")
DAEMON_SET = Kind("apps", "v1", "DaemonSet", "daemonsets")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False)
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
ACCESS_REVIEW = Kind(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)
CRD = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
INFERENCE_SERVICE = Kind("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices")
SERVING_RUNTIME = Kind("serving.kserve.io", "v1alpha1", "ServingRuntime", "servingruntimes")
CLUSTER_SERVING_RUNTIME = Kind(
    "serving.kserve.io", "v1alpha1", "ClusterServingRuntime", "clusterservingruntimes", namespaced=False
)
LLM_INFERENCE_SERVICE = Kind("serving.kserve.io", "v1alpha2", "LLMInferenceService", "llminferenceservices")
OME_INFERENCE_SERVICE = Kind("ome.io", "v1beta1", "InferenceService", "inferenceservices")
OME_BASE_MODEL = Kind("ome.io", "v1beta1", "BaseModel", "basemodels")
OME_SERVING_RUNTIME = Kind("ome.io", "v1beta1", "ServingRuntime", "servingruntimes")
OME_CLUSTER_SERVING_RUNTIME = Kind(
    "ome.io", "v1beta1", "ClusterServingRuntime", "clusterservingruntimes", namespaced=False
)
OME_CLUSTER_BASE_MODEL = Kind("ome.io", "v1beta1", "ClusterBaseModel", "clusterbasemodels", namespaced=False)

KINDS: tuple[Kind, ...] = tuple(value for value in globals().values() if isinstance(value, Kind))


def of(document: Mapping[str, Any]) -> Kind:
    """The kind of *document*, by its ``apiVersion`` and ``kind``.

    Raises:
        LookupError: We do not speak of such objects.
    """
    wanted = (document["apiVersion"], document["kind"])
    for kind in KINDS:
        if (kind.api_version, kind.kind) == wanted:
            return kind
    raise LookupError(f"{wanted[0]} {wanted[1]} is no kind that is known here")
