"""The model servers that KServe's users know, as containers: what each takes, how it is called, how it says that it has a model.

A server that finds no model may still listen (sklearnserver does, on an empty folder): each is probed for the model
itself under its served name, never for an open port.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from lading.errors import InvalidInput
from lading.manifests import pod
from lading.manifests.target import MOUNT, PORT
from lading.spec.nearest import nearest

CONTAINER = "kserve-container"
"""KServe mounts the weights into the container of this name."""
#: The release of KServe whose servers are used where none is named.
RELEASE = "v0.20.0"
Protocol = Literal["v1", "v2", "openai"]
#: Where a server says of one model that it is loaded; both answer with an error until it is.
_READY: Mapping[Protocol, str] = {
    "v1": "/v1/models/{name}",
    "v2": "/v2/models/{name}/ready",
    "openai": "/v1/models/{name}",
}
_FIRST_MINUTES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelServer:
    """A server of models beside the engines: one image, started on a folder.

    Attributes:
        formats: KServe's names of what it loads, each with the version its runtimes list.
        protocols: What it speaks, the usual first.
        args, env: As the container gets them; ``{name}`` is the served name, ``{class}`` that of *classes*.
        classes: What the server itself calls what loads a format.
        root: Whether its image runs as root.
        shared_memory: Whether its processes share memory.
        on_gpus: What its image's tag ends with where it is to use GPUs.
    """

    name: str
    image: str
    formats: Mapping[str, str]
    protocols: tuple[Protocol, ...]
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    root: bool = False
    shared_memory: bool = False
    on_gpus: str = ""

    def filled(self, text: str, model_format: str, name: str) -> str:
        """*text* of *args* or *env* for one model."""
        return text.replace("{class}", self.classes.get(model_format, "")).replace("{name}", name)


#: How KServe's own servers are called.
_KSERVE = ("--model_name={name}", f"--model_dir={MOUNT}", f"--http_port={PORT}")
_MLSERVER = {
    "MLSERVER_MODEL_IMPLEMENTATION": "{class}",
    "MLSERVER_MODEL_NAME": "{name}",
    "MLSERVER_MODEL_URI": MOUNT,
    "MLSERVER_HTTP_PORT": str(PORT),
    "MLSERVER_GRPC_PORT": "9000",
}
_MLSERVER_CLASSES = {
    "sklearn": "mlserver_sklearn.SKLearnModel",
    "xgboost": "mlserver_xgboost.XGBoostModel",
    "lightgbm": "mlserver_lightgbm.LightGBMModel",
    "mlflow": "mlserver_mlflow.MLflowRuntime",
}
_TRITON = (
    "tritonserver", f"--model-repository={MOUNT}", f"--http-port={PORT}", "--grpc-port=9000", "--allow-http=true",
    "--allow-grpc=true",
)  # fmt: skip

SERVERS: Mapping[str, ModelServer] = {
    one.name: one
    for one in (
        ModelServer(
            name="sklearnserver", image=f"docker.io/kserve/sklearnserver:{RELEASE}", formats={"sklearn": "1"},
            protocols=("v1", "v2"), args=_KSERVE,
        ),
        ModelServer(
            name="xgbserver", image=f"docker.io/kserve/xgbserver:{RELEASE}", formats={"xgboost": "1"},
            protocols=("v1", "v2"), args=_KSERVE,
        ),
        ModelServer(
            name="lgbserver", image=f"docker.io/kserve/lgbserver:{RELEASE}", formats={"lightgbm": "3"},
            protocols=("v1", "v2"), args=_KSERVE,
        ),
        ModelServer(
            name="huggingfaceserver", image=f"docker.io/kserve/huggingfaceserver:{RELEASE}",
            formats={"huggingface": "1"}, protocols=("openai", "v1", "v2"), args=_KSERVE, shared_memory=True, on_gpus="-gpu",
        ),
        ModelServer(
            name="mlserver", image="docker.io/seldonio/mlserver:1.7.1",
            formats={"sklearn": "1", "xgboost": "2", "lightgbm": "4", "mlflow": "2"}, protocols=("v2",), env=_MLSERVER,
            classes=_MLSERVER_CLASSES,
        ),
        ModelServer(
            name="tritonserver", image="nvcr.io/nvidia/tritonserver:24.12-py3", formats={"triton": "2"},
            protocols=("v2",), args=_TRITON, root=True, shared_memory=True,
        ),
    )
}  # fmt: skip


def server(name: str) -> ModelServer:
    """The server of that name.

    Raises:
        InvalidInput: There is none; the nearest is named.
    """
    if name not in SERVERS:
        meant = nearest(name, list(SERVERS))
        raise InvalidInput(
            f"{name!r} is no model server that is known here",
            hint=f"did you mean {meant}?" if meant else ", ".join(SERVERS),
        )
    return SERVERS[name]


def server_for(model_format: str, protocol: Protocol | None = None) -> ModelServer:
    """The first server that loads *model_format* and speaks *protocol*: V2 for sklearn and such is MLServer's only when V1 is not asked.

    Raises:
        InvalidInput: There is none.
    """
    loading = [one for one in SERVERS.values() if model_format in one.formats]
    found = next((one for one in loading if protocol is None or protocol in one.protocols), None)
    if found is None:
        spoken = sorted({spoken for one in loading for spoken in one.protocols})
        raise InvalidInput(
            f"no model server here serves {model_format} over {protocol or 'any protocol'}",
            hint=f"{model_format} is served over {', '.join(spoken)}"
            if spoken
            else "name a runtime of your own: --runtime",
        )
    return found


def container(
    of: ModelServer,
    model_format: str,
    *,
    name: str,
    served_name: str,
    protocol: Protocol,
    knative: bool = False,
    image: str | None = None,
) -> dict[str, Any]:
    """The container of a runtime for one service called *name*.

    The served name is KServe's own variable where both are the same: the runtime then serves other services, too.
    """
    called = "{{.Name}}" if served_name == name else pod.literal(served_name, template=True)
    made: dict[str, Any] = {"name": CONTAINER, "image": image or of.image}
    if of.args:
        made["args"] = [of.filled(word, model_format, called) for word in of.args]
    if of.env:
        made["env"] = [{"name": key, "value": of.filled(value, model_format, called)} for key, value in of.env.items()]
    made["ports"] = [{"containerPort": PORT, "protocol": "TCP"}]
    asked = called if served_name == name else quote(served_name, safe="")
    made.update(_probes(_READY[protocol].format(name=asked), knative=knative))
    made["securityContext"] = security(root=of.root)
    if of.shared_memory:
        made["volumeMounts"] = [{"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108 - a mount of the container
    return made


def volumes(of: ModelServer) -> list[dict[str, Any]]:
    """Volumes beside the weights."""
    return [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}] if of.shared_memory else []


def security(*, root: bool) -> dict[str, Any]:
    """As the restricted PodSecurity level has it, where the image does not run as root."""
    made: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return made if root else {**made, "runAsNonRoot": True}


def _probes(path: str, *, knative: bool) -> dict[str, Any]:
    asked = {"httpGet": {"path": path, "port": PORT}, "timeoutSeconds": 5}
    readiness = {"readinessProbe": {**asked, "periodSeconds": 10, "failureThreshold": 3}}
    if knative:  # which has no startup probe
        return readiness
    return {"startupProbe": {**asked, "periodSeconds": 2, "failureThreshold": _FIRST_MINUTES * 30}, **readiness}
