"""Answers of `lading serve`, `serve --dry-run`, `ask` and `bench --dry-run`; `stop` has its events."""

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


class Reply(Stored):
    """What a server answered to `lading ask`."""

    model: str
    """The name that was asked for."""
    answer: str


class BenchPlan(Answer):
    """What `lading bench --dry-run` would measure."""

    server: str
    model: str | None = None
    """The name to ask for; null: the one that is served."""
    workload: Workload
