"""What is offered: lengths, arrivals, prompts and schedules are functions of a seed."""

from itertools import islice, pairwise
from random import Random
from statistics import mean, stdev

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lading.errors import InvalidInput
from lading.measure import arrivals, lengths, prompts, schedule
from lading.measure.lengths import Fixed, Normal, Uniform
from lading.measure.prompts import Prompts, TokenIds, Words
from lading.measure.records import Level
from lading.spec.workload import Levels, Workload

tokens = st.integers(1, 100_000)
numbers = st.floats(1, 100_000).map(lambda number: float(f"{number:.15g}"))
bounds = st.tuples(tokens, tokens).map(sorted)
scenarios = st.one_of(
    st.builds(Fixed, tokens, tokens),
    st.builds(Normal, numbers, numbers, numbers, numbers),
    st.builds(lambda a, b: Uniform(*a, *b), bounds, bounds),
)
forms = st.one_of(st.builds(TokenIds, st.integers(2, 300_000)), st.just(Words()))


@given(scenarios)
def test_a_scenario_written_and_parsed_is_the_same(scenario):
    assert lengths.parse(str(scenario)) == scenario


@given(scenarios, st.integers())
def test_lengths_are_at_least_one_token_and_the_seed_s_own(scenario, seed):
    drawn = scenario.draw(Random(seed))
    assert min(drawn) >= 1
    assert drawn == scenario.draw(Random(seed))
    assert scenario.longest is None or sum(drawn) <= scenario.longest or isinstance(scenario, Normal)


@pytest.mark.parametrize(
    ("text", "scenario"),
    [
        ("D(512,128)", Fixed(512, 128)),
        (" d( 512 , 128 ) ", Fixed(512, 128)),
        ("N(480,240)/(300,150)", Normal(480, 240, 300, 150)),
        ("U(50,100)/(200,250)", Uniform(50, 100, 200, 250)),
    ],
)
def test_scenarios_as_people_write_them(text, scenario):
    assert lengths.parse(text) == scenario


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a letter"),
        ("D", "not a letter"),
        ("D(512)", "not a letter"),
        ("X(1,2)", "'X' is not one of"),
        ("D(1,2)/(3,4)", "D takes one pair"),
        ("N(1,2)", "D takes one pair"),
        ("D(0,5)", "whole numbers from 1"),
        ("D(1.5,5)", "whole numbers from 1"),
        ("U(9,5)/(1,2)", "lower bound is above"),
        ("N(0,1)/(5,1)", "mean is below 1"),
        ("D(99999999,1)", "99,999,999 tokens are more"),
        ("D(-1,5)", "not a letter"),
        ("D(nan,5)", "not a letter"),
    ],
)
def test_what_is_no_scenario_says_why_and_shows_one(text, why):
    with pytest.raises(InvalidInput) as caught:
        lengths.parse(text)
    assert why in caught.value.message
    assert "D(512,128)" in (caught.value.hint or "")


@given(st.floats(0.001, 100_000), st.integers())
def test_arrivals_increase_and_are_the_seed_s_own(rate, seed):
    due = list(islice(arrivals.poisson(rate, Random(seed)), 50))
    assert all(before < after for before, after in pairwise([0.0, *due]))
    assert due == list(islice(arrivals.poisson(rate, Random(seed)), 50))
    assert all(before < after for before, after in pairwise(islice(arrivals.constant(rate), 50)))


def test_poisson_arrivals_have_the_rate_and_the_spread_of_the_process():
    due = list(islice(arrivals.poisson(20.0, Random(7)), 20_000))
    gaps = [after - before for before, after in pairwise(due)]
    assert mean(gaps) == pytest.approx(1 / 20, rel=0.03)
    assert stdev(gaps) == pytest.approx(1 / 20, rel=0.05)


