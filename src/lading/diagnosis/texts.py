"""Reading what schedulers, kubelets and registries say: loosely, for their wording changes with every version."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lading.diagnosis.finding import Finding


@dataclass(frozen=True, slots=True)
class Sign:
    """A wording and what it means.

    Attributes:
        pattern: Searched without regard to case; its groups fill *sentence*
            and *remedy* as ``{0}``, ``{1}``.
        sentence, remedy: May also name ``{subject}``.
    """

    pattern: str
    cause: str
    sentence: str
    remedy: str
    fatal: bool = True

    def finding(self, message: str, subject: str) -> Finding | None:
        """The finding, where *message* has the wording."""
        match = re.search(self.pattern, message, re.IGNORECASE)
        if match is None:
            return None
        fill = _filler(match, subject)
        return Finding(
            cause=self.cause,
            sentence=fill(self.sentence),
            remedy=fill(self.remedy),
            evidence=(message,),
            fatal=self.fatal,
        )


def first(signs: Sequence[Sign], message: str, subject: str) -> Finding | None:
    """The finding of the first of *signs* that *message* has; *subject* is what it is said of."""
    return next(filter(None, (sign.finding(message, subject) for sign in signs)), None)


def _filler(match: re.Match[str], subject: str) -> Callable[[str], str]:
    groups = [group or "" for group in match.groups()]

    def fill(template: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda hole: subject if hole[1] == "subject" else groups[int(hole[1])], template)

    return fill
