"""What every engine must do: the clauses of `lading.engines.base.Engine`.

Subclass `EngineContract`, override the fixture `engine` (and `breach`, where a set of parameters can break a rule by
itself), and pytest runs each clause over the whole catalogue::

    class TestMyEngine(EngineContract):
        @pytest.fixture
        def engine(self):
            return MyEngine()
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.engines.base import Engine, FailureClass, Launch, ModelFacts, Parameter, RuleInput, Value
from lading.errors import InvalidParameters

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_SETTINGS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.differing_executors]
)
MODEL = ModelFacts(
    format="safetensors", weights_bytes=8 * 10**9, layers=32, heads=32, kv_heads=8, head_dim=128, hidden=4096,
    vocabulary=128_256, max_length=8192, dtype="bfloat16",
)  # fmt: skip


class EngineContract:
    """Each test is one clause."""

    @pytest.fixture
    def engine(self) -> Engine:
        """The engine to test."""
        raise AssertionError("override the fixture `engine`")

    @pytest.fixture
    def breach(self) -> Mapping[str, object] | None:
        """Parameters that break one rule whatever else is known; None where no rule is so."""
        return None

    def test_it_is_an_engine(self, engine: Engine) -> None:
        """It has every member of the Protocol, and names that a person can write."""
        assert isinstance(engine, Engine)
        assert engine.name
        assert engine.version
        assert engine.programs
        assert all(probe.path.startswith("/") for probe in engine.probes)
        assert isinstance(json.dumps(dict(engine.request_body())), str)

    def test_the_catalogue_agrees_with_itself(self, engine: Engine) -> None:
        """Each parameter is under its own name, says where its facts are from, and its default is legal and canonical."""
        for name, parameter in engine.parameters.items():
            assert name == parameter.name
            assert parameter.flags
            assert parameter.source
            if parameter.default is not None:
                assert engine.parse({name: parameter.default}) == {name: parameter.default}

    def test_no_flag_means_two_parameters(self, engine: Engine) -> None:
        """A spelling belongs to one parameter."""
        spellings = [flag for one in engine.parameters.values() for flag in (*one.flags, *one.off_flags)]
        assert len(spellings) == len(set(spellings))

    @_SETTINGS
    @given(data=st.data())
    def test_reading_twice_changes_nothing(self, engine: Engine, data: st.DataObject) -> None:
        """`parse` gives what `parse` gives back, in whatever order it was written."""
        params = data.draw(written(engine))
        once = engine.parse(params)
        assert engine.parse(once) == once
        assert engine.parse(dict(reversed(params.items()))) == once
        assert all(value is None or isinstance(value, bool | int | float | str) for value in once.values())

    @_SETTINGS
    @given(data=st.data())
    def test_spellings_do_not_matter(self, engine: Engine, data: st.DataObject) -> None:
        """A flag, dashes and underscores name the same parameter, so equals give equal commands."""
        name, value = next(iter(data.draw(written(engine, most=1)).items()))
        flags = engine.parameters[name].flags
        spelled = data.draw(st.sampled_from([name, name.replace("_", "-"), f"--{name}", *flags]))
        assert engine.parse({spelled: value}) == engine.parse({name: value})

    def test_none_leaves_it_to_the_engine(self, engine: Engine) -> None:
        """A parameter that is None is not asked for."""
        assert engine.parse(dict.fromkeys(engine.parameters)) == {}

    def test_an_unknown_name_is_refused_with_the_nearest(self, engine: Engine) -> None:
        """A letter too few is an error that says what was meant."""
        for name in engine.parameters:
            wrong = name[:-1]
            if len(name) < 8 or _known(engine, wrong):
                continue
            with pytest.raises(InvalidParameters) as refused:
                engine.parse({wrong: 1})
            assert wrong in str(refused.value)
            near = str(refused.value).rpartition("did you mean ")[2]
            assert near in str(list(engine.parameters)) or _known(engine, near.rstrip("?"))
            assert near

    def test_all_problems_are_told_at_once(self, engine: Engine) -> None:
        """Two wrong names and a wrong value are one error that names all three."""
        name = next(one.name for one in engine.parameters.values() if one.kind == "int" and not one.many)
        with pytest.raises(InvalidParameters) as refused:
            engine.parse({"no_such_thing_at_all": 1, name: "many", "xyzzy_plugh": 2})
        assert all(word in str(refused.value) for word in ("no_such_thing_at_all", name, "xyzzy_plugh"))

    def test_wrong_values_are_refused(self, engine: Engine) -> None:
        """Out of bounds, out of choices, of another kind."""
        for name, parameter in engine.parameters.items():
            for value in wrong_values(parameter):
                with pytest.raises(InvalidParameters, match=name):
                    engine.parse({name: value})

    @_SETTINGS
    @given(data=st.data())
    def test_a_command_is_a_pure_function(self, engine: Engine, data: st.DataObject) -> None:
        """The same launch gives the same command, and changes nothing that was given."""
        params = data.draw(written(engine, most=3))
        before = json.dumps(params, sort_keys=True)
        for program in engine.programs:
            assert _argv(engine, program, params) == _argv(engine, program, params)
            canonical = _argv(engine, program, engine.parse(params))
            assert canonical == _argv(engine, program, params)
        assert json.dumps(params, sort_keys=True) == before

    def test_every_parameter_reaches_the_command(self, engine: Engine) -> None:
        """Two values of a parameter give two commands; a program that cannot take one refuses it."""
        for name, parameter in engine.parameters.items():
            commands = {
                value: [_argv(engine, program, {name: value}) for program in engine.programs]
                for value in _two_values(engine, parameter)
            }
            for program, *seen in zip(engine.programs, *commands.values(), strict=True):
                assert None in seen or len({str(argv) for argv in seen}) == len(seen), f"{name} for {program}"
            assert any(any(argvs) for argvs in commands.values()), f"no program takes {name}"

    def test_a_command_says_what_to_serve_and_where(self, engine: Engine) -> None:
        """Model, served name, host and port are the launch's, always."""
        for program in engine.programs:
            text = " ".join(engine.command(_launch(program, {})).argv)
            assert all(
                part in text for part in ("/weights/of-this-model", "name-that-clients-ask-for", "127.0.0.42", "18765")
            )

    def test_every_value_worth_searching_gives_a_command(self, engine: Engine) -> None:
        """A range's ends and middle, and each of its values, can be launched by the preferred program."""
        for name, parameter in engine.parameters.items():
            for value in _searched(parameter):
                assert engine.command(_launch(engine.programs[0], {name: value})).argv

    @_SETTINGS
    @given(data=st.data())
    def test_what_is_asked_for_wins_over_the_defaults(self, engine: Engine, data: st.DataObject) -> None:
        """`resolved` has every known default, and every value asked for."""
        params = engine.parse(data.draw(written(engine)))
        resolved = engine.resolved(params)
        assert resolved == {**resolved, **params}
        known = {name for name, one in engine.parameters.items() if one.default is not None}
        assert resolved.keys() == known | params.keys()

    def test_the_defaults_break_no_rule(self, engine: Engine) -> None:
        """An engine as it comes can be started."""
        assert engine.violations(RuleInput(params={})) == ()

    def test_a_broken_rule_is_told_before_a_launch(self, engine: Engine, breach: Mapping[str, object] | None) -> None:
        """It has a name, values in its message and a remedy; `command` refuses it in the same words."""
        if breach is None:
            pytest.skip("no rule of this engine can be broken by parameters alone")
        canonical = engine.parse(breach)
        [violation] = engine.violations(RuleInput(params=canonical))
        assert violation.rule in {rule.name for rule in engine.rules}
        assert violation.hint
        with pytest.raises(InvalidParameters) as refused:
            engine.command(_launch(engine.programs[0], canonical))
        assert violation.message in str(refused.value)

    @_SETTINGS
    @given(data=st.data())
    def test_rules_speak_only_of_what_is_known(
        self, engine: Engine, breach: Mapping[str, object] | None, data: st.DataObject
    ) -> None:
        """With facts of model and place more may be broken, never less."""
        params = engine.parse(data.draw(st.just(dict(breach or {})) | written(engine, most=4)))
        blind = {violation.rule for violation in engine.violations(RuleInput(params=params))}
        told = engine.violations(RuleInput(params=params, model=MODEL, longest_request_tokens=10**9))
        assert blind <= {violation.rule for violation in told}

    def test_rules_name_the_parameters_they_look_at(self, engine: Engine) -> None:
        """Each rule says what must hold, and names parameters of the catalogue."""
        assert len({rule.name for rule in engine.rules}) == len(engine.rules)
        for rule in engine.rules:
            assert rule.about
            assert rule.source
            assert set(rule.parameters) <= engine.parameters.keys()

    def test_memory_is_not_guessed(self, engine: Engine) -> None:
        """Without the model's shape there is no estimate; with it, twice the weights need more."""
        assert engine.memory({}, ModelFacts(format="gguf")) is None
        some = engine.memory({}, MODEL)
        assert some is not None
        more = engine.memory({}, _heavier(MODEL))
        assert more is not None
        assert 0 < some.weights_bytes < more.weights_bytes
        assert some.total_bytes < more.total_bytes

    @_SETTINGS
    @given(
        answers=st.dictionaries(st.text(max_size=8), _JSON, max_size=4), log=st.lists(st.text(max_size=60), max_size=6)
    )
    def test_what_a_stranger_says_is_read_with_care(
        self, engine: Engine, answers: dict[str, Any], log: list[str]
    ) -> None:
        """`effective` of anything gives plain values, and raises nothing."""
        named = {probe.name: answer for probe, answer in zip(engine.probes, answers.values(), strict=False)}
        for given_answers in (answers, named, {}):
            told = engine.effective(given_answers, log)
            assert all(isinstance(value, bool | int | float | str) for value in told.values())

    def test_silence_is_not_filled_in(self, engine: Engine) -> None:
        """A server that says nothing has no effective configuration."""
        assert dict(engine.effective({}, ())) == {}

    @_SETTINGS
    @given(log=st.lists(st.text(max_size=200), max_size=8), returncode=st.none() | st.integers(-70, 300))
    def test_any_log_has_a_class(self, engine: Engine, log: list[str], returncode: int | None) -> None:
        """`classify` of anything gives a name, a kind and a reason, and raises nothing."""
        failure = engine.classify(log, returncode)
        assert failure.name
        assert failure.kind in get_args(FailureClass)
        assert failure.reason.strip()

    def test_what_nothing_explains_is_unknown(self, engine: Engine) -> None:
        """Exit status 1 and a line nobody knows teach nothing."""
        failure = engine.classify(["hello, world"], 1)
        assert (failure.name, failure.kind) == ("unknown", "unknown")
        assert "hello, world" in failure.reason


