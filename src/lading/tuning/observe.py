"""What a search learns from a trial: parameters and what came of them, never a made-up number."""

from dataclasses import dataclass

from lading.tuning.trial import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a search may learn from one trial: *value* larger is better, None where it has no rankable score.

    Attributes:
        params: Canonical, the study's fixed parameters included.
        infeasible: A rule or a configuration failure said that these parameters do not work: avoid them.
        violation: For a measured trial that meets the constraints at no level: how far the least bad level is beyond
            them (`score.Score.violation`), more than 0. None where that cannot be said.
    """

    number: int
    params: Params
    value: float | None
    infeasible: bool = False
    violation: float | None = None