@given(st.integers(1, 4096))
def test_closed_loop_starts_are_all_different_and_within_a_second(streams):
    starts = list(arrivals.stagger(streams))
    assert len(starts) == len(set(starts)) == streams
    assert starts == sorted(starts)
    assert 0 == starts[0] <= starts[-1] < arrivals.STAGGER_ALL_S


def split(prompt):
    return prompt if isinstance(prompt, tuple) else tuple(prompt.split())


@given(forms, st.integers(0, 5), st.integers(0, 10**6), st.integers(1, 40), st.integers(0, 50))
@example(TokenIds(2), 0, 0, 1, 0)
def test_prompts_have_their_length_their_symbols_and_their_shared_start(form, seed, index, length, shared):
    made = Prompts(form=form, seed=seed, key="a", shared=shared)
    prompt = split(made.prompt(index, length))
    assert len(prompt) == length
    assert set(prompt) <= set(form.symbols)
    assert split(made.prompt(index + 1, length))[:shared] == prompt[:shared]
    assert (
        split(Prompts(form=form, seed=seed, key="b", shared=shared).prompt(index, length))[:shared] == prompt[:shared]
    )
    assert made.prompt(index, length) == Prompts(form=form, seed=seed, key="a", shared=shared).prompt(index, length)


@given(forms, st.sets(st.integers(0, 10**6), min_size=2, max_size=20), st.integers(8, 40))
def test_prompts_of_one_level_are_all_different_from_their_first_tokens_on(form, indexes, length):
    assume(len(form.symbols) ** 4 > 10**6)
    made = Prompts(form=form, seed=0, key="a")
    assert len({split(made.prompt(index, length))[:4] for index in indexes}) == len(indexes)


def test_neighbours_differ_in_their_first_token_and_levels_from_each_other():
    made = [Prompts(form=TokenIds(32_000), seed=0, key=key).prompt(index, 16) for key in "ab" for index in range(100)]
    assert len({prompt[0] for prompt in made[:100]}) == 100
    assert len(set(made)) == 200


@given(st.integers(2, 300_000))
def test_token_ids_keep_away_from_the_ends_of_the_vocabulary(vocabulary):
    symbols = TokenIds(vocabulary).symbols
    assert len(symbols) >= 1
    assert symbols[0] >= 0
    assert symbols[-1] < vocabulary
    if vocabulary >= 1000:
        assert symbols[0] > 50
        assert symbols[-1] < vocabulary - 100


@given(st.sampled_from([Levels(concurrency=(1, 8)), Levels(rate=(0.5, 20))]), st.integers(1, 30), st.integers(0, 3))
def test_a_schedule_is_a_function_of_the_workload_and_its_levels_differ(levels, requests, seed):
    workload = Workload(scenario="U(4,9)/(1,3)", levels=levels, requests=requests, seed=seed)
    first, second = (schedule.plan(workload, level, TokenIds(5000)) for level in schedule.levels(workload))
    assert [one.index for one in first] == list(range(requests))
    assert first == schedule.plan(workload, schedule.levels(workload)[0], TokenIds(5000))
    assert {one.prompt for one in first}.isdisjoint(one.prompt for one in second)
    assert [one.due_s for one in first] == sorted(one.due_s for one in first) if levels.rate else True
    assert all((one.due_s is None) == bool(levels.concurrency) for one in first)


def test_the_rate_of_a_schedule_does_not_change_its_prompts_lengths():
    workload = Workload(scenario="U(4,90)/(1,30)", levels=Levels(concurrency=(1,)), requests=50)
    level = Level(kind="concurrency", value=1)
    shapes = [(len(one.prompt), one.answer_tokens) for one in schedule.plan(workload, level, TokenIds(5000))]
    words = [(len(one.prompt.split()), one.answer_tokens) for one in schedule.plan(workload, level, Words())]
    assert shapes == words


def test_words_are_many_and_all_different():
    assert len(prompts.WORDS) == len(set(prompts.WORDS)) > 190
