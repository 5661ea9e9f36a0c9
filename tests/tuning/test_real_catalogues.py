"""What the catalogues call worth searching can be searched, in one space, by every method."""

import pytest

from lading.engines import llamacpp, sglang, vllm
from lading.testing.toy_engine import study
from lading.tuning import search as searches
from lading.tuning import space as spaces


def dimension(parameter):
    """A study's dimension from a catalogue's range."""
    found = parameter.search
    if found.values:
        return {"choice": list(found.values)}
    kind, bound = ("int", int) if parameter.kind == "int" else ("float", float)
    return {kind: [bound(found.low), bound(found.high)], "log": found.log}


@pytest.mark.parametrize("engine", [llamacpp.ENGINE, sglang.ENGINE, vllm.ENGINE], ids=lambda engine: engine.name)
@pytest.mark.parametrize("method", ["auto", "random", "tpe"])
def test_every_range_worth_searching_is_a_dimension(engine, method):
    dimensions = {name: dimension(one) for name, one in engine.parameters.items() if one.search is not None}
    assert len(dimensions) > 3
    space = spaces.of(study(dimensions, engine={"name": engine.name}), engine)
    proposed = searches.make(method, space, 20).propose((), (), count=10, seed=0)
    assert len(proposed) == 10
    for params in proposed:
        assert set(params) <= set(dimensions)
        assert engine.parse(params) == params
