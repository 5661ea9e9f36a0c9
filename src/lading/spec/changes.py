"""What is different between two versions of one document, key by key.

For a study it decides whether a run goes on: `is_budget` keys say how long and how often, never what is measured.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: A change of these continues a run; a change of anything else makes another study of it.
BUDGET = ("search.trials", "search.time", "search.confirm", "search.finalists", "deadlines.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One key that differs; *before* or *after* is None where the key is not there."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {_show(self.before)} → {_show(self.after)}"

    @property
    def is_budget(self) -> bool:
        """Whether it says only how long or how often."""
        return any(self.key == key or (key.endswith(".") and self.key.startswith(key)) for key in BUDGET)


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """The keys that differ, dotted, in the order of *after*, then those that are gone. Lists are compared whole."""
    return tuple(_between(before, after, ""))


def _between(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str) -> Iterator[Change]:
    for key in [*after, *(key for key in before if key not in after)]:
        left, right = before.get(key), after.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            yield from _between(left, right, f"{prefix}{key}.")
        elif left != right or type(left) is not type(right):
            yield Change(key=f"{prefix}{key}", before=left, after=right)


def _show(value: Any) -> str:
    return "(not given)" if value is None else str(value)
