"""All files that run one winner, by name."""

from collections.abc import Callable

from lading.manifests.compose import docker_compose
from lading.manifests.deployment import deployment
from lading.manifests.kserve import inference_service
from lading.manifests.shell import run_sh
from lading.manifests.target import Target

#: File name → what writes it and what it is, in the order they are offered.
ARTEFACTS: dict[str, tuple[Callable[[Target], str], str]] = {
    "run.sh": (run_sh, "the command line, for this machine"),
    "docker-compose.yaml": (docker_compose, "a container on one machine"),
    "kserve-inferenceservice.yaml": (inference_service, "a KServe InferenceService with its ServingRuntime"),
    "deployment.yaml": (deployment, "a plain Kubernetes Deployment with its Service"),
}


def render_all(target: Target) -> dict[str, str]:
    """Every artefact's text by its file name.

    Raises:
        InvalidParameters: The engine refuses its parameters.
    """
    return {name: render(target) for name, (render, _) in ARTEFACTS.items()}