def values_of(parameter: Parameter) -> st.SearchStrategy[Any]:
    """Legal values of *parameter*, as a person may write them."""
    one = _single(parameter)
    return st.lists(one, min_size=1, max_size=3) if parameter.many else one


def written(engine: Engine, most: int = 6) -> st.SearchStrategy[dict[str, Any]]:
    """Some parameters of *engine* with legal values, by their names."""
    names = st.lists(st.sampled_from(sorted(engine.parameters)), min_size=1, max_size=most, unique=True)
    return names.flatmap(
        lambda some: st.fixed_dictionaries({name: values_of(engine.parameters[name]) for name in some})
    )


def wrong_values(parameter: Parameter) -> Iterator[object]:
    """Values that *parameter* may not have."""
    match parameter.kind:
        case "bool":
            yield from ("perhaps", 2)
        case "int" | "float":
            yield from ("many", True, float("nan"))
            if parameter.minimum is not None:
                yield parameter.minimum - 10
            if parameter.maximum is not None:
                yield parameter.maximum + 10
        case "choice":
            yield from ("no such choice", 12345)
        case "json":
            yield "{broken"
        case "str":
            yield "two\nlines"


def _single(parameter: Parameter) -> st.SearchStrategy[Any]:
    low = parameter.minimum if parameter.minimum is not None else -5
    high = parameter.maximum if parameter.maximum is not None else max(low, 0) + 10**6
    match parameter.kind:
        case "bool":
            return st.booleans() | st.sampled_from(["true", "off"])
        case "int":
            whole = st.integers(int(low), int(high))
            return whole | whole.map(str) | (st.sampled_from(parameter.choices) if parameter.choices else st.nothing())
        case "float":
            return st.floats(low, high, allow_nan=False)
        case "choice":
            return st.sampled_from(parameter.choices)
        case "json":
            return st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3)
        case "str":
            return st.from_regex(parameter.pattern or r"[a-z][a-z0-9./]{0,9}", fullmatch=True).filter(str.strip)


