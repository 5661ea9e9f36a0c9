"""Defects planted into SGLang's engine are found by the contract of an engine."""

import dataclasses

import pytest

from lading.engines.base import Command, Launch
from lading.engines.sglang import SGLang
from lading.errors import InvalidParameters
from lading.testing.engines import EngineContract

CONTRACT = EngineContract()
BREACH = {"dp_size": 2, "attn_dp_size": 2, "tp_size": 4}
NEED_A_BREACH = ("test_a_broken_rule_is_told_before_a_launch", "test_rules_speak_only_of_what_is_known")


def changed(which, /, **facts):
    """SGLang with one parameter's facts changed."""

    class Changed(SGLang):
        @property
        def parameters(self):
            known = super().parameters
            return {**known, which: dataclasses.replace(known[which], **facts)}

    return Changed


class DropsSwitches(SGLang):
    def command(self, launch):
        done = super().command(launch)
        return Command(argv=tuple(word for word in done.argv if not word.startswith("--enable-")))


class TakesADefaultOfAnotherVersion(SGLang):
    """What the server decides at start by itself is then asked for."""

    def resolved(self, params):
        return {"mem_fraction_static": 0.88, **super().resolved(params)}


class AlwaysOneTokenizer(SGLang):
    def command(self, launch):
        params = {name: value for name, value in self.parse(launch.params).items() if name != "tokenizer_worker_num"}
        return super().command(dataclasses.replace(launch, params=params))


class ListensOnItsDefaultPort(SGLang):
    def command(self, launch):
        return super().command(dataclasses.replace(launch, port=30000))


class SpreadsAttentionByItself(SGLang):
    def resolved(self, params):
        return {**super().resolved(params), "attn_dp_size": 2}


class GuessesTheShare(SGLang):
    def memory(self, params, model, hardware=None):
        return super().memory(
            params, dataclasses.replace(model, kv_heads=8, layers=32, head_dim=128, weights_bytes=1), hardware
        )


class TakesEveryLineForItsNumbers(SGLang):
    def effective(self, answers, log):
        return {**super().effective(answers, log), "kv_cache_tokens": len(log)}


class StartsWhatSglangRefuses(SGLang):
    rules = tuple(rule for rule in SGLang.rules if rule.name != "copies-or-attention-ranks")


class HidesTheRule(SGLang):
    def command(self, launch):
        params = {**launch.params, "dp_size": 1} if launch.params.get("attn_dp_size", 1) != 1 else launch.params
        return super().command(dataclasses.replace(launch, params=params))


MUTANTS = [
    ("test_the_catalogue_agrees_with_itself", changed("schedule_policy", default="fifo")),
    ("test_no_flag_means_two_parameters", changed("dp_size", flags=("--dp-size", "--tensor-parallel-size"))),
    ("test_every_value_worth_searching_gives_a_command", changed("attn_dp_size", search=dataclasses.replace(SGLang().parameters["tp_size"].search))),
    ("test_every_parameter_reaches_the_command", DropsSwitches),
    ("test_every_parameter_reaches_the_command", AlwaysOneTokenizer),
    ("test_a_command_says_what_to_serve_and_where", ListensOnItsDefaultPort),
    ("test_what_is_asked_for_wins_over_the_defaults", TakesADefaultOfAnotherVersion),
    ("test_the_defaults_break_no_rule", SpreadsAttentionByItself),
    ("test_memory_is_not_guessed", GuessesTheShare),
    ("test_silence_is_not_filled_in", TakesEveryLineForItsNumbers),
    ("test_a_broken_rule_is_told_before_a_launch", StartsWhatSglangRefuses),
    ("test_a_broken_rule_is_told_before_a_launch", HidesTheRule),
]  # fmt: skip


def run(clause, engine):
    getattr(CONTRACT, clause)(engine=engine, **({"breach": BREACH} if clause in NEED_A_BREACH else {}))


@pytest.mark.parametrize(("clause", "mutant"), MUTANTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_defect_fails_its_clause(clause, mutant):
    run(clause, SGLang())
    with pytest.raises(
        (AssertionError, LookupError, TypeError, ValueError, InvalidParameters, pytest.fail.Exception, ExceptionGroup)
    ):
        run(clause, mutant())


def test_sglang_itself_launches():
    """The mutants differ from something that works."""
    launch = Launch(model="/m", served_name="m", host="h", port=1, params={}, program=SGLang.programs[0])
    assert SGLang().command(launch).argv[-1] == "--enable-metrics"
