"""KServe: a ServingRuntime that holds the whole command line, and the InferenceService that uses it on a claim.

Facts of the real controller that shaped this: arguments of runtime and service are concatenated (so all are in the
runtime); the claim's path must be a folder (a file is mounted as a file and the server dies); without a probe of our
own "Ready" means a listening port; with a claim that one node may mount, a rolling update waits for ever.
"""

from typing import Any

from lading.manifests import names, pod
from lading.manifests.target import Target
from lading.manifests.yaml import render

CONTAINER = "kserve-container"
"""KServe mounts the weights into the container of this name."""
_FORMATS = {"vllm": ("vLLM", "v2"), "llama.cpp": ("gguf", None)}


def inference_service(target: Target) -> str:
    """Both objects in one file.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    head = pod.head(
        target, "A KServe InferenceService (Standard mode) with its ServingRuntime.", "kserve-inferenceservice.yaml"
    )
    return render(
        [_runtime(target), _service(target)],
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


def _runtime(target: Target) -> dict[str, Any]:
    model_format, protocol = _format(target)
    spec: dict[str, Any] = {"supportedModelFormats": [{"name": model_format, "autoSelect": False}], "multiModel": False}
    if protocol:
        spec["protocolVersions"] = [protocol]
    spec["containers"] = [pod.container(target, CONTAINER, template=True)]
    volumes = pod.volumes(target)
    if volumes:
        spec["volumes"] = volumes
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": pod.metadata(target, _runtime_name(target)),
        "spec": spec,
    }


def _service(target: Target) -> dict[str, Any]:
    model_format, protocol = _format(target)
    model: dict[str, Any] = {"modelFormat": {"name": model_format}, "runtime": _runtime_name(target)}
    if protocol:
        model["protocolVersion"] = protocol
    model["storageUri"] = f"pvc://{target.claim}/{target.model.claim_path}"
    resources = pod.resources(target)
    if resources:
        model["resources"] = resources
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": pod.metadata(target, target.name, annotations={"serving.kserve.io/deploymentMode": "Standard"}),
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "maxReplicas": 1,
                "deploymentStrategy": {"type": "Recreate"},
                "model": model,
            }
        },
    }


def _runtime_name(target: Target) -> str:
    return names.dns(f"{target.name}-runtime", longest=63)


def _format(target: Target) -> tuple[str, str | None]:
    """The model format that ties both objects together; KServe's defaulter asks protocol v2 of ``vLLM``."""
    return _FORMATS.get(target.engine.name, (names.dns(target.engine.name), None))
