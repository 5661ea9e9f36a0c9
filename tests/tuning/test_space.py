"""The space of a study: what it holds, in which order, and which documents it refuses."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.errors import InvalidDocument
from lading.testing import toy_engine
from lading.testing.toy_engine import ToyEngine, any_space, study
from lading.tuning import space as spaces
from lading.tuning.dimension import Floats, Integers, Listed, same
from lading.tuning.space import key_of

FINITE = any_space(endless=False, most_points=3000)


@given(FINITE)
@settings(max_examples=60, deadline=None)
def test_the_size_is_the_number_of_different_points(space):
    points = [key_of(params) for params in space.points()]
    assert len(points) == len(set(points)) == space.size


@given(FINITE)
@settings(max_examples=30, deadline=None)
def test_points_are_canonical_contained_and_in_a_fixed_order(space):
    points = list(space.points())
    assert points == list(space.points())
    for params in points:
        assert space.engine.parse(params) == params
        assert space.contains(params)
        assert same_or_unset(space.locate(params), params)


def same_or_unset(located, params):
    return all(params.get(name) == value for name, value in located.items())


@given(any_space(), st.integers())
@settings(max_examples=60, deadline=None)
def test_draws_are_points_and_depend_on_the_seed_alone(space, seed):
    drawn = [space.draw(rng) for rng in [random.Random(seed)] for _ in range(5)]
    assert all(space.contains(params) for params in drawn)
    assert drawn == [space.draw(rng) for rng in [random.Random(seed)] for _ in range(5)]


@given(any_space(), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_parameter_exists_exactly_where_its_conditions_hold(space, seed):
    params = space.draw(random.Random(seed))
    located = space.locate(params)
    for dimension in space.dimensions:
        holds = all(
            condition.key in (known := {**space.fixed, **located})
            and any(same(known[condition.key], value) for value in condition.values)
            for condition in dimension.when
        )
        assert (dimension.name in located) == holds


def test_equal_values_are_one():
    """8192, ``8K`` and 8192.0 are one point; so are two names of one parameter."""
    space = toy_engine.space({"batch": {"choice": ["8K", 8192, 8192.0, 64]}})
    assert list(space.points()) == [{"batch": 8192}, {"batch": 64}]


def test_every_point_holds_the_fixed_parameters():
    space = toy_engine.space({"slots": {"int": [1, 2]}}, context="4K")
    assert list(space.points()) == [{"context": 4096, "slots": 1}, {"context": 4096, "slots": 2}]
    assert space.fixed == {"context": 4096}


def test_null_leaves_a_parameter_to_the_engine():
    space = toy_engine.space({"mode": {"choice": [None, "draft"]}})
    assert list(space.points()) == [{}, {"mode": "draft"}]


def test_a_condition_on_a_fixed_parameter():
    dimensions = {"slots": {"int": [1, 3]}, "kv": {"choice": ["f16", "q4"], "when": {"context": "4K"}}}
    assert toy_engine.space(dimensions, context=4096).size == 6
    assert toy_engine.space(dimensions, context=2048).size == 3


def test_a_chain_of_conditions():
    space = toy_engine.space(
        {
            "draft_tokens": {"int": [1, 5], "when": {"mode": ["draft", "ngram"]}},
            "mode": {"choice": ["plain", "draft", "ngram"], "when": {"graph": True}},
            "graph": {"choice": [True, False]},
        }
    )
    assert [dimension.name for dimension in space.dimensions] == ["graph", "mode", "draft_tokens"]
    assert space.size == 1 + (1 + 2 * 5)


def test_the_size_needs_no_listing():
    """Of a parent with a million values only those that a condition names are told apart."""
    dimensions = {"context": {"int": [1, 10**9]}, "slots": {"int": [1, 7], "when": {"context": [5, 6]}}}
    assert toy_engine.space(dimensions).size == 10**9 - 2 + 2 * 7
    assert toy_engine.space({"share": {"float": [0.1, 0.9]}}).size is None
    assert toy_engine.space({"share": {"float": [0.1, 0.1]}}).size == 1


def test_the_defaults_have_a_place_where_they_are_known():
    space = toy_engine.space({"batch": {"choice": [64, 512]}, "slots": {"int": [1, 9]}})
    assert space.locate({}) == {"batch": 512, "slots": 4}
    assert not space.contains({}), "yet they are no point: a point says what it asks for"
    assert toy_engine.space({"batch": {"choice": [64, 128]}}).locate({}) is None, "512 is not among the values"
    assert toy_engine.space({"mode": {"choice": ["plain", "draft"]}}).locate({}) is None, "the engine decides at start"


def test_what_is_no_point_has_no_place():
    space = toy_engine.space({"slots": {"int": [1, 9], "step": 2}}, context=4096)
    assert space.locate({"context": 4096, "slots": 3}) == {"slots": 3}
    for params in ({"slots": 4}, {"slots": 11}, {"slots": True}, {"slots": 3, "batch": 64}, {"slots": 3, "context": 1}):
        assert space.locate({"context": 4096, **params}) is None


def test_a_log_range_draws_each_factor_alike():
    rng = random.Random(1)
    integers, floats = Integers(low=1, high=10_000, log=True), Floats(low=0.001, high=10.0, log=True)
    assert 0.4 < sum(integers.draw(rng) < 100 for _ in range(2000)) / 2000 < 0.6
    assert 0.4 < sum(floats.draw(rng) < 0.1 for _ in range(2000)) / 2000 < 0.6


@given(st.floats(1e-6, 1e6), st.floats(0, 1e6), st.booleans(), st.integers())
def test_numbers_stay_inside_their_bounds(low, more, log, seed):
    values = Floats(low=low, high=low + more, log=log)
    drawn = values.draw(random.Random(seed))
    assert drawn in values
    assert values.snap(drawn) == drawn


@given(st.integers(-1000, 1000), st.integers(0, 1000), st.integers(1, 50), st.floats(-3000, 3000))
def test_whole_numbers_stay_on_their_steps(low, more, step, wanted):
    values = Integers(low=low, high=low + more, step=step)
    assert values.snap(wanted) in values
    assert list(values)[-1] == values.last
    assert len(list(values)) == values.size


def test_true_is_not_one():
    assert 1 not in Listed(values=(True, False))
    assert True not in Listed(values=(1, 2))


REFUSED = [
    ({"btach": {"int": [1, 2]}}, {}, "space.btach: btach is not a parameter of toy; did you mean batch?"),
    ({"batch": {"int": [0, 2]}}, {}, "space.batch: 0 is less than 1"),
    ({"share": {"float": [0.5, 2]}}, {}, "space.share: 2.0 is more than 1"),
    ({"kv": {"choice": ["f16", "pf8"]}}, {}, "space.kv: 'pf8' is not one of f16, fp8, q4; did you mean fp8?"),
    ({"kv": {"choice": ["f16", 7]}}, {}, "space.kv: 7 is not one of f16, fp8, q4"),
    ({"kv": {"int": [1, 2]}}, {}, "space.kv: 1 is not one of f16, fp8, q4"),
    ({"graph": {"choice": [True, "yes"]}}, {}, "space.graph: 'yes' is not a value of type bool"),
    ({"batch": {"float": [1, 8]}}, {}, "space.batch: takes values of type int: give an int: range"),
    ({"kv": {"choice": [None]}}, {}, "space.kv: lists nothing but the engine's own choice"),
    ({"batch": {"int": [1, 2]}}, {"batch": 64}, "space.batch: is also in engine.parameters"),
    ({"batch": {"int": [1, 2]}, "b": {"int": [1, 2]}}, {}, "space.b: is also in space, under another spelling"),
    ({"batch": {"int": [1, 2]}}, {"contxt": 4}, "engine.parameters.contxt: contxt is not a parameter of toy; did you mean"),
    ({"slots": {"int": [1, 2], "when": {"kv": "q4"}}}, {}, "space.slots.when.kv: is neither in space nor in engine.parameters"),
    ({"slots": {"int": [1, 2], "when": {"bacth": 4}}}, {}, "space.slots.when.bacth: bacth is not a parameter of toy; did you mean batch?"),
    (
        {"kv": {"choice": ["f16", "q4"]}, "slots": {"int": [1, 2], "when": {"kv": "fp8"}}},
        {},
        "space.slots.when.kv: 'fp8' is not among its values in space",
    ),
    (
        {"kv": {"choice": ["f16", "q4"], "when": {"slots": 1}}, "slots": {"int": [1, 2], "when": {"kv": "q4"}}},
        {},
        "space.kv.when: the conditions of kv, slots wait for each other",
    ),
    ({"slots": {"int": [1, 2], "when": {"slots": 1}}}, {}, "the conditions of slots wait for each other"),
    ({"slots": {"int": [1, 2], "when": {"kv": "q4"}}}, {"kv": "f16"}, "space: is empty: no condition of any parameter holds"),
]  # fmt: skip


@pytest.mark.parametrize(("dimensions", "fixed", "message"), REFUSED, ids=[message[:60] for *_, message in REFUSED])
def test_a_wrong_space_is_refused_by_its_key(dimensions, fixed, message):
    document = study(dimensions, engine={"name": "toy", "parameters": fixed})
    with pytest.raises(InvalidDocument) as refused:
        spaces.of(document, ToyEngine())
    assert message in "\n".join(refused.value.problems)
    assert "lading engines toy" in refused.value.hint
    assert spaces.problems(document, ToyEngine())


def test_all_problems_are_told_at_once_and_once():
    document = study(
        {"btach": {"int": [1, 2]}, "kv": {"choice": ["x", "y"]}},
        engine={"name": "toy", "parameters": {"b": 1, "batch": 2}},
    )
    found = spaces.problems(document, ToyEngine())
    assert [problem.location for problem in found][-3:] == [("space", "btach"), ("space", "kv"), ("space", "kv")]
    assert len(found) == len(set(found))
