"""A study as a person writes it: what to serve, what to vary, what load, what is best."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from lading.spec.base import Spec
from lading.spec.units import Seconds
from lading.spec.workload import Metric, Workload

Scalar = bool | int | float | str
StudyName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class Model(Spec):
    """What is served."""

    ref: str
    """A folder, a GGUF file, a model on a volume (`./volume/tiny@v1`), `pvc://claim/model@version`."""
    served_name: str | None = None
    """The name clients ask for; None: the model's name."""


class EngineChoice(Spec):
    """The server program, its version, and parameters that every trial has."""

    name: str
    version: str | None = None
    """The catalogue's version to check against; None: the newest known."""
    parameters: dict[str, Any] = {}
    """Fixed in every trial, the default trial included."""


class BackendChoice(Spec):
    """Where servers run; keys beyond `kind` belong to that backend."""

    kind: str = "process"
    python: str | None = None
    """process: the interpreter of the environment that has the engine; None: this one, then the path."""
    env: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str | None] = {}
    """Environment variables of the server; one without a value (`HF_TOKEN:`) is passed on from the environment of Lading."""
    url: str | None = None
    """endpoint: where it already runs."""
    api_key_env: str | None = None
    """endpoint: the name of the environment variable that has its key; None: LADING_API_KEY."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """process, docker: the port to listen on; None: a free one."""
    image: str | None = None
    """docker, deployment, kserve: the image that has the engine; None: the engine's own, of the catalogue's version."""
    gpus: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """process, docker, deployment, kserve: how many GPUs; auto: as many as the parameters spread the model over."""
    network: Literal["bridge", "host"] = "bridge"
    """docker: how the container is reached."""
    namespace: str | None = None
    """deployment, kserve: where its objects go; None: the claim's namespace."""
    context: str | None = None
    """deployment, kserve: the context of the kubeconfig; None: the current one."""
    runtime: str | None = None
    """kserve: an existing ServingRuntime or ClusterServingRuntime; None: one is made."""
    mode: Literal["Standard", "Knative"] = "Standard"
    """kserve: the deployment mode."""
    resources: dict[str, str] = {}
    """docker, deployment, kserve: what a container is limited to beyond GPUs, and a pod requests, such as `{cpu: "4", memory: 16Gi}`."""
    node_selector: dict[str, str] = {}
    """deployment, kserve: labels that its node must have."""
    tolerations: tuple[dict[str, str | int], ...] = ()
    """deployment, kserve: as a pod has them."""
    service_account: str | None = None
    """deployment, kserve: whose rights its pods have; None: the namespace's default."""


_CONTAINER = ("docker", "deployment", "kserve")
_CLUSTER = ("deployment", "kserve")
#: Option of `BackendChoice` → the kinds that know it. A kind that is not here is a third party's, and knows all.
OPTIONS: dict[str, tuple[str, ...]] = {
    "python": ("process",), "env": ("process", *_CONTAINER), "url": ("endpoint",), "api_key_env": ("endpoint",),
    "port": ("process", "docker"), "image": _CONTAINER, "gpus": ("process", *_CONTAINER), "network": ("docker",),
    "namespace": _CLUSTER, "context": _CLUSTER, "runtime": ("kserve",), "mode": ("kserve",), "resources": _CONTAINER,
    "node_selector": _CLUSTER, "tolerations": _CLUSTER, "service_account": _CLUSTER,
}  # fmt: skip
_KNOWN = frozenset(kind for kinds in OPTIONS.values() for kind in kinds)


def foreign_options(choice: BackendChoice) -> dict[str, tuple[str, ...]]:
    """What was asked for that its backend does not know, with the backends that do."""
    if choice.kind not in _KNOWN:
        return {}
    plain = BackendChoice()
    asked = (name for name in OPTIONS if getattr(choice, name) != getattr(plain, name))
    return {name: OPTIONS[name] for name in asked if choice.kind not in OPTIONS[name]}


class Choice(Spec):
    """One of the listed values."""

    choice: Annotated[tuple[Scalar | None, ...], Field(min_length=1)]
    when: dict[str, tuple[Scalar, ...] | Scalar] = {}
    """Only when these other parameters have one of these values."""