def _two_values(engine: Engine, parameter: Parameter) -> list[Value]:
    """Two different canonical values, where there are two."""
    match parameter.kind:
        case "bool":
            raw: list[object] = [True, False]
        case "int" | "float":
            low = max(1.0, parameter.minimum or 0.0) if parameter.maximum != 1 else 0.25
            raw = [low, low + (1 if parameter.kind == "int" else 0.5)]
            if parameter.maximum is not None and parameter.maximum < 1:
                raw = [0.25, 0.5]
        case "choice":
            raw = [*parameter.choices[:1], *parameter.choices[-1:]]
        case "json":
            raw = [{"a": 1}, {"a": 2}]
        case "str":
            raw = [
                word
                for word in ("a", "b", "1-2", "1-3", "a=b", "c=d")
                if re.fullmatch(parameter.pattern or "[a-z]", word)
            ]
    return list(dict.fromkeys(engine.parse({parameter.name: value})[parameter.name] for value in raw))


def _searched(parameter: Parameter) -> Iterator[object]:
    search = parameter.search
    if search is None:
        return
    yield from search.values
    if search.low is not None and search.high is not None:
        middle = (search.low + search.high) / 2
        yield from (int(end) if parameter.kind == "int" else end for end in (search.low, middle, search.high))


def _launch(program: str, params: Mapping[str, Any]) -> Launch:
    return Launch(
        model="/weights/of-this-model", served_name="name-that-clients-ask-for", host="127.0.0.42", port=18765,
        params=params, program=program,
    )  # fmt: skip


def _argv(engine: Engine, program: str, params: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The command line, None where the engine refuses it."""
    try:
        return engine.command(_launch(program, params)).argv
    except InvalidParameters:
        return None


def _known(engine: Engine, name: str) -> bool:
    try:
        engine.parse({name: None})
    except InvalidParameters:
        return False
    return True


def _heavier(model: ModelFacts) -> ModelFacts:
    from dataclasses import replace

    return replace(model, weights_bytes=2 * (model.weights_bytes or 0))
