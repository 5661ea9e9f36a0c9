"""What each search does beyond the contract: orders, budgets, what TPE learns, what it costs to ask."""

import json
import logging
import statistics
import subprocess
import sys
import warnings

import pytest

from lading.errors import InvalidInput, MissingExtra
from lading.ports.study import Search
from lading.testing import toy_engine
from lading.tuning import search as searches
from lading.tuning import tpe
from lading.tuning.grid import GridSearch
from lading.tuning.observe import Observation
from lading.tuning.random import RandomSearch
from lading.tuning.tpe import TpeSearch

#: A server in miniature: throughput rises with slots up to a knee, a cache type helps, drafts help only with few slots.
SERVER = toy_engine.space(
    {
        "slots": {"int": [1, 256], "log": True},
        "batch": {"int": [16, 4096], "log": True},
        "share": {"float": [0.3, 0.95]},
        "kv": {"choice": ["f16", "fp8", "q4"]},
        "mode": {"choice": ["plain", "draft", "ngram"]},
        "draft_tokens": {"int": [1, 16], "when": {"mode": "draft"}},
    }
)


def throughput(params):
    """None where it fails: too large a share with too large a batch."""
    if params["share"] > 0.85 and params["batch"] > 1024:
        return None
    slots, batch = params["slots"], params["batch"]
    knee = slots / (1 + (slots / 48) ** 2)
    value = knee * (0.6 + 0.4 * min(1, batch / 512)) * {"f16": 1.0, "fp8": 1.25, "q4": 0.9}[params["kv"]]
    if params["mode"] == "draft":
        value *= 1.3 - abs(params["draft_tokens"] - 5) / 20 if slots < 40 else 0.9
    return value * (0.8 + 0.2 * params["share"])


def course(search, trials, seed):
    """Scores of a study, one trial after another; failures are told as infeasible."""
    history = []
    for number in range(trials):
        (params,) = search.propose(history, (), count=1, seed=seed)
        value = throughput(params)
        history.append(Observation(number=number, params=params, value=value, infeasible=value is None))
    return [observation.value for observation in history]


def test_tpe_finds_more_than_random():
    """Median over 15 seeds of the best of 30 trials, on a made-up server."""
    best = {}
    for name, make in {"tpe": lambda: TpeSearch(SERVER, budget=30), "random": lambda: RandomSearch(SERVER)}.items():
        runs = [course(make(), 30, seed) for seed in range(15)]
        best[name] = statistics.median(max(value for value in run if value is not None) for run in runs)
    assert best["tpe"] > 1.05 * best["random"]


def test_the_same_on_every_machine():
    """Another process with another hash seed proposes the same."""
    code = (
        "import json, sys\n"
        "from tests.tuning.test_searches import SERVER, TpeSearch, RandomSearch, observed\n"
        "for search in (TpeSearch(SERVER, budget=20), RandomSearch(SERVER)):\n"
        "    print(json.dumps(search.propose(observed(12), (), count=3, seed=5)))\n"
    )
    told = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        for seed in ("1", "77")
    ]  # fmt: skip
    assert told[0].stdout == told[1].stdout
    here = TpeSearch(SERVER, budget=20).propose(observed(12), (), count=3, seed=5)
    assert json.loads(told[0].stdout.splitlines()[0]) == list(here)


def observed(count):
    points = RandomSearch(SERVER).propose((), (), count=count, seed=1)
    return [
        Observation(number=number, params=params, value=throughput(params), infeasible=throughput(params) is None)
        for number, params in enumerate(points)
    ]


def test_no_two_proposals_of_a_study_start_alike():
    """The seed includes how much is known: a history that teaches nothing still moves on."""
    search = RandomSearch(toy_engine.space({"rate": {"float": [0, 1]}}))
    untold = [Observation(number=number, params={"rate": -1.0 - number}, value=None) for number in range(5)]
    assert len({search.propose(untold[:known], (), count=1, seed=0)[0]["rate"] for known in range(6)}) == 6


def test_what_tpe_is_told():
    """A score is a value; what failed is a pruned trial with a broken constraint and no value; what says nothing is left out."""
    space = toy_engine.space({"slots": {"int": [1, 9]}, "kv": {"choice": ["f16", "q4"]}})
    history = [
        Observation(number=0, params={}, value=4.0),
        Observation(number=1, params={"slots": 1, "kv": "q4"}, value=-2.0),
        Observation(number=2, params={"slots": 2, "kv": "q4"}, value=None, infeasible=True),
        Observation(number=3, params={"slots": 3, "kv": "f16"}, value=None, violation=0.25),
        Observation(number=4, params={"slots": 5, "kv": "f16"}, value=None),
        Observation(number=5, params={"slots": 6, "kv": "f16", "batch": 2}, value=1.0),
    ]
    study = tpe._study(space, history, [{"slots": 7, "kv": "f16"}], seed=0)
    told = [(trial.state.name, trial.values, trial.constraints, trial.params["slots"]) for trial in study.trials]
    assert told == [
        ("COMPLETE", [4.0], {}, 4),
        ("COMPLETE", [-2.0], {}, 1),
        ("PRUNED", None, {"works": float("inf")}, 2),
        ("PRUNED", None, {"limits": 0.25}, 3),
        ("RUNNING", None, {}, 7),
    ]


