"""A small engine with a real catalogue's shape, so that spaces can be checked without a server's details."""

from collections.abc import Mapping
from typing import Any

from lading.engines.base import (
    Command, HardwareFacts, LaunchFailure, MemoryEstimate, ModelFacts, Parameter, Rule, RuleInput, Violation,
)  # fmt: skip
from lading.errors import InvalidParameters
from lading.spec.documents import nearest


def _parameter(name, kind, **more):
    return Parameter(name=name, kind=kind, flags=(f"--{name.replace('_', '-')}",), **more)


class ToyEngine:
    """Takes sizes like ``8k``; refuses `batch` above `context`; needs 1 MB per token of context."""

    name = "toy"
    version = "1"
    programs = ("toy",)
    image = "example.org/toy:1"
    rules = (
        Rule(name="batch-in-context", check=lambda given: _batch(given), hint="lower batch"),
        Rule(name="fp8-needs-graph", check=lambda given: _fp8(given)),
    )
    probes = ()
    takes_token_ids = True

    def __init__(self):
        self.parameters: Mapping[str, Parameter] = {
            parameter.name: parameter
            for parameter in (
                _parameter("batch", "int", default=512, minimum=1, maximum=65536),
                _parameter("context", "int", default=4096, minimum=1),
                _parameter("slots", "int", default=4, minimum=1, maximum=4096),
                _parameter("share", "float", default=0.9, minimum=0.01, maximum=1.0),
                _parameter("kv", "choice", default="f16", choices=("f16", "fp8", "q4")),
                _parameter("mode", "choice", choices=("plain", "draft", "ngram")),
                _parameter("draft", "int", minimum=0, maximum=64),
                _parameter("graph", "bool", default=True),
            )
        }

    def request_body(self):
        return {}

    def parse(self, params):
        parsed, wrong = {}, []
        for key, value in params.items():
            name = key.lstrip("-").replace("-", "_")
            known = self.parameters.get(name)
            if known is None:
                near = nearest(name, list(self.parameters))
                wrong.append(f"{key}: toy has no such parameter" + (f"; did you mean `{near}`?" if near else ""))
                continue
            try:
                parsed[name] = _canonical(known, value)
            except ValueError as error:
                wrong.append(f"{name}: {error}")
        if wrong:
            raise InvalidParameters("\n".join(wrong))
        return parsed

    def resolved(self, params):
        defaults = {name: known.default for name, known in self.parameters.items() if known.default is not None}
        return {**defaults, **params}

    def violations(self, given):
        full = RuleInput(params=self.resolved(given.params), model=given.model, hardware=given.hardware)
        return tuple(
            Violation(rule=rule.name, message=message, hint=rule.hint)
            for rule in self.rules
            if (message := rule.check(full)) is not None
        )

    def command(self, launch):
        return Command(argv=tuple(f"--{key}={value}" for key, value in launch.params.items()))

    def memory(self, params, model: ModelFacts, hardware: HardwareFacts | None = None):
        weights = model.weights_bytes
        context = self.resolved(params)["context"]
        return weights and MemoryEstimate(
            weights_bytes=weights, kv_bytes=context * 10**6, overhead_bytes=0, kv_bytes_per_token=10**6
        )

    def effective(self, answers: Mapping[str, Any], log):
        return {}

    def classify(self, log, returncode):
        return LaunchFailure(name="unknown", kind="unknown", reason="?")


def _batch(given):
    batch, context = given.params["batch"], given.params["context"]
    return f"batch {batch} is more than context {context}" if batch > context else None


def _fp8(given):
    return "kv fp8 needs graph" if given.params["kv"] == "fp8" and not given.params["graph"] else None


def _canonical(known: Parameter, value):
    if known.kind == "choice":
        if value not in known.choices:
            near = nearest(str(value), list(known.choices))
            raise ValueError(f"{value!r} is not one of {known.choices}" + (f"; did you mean {near}?" if near else ""))
        return value
    if known.kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is not true or false")
        return value
    if isinstance(value, str):
        value = int(value[:-1]) * 1024 if value.endswith("k") else float(value)
    if isinstance(value, bool) or (known.kind == "int" and value != int(value)):
        raise ValueError(f"{value!r} is not a number of its type")
    value = int(value) if known.kind == "int" else float(value)
    if (known.minimum is not None and value < known.minimum) or (known.maximum is not None and value > known.maximum):
        raise ValueError(f"{value} is not within {known.minimum} and {known.maximum}")
    return value
