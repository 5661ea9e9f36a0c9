"""Every point of a finite space, in a fixed order."""

from collections.abc import Sequence
from itertools import islice
from math import gcd

from lading.errors import InvalidInput
from lading.tuning.observe import Observation
from lading.tuning.space import Space, key_of
from lading.tuning.trial import Params

#: The most points a grid may have: as many as a study may have trials.
MOST_POINTS = 10_000
#: Steps of this share of the grid spread the points tried so far evenly (the golden section).
SPREAD = 0.6180339887


class GridSearch:
    """All points one after another; where the budget does not reach, points spread over the grid rather than its head."""

    def __init__(self, space: Space, *, budget: int) -> None:
        size = space.size
        if size is None or size > MOST_POINTS:
            count = "endless" if size is None else f"{size:,}"
            raise InvalidInput(
                f"search.method: grid over {count} points, the most are {MOST_POINTS:,}",
                hint="list values with choice: [...], or use method: tpe",
            )
        points = tuple(space.points())
        self._points = points if size < budget else _spread(points)  # the defaults take one trial of the budget

    def propose(
        self, history: Sequence[Observation], pending: Sequence[Params], *, count: int, seed: int
    ) -> tuple[Params, ...]:
        """The next points of the grid's order; *seed* changes nothing."""
        del seed
        seen = {key_of(params) for params in (*(observation.params for observation in history), *pending)}
        unseen = (dict(point) for point in self._points if key_of(point) not in seen)
        return tuple(islice(unseen, count))


def _spread(points: tuple[Params, ...]) -> tuple[Params, ...]:
    """*points* in an order in which every beginning covers the whole grid."""
    size = len(points)
    step = next(step for step in range(max(1, round(size * SPREAD)), size + 2) if gcd(step, size) == 1)
    return tuple(points[index * step % size] for index in range(size))
