"""Options of `lading serve` that say where a server runs: all of a study's `backend:`, as flags."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import ValidationError

from lading.cli import serving_values as values
from lading.errors import InvalidInput
from lading.spec import placement
from lading.spec.study import BackendChoice, foreign_options

GROUP = "Where it runs"
#: Field of `BackendChoice` → its flag, where that is not the field's name with dashes.
_FLAGS = {"tolerations": "--toleration"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """Where a server runs, and how. Each option is of some backends; another refuses it by name."""

    backend: Annotated[str | None, Parameter(group=GROUP)] = None
    """process (here), docker (a container here), deployment or kserve (a pod on the claim); chosen by REF when not given."""
    port: Annotated[int | None, Parameter(group=GROUP)] = None
    """process, docker: the port to listen on; a free one by default."""
    env: Annotated[tuple[str, ...], Parameter(group=GROUP)] = ()
    """A variable for the server, NAME=value, or NAME to pass one on; may be repeated."""
    python: Annotated[str | None, Parameter(group=GROUP)] = None
    """process: the interpreter of the environment that has the engine; this one by default, then the PATH."""
    image: Annotated[str | None, Parameter(group=GROUP)] = None
    """docker, deployment, kserve: the image that has the engine; the engine's own by default."""
    gpus: Annotated[str | None, Parameter(group=GROUP)] = None
    """How many GPUs; by default as many as the parameters spread the model over."""
    network: Annotated[Literal["bridge", "host"] | None, Parameter(group=GROUP)] = None
    """docker: how the container is reached."""
    namespace: Annotated[str | None, Parameter(name=["--namespace", "-n"], group=GROUP)] = None
    """deployment, kserve: where its objects go; the claim's namespace by default."""
    context: Annotated[str | None, Parameter(group=GROUP)] = None
    """deployment, kserve: the context of the kubeconfig; the current one by default."""
    resources: Annotated[tuple[str, ...], Parameter(group=GROUP)] = ()
    """docker, deployment, kserve: what it is limited to, and a pod requests, such as cpu=4; may be repeated."""
    node_selector: Annotated[tuple[str, ...], Parameter(group=GROUP)] = ()
    """deployment, kserve: label that its node must have, KEY=VALUE; may be repeated."""
    toleration: Annotated[tuple[str, ...], Parameter(group=GROUP)] = ()
    """deployment, kserve: taint that its pod tolerates, KEY[=VALUE][:EFFECT]; may be repeated."""
    service_account: Annotated[str | None, Parameter(group=GROUP)] = None
    """deployment, kserve: whose rights its pod has; the namespace's default by default."""
    runtime: Annotated[str | None, Parameter(group=GROUP)] = None
    """kserve: a ServingRuntime or ClusterServingRuntime that is there; one is made by default."""
    mode: Annotated[Literal["Standard", "Knative"] | None, Parameter(group=GROUP)] = None
    """kserve: the deployment mode; Standard by default."""

    def choice(self, kind: str, *, offered: Sequence[str]) -> BackendChoice:
        """As a study's `backend:` has it, for the backend *kind*.

        Raises:
            InvalidInput: An option is written wrongly, or *kind* does not know it; *offered* backends are named that do.
        """
        given = {key: value for key, value in self._fields().items() if value not in (None, (), {})}
        try:
            made = BackendChoice(kind=kind, **given)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise InvalidInput(f"{_flag(str(problem['loc'][0]))}: {problem['msg']}") from error
        for name, knowing in foreign_options(made).items():
            known = [f"--backend {one}" for one in knowing if one in offered]
            raise InvalidInput(
                f"{_flag(name)} is nothing that backend {kind} knows",
                hint=f"leave it out, or choose {' or '.join(known)}" if known else "leave it out",
            )
        return made

    def place(self) -> placement.Choice:
        """Which cluster, and how a pod of ours looks into a claim: wherever that is, but on the nodes the server may be on."""
        return placement.Choice(namespace=self.namespace, context=self.context, tolerations=self.toleration)

    def _fields(self) -> dict[str, Any]:
        return {
            "port": self.port,
            "env": values.environment(self.env),
            "python": self.python,
            "image": self.image,
            "gpus": values.gpus(self.gpus),
            "network": self.network,
            "namespace": self.namespace,
            "context": self.context,
            "resources": values.resources(self.resources),
            "node_selector": placement.node_selector(self.node_selector),
            "tolerations": values.tolerations(self.toleration),
            "service_account": self.service_account,
            "runtime": self.runtime,
            "mode": self.mode,
        }


def _flag(name: str) -> str:
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")