class IntRange(Spec):
    """A whole number between both bounds, inclusive."""

    bounds: Annotated[tuple[int, int], Field(alias="int")]
    log: bool = False
    step: Annotated[int, Field(ge=1)] = 1
    when: dict[str, tuple[Scalar, ...] | Scalar] = {}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_range(self.bounds, log=self.log)
        if self.log and self.step != 1:
            raise ValueError("a log range has no step")
        return self


class FloatRange(Spec):
    """A number between both bounds, inclusive."""

    bounds: Annotated[tuple[float, float], Field(alias="float")]
    log: bool = False
    when: dict[str, tuple[Scalar, ...] | Scalar] = {}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_range(self.bounds, log=self.log)
        return self


def _check_range(bounds: tuple[float, float], *, log: bool) -> None:
    low, high = bounds
    if low > high:
        raise ValueError(f"the range [{low}, {high}] is empty: the lower bound comes first")
    if log and low <= 0:
        raise ValueError(f"a log range starts above 0, not at {low}")


def _kind_of_dimension(value: object) -> str:
    if isinstance(value, IntRange | FloatRange):  # a model to be rendered, not a mapping that was read
        return "int" if isinstance(value, IntRange) else "float"
    keys = value.keys() if isinstance(value, dict) else ()
    return next((kind for kind in ("choice", "int", "float") if kind in keys), "choice")


Dimension = Annotated[
    Annotated[Choice, Tag("choice")] | Annotated[IntRange, Tag("int")] | Annotated[FloatRange, Tag("float")],
    Discriminator(_kind_of_dimension),
]

#: What a level's summary offers to an objective, beside percentiles of `Metric`.
Throughput = Literal["output_tokens_per_s", "total_tokens_per_s", "requests_per_s", "goodput_rps"]


class Objective(Spec):
    """What is made best: exactly one of maximize and minimize."""

    maximize: Throughput | None = None
    minimize: Metric | None = None
    percentile: Annotated[float, Field(gt=0, lt=100)] = 50
    """Of a minimized metric."""
    at: Literal["best"] | Annotated[float, Field(gt=0)] = "best"
    """`best`: the best level at which every constraint holds; a number: the level of that concurrency or rate."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.maximize is None) == (self.minimize is None):
            raise ValueError("give either maximize: or minimize:")
        return self

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.maximize or self.minimize or ""


class Constraint(Spec):
    """What must hold at a level for it to count."""

    metric: Metric | Literal["error_share"]
    percentile: Annotated[float, Field(gt=0, lt=100)] = 95
    """Of the metric, over all issued requests; error_share has none."""
    at_most: Annotated[float, Field(ge=0)]


class Search(Spec):
    """How the space is searched, and for how long."""

    method: Literal["auto", "grid", "random", "tpe"] = "auto"
    """auto: grid when it fits the trials, else tpe."""
    seed: int = 0
    trials: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Trials in all, the defaults (trial 0) included, the confirmations not."""
    time: Seconds | None = None
    """Wall time for the search; confirmations come after it."""
    confirm: Annotated[int, Field(ge=0, le=20)] = 3
    """Server lives per candidate in the final comparison with the defaults; 0: no comparison, no interval."""
    finalists: Annotated[int, Field(ge=1, le=10)] = 1
    """How many of the best are compared with the defaults again."""


class Deadlines(Spec):
    """The longest each phase of a trial may take."""

    start: Seconds = 600.0
    measure: Seconds = 1800.0
    teardown: Seconds = 60.0


class Study(Spec):
    """A study: one document."""

    apiVersion: Literal["lading.dev/v1"] = "lading.dev/v1"  # noqa: N815 - Kubernetes' own spelling
    kind: Literal["Study"] = "Study"
    name: StudyName
    model: Model
    engine: EngineChoice
    backend: BackendChoice = BackendChoice()
    workload: Workload = Workload()
    space: Annotated[dict[str, Dimension], Field(min_length=1)]
    objective: Objective
    constraints: tuple[Constraint, ...] = ()
    search: Search = Search()
    deadlines: Deadlines = Deadlines()
