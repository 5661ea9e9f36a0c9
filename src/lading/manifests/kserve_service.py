"""KServe's objects for one service on a claim: an InferenceService, with a ServingRuntime of its own or of the cluster's.

Facts of the real controller that shaped this: arguments of runtime and service are concatenated; `storageUris` drops a
sub-path and serves the claim's root; a file is mounted as a file and the server dies; a folder that is not there is made
by the kubelet, empty; with a claim that one node (or one pod) may mount, a rolling update waits for ever and says it is
ready; the default deployment mode is each distribution's own, and so it is always written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lading.engines import gpus
from lading.errors import InvalidInput
from lading.manifests import names, ours
from lading.manifests.kserve_servers import CONTAINER

Mode = Literal["Standard", "Knative"]
GROUP = "serving.kserve.io"
MODE = f"{GROUP}/deploymentMode"
#: OpenShift AI's dashboard shows what has this label, under the name of the annotation.
DASHBOARD = "opendatahub.io/dashboard"
DISPLAY_NAME = "openshift.io/display-name"
ACCELERATORS = "opendatahub.io/recommended-accelerators"
#: Access modes with which two pods may hold a claim on two nodes.
SHARED = frozenset({"ReadWriteMany", "ReadOnlyMany"})
#: How long Knative waits for a revision; its own ten minutes are short for large weights.
_PROGRESS = ("serving.knative.dev/progress-deadline", "1800s")
_FILES = re.compile(
    r"\.(gguf|safetensors|bin|pkl|pickle|joblib|bst|ubj|json|onnx|pt|pth|zip|tar|tgz|gz)$", re.IGNORECASE
)
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
#: KServe's defaulter writes this protocol for these formats: a runtime that does not list it is refused then.
_V2_BY_DEFAULT = frozenset({"vLLM", "triton"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A ServingRuntime of the service's own.

    Attributes:
        protocols: As KServe names them; empty: none is listed (a server that speaks OpenAI's alone).
        container: The server, with everything but the weights; its name is KServe's.
        version: Of the format, as runtimes list it; None: any.
    """

    container: Mapping[str, Any]
    volumes: Sequence[Mapping[str, Any]] = ()
    protocols: tuple[str, ...] = ()
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service.

    Attributes:
        name: A DNS label that begins with a letter (`names.dns`).
        namespace: The claim's; None: left out, so that `kubectl -n` decides.
        path: The folder below the claim's root; empty: the root.
        model_format: As runtimes list it: ``sklearn``, ``vLLM``, ``gguf``.
        runtime: Its own, or the name of one that exists.
        protocol: As KServe names it; None: not written, and so not checked against the runtime.
        access_modes: Of the claim; empty: not known, which is taken as one node's.
        gpus: How many it takes: they are free only once the old pod is gone.
        args: For a runtime that exists: they come after its own.
        env: For a runtime that exists: the service's wins.
        display_name: What dashboards show; None: the name.
        labels, annotations: Beside ours; of every object.
        notes: Annotations of the InferenceService alone.
    """

    name: str
    claim: str
    path: str
    model_format: str
    runtime: Runtime | str
    namespace: str | None = None
    protocol: str | None = None
    mode: Mode = "Standard"
    access_modes: tuple[str, ...] = ()
    replicas: int = 1
    gpus: int = 0
    resources: Mapping[str, Any] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    env: tuple[Mapping[str, Any], ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    service_account: str | None = None
    display_name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def objects(service: Service) -> tuple[dict[str, Any], ...]:
    """What is applied, in that order.

    Raises:
        InvalidInput: KServe would refuse it, or take it and do something else.
    """
    check(service)
    made = [inference_service(service)]
    if isinstance(service.runtime, Runtime):
        made.insert(0, serving_runtime(service, service.runtime))
    return tuple(made)


def check(service: Service) -> None:
    """Refuse what KServe takes without a word and breaks later.

    Raises:
        InvalidInput: As named.
    """
    if not _NAME.fullmatch(service.name) or len(service.name) > names.LONGEST:
        raise InvalidInput(
            f"KServe takes no service called {service.name!r}: lower case letters, digits and -, a letter first, {names.LONGEST} at most",
            hint=f"--name {names.dns(service.name)}",
        )
    if service.mode == "Knative" and "ReadWriteOncePod" in service.access_modes:
        raise InvalidInput(
            f"claim {service.claim} is ReadWriteOncePod: under Knative a new revision would wait for the old one's pod for ever",
            hint="use mode Standard, which lets the old pod go first",
        )
    if service.replicas > 1 and service.access_modes and not SHARED.intersection(service.access_modes):
        raise InvalidInput(
            f"{service.replicas} replicas of {service.name} cannot be sure of claim {service.claim}, which one node may mount ({', '.join(service.access_modes)})",
            hint="one replica, or a claim that is ReadWriteMany or ReadOnlyMany",
        )


def storage_uri(claim: str, path: str) -> str:
    """``pvc://claim/folder``: the one form that KServe mounts as it is written.

    Raises:
        InvalidInput: Not a claim's name, not a folder below its root, or a pattern.
    """
    if not _CLAIM.fullmatch(claim):
        raise InvalidInput(
            f"{claim!r} is no name of a claim", hint="pvc://CLAIM/MODEL/VERSION, in the service's own namespace"
        )
    folder = path.strip("/")
    parts = folder.split("/") if folder else []
    if any(part in {"", ".", ".."} or not part.isprintable() for part in parts):
        raise InvalidInput(f"{path!r} is no folder below the root of claim {claim}")
    if parts and ("*" in folder or _FILES.search(parts[-1])):
        raise InvalidInput(
            f"{path} of claim {claim} reads like a file or a pattern, and KServe mounts a folder",
            hint=f"name the folder: pvc://{claim}/{'/'.join(parts[:-1])}",
        )
    return f"pvc://{claim}/{folder}" if folder else f"pvc://{claim}"


def recreate(service: Service) -> bool:
    """Whether the old pod must be gone before the new one can start: the claim's access mode, or GPUs that it holds."""
    return service.gpus > 0 or not SHARED.intersection(service.access_modes)


