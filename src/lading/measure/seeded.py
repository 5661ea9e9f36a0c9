"""Randomness that comes from a seed and a name alone: the same on every machine and in every run."""

from random import Random


def generator(seed: int, *names: str | int) -> Random:
    """The generator that belongs to *names* under *seed*; other names give independent ones."""
    return Random("/".join(str(part) for part in (seed, *names)))  # noqa: S311 - load is no secret
