"""KServe: an engine, decided to the last parameter, as objects: its runtime holds the whole command line, its service the claim.

Facts of the real controller that shaped this: arguments of runtime and service are concatenated (so all are in the
runtime); without a probe of our own "Ready" means a listening port. See `lading.manifests.kserve_service` for the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lading.manifests import kserve_llm, kserve_service, names, pod, serving
from lading.manifests import target as targets
from lading.manifests.kserve_servers import CONTAINER, Protocol, container, security, server, server_for, volumes
from lading.manifests.kserve_service import Mode, Runtime, Service
from lading.manifests.serving import Server
from lading.manifests.target import Target
from lading.manifests.yaml import render

__all__ = [
    "CONTAINER", "added", "engine_service", "inference_service", "llm_objects", "of_server", "of_server_on", "server_service",
]  # fmt: skip

#: KServe's name of what an engine loads, and the protocols its runtime lists: the defaulter asks v2 of ``vLLM``.
_FORMATS: Mapping[str, tuple[str, tuple[str, ...]]] = {"vllm": ("vLLM", ("v2",)), "llama.cpp": ("gguf", ())}


def inference_service(target: Target) -> str:
    """The ServingRuntime and the InferenceService of *target* in one file.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    head = pod.head(
        target, "A KServe InferenceService (Standard mode) with its ServingRuntime.", "kserve-inferenceservice.yaml"
    )
    return render(
        kserve_service.objects(engine_service(target)),
        head=head,
        notes=[
            {("spec", "containers", 0, "startupProbe"): pod.PROBE_NOTE},
            {
                (
                    "spec",
                    "predictor",
                    "deploymentStrategy",
                ): "a claim for one node, or a GPU, is free only once the old pod is gone",
                ("spec", "predictor", "model", "storageUri"): "a folder of the claim, mounted read-only at /mnt/models",
            },
        ],
    )


def engine_service(target: Target, *, runtime: str | None = None, mode: Mode = "Standard", **more: Any) -> Service:
    """The service of an engine.

    Args:
        target: What runs.
        runtime: The ServingRuntime or ClusterServingRuntime of the cluster that runs it: the arguments of the parameters
            alone are added to its own.
        mode: The deployment mode.
        more: Further fields of `Service`.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    model_format, protocols = _format(target.engine.name)
    values: dict[str, Any] = {
        "name": target.name, "namespace": target.namespace, "claim": target.claim, "path": target.model.claim_path,
        "model_format": model_format, "mode": mode, "gpus": targets.gpus(target), "resources": pod.resources(target),
    }  # fmt: skip
    if runtime is not None:
        return Service(**{**values, "runtime": runtime, "args": _added(target), "env": _env(target), **more})
    made = pod.container(target, CONTAINER, template=True)
    if mode == "Knative":
        del made["startupProbe"]  # Knative has none
    made["securityContext"] = security(root=True)
    own = Runtime(container=made, volumes=pod.volumes(target), protocols=protocols)
    return Service(**{**values, "runtime": own, **more})


def server_service(
    *, name: str, served_name: str, model_format: str, protocol: Protocol | None = None, server_name: str | None = None,
    image: str | None = None, mode: Mode = "Standard", **more: Any,
) -> Service:  # fmt: skip
    """The service of a model server beside the engines (`kserve_servers.SERVERS`).

    Args:
        name: The service's name.
        served_name: What clients ask for.
        model_format: As `ModelServer.formats` has it.
        protocol: None: the server's usual one.
        server_name: None: the first that loads the format over the protocol.
        image: None: the server's own.
        mode: The deployment mode.
        more: Further fields of `Service`; `claim` and `path` are needed.

    Raises:
        InvalidInput: No server does that.
    """
    of = server(server_name) if server_name else server_for(model_format, protocol)
    spoken = protocol or of.protocols[0]
    if image is None and more.get("gpus"):
        image = f"{of.image}{of.on_gpus}"
    made = container(
        of, model_format, name=name, served_name=served_name, protocol=spoken, knative=mode == "Knative", image=image
    )
    listed = tuple(one for one in of.protocols if one != "openai")
    runtime = Runtime(container=made, volumes=volumes(of), protocols=listed, version=of.formats.get(model_format))
    asked = None if spoken == "openai" else spoken
    return Service(name=name, model_format=model_format, runtime=runtime, protocol=asked, mode=mode, **more)


def llm_objects(target: Target, **more: Any) -> tuple[dict[str, Any], ...]:
    """The LLMInferenceService of an engine, for a cluster that has the kind.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    target = replace(target, port=kserve_llm.PORT)
    service = engine_service(target, **more)
    assert isinstance(service.runtime, Runtime)
    made = dict(service.runtime.container)
    return (kserve_llm.llm_inference_service(service, made, served_name=target.served_name),)


