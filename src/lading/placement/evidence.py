"""What the API may refuse to tell: a value, or the sentence why it is unknown.

A namespace user may not read classes, volumes and nodes. What is decided from them is better with them and possible
without; so their absence is a value to be said, never an error.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lading.errors import ClusterDenied

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Evidence(Generic[T]):
    """A fact that may be unknown.

    Attributes:
        value: The fact; None where it is unknown, or where the answer was that there is none.
        unknown: Why it is unknown, a whole sentence; None where it is known.
    """

    value: T | None = None
    unknown: str | None = None

    @property
    def known(self) -> bool:
        """Whether the API answered."""
        return self.unknown is None


async def gathered(what: str, reading: Awaitable[T]) -> Evidence[T]:
    """What *reading* gives, or that *what* (``storage classes``) may not be read."""
    try:
        return Evidence(await reading)
    except ClusterDenied:
        return Evidence(unknown=f"{what} may not be read with these rights")
