"""Which search a study gets. Each is a function of history and a seed (`lading.ports.study.Search`)."""

from importlib.util import find_spec
from typing import Literal

from lading.errors import MissingExtra
from lading.tuning.grid import GridSearch
from lading.tuning.random import RandomSearch
from lading.tuning.space import Space
from lading.tuning.tpe import TpeSearch

Method = Literal["auto", "grid", "random", "tpe"]


def make(method: Method, space: Space, budget: int) -> GridSearch | RandomSearch | TpeSearch:
    """The search called *method* for *budget* trials; ``auto``: the grid when it fits the budget, else TPE.

    Raises:
        InvalidInput: A grid over an endless or too large space.
        MissingExtra: TPE without Optuna.
    """
    if method == "grid" or (method == "auto" and fits(space, budget)):
        return GridSearch(space, budget=budget)
    if method == "random":
        return RandomSearch(space)
    if find_spec("optuna") is None:
        raise MissingExtra("search.method: tpe", extra="tune")
    return TpeSearch(space, budget=budget)


def fits(space: Space, budget: int) -> bool:
    """Whether all points, and the defaults as one more trial, fit into *budget* trials."""
    return space.size is not None and space.size + 1 <= budget