def test_missed_limits_lead_back_to_where_they_hold():
    """No trial met the constraints yet, a few have a score nearby: proposals go where the excess is small."""
    space = toy_engine.space({"slots": {"int": [1, 400]}, "rate": {"float": [0, 1]}})
    points = RandomSearch(space).propose((), (), count=40, seed=3)
    history = [
        Observation(
            number=number,
            params=params,
            value=1.0 if params["slots"] < 40 else None,
            violation=params["slots"] / 40 if params["slots"] >= 40 else None,
        )
        for number, params in enumerate(points)
    ]
    proposed = [TpeSearch(space, budget=16).propose(history, (), count=1, seed=seed)[0] for seed in range(30)]
    assert statistics.median(params["slots"] for params in proposed) < 100


def test_tpe_is_silent_and_leaves_optunas_settings(caplog):
    import optuna

    before = optuna.logging.get_verbosity()
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        TpeSearch(SERVER, budget=20).propose(observed(12), (), count=2, seed=0)
    assert optuna.logging.get_verbosity() == before
    assert caplog.records == []


def test_optuna_is_imported_only_when_it_is_needed():
    code = "import sys; from lading.tuning import search, space, score, gain, feasible; print('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_without_optuna_its_extra_is_named(monkeypatch):
    monkeypatch.setattr(searches, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as missing:
        searches.make("tpe", SERVER, 20)
    assert missing.value.hint == 'pip install "lading[tune]"'
    assert isinstance(searches.make("random", SERVER, 20), RandomSearch)


def test_auto_is_the_grid_when_it_fits_beside_the_defaults():
    nine = toy_engine.space({"slots": {"int": [1, 9]}})
    assert isinstance(searches.make("auto", nine, 10), GridSearch)
    assert isinstance(searches.make("auto", nine, 9), TpeSearch)
    assert isinstance(searches.make("auto", SERVER, 10_000), TpeSearch)


@pytest.mark.parametrize("method", ["auto", "grid", "random", "tpe"])
def test_every_method_is_a_search(method):
    search: Search = searches.make(method, toy_engine.space({"slots": {"int": [1, 9]}}), 5)
    assert len(search.propose((), (), count=2, seed=0)) == 2


def test_a_grid_that_cannot_be_done_is_refused():
    with pytest.raises(InvalidInput, match="over endless points"):
        searches.make("grid", SERVER, 20)
    with pytest.raises(InvalidInput, match="over 65,536 points, the most are 10,000"):
        searches.make("grid", toy_engine.space({"batch": {"int": [1, 65536]}}), 20)


def test_a_grid_within_the_budget_goes_in_order():
    space = toy_engine.space({"slots": {"int": [1, 3]}, "kv": {"choice": ["f16", "q4"]}})
    proposed = searches.make("grid", space, 7).propose((), (), count=9, seed=4)
    assert [(params["slots"], params["kv"]) for params in proposed] == [
        (slots, kv) for slots in (1, 2, 3) for kv in ("f16", "q4")
    ]


def test_a_grid_beyond_the_budget_is_spread_over_all_of_it():
    """Its first tenth covers every value of every dimension, and in the end all points come once."""
    space = toy_engine.space(
        {"slots": {"int": [1, 10]}, "kv": {"choice": ["f16", "fp8", "q4"]}, "batch": {"int": [1, 10]}}
    )
    order = searches.make("grid", space, 30).propose((), (), count=1000, seed=0)
    assert len(order) == len({json.dumps(params) for params in order}) == 300
    for name, count in (("slots", 10), ("kv", 3), ("batch", 10)):
        assert len({params[name] for params in order[:30]}) >= 0.9 * count


def test_a_long_history_is_quick_to_ask():
    """Bounded loosely: a proposal after 300 trials takes well under a second of CPU."""
    import time

    history = observed(300)
    search = TpeSearch(SERVER, budget=400)
    search.propose(history[:20], (), count=1, seed=0)
    began = time.process_time()
    search.propose(history, (), count=1, seed=0)
    assert time.process_time() - began < 3
