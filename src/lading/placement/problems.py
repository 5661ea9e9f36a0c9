"""What is in the way of a pull: facts, each with its remedy, gathered before anything is started."""

from dataclasses import dataclass

from lading.errors import LadingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing in the way.

    Attributes:
        code: Stable name of its kind: ``claim-missing``, ``no-space`` …
    """

    code: str
    message: str
    hint: str | None = None

    @property
    def shown(self) -> str:
        """Fact and remedy, as one entry of a list."""
        return f"{self.message}\n    → {self.hint}" if self.hint else self.message


def of(code: str, error: LadingError) -> Problem:
    """An error that something met, as a problem."""
    return Problem(code=code, message=error.message, hint=error.hint)
