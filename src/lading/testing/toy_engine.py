"""An engine with one parameter of every kind, and studies over it: for what searches and spaces must do on any engine."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lading.engines.base import (
    Command,
    HardwareFacts,
    Launch,
    LaunchFailure,
    MemoryEstimate,
    ModelFacts,
    Parameter,
    Params,
    Probe,
    Rule,
    RuleInput,
    Value,
    Violation,
)
from lading.errors import InvalidParameters
from lading.spec.nearest import nearest
from lading.spec.study import Study
from lading.tuning import space as spaces
from lading.tuning.space import Space

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


class ToyEngine:
    """Takes sizes like ``8K``; refuses `batch` above `context` and fp8 without `graph`; 1 MB of memory per token of context."""

    name = "toy"
    version = "1"
    programs: tuple[str, ...] = ("toy",)
    image = "example.invalid/toy:1"
    probes: Sequence[Probe] = ()
    takes_token_ids = True

    def __init__(self) -> None:
        self.rules: Sequence[Rule] = (
            Rule(name="batch-in-context", check=_batch_in_context, hint="lower batch"),
            Rule(name="fp8-needs-graph", check=_fp8_needs_graph),
        )
        self.parameters: Mapping[str, Parameter] = {
            parameter.name: parameter
            for parameter in (
                Parameter(name="batch", kind="int", flags=("--batch", "-b"), default=512, minimum=1, maximum=65536),
                Parameter(name="context", kind="int", flags=("--context",), default=4096, minimum=1),
                Parameter(name="slots", kind="int", flags=("--slots",), default=4, minimum=1, maximum=4096),
                Parameter(name="share", kind="float", flags=("--share",), default=0.9, minimum=0.01, maximum=1),
                Parameter(name="rate", kind="float", flags=("--rate",), minimum=0),
                Parameter(name="kv", kind="choice", flags=("--kv",), default="f16", choices=("f16", "fp8", "q4")),
                Parameter(name="mode", kind="choice", flags=("--mode",), choices=("plain", "draft", "ngram")),
                Parameter(name="draft_tokens", kind="int", flags=("--draft-tokens",), minimum=0, maximum=64),
                Parameter(name="graph", kind="bool", flags=("--graph",), default=True),
            )
        }

    def request_body(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    def parse(self, params: Mapping[str, object]) -> dict[str, Value]:
        """By name with dashes or underscores, sorted; None is left out."""
        read: dict[str, Value] = {}
        problems: list[str] = []
        for key, value in params.items():
            known = self.parameters.get({"b": "batch"}.get(key.lstrip("-"), key.lstrip("-").replace("-", "_")))
            if known is None:
                near = nearest(key, list(self.parameters))
                problems.append(f"{key} is not a parameter of toy" + (f"; did you mean {near}?" if near else ""))
            elif value is not None:
                try:
                    read[known.name] = _canonical(known, value)
                except ValueError as error:
                    problems.append(f"{key}: {error}")
        if problems:
            raise InvalidParameters("; ".join(problems))
        return dict(sorted(read.items()))

    def resolved(self, params: Params) -> dict[str, Value]:
        """Over the defaults; `rate`, `mode` and `draft_tokens` have none."""
        defaults = {name: known.default for name, known in self.parameters.items() if known.default is not None}
        return {**defaults, **params}

    def violations(self, given: RuleInput) -> tuple[Violation, ...]:
        """The broken rules, in order."""
        full = RuleInput(params=self.resolved(given.params), model=given.model, hardware=given.hardware)
        return tuple(
            Violation(rule=rule.name, message=message, hint=rule.hint)
            for rule in self.rules
            if (message := rule.check(full)) is not None
        )

    def command(self, launch: Launch) -> Command:
        """Flags in the order given."""
        return Command(argv=tuple(f"--{key}={value}" for key, value in launch.params.items()))

    def memory(self, params: Params, model: ModelFacts, hardware: HardwareFacts | None = None) -> MemoryEstimate | None:
        """Weights, and a cache of the whole context."""
        del hardware
        if model.weights_bytes is None:
            return None
        cache = int(self.resolved(params)["context"] or 0) * 10**6
        return MemoryEstimate(
            weights_bytes=model.weights_bytes, kv_bytes=cache, overhead_bytes=0, kv_bytes_per_token=10**6
        )

    def effective(self, answers: Mapping[str, Any], log: Sequence[str]) -> dict[str, Value]:
        """Nothing is known."""
        del answers, log
        return {}

    def classify(self, log: Sequence[str], returncode: int | None) -> LaunchFailure:
        """Nothing is known."""
        del log, returncode
        return LaunchFailure(name="unknown", kind="unknown", reason="no known line in the log")


def study(space: Mapping[str, Any], **changes: Any) -> Study:
    """A study of the toy engine over *space*; *changes* replace whole keys of it."""
    document = {
        "name": "toy",
        "model": {"ref": "./model"},
        "engine": {"name": "toy"},
        "objective": {"maximize": "output_tokens_per_s"},
        "space": space,
    }
    return Study.model_validate(document | changes)


def space(dimensions: Mapping[str, Any], **fixed: object) -> Space:
    """The space of a study over *dimensions* with *fixed* engine parameters."""
    return spaces.of(study(dimensions, engine={"name": "toy", "parameters": fixed}), ToyEngine())


def any_space(*, endless: bool = True, most_points: int | None = None) -> "SearchStrategy[Space]":
    """Any valid space of up to seven dimensions of every kind, conditional ones among them.

    Args:
        endless: Continuous dimensions too.
        most_points: Of a finite space.
    """
    from hypothesis import strategies as st  # for suites: the engine is used without

    flat = {
        "batch": st.sampled_from([{"choice": ["1K", 1024, 64, 256]}, {"int": [16, 512], "log": True}, {"int": [8, 64], "step": 7}]),
        "slots": st.integers(1, 40).flatmap(lambda low: st.builds(lambda more: {"int": [low, low + more]}, st.integers(0, 9))),
        "kv": st.sampled_from([{"choice": ["f16", "fp8", "q4"]}, {"choice": ["f16", None]}, {"choice": ["q4"]}]),
        "graph": st.just({"choice": [True, False]}),
    }  # fmt: skip
    if endless:
        flat["share"] = st.sampled_from([{"float": [0.5, 0.95]}, {"float": [0.7, 0.7]}])
        flat["rate"] = st.just({"float": [0.001, 10.0], "log": True})
    conditional = st.sampled_from(
        [
            {},
            {"mode": {"choice": ["plain", "draft", None]}, "draft_tokens": {"int": [1, 8], "when": {"mode": "draft"}}},
            {
                "draft_tokens": {"choice": [4, 8], "when": {"mode": ["draft", "ngram"], "context": "8K"}},
                "mode": {"choice": ["draft", "ngram", "plain"], "when": {"context": [4096, 8192]}},
                "context": {"choice": [4096, 8192, 16384]},
            },
        ]
    )
    whole = st.tuples(st.fixed_dictionaries({}, optional=flat), conditional).map(lambda parts: parts[0] | parts[1])
    built = whole.filter(bool).map(space)
    return built if most_points is None else built.filter(lambda found: (found.size or 0) <= most_points)


def _batch_in_context(given: RuleInput) -> str | None:
    batch, context = int(given.params["batch"] or 0), int(given.params["context"] or 0)
    return f"batch {batch} is more than context {context}" if batch > context else None


def _fp8_needs_graph(given: RuleInput) -> str | None:
    return "fp8 needs graph" if given.params["kv"] == "fp8" and not given.params["graph"] else None


def _canonical(known: Parameter, value: object) -> Value:
    match known.kind, value:
        case "choice", str() if value in known.choices:
            return value
        case "choice", _:
            near = nearest(str(value), [str(choice) for choice in known.choices])
            shown = ", ".join(str(choice) for choice in known.choices)
            raise ValueError(f"{value!r} is not one of {shown}" + (f"; did you mean {near}?" if near else ""))
        case "bool", bool():
            return value
        case "int", str() if value.endswith("K"):
            return _bounded(known, int(value[:-1]) * 1024)
        case (("int" | "float"), (int() | float())) if not isinstance(value, bool):
            if known.kind == "int" and value != int(value):
                raise ValueError(f"{value!r} is not a whole number")
            return _bounded(known, int(value) if known.kind == "int" else float(value))
        case _:
            raise ValueError(f"{value!r} is not a value of type {known.kind}")


def _bounded(known: Parameter, number: float) -> Value:
    if known.minimum is not None and number < known.minimum:
        raise ValueError(f"{number} is less than {known.minimum:g}")
    if known.maximum is not None and number > known.maximum:
        raise ValueError(f"{number} is more than {known.maximum:g}")
    return number
