"""Each clause of the contract of an engine fails when an engine breaks it."""

import dataclasses
import itertools

import pytest

from lading.engines.base import Command, LaunchFailure, MemoryEstimate
from lading.engines.llamacpp import LlamaCpp
from lading.engines.llamacpp_parameters import PARAMETERS
from lading.errors import InvalidParameters
from lading.testing.engines import EngineContract

CONTRACT = EngineContract()
NEED_A_BREACH = ("test_a_broken_rule_is_told_before_a_launch", "test_rules_speak_only_of_what_is_known")
BREACH = {"cache_type_v": "q8_0", "flash_attn": "off"}


def changed(which, /, **facts):
    """llama.cpp with one parameter's facts changed."""

    class Changed(LlamaCpp):
        @property
        def parameters(self):
            return {**PARAMETERS, which: dataclasses.replace(PARAMETERS[which], **facts)}

    return Changed


class HasNoProbes(LlamaCpp):
    probes = property(lambda self: self.nothing)


class CountsReadings(LlamaCpp):
    def parse(self, params):
        read = super().parse(params)
        return {name: value + 1 if type(value) is int else value for name, value in read.items()}


class KeepsTheOrder(LlamaCpp):
    def parse(self, params):
        read = super().parse(params)
        return read if list(params) == sorted(params) else {**read, "verbosity": 4}


class KnowsOnlyNames(LlamaCpp):
    def parse(self, params):
        unknown = params.keys() - self.parameters.keys()
        if unknown:
            raise InvalidParameters(f"unknown: {unknown}")
        return super().parse(params)


class TakesNone(LlamaCpp):
    def parse(self, params):
        return {**super().parse(params), **{name: None for name, value in params.items() if value is None}}


class NamesNothingNear(LlamaCpp):
    def parse(self, params):
        try:
            return super().parse(params)
        except InvalidParameters as error:
            raise InvalidParameters(str(error).partition(";")[0]) from None


class StopsAtTheFirst(LlamaCpp):
    def parse(self, params):
        read = {}
        for name, value in params.items():
            read |= super().parse({name: value})
        return dict(sorted(read.items()))


class ForgetsBounds(LlamaCpp):
    def parse(self, params):
        numbers = {name: value for name, value in params.items() if name == "n_parallel" and type(value) is int}
        return dict(sorted({**super().parse({n: v for n, v in params.items() if n not in numbers}), **numbers}.items()))


class CountsLaunches(LlamaCpp):
    def __init__(self):
        super().__init__()
        self.launches = itertools.count()

    def command(self, launch):
        done = super().command(launch)
        return Command(argv=(*done.argv, f"--run={next(self.launches)}"), env=done.env)


class ForgetsAParameter(LlamaCpp):
    def command(self, launch):
        params = {name: value for name, value in self.parse(launch.params).items() if name != "poll"}
        return super().command(dataclasses.replace(launch, params=params))


class ServesItsOwnName(LlamaCpp):
    def command(self, launch):
        return super().command(dataclasses.replace(launch, served_name="model"))


class PrefersDefaults(LlamaCpp):
    def resolved(self, params):
        return {**super().resolved(params), **super().resolved({})}


class BreaksItsOwnRules(LlamaCpp):
    rules = (dataclasses.replace(LlamaCpp.rules[0], check=lambda _: "never"), *LlamaCpp.rules[1:])


class LaunchesWhateverIsAsked(LlamaCpp):
    def command(self, launch):
        return Command(argv=(repr(launch),))


class TrustsWhatItDoesNotKnow(LlamaCpp):
    def violations(self, given):
        return super().violations(given) if given.model is None else ()


class NamelessRules(LlamaCpp):
    rules = (*LlamaCpp.rules, LlamaCpp.rules[0])


class GuessesMemory(LlamaCpp):
    def memory(self, params, model, hardware=None):
        return MemoryEstimate(weights_bytes=1, kv_bytes=1, overhead_bytes=1, kv_bytes_per_token=1)


class TrustsTheServer(LlamaCpp):
    def effective(self, answers, log):
        return {"n_parallel": len(answers["slots"])} if answers else {}


class FillsInDefaults(LlamaCpp):
    def effective(self, answers, log):
        return {"n_parallel": 1, **super().effective(answers, log)}


class ExpectsALog(LlamaCpp):
    def classify(self, log, returncode):
        return LaunchFailure(name="unknown", kind="unknown", reason=log[-1].strip() or "nothing")


class BlamesTheParameters(LlamaCpp):
    def classify(self, log, returncode):
        return dataclasses.replace(super().classify(log, returncode), kind="configuration")


MUTANTS = [
    ("test_it_is_an_engine", HasNoProbes),
    ("test_the_catalogue_agrees_with_itself", changed("poll", name="pol")),
    ("test_the_catalogue_agrees_with_itself", changed("poll", source="")),
    ("test_no_flag_means_two_parameters", changed("poll", flags=("--prio",))),
    ("test_reading_twice_changes_nothing", CountsReadings),
    ("test_reading_twice_changes_nothing", KeepsTheOrder),
    ("test_spellings_do_not_matter", KnowsOnlyNames),
    ("test_none_leaves_it_to_the_engine", TakesNone),
    ("test_an_unknown_name_is_refused_with_the_nearest", NamesNothingNear),
    ("test_all_problems_are_told_at_once", StopsAtTheFirst),
    ("test_wrong_values_are_refused", ForgetsBounds),
    ("test_a_command_is_a_pure_function", CountsLaunches),
    ("test_every_parameter_reaches_the_command", ForgetsAParameter),
    ("test_a_command_says_what_to_serve_and_where", ServesItsOwnName),
    ("test_every_value_worth_searching_gives_a_command", changed("n_parallel", search=dataclasses.replace(PARAMETERS["n_parallel"].search, high=512))),
    ("test_what_is_asked_for_wins_over_the_defaults", PrefersDefaults),
    ("test_the_defaults_break_no_rule", BreaksItsOwnRules),
    ("test_a_broken_rule_is_told_before_a_launch", LaunchesWhateverIsAsked),
    ("test_rules_speak_only_of_what_is_known", TrustsWhatItDoesNotKnow),
    ("test_rules_name_the_parameters_they_look_at", NamelessRules),
    ("test_memory_is_not_guessed", GuessesMemory),
    ("test_what_a_stranger_says_is_read_with_care", TrustsTheServer),
    ("test_silence_is_not_filled_in", FillsInDefaults),
    ("test_any_log_has_a_class", ExpectsALog),
    ("test_what_nothing_explains_is_unknown", BlamesTheParameters),
]  # fmt: skip


def run(clause, engine):
    """One clause on one engine, as pytest would run it."""
    rest = {"breach": BREACH} if clause in NEED_A_BREACH else {}
    getattr(CONTRACT, clause)(engine=engine, **rest)


@pytest.mark.parametrize(("clause", "mutant"), MUTANTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_engine_fails_its_clause(clause, mutant):
    run(clause, LlamaCpp())
    with pytest.raises(
        (
            AssertionError,
            AttributeError,
            LookupError,
            TypeError,
            InvalidParameters,
            pytest.fail.Exception,
            ExceptionGroup,
        )
    ):
        run(clause, mutant())


def test_every_clause_has_a_mutant():
    assert {clause for clause, _ in MUTANTS} == {name for name in dir(EngineContract) if name.startswith("test_")}
