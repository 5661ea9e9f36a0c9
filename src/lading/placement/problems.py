"""What is in the way of a pull: facts, each with its remedy, gathered before anything is started."""

from collections.abc import Sequence
from dataclasses import dataclass

from lading.diagnosis.finding import Finding
from lading.errors import LadingError, PreflightFailed


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


def found(finding: Finding) -> Problem:
    """What a diagnosis says, as a problem."""
    return Problem(code=finding.cause, message=finding.sentence, hint=finding.remedy or None)


def failed(problems: Sequence[Problem], what: str) -> PreflightFailed:
    """The error that tells *problems*: the one there is as itself, several as a list under what they keep from being done."""
    if len(problems) == 1:
        return PreflightFailed(problems[0].message, hint=problems[0].hint)
    return PreflightFailed(f"{what}: {len(problems)} problems", problems=[one.shown for one in problems])