def runtime_name(service: str) -> str:
    """The ServingRuntime of the service of that name."""
    return names.dns(f"{service}-runtime", longest=63)


def serving_runtime(service: Service, runtime: Runtime) -> dict[str, Any]:
    """The ServingRuntime: for this service alone, so it is never chosen by itself."""
    listed: dict[str, Any] = {"name": service.model_format, "autoSelect": False}
    if runtime.version:
        listed["version"] = runtime.version
    spec: dict[str, Any] = {"supportedModelFormats": [listed], "multiModel": False}
    if runtime.protocols:
        spec["protocolVersions"] = list(runtime.protocols)
    spec["containers"] = [{**runtime.container, "name": CONTAINER}]
    if runtime.volumes:
        spec["volumes"] = list(runtime.volumes)
    notes = {ACCELERATORS: '["nvidia.com/gpu"]'} if service.gpus else {}
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": metadata(service, runtime_name(service.name), notes),
        "spec": spec,
    }


def inference_service(service: Service) -> dict[str, Any]:
    """The InferenceService."""
    notes = {MODE: service.mode, **service.notes}
    if service.mode == "Knative":
        notes[_PROGRESS[0]] = _PROGRESS[1]
    return {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata(service, service.name, notes),
        "spec": {"predictor": {**_predictor(service), "model": _model(service)}},
    }


def _predictor(service: Service) -> dict[str, Any]:
    made: dict[str, Any] = {"minReplicas": service.replicas, "maxReplicas": service.replicas}
    if service.mode == "Standard":
        if recreate(service):
            made["deploymentStrategy"] = {"type": "Recreate"}
        if service.service_account is None:
            made["automountServiceAccountToken"] = False  # a model server has nothing to ask of the API
    if service.service_account:
        made["serviceAccountName"] = service.service_account
    if service.node_selector:
        made["nodeSelector"] = dict(service.node_selector)
    if service.tolerations:
        made["tolerations"] = [dict(one) for one in service.tolerations]
    return made


def _model(service: Service) -> dict[str, Any]:
    own = isinstance(service.runtime, Runtime)
    model: dict[str, Any] = {"modelFormat": {"name": service.model_format}}
    if isinstance(service.runtime, Runtime) and service.runtime.version:
        model["modelFormat"]["version"] = service.runtime.version
    model["runtime"] = runtime_name(service.name) if own else service.runtime
    protocol = service.protocol or ("v2" if service.model_format in _V2_BY_DEFAULT else None)
    if protocol:
        model["protocolVersion"] = protocol
    model["storageUri"] = storage_uri(service.claim, service.path)
    if not own and service.args:
        model["args"] = list(service.args)
    if not own and service.env:
        model["env"] = [dict(one) for one in service.env]
    wanted = resources(service)
    if wanted:
        model["resources"] = wanted
    return model


def resources(service: Service) -> dict[str, Any]:
    """Requests and limits, the GPUs among the limits."""
    made = dict(service.resources)
    limits = made.get("limits", {})
    if devices := gpus.limits(service.gpus, limits):
        made["limits"] = {**limits, **devices}
    return made


def metadata(service: Service, name: str, notes: Mapping[str, str]) -> dict[str, Any]:
    """The head of one object called *name*, with *notes* among its annotations."""
    made: dict[str, Any] = {"name": name}
    if service.namespace:
        made["namespace"] = service.namespace
    made["labels"] = {
        "app.kubernetes.io/name": service.name, ours.MANAGED_BY: ours.MANAGER, DASHBOARD: "true", **service.labels,
    }  # fmt: skip
    made["annotations"] = {DISPLAY_NAME: service.display_name or service.name, **notes, **service.annotations}
    return made
