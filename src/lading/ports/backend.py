"""What runs a server of weights."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from lading.engines.base import Engine, Value
from lading.events import Emit
from lading.tuning.trial import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class OnClaim:
    """A model on a PersistentVolumeClaim.

    Attributes:
        path: Its folder, from the claim's root; empty for the root itself.
        file: What of the folder is served (a GGUF file); None: the folder.
    """

    namespace: str
    claim: str
    path: str
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """What to serve.

    Attributes:
        name: Unique among what runs here; labels everything that is created.
        model: Path of the model on this machine: for a server in a container, what is mounted. Where it lies on a claim, its path there.
        claim: The claim it lies on; None: it lies on this machine.
        format: As the manifest says, or the format check found it.
        params: Canonical (`Engine.parse`), only what was asked for.
        port: None: a free one, chosen at start.
        lease: The run that owns it; None: it belongs to the user and stays until stopped.
    """

    name: str
    model: str
    served_name: str
    engine: Engine
    params: Params
    env: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int | None = None
    lease: str | None = None
    claim: OnClaim | None = None
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What a backend will create, decided and validated; printed by ``--dry-run``.

    Attributes:
        argv: The whole command line; where the port is chosen at start it reads ``{port}``.
        argv_sha256: Of *argv*, as 64 hex digits.
        image: Of the container; None: there is none.
        objects: What is applied to a cluster, in that order; empty elsewhere.
    """

    name: str
    backend: str
    engine: Engine
    program: str
    argv: tuple[str, ...]
    argv_sha256: str
    env: Mapping[str, str]
    model: str
    served_name: str
    params: Params
    host: str
    port: int | None
    lease: str | None = None
    image: str | None = None
    objects: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server that can be asked.

    Attributes:
        base_url: Without ``/v1`` and without a trailing slash.
        served_name: The model name requests carry.
        takes_token_ids: Whether ``/v1/completions`` takes a list of ids; None: find out.
        request_body: Keys every measured request needs (`Engine.request_body`).
        reach: From where it can be asked.
        headers: Sent with every request (authorization); secret, never stored or shown.
    """

    base_url: str
    served_name: str
    takes_token_ids: bool | None = None
    vocabulary: int | None = None
    request_body: Mapping[str, object] = field(default_factory=dict)
    reach: Literal["host", "cluster"] = "host"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A server answered one real request under its served name.

    Attributes:
        argv: What really runs, from the operating system or the object; None where it cannot be known.
        effective: What the server says it runs with (`Engine.effective`).
    """

    endpoint: Endpoint
    ready_s: float
    argv: tuple[str, ...] | None
    effective: Mapping[str, Value]


@runtime_checkable
class Backend(Protocol):
    """A place where servers run."""

    @property
    def kind(self) -> str:
        """Its name, as `BackendChoice.kind` has it: ``process``, ``docker``, ``kserve``."""

    def plan(self, request: ServeRequest) -> Deployment:
        """What `apply` will create. Pure: the same request gives the same deployment.

        Raises:
            InvalidParameters, MissingProgram: As named.
        """

    async def apply(self, deployment: Deployment) -> None:
        """Start it. Applying the same deployment twice equals once.

        Raises:
            PortInUse, ServerDied, ServingError: As named.
        """

    async def ready(self, name: str, *, within_s: float) -> Ready:
        """Wait until one real request was answered under the served name.

        Past its deadline, or when the server died, it raises and leaves the object for `remove`.

        Raises:
            ServerDied, NotReady, ServerSilent, WrongModelServed: With the log.
        """

    async def alive(self, name: str) -> bool:
        """Whether it still runs."""

    def log(self, name: str, *, lines: int = 200) -> tuple[str, ...]:
        """The last lines of the server's own log, oldest first; empty where there is none."""

    async def remove(self, name: str, *, within_s: float = 60.0) -> None:
        """Stop it with all its children and verify that they are gone; an unknown name is silent.

        Raises:
            TeardownFailed: Something is still there after *within_s*.
        """

    async def names(self) -> tuple[str, ...]:
        """What of ours runs here, or is recorded and not yet removed."""

    async def reap(self) -> tuple[str, ...]:
        """Remove what belongs to leases that nobody holds any more (killed runs); what was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server of ours, as its place tells any later process of it (`lading serve --list`).

    Attributes:
        backend: Its kind.
        engine: Its name; empty where nothing says it.
        model: What it was planned to serve: a path, or ``pvc://namespace:claim/model/version`` with the file, if one.
        state: One word or a short sentence: ``runs``, ``starting``, ``dead``, ``CrashLoopBackOff``.
        url: Where clients ask it, without ``/v1``; None: nowhere yet.
        reach: From where that is.
        place: Where it is beyond the backend (``namespace/name``); empty for this machine.
        of_a_run: A live run holds its lease.
    """

    name: str
    backend: str
    engine: str
    served_name: str
    model: str
    state: str
    url: str | None = None
    reach: Literal["host", "cluster"] = "host"
    image: str | None = None
    place: str = ""
    of_a_run: bool = False


@runtime_checkable
class Tells(Protocol):
    """What a `Backend` that starts servers can do beside: tell later processes of them, and let them be asked."""

    async def servers(self) -> tuple[Running, ...]:
        """What of ours is here, dead or alive, whoever started it.

        Raises:
            LadingError: The place cannot be asked.
        """

    def reached(self, name: str) -> AbstractAsyncContextManager[Endpoint]:
        """Where the server called *name* can be asked from this machine, for the length of the block.

        On a cluster a port-forward: for a question, never for a measurement.

        Raises:
            ServingError: It is not there, or cannot be asked.
        """


@runtime_checkable
class Narrates(Protocol):
    """What a `Backend` that takes its time can do beside: tell what it does meanwhile."""

    def narrate(self, emit: Emit) -> None:
        """Tell *emit* what happens from now on while it applies and waits: an image is pulled, a pod is not scheduled."""


@runtime_checkable
class TellsHelp(Protocol):
    """What a `Backend` can do beside: let a program tell its flags before it is started as a server."""

    async def version(self, deployment: Deployment) -> str | None:
        """The version of the program that *deployment* would run; None where it cannot be told without running it."""

    async def help_text(self, deployment: Deployment, asks: Sequence[str], *, within_s: float) -> str:
        """What the program of *deployment* says of its flags; run once, then remembered.

        Args:
            deployment: Whose program.
            asks: Words that make it tell, the best first; the next is tried where the program refuses one.
            within_s: For all of it. The program is ended with all its children, and what it said is cut.

        Returns:
            What it wrote, foreign bytes as text; empty where it tells nothing, or not within its time.
        """
