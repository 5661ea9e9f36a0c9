"""Random points that were not tried yet: the baseline every other search must beat, and their fallback."""

import random
from collections.abc import Collection, Sequence

from lading.tuning.observe import Observation
from lading.tuning.space import Key, Space, key_of
from lading.tuning.trial import Params

#: Draws in a row that only repeat before the points left are listed (or, in an endless space, given up).
MOST_REPEATS = 200
#: The most points that are listed to find those left.
MOST_LISTED = 100_000


class RandomSearch:
    """Points drawn by each dimension's own scale, none twice."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def propose(
        self, history: Sequence[Observation], pending: Sequence[Params], *, count: int, seed: int
    ) -> tuple[Params, ...]:
        """Up to *count* unseen points; which ones depends on *seed* and on how much is known."""
        seen = {key_of(params) for params in (*(observation.params for observation in history), *pending)}
        return unseen(self._space, seen, count=count, rng=generator(seed, len(history) + len(pending)))


def generator(seed: int, known: int) -> random.Random:
    """The random numbers of one proposal: with *known* in the seed, no two proposals of a study start alike."""
    return random.Random(f"{seed}:{known}")  # noqa: S311 - not a secret: the same points each time


def unseen(space: Space, seen: Collection[Key], *, count: int, rng: random.Random) -> tuple[Params, ...]:
    """Up to *count* random points whose keys are not in *seen*; fewer when no more are left."""
    known = set(seen)
    found: list[Params] = []
    repeats = 0
    while len(found) < count and repeats < MOST_REPEATS:
        params = space.draw(rng)
        if key_of(params) in known:
            repeats += 1
            continue
        repeats = 0
        known.add(key_of(params))
        found.append(params)
    if len(found) < count and (space.size or MOST_LISTED + 1) <= MOST_LISTED:
        left = [params for params in space.points() if key_of(params) not in known]
        found += rng.sample(left, min(len(left), count - len(found)))
    return tuple(found)
