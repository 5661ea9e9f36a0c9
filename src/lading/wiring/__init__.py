"""Which adapter goes by which name. Adapters are imported when they are asked for, never at start.

Third parties add sources, engines and backends through the entry points ``lading.sources`` (by URL scheme),
``lading.engines`` and ``lading.backends``.
"""

import os
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.errors import InvalidInput, Missing, MissingExtra
from lading.spec.nearest import nearest
from lading.spec.pull import PLAIN, Choices, foreign
from lading.spec.ref import ClaimRef, LocalRef, Reference, SourceRef

if TYPE_CHECKING:
    from lading.backends.lease import Lease
    from lading.engines.base import Engine
    from lading.ports.backend import Backend
    from lading.ports.load import LoadGenerator
    from lading.ports.source import Source
    from lading.ports.study import Store
    from lading.spec.study import BackendChoice


def home() -> Path:
    """Where Lading keeps its state: ``$LADING_HOME``, else ``~/.local/share/lading``. Not created here."""
    given = os.environ.get("LADING_HOME")
    return Path(given).expanduser() if given else Path.home() / ".local" / "share" / "lading"


def names(group: str) -> tuple[str, ...]:
    """The names registered under the entry point ``lading.GROUP``, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=f"lading.{group}")}))


def engine(name: str) -> "Engine":
    """The engine called *name*.

    Raises:
        InvalidInput: There is none; the nearest is named.
    """
    found: Engine = _load("engines", name, "engine")
    return found


def source(ref: Reference, choices: Choices = PLAIN) -> "Source":
    """The source that reads *ref* by *choices*: each takes of them what it understands.

    Raises:
        InvalidInput: No source is registered for its scheme, or it cannot honour one of *choices*.
    """
    if isinstance(ref, ClaimRef):
        raise InvalidInput(f"{ref} is a claim, which cannot be read from here", hint="mount it and name the folder")
    require_understood(ref, choices)
    return _kind_of_source(ref)(choices=choices)


def require_understood(ref: Reference, choices: Choices) -> None:
    """Nothing, if the source of *ref* can honour *choices*; no source is loaded where all are plain.

    Raises:
        InvalidInput: As `source`.
    """
    if not foreign(choices, frozenset()):
        return
    of_claims: frozenset[str] = frozenset()
    understood = of_claims if isinstance(ref, ClaimRef) else getattr(_kind_of_source(ref), "understands", frozenset())
    unknown = foreign(choices, understood)
    if unknown:
        shown = ref.shown if isinstance(ref, SourceRef) else str(ref)
        raise InvalidInput(f"{shown} is no source that knows {' and '.join(unknown)}", hint="leave it out")


def _kind_of_source(ref: LocalRef | SourceRef) -> "Callable[..., Source]":
    scheme = "file" if isinstance(ref, LocalRef) else {"https": "http"}.get(ref.scheme, ref.scheme)
    kind: Callable[..., Source] = _load("sources", scheme, "source scheme")
    return kind


def backend(choice: "BackendChoice") -> "Backend":
    """The backend of *choice*.

    Raises:
        InvalidInput: There is none of that kind, or it does not know an option that was given.
    """
    kind: Callable[..., Backend] = _load("backends", choice.kind, "backend")
    from lading.spec.study import foreign_options

    for name, knowing in foreign_options(choice).items():
        known = [one for one in knowing if one in names("backends")]
        raise InvalidInput(
            f"backend {choice.kind} does not know {name}",
            hint=f"leave it out, or choose {' or '.join(known)}" if known else "leave it out",
        )
    return kind(choice, home=home())


def load_generator() -> "LoadGenerator":
    """The load generator for OpenAI-compatible endpoints; what is not us nor a server of ours is foreign load to it."""
    from lading.backends import docker_place, processes, record
    from lading.hardware.foreign import ForeignLoad
    from lading.load.openai import OpenAILoad

    def ours() -> tuple[int, ...]:
        leaders = (processes.leader(server) for server in record.every(home()))
        here = (leader.pid for leader in leaders if leader is not None)
        return (os.getpid(), *here, *docker_place.noted(home()))

    return OpenAILoad(foreign=ForeignLoad(ours))


def lease() -> "Lease":
    """A lease of this process: what it starts under it is removed by the next run should this one be killed."""
    from lading.backends.lease import Lease

    return Lease.acquire(home())


def store() -> "Store":
    """The store of studies in `home`, created and migrated when needed.

    Raises:
        MissingExtra: SQLAlchemy or Alembic is not installed.
    """
    if not all(map(find_spec, ("sqlalchemy", "alembic"))):  # before anything is made: Alembic is imported late
        raise MissingExtra("keeping studies", extra="tune")
    from lading.store.sql import SqlStore

    return SqlStore.at(home())


def existing_store() -> "Store | None":
    """The store of studies, where there is one already: reading must not create it."""
    return store() if (home() / "studies.db").exists() else None


def _load(group: str, name: str, word: str) -> Any:
    points: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=f"lading.{group}")}
    if name not in points:
        near = nearest(name, list(points))
        known = ", ".join(sorted(points))
        raise InvalidInput(
            f"{name!r} is not a known {word}", hint=f"did you mean `{near}`?" if near else f"known: {known}"
        )
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        by = points[name].dist
        if by is None or by.name == "lading":
            raise
        raise Missing(
            f"{by.name} {by.version} says that it has the {word} {name!r}, and it cannot be loaded: {error}",
            hint=f"pip install --upgrade {by.name}",
        ) from error