def _added(target: Target) -> tuple[str, ...]:
    """The part of the command line that parameters alone make: the runtime knows its model, name and port."""
    plain = targets.container_command(replace(target, params={}, program=None)).argv
    words = added(plain, targets.container_command(target).argv)
    return tuple(pod.literal(word, template=True) for word in words)


def _flags(argv: Sequence[str]) -> list[tuple[str, ...]]:
    """Each flag with its values."""
    groups: list[tuple[str, ...]] = []
    for word in argv:
        if word.startswith("--") or not groups:
            groups.append((word,))
        else:
            groups[-1] = (*groups[-1], word)
    return groups


def _env(target: Target) -> tuple[Mapping[str, Any], ...]:
    """The user's variables; the engine's own are the runtime's."""
    return tuple({"name": key, "value": pod.literal(value, template=True)} for key, value in sorted(target.env.items()))


def of_server(server: Server, *, model_format: str, engine: str, mode: Mode = "Standard", **more: Any) -> Service:
    """The service that has *server*, decided to the last word, as its runtime.

    Args:
        server: What runs.
        model_format: As the manifest has it: KServe's name where the engine is of no format of its own.
        engine: Its name.
        mode: The deployment mode.
        more: Further fields of `Service`.
    """
    name, protocols = _format(engine, model_format)
    made = _container(server, knative=mode == "Knative")
    own = Runtime(container=made, protocols=protocols, volumes=serving.shared_memory_volumes(server.gpus))
    return Service(**{**_of(server), "model_format": name, "runtime": own, "mode": mode, **more})


def of_server_on(
    runtime: str, server: Server, *, model_format: str, engine: str, added: Sequence[str], **more: Any
) -> Service:
    """The service that runs on the cluster's *runtime*, with the words that parameters *added* behind its own."""
    name, _ = _format(engine, model_format)
    env = tuple(map(_variable, serving.variables(server)))
    args = tuple(pod.literal(word, template=True) for word in added)
    return Service(**{**_of(server), "model_format": name, "runtime": runtime, "env": env, "args": args, **more})


def _of(server: Server) -> dict[str, Any]:
    """What a service has of *server*, whatever runs it."""
    return {
        "name": server.name, "namespace": server.namespace, "claim": server.claim, "path": server.path,
        "gpus": server.gpus, "resources": serving.resources(server), "node_selector": server.node_selector,
        "tolerations": tuple(server.tolerations), "service_account": server.service_account, "labels": server.labels,
        "annotations": server.annotations,
    }  # fmt: skip


def _format(engine: str, model_format: str = "") -> tuple[str, tuple[str, ...]]:
    """KServe's name of what *engine* loads, and the protocols that its runtime lists."""
    return _FORMATS.get(engine, (names.dns(model_format or engine), ()))


def added(plain: Sequence[str], whole: Sequence[str]) -> tuple[str, ...]:
    """The flags of *whole*, each with its values, that *plain* has not so."""
    known = _flags(plain)
    return tuple(word for flag in _flags(whole) if flag not in known for word in flag)


def _container(server: Server, *, knative: bool) -> dict[str, Any]:
    """As a runtime has it: KServe mounts the weights, sets the resources, and expands ``{{…}}``."""
    made = serving.container(server)
    for key in ("command", "args"):
        if key in made:
            made[key] = [pod.unexpanded(word) for word in made[key]]
    if "env" in made:
        made["env"] = [_variable(one) for one in made["env"]]
    made["volumeMounts"] = serving.shared_memory_mounts(server.gpus)
    made["ports"] = [{"containerPort": server.port, "protocol": "TCP"}]
    made["securityContext"] = security(root=True)
    for key in (
        "name",
        "resources",
        *(("startupProbe",) if knative else ()),
        *(() if made["volumeMounts"] else ("volumeMounts",)),
    ):
        made.pop(key, None)
    return made


def _variable(one: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, "value": pod.unexpanded(one["value"])} if "value" in one else dict(one)
