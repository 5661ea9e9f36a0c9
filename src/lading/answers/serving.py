"""Answers of `lading serve`, `serve --dry-run`, `serve --list`, `ask` and `bench --dry-run`; `stop` has its events."""

from typing import Any, Literal

from lading.engines.base import Value
from lading.spec.base import Answer, Stored
from lading.spec.workload import Workload


class ServePlan(Stored):
    """What `lading serve --dry-run` would start."""

    name: str
    """What `lading stop` and `ask` will call it."""
    engine: str
    program: str
    argv: tuple[str, ...]
    """The whole command line; where the port is chosen at start it reads ``{port}``."""
    argv_sha256: str
    """Of *argv*, as 64 hex digits."""
    env: dict[str, str]
    """Variables set for it; values of secrets are not shown."""
    model: str
    """Path of the weights."""
    served_name: str
    """The name clients ask for."""
    params: dict[str, Value]
    """The parameters asked for, as the engine's catalogue names them."""
    backend: str = "process"
    """Where it would run."""
    image: str | None = None
    """Of the container; null: there is none."""
    objects: tuple[dict[str, Any], ...] = ()
    """What would be applied to a cluster, in that order."""
    why: tuple[str, ...] = ()
    """What was chosen for the user, each with its reason, in words."""
    unmanaged: bool = False
    """Whether the model is not on a manifest: nobody vouches for its bytes."""


class Served(Stored):
    """A server that `lading serve` started and that answered a real request."""

    name: str
    """What `lading stop` and `ask` call it."""
    url: str
    served_name: str
    """The name clients ask for."""
    ready_s: float
    """Seconds from its start to its first answer."""
    effective: dict[str, Value]
    """The parameters it says it runs with."""
    differences: tuple[str, ...]
    """Where what runs is not what was asked for, in words."""
    argv: tuple[str, ...]
    backend: str = "process"
    """Where it runs."""
    reach: Literal["host", "cluster"] = "host"
    """From where its URL is reached."""
    unmanaged: bool = False
    """Whether the model is not on a manifest: nobody vouches for its bytes."""


class ServerListed(Answer):
    """A server of ours, in `lading serve --list`."""

    name: str
    """What `lading stop` and `ask` call it."""
    backend: str
    place: str = ""
    """Where it is beyond the backend, such as its namespace; empty for this machine."""
    engine: str
    """Empty where nothing says it."""
    served_name: str
    """The name clients ask for."""
    model: str
    """What it was given: a path of this machine, or on its claim."""
    version: str | None = None
    """Of a model on a manifest, ``model@version``; null: it is not on one, or that cannot be seen from here."""
    state: str
    """``runs``, ``starting``, or what keeps it from running."""
    url: str | None = None
    """Where clients ask it."""
    reach: Literal["host", "cluster"] = "host"
    """From where that is."""
    image: str | None = None
    of_a_run: bool = False
    """Whether a live run (a study) holds it."""


class Reply(Stored):
    """What a server answered to `lading ask`."""

    model: str
    """The name that was asked for."""
    answer: str
    """Its text; of a prediction or embeddings the numbers, as JSON."""
    protocol: Literal["chat", "completions", "embeddings", "v1", "v2"] = "chat"
    sent: dict[str, Any] | None = None
    """The whole request."""
    sample: str | None = None
    """What the input was made up from, in words; null: it was given."""
    document: dict[str, Any] | None = None
    """The server's whole answer; null where it came in pieces. Numbers that JSON has not are "NaN", "Infinity", "-Infinity"."""


class BenchPlan(Answer):
    """What `lading bench --dry-run` would measure."""

    server: str
    model: str | None = None
    """The name to ask for; null: the one that is served."""
    workload: Workload
